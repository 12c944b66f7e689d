from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from keepbusy.models.shapes import rectangle
from keepbusy.pictures.letterbox import GREY, Laying, Letterbox, Letterboxer
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


@settings(max_examples=300, deadline=None)
@given(st.tuples(SIDES, SIDES), st.sampled_from([(256, 256), (128, 256)]))
def test_a_part_of_the_input_holds_the_same_pixels_at_the_same_cells(
    frame_hw: tuple[int, int], nominal_hw: tuple[int, int]
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*frame_hw, 3), np.uint8)
    whole, part = np.zeros((*nominal_hw, 3), np.uint8), np.zeros((*rectangle(frame_hw, nominal_hw), 3), np.uint8)
    expected = Letterboxer(whole).write(picture)
    found = Letterboxer(part, Laying(nominal_hw=nominal_hw)).write(picture)
    top, left = expected.top_px - found.top_px, expected.left_px - found.left_px
    assert top % 32 == left % 32 == 0
    np.testing.assert_array_equal(part, whole[top : top + part.shape[0], left : left + part.shape[1]])
    outside = whole.copy()
    outside[top : top + part.shape[0], left : left + part.shape[1]] = GREY
    assert (outside == GREY).all()


def test_a_part_that_is_larger_than_needed_keeps_the_place_against_the_cells() -> None:
    found = Letterbox.fit((480, 640), (640, 640), nominal_hw=(640, 640))
    for height in (512, 544, 576, 608):
        laid = Letterbox.fit((480, 640), (height, 640), nominal_hw=(640, 640))
        assert laid.scale_xy == (1.0, 1.0) and (laid.top_px - found.top_px) % 32 == 0
        assert 0 <= laid.top_px <= height - 480


def test_a_part_that_is_too_small_takes_the_frame_at_a_smaller_scale() -> None:
    laid = Letterbox.fit((480, 640), (384, 640), nominal_hw=(640, 640))
    assert laid.scale_xy == (0.8, 0.8) and laid.top_px == 0
