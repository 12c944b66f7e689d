"""Instance masks, kept small until somebody wants to see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """One mask a detection, in the order of the detections.

    A mask is kept as the part of the model's low-resolution mask that its box covers; `crop` enlarges it to the
    frame's pixels. That is a few kilobytes a detection instead of a whole picture.

    Attributes:
        windows: float32 (h, w) each: mask logits in cells of the prototypes, with a margin of up to one cell around
            the box.
        window_xy: int32 (N, 2): the cell (x, y) of each window's top left corner.
        cell_xy_px: Pixels of the frame a cell, along x and y.
        origin_xy_px: Where the corner of cell (0, 0) lies in the frame, pixels.
        boxes_xyxy: float32 (N, 4): the detections' boxes, pixels of the frame.
        frame_hw: The frame's (height, width), pixels.
    """

    windows: tuple[NDArray[np.float32], ...]
    window_xy: NDArray[np.int32]
    cell_xy_px: tuple[float, float]
    origin_xy_px: tuple[float, float]
    boxes_xyxy: NDArray[np.float32]
    frame_hw: tuple[int, int]

    def __len__(self) -> int:
        return len(self.windows)

    def crop(self, index: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """The mask of one detection inside its box.

        Returns:
            bool (h, w), pixels of the frame, and the pixel (x, y) of its top left corner in the frame.
        """
        raise NotImplementedError

    def to_array(self) -> NDArray[np.bool_]:
        """All masks at the frame's size: bool (N, H, W). As large as that sounds."""
        raise NotImplementedError
