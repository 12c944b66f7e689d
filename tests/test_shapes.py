from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepbusy.models.shapes import MAX_SHAPES, plan_shapes, rectangle, smallest_holding
from keepbusy.pictures.letterbox import Letterbox

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


@pytest.mark.parametrize(
    ("frame_hw", "expected"),
    [
        ((432, 768), (384, 640)),
        ((1080, 1920), (384, 640)),
        ((720, 1280), (384, 640)),
        ((480, 640), (512, 640)),
        ((427, 640), (448, 640)),
        ((1920, 1080), (640, 384)),
        ((640, 640), (640, 640)),
        ((1, 4000), (32, 640)),
        ((16, 640), (64, 640)),
    ],
)
def test_the_rectangle_of_common_frames(frame_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert rectangle(frame_hw, (640, 640)) == expected


@given(frame_hw=SIZES, nominal_hw=st.sampled_from([(640, 640), (384, 640), (320, 320)]))
def test_a_rectangle_is_the_cells_that_the_frame_covers_in_the_whole_input(
    frame_hw: tuple[int, int], nominal_hw: tuple[int, int]
) -> None:
    shape = rectangle(frame_hw, nominal_hw)
    whole = Letterbox.fit(frame_hw, nominal_hw)
    for axis, begin in enumerate((whole.top_px, whole.left_px)):
        used = {cell // 32 for cell in range(begin, begin + whole.resized_hw[axis])}
        assert shape[axis] == 32 * len(used) <= nominal_hw[axis]


@given(st.dictionaries(SIZES, st.integers(1, 50), min_size=1, max_size=12))
def test_a_plan_holds_every_frame_in_few_shapes(sizes: dict[tuple[int, int], int]) -> None:
    shapes = plan_shapes(sizes, (640, 640))
    assert 1 <= len(shapes) <= MAX_SHAPES and len(set(shapes)) == len(shapes)
    for frame_hw in sizes:
        assert smallest_holding(rectangle(frame_hw, (640, 640)), shapes) is not None


@given(st.dictionaries(SIZES, st.integers(1, 50), min_size=1, max_size=5))
def test_a_plan_of_two_shapes_is_close_to_the_best_there_is(sizes: dict[tuple[int, int], int]) -> None:
    wanted = {frame_hw: rectangle(frame_hw, (640, 640)) for frame_hw in sizes}
    whole = (max(h for h, _ in wanted.values()), max(w for _, w in wanted.values()))

    def cost(shapes: list[tuple[int, int]]) -> float:
        total = 0
        for frame_hw, count in sizes.items():
            holding = [s for s in shapes if s[0] >= wanted[frame_hw][0] and s[1] >= wanted[frame_hw][1]]
            total += count * min(s[0] * s[1] for s in holding)
        return total

    best = min(cost([whole, *pair]) for pair in itertools.combinations_with_replacement(wanted.values(), 1))
    # Less than the share of pixels that a further shape must save.
    assert cost(plan_shapes(sizes, (640, 640), max_shapes=2)) <= best / 0.97 + 1e-6


def test_one_size_needs_one_shape_and_none_needs_none() -> None:
    assert plan_shapes({(1080, 1920): 10, (720, 1280): 1}, (640, 640)) == [(384, 640)]
    assert plan_shapes({}, (640, 640)) == []
