from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from keepbusy.letterbox import Letterbox, Letterboxer
from tests import reference

SIDES = st.integers(1, 300)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4), st.sampled_from([(64, 64), (32, 96), (96, 64)]))
def test_one_tensor_takes_pictures_of_any_sizes_in_turn(
    sizes_hw: list[tuple[int, int]], input_hw: tuple[int, int]
) -> None:
    tensor = np.zeros((*input_hw, 3), np.uint8)
    letterboxer = Letterboxer(tensor)
    for number, frame_hw in enumerate(sizes_hw):
        picture = np.random.default_rng(number).integers(0, 256, (*frame_hw, 3), np.uint8)
        letterbox = letterboxer.write(picture)
        expected, scale, left, top = reference.lay(picture, input_hw)
        np.testing.assert_array_equal(tensor, expected)
        assert (*letterbox.scale_xy, letterbox.left_px, letterbox.top_px) == (scale, scale, left, top)


@settings(max_examples=200, deadline=None)
@given(st.tuples(SIDES, SIDES), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_come_back_to_where_they_were_in_the_frame(frame_hw: tuple[int, int], shares: list[float]) -> None:
    letterbox = Letterbox.fit(frame_hw, (64, 64))
    box = np.array([[*sorted(shares[:2]), *sorted(shares[2:])]], np.float32)[:, [0, 2, 1, 3]]
    box *= np.array([frame_hw[1], frame_hw[0]] * 2, np.float32)
    in_input = box * np.float32(letterbox.scale_xy[0]) + np.array([letterbox.left_px, letterbox.top_px] * 2, np.float32)
    np.testing.assert_allclose(letterbox.boxes_to_frame(in_input), box, atol=1e-2)


def test_boxes_are_clipped_to_the_frame() -> None:
    letterbox = Letterbox.fit((32, 64), (64, 64))
    boxes = letterbox.boxes_to_frame(np.array([[-5, -5, 100, 100]], np.float32))
    assert boxes.tolist() == [[0, 0, 64, 32]]
