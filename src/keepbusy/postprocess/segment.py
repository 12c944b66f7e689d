"""Mask coefficients and prototypes → masks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keepbusy.pictures.letterbox import Letterbox
from keepbusy.values.masks import Masks, covered_pixels


def make_masks(
    coefficients: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    letterbox: Letterbox,
) -> Masks:
    """The part of each mask that its box covers, in cells of the prototypes.

    A mask's logits are its coefficients times the prototypes. Each box's own window is computed, about 20
    microseconds for one that covers a twentieth of the frame: one product of all coefficients with all prototypes is
    slower (it computes every mask everywhere, and its threads get into the device's way).

    Args:
        coefficients: float32 (N, P).
        prototypes: float32 (1, P, h, w), over the whole of the model's input; read, not kept.
        boxes_xyxy: float32 (N, 4), pixels of the frame, clipped to it.
        letterbox: How the frame was laid into the input.

    Raises:
        ValueError: The prototypes have numbers that are not finite.
    """
    planes = prototypes[0]
    num_prototypes, num_rows, num_columns = planes.shape
    pixels = covered_pixels(boxes_xyxy, letterbox.frame_hw)
    x = _Axis.of(letterbox, num_columns, 1)
    y = _Axis.of(letterbox, num_rows, 0)
    left, right = x.cells(pixels[:, 0], pixels[:, 2])
    top, bottom = y.cells(pixels[:, 1], pixels[:, 3])
    is_empty = (pixels[:, 0] >= pixels[:, 2]) | (pixels[:, 1] >= pixels[:, 3])
    right[is_empty], bottom[is_empty] = left[is_empty], top[is_empty]
    windows: list[NDArray[np.float32]] = []
    for own, x0, y0, x1, y1 in zip(
        coefficients, left.tolist(), top.tolist(), right.tolist(), bottom.tolist(), strict=True
    ):
        window = own @ planes[:, y0:y1, x0:x1].reshape(num_prototypes, -1)
        windows.append(window.reshape(y1 - y0, x1 - x0))
    if not all(np.isfinite(window).all() for window in windows):
        raise ValueError("the model's prototypes have numbers that are not finite (NaN or infinity)")
    return Masks(
        tuple(windows),
        np.stack((left, top), axis=1).astype(np.int32),
        (x.cell_px, y.cell_px),
        (x.origin_px, y.origin_px),
        # Their own: the detections' array is the user's to change.
        boxes_xyxy.copy(),
        letterbox.frame_hw,
    )


class _Axis:
    """Where the cells of one axis lie in the frame."""

    def __init__(self, cell_px: float, origin_px: float, first: int, end: int) -> None:
        self.cell_px = cell_px
        self.origin_px = origin_px
        self.first, self.end = first, end

    @classmethod
    def of(cls, letterbox: Letterbox, num_cells: int, axis: int) -> _Axis:
        """Along y (0) or x (1). Only the cells from `first` to `end` show the picture; the others show bars."""
        start = (letterbox.top_px, letterbox.left_px)[axis]
        resized = letterbox.resized_hw[axis]
        # The picture was resized to whole pixels, so that this, not `scale_xy`, is where its pixels went.
        enlargement = letterbox.frame_hw[axis] / resized
        cell = letterbox.input_hw[axis] / num_cells
        first = max(0, math.floor(start / cell))
        end = min(num_cells, math.ceil((start + resized) / cell))
        return cls(cell * enlargement, -start * enlargement, first, max(end, first + 1))

    def cells(
        self, first_px: NDArray[np.int32], end_px: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The cells, from and to, that the bilinear enlargement to pixels from and to reads."""
        low = np.floor((first_px + 0.5 - self.origin_px) / self.cell_px - 0.5)
        high = np.floor((end_px - 0.5 - self.origin_px) / self.cell_px - 0.5) + 1
        return (
            np.clip(low, self.first, self.end - 1).astype(np.intp),
            np.clip(high, self.first, self.end - 1).astype(np.intp) + 1,
        )
