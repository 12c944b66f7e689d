"""Masks against their definition, written down at full size in float64 with NumPy's own interpolation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keepbusy.drawing.outlines import outlines
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.segment import make_masks
from keepbusy.values.forms import Fit

INPUT_HW = (96, 160)
CELL_PX = 4


def enlarge(
    plane: NDArray[np.float64],
    centres_x: NDArray[np.float64],
    centres_y: NDArray[np.float64],
    frame_hw: tuple[int, int],
) -> NDArray[np.float64]:
    """A plane whose cells have their centres at these places of the frame → its value at each pixel's centre."""
    height, width = frame_hw
    wide = np.array([np.interp(np.arange(width) + 0.5, centres_x, row) for row in plane])
    return np.array([np.interp(np.arange(height) + 0.5, centres_y, column) for column in wide.T]).T


def lay(frame: int, side: int, scale: float, fit: Fit) -> tuple[int, float]:
    """Along one axis: how long the picture is in the input, and where it begins; pixels."""
    if fit == "stretch":
        return side, 0
    if fit == "corner":
        return max(1, int(frame * scale)), 0
    length = max(1, round(frame * scale))
    return length, (side - length) // 2


def full_logits(
    coefficients: NDArray[np.float32], prototypes: NDArray[np.float32], frame_hw: tuple[int, int], fit: Fit
) -> NDArray[np.float64]:
    """The definition: all cells of all masks, without those of the bars, enlarged to the whole frame."""
    logits = np.einsum("np,phw->nhw", coefficients.astype(np.float64), prototypes[0].astype(np.float64))
    ratios = [side / frame for side, frame in zip(INPUT_HW, frame_hw, strict=True)]
    scale = max(ratios) if fit == "crop" else min(ratios)
    centres = []
    for axis, (frame, side) in enumerate(zip(frame_hw, INPUT_HW, strict=True)):
        length, start = lay(frame, side, scale, fit)
        shown = [
            cell for cell in range(side // CELL_PX) if (cell + 1) * CELL_PX > start and cell * CELL_PX < start + length
        ]
        logits = logits.take(shown, axis=axis + 1)
        centres.append((np.array(shown) * CELL_PX + CELL_PX / 2 - start) * frame / length)
    return np.array([enlarge(plane, centres[1], centres[0], frame_hw) for plane in logits])


def inside(box: NDArray[np.float32], frame_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose index lies in a box."""
    y, x = np.mgrid[: frame_hw[0], : frame_hw[1]]
    result: NDArray[np.bool_] = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return result


def random_case(
    seed: int, frame_hw: tuple[int, int], num_boxes: int = 6
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Coefficients, prototypes, and boxes clipped to the frame: some tiny, some without any pixel, one the whole."""
    rng = np.random.default_rng(seed)
    prototypes = rng.normal(size=(1, 8, INPUT_HW[0] // CELL_PX, INPUT_HW[1] // CELL_PX)).astype(np.float32)
    coefficients = rng.normal(size=(num_boxes, 8)).astype(np.float32)
    size = np.array(frame_hw[::-1])
    centres = rng.uniform(-0.1, 1.1, (num_boxes, 2)) * size
    sides = size * rng.choice([0.002, 0.05, 0.3, 0.8], (num_boxes, 1)) * rng.uniform(0.5, 1.5, (num_boxes, 2))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), axis=1)
    boxes[0] = (0, 0, *size)
    return coefficients, prototypes, np.clip(boxes, 0, np.tile(size, 2)).astype(np.float32)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    frame_hw=st.tuples(st.integers(1, 220), st.integers(1, 220)),
    fit=st.sampled_from(["letterbox", "corner", "stretch", "crop"]),
)
def test_agree_with_the_definition_at_every_pixel(seed: int, frame_hw: tuple[int, int], fit: Fit) -> None:
    coefficients, prototypes, boxes = random_case(seed, frame_hw)
    logits = full_logits(coefficients, prototypes, frame_hw, fit)
    masks = make_masks(coefficients, prototypes, boxes, Letterbox.fit(frame_hw, INPUT_HW, fit))
    found = masks.to_array()
    assert found.shape == logits.shape and found.dtype == np.bool_
    for mask, plane, box in zip(found, logits, boxes, strict=True):
        # Only where the logit is 0 up to float32's rounding may a pixel fall to either side.
        is_clear = np.abs(plane) > 1e-4
        np.testing.assert_array_equal(mask[is_clear], ((plane > 0) & inside(box, frame_hw))[is_clear])
        assert is_clear.mean() > 0.99 or plane.size < 200
        assert not mask[~inside(box, frame_hw)].any()


def test_bars_are_cut_off_as_whole_cells_where_they_are() -> None:
    # 320x160 in 160x96: 160x80, bars of 8 pixels, two cells: the definition in its plainest form.
    coefficients, prototypes, boxes = random_case(5, (160, 320))
    logits = np.einsum("np,phw->nhw", coefficients, prototypes[0])[:, 2:-2].astype(np.float64)
    masks = make_masks(coefficients, prototypes, boxes, Letterbox.fit((160, 320), INPUT_HW))
    for mask, plane, box in zip(masks.to_array(), logits, boxes, strict=True):
        rows, columns = plane.shape
        whole = enlarge(
            plane, (np.arange(columns) + 0.5) * 320 / columns, (np.arange(rows) + 0.5) * 160 / rows, (160, 320)
        )
        is_clear = np.abs(whole) > 1e-4
        np.testing.assert_array_equal(mask[is_clear], ((whole > 0) & inside(box, (160, 320)))[is_clear])


def test_a_crop_is_the_boxs_part_and_the_windows_are_small_and_their_own() -> None:
    coefficients, prototypes, boxes = random_case(1, (120, 200))
    boxes[1] = (50.5, 20.0, 80.2, 41.0)
    masks = make_masks(coefficients, prototypes, boxes, Letterbox.fit((120, 200), INPUT_HW))
    mask, corner_xy = masks.crop(1)
    assert (mask.shape, corner_xy) == ((21, 30), (51, 20))
    np.testing.assert_array_equal(mask, masks.to_array()[1, 20:41, 51:81])
    # 30x21 pixels of the frame are 24x17 of the input: at most 6x5 cells touched, and one more on each side.
    assert masks.windows[1].shape[0] <= 7 and masks.windows[1].shape[1] <= 8
    before = masks.to_array()
    prototypes[...] = -prototypes
    np.testing.assert_array_equal(masks.to_array(), before)


def test_a_large_mask_is_the_same_as_its_parts() -> None:
    # Enlarged some rows at a time: the seams must not show.
    coefficients, prototypes, _ = random_case(2, (700, 900), num_boxes=1)
    letterbox = Letterbox.fit((700, 900), INPUT_HW)
    whole = make_masks(coefficients, prototypes, np.array([[0, 0, 900, 700]], np.float32), letterbox).to_array()[0]
    for top in range(0, 700, 50):
        box = np.array([[0, top, 900, top + 50]], np.float32)
        part = make_masks(coefficients, prototypes, box, letterbox).crop(0)[0]
        assert (part != whole[top : top + 50]).mean() < 1e-4
    assert 0.2 < whole.mean() < 0.8


def test_no_masks_and_boxes_without_a_pixel() -> None:
    letterbox = Letterbox.fit((120, 200), INPUT_HW)
    coefficients, prototypes, _ = random_case(0, (120, 200))
    none = make_masks(coefficients[:0], prototypes, np.empty((0, 4), np.float32), letterbox)
    assert len(none) == 0 and none.to_array().shape == (0, 120, 200)
    boxes = np.array([[3.2, 4.0, 3.8, 90.0], [200, 120, 200, 120]], np.float32)
    empty = make_masks(coefficients[:2], prototypes, boxes, letterbox)
    assert not empty.to_array().any()
    assert empty.polygons(0) == [] and empty.crop(0)[0].shape == (86, 0)


def test_prototypes_that_are_not_finite_are_an_error() -> None:
    coefficients, prototypes, boxes = random_case(0, (120, 200))
    prototypes[0, 3, 7, 7] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        make_masks(coefficients, prototypes, boxes, Letterbox.fit((120, 200), INPUT_HW))


def test_polygons_give_the_mask_back_largest_part_first() -> None:
    coefficients, prototypes, boxes = random_case(8, (120, 200))
    masks = make_masks(coefficients, prototypes, boxes, Letterbox.fit((120, 200), INPUT_HW))
    num_parts = 0
    for index, mask in enumerate(masks.to_array()):
        polygons = masks.polygons(index)
        filled = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(filled, polygons, 1)
        # All but holes: what is more than the mask has no way out to the picture's edge.
        assert not (mask & (filled == 0)).any()
        _, parts = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).astype(np.uint8), connectivity=4)
        np.testing.assert_array_equal((filled == 1) & ~mask, (parts[1:-1, 1:-1] != parts[0, 0]) & ~mask)
        areas = [cv2.contourArea(polygon) for polygon in polygons]
        assert areas == sorted(areas, reverse=True)
        num_parts += len(polygons)
    assert num_parts > 20


def test_outlines_of_plain_shapes() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[2:6, 3:9] = True
    mask[10:18, 10:25] = True
    large, small = outlines(mask, (100, 200))
    assert {tuple(point) for point in small.tolist()} == {(103, 202), (108, 202), (108, 205), (103, 205)}
    assert {tuple(point) for point in large.tolist()} == {(110, 210), (124, 210), (124, 217), (110, 217)}
