"""Instance masks, kept small until somebody wants to see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CACHED_PX = 32_768
"""Pixels of a mask that are enlarged at once: 128 kB of float32."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Masks:
    """One mask a detection, in the order of the detections.

    A mask is kept as the part of the model's low-resolution mask that its box covers; `crop` enlarges it to the
    frame's pixels. That is a few kilobytes a detection instead of a whole picture.

    The definition is that of YOLOv5 and YOLOv8 (`process_mask_native`): the logits, without the cells of the
    letterbox's bars, are enlarged to the frame bilinearly (centres at half pixels, edges repeated); a pixel belongs
    to the mask where its logit is above 0 (a probability above one half) and its index (x, y) lies in the box.

    Attributes:
        windows: float32 (h, w) each: mask logits in cells of the prototypes, with a margin of up to one cell around
            the box; (0, 0) for a box that covers no pixel.
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

    def __repr__(self) -> str:
        return f"Masks({len(self)} of a frame of {self.frame_hw[1]}x{self.frame_hw[0]})"

    def take(self, indices: NDArray[np.intp]) -> Masks:
        """Some of them, in the order of the indices."""
        windows = tuple(self.windows[index] for index in indices.tolist())
        boxes_xyxy, window_xy = self.boxes_xyxy[indices], self.window_xy[indices]
        return dataclasses.replace(self, windows=windows, window_xy=window_xy, boxes_xyxy=boxes_xyxy)

    def crop(self, index: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """The mask of one detection inside its box.

        Returns:
            bool (h, w), pixels of the frame, and the pixel (x, y) of its top left corner in the frame.
        """
        left, top, right, bottom = covered_pixels(self.boxes_xyxy[index : index + 1], self.frame_hw)[0].tolist()
        window = self.windows[index]
        if right <= left or bottom <= top or window.size == 0:
            return np.zeros((max(0, bottom - top), max(0, right - left)), np.bool_), (left, top)
        before, after, share = self._between(index, 0, left, right)
        rows = window[:, before] * (1 - share) + window[:, after] * share
        before, _, share = self._between(index, 1, top, bottom)
        # A row of pixels is `rows[before] + share * step[before]`, and belongs where that is above 0.
        step = np.zeros_like(rows)
        step[:-1] = rows[1:] - rows[:-1]
        np.negative(rows, out=rows)
        mask = np.empty((bottom - top, right - left), np.bool_)
        # Some rows at a time, so that what is computed stays in the processor's cache.
        num_rows = max(1, _CACHED_PX // mask.shape[1])
        for first in range(0, len(mask), num_rows):
            some = slice(first, first + num_rows)
            rise = step[before[some]]
            rise *= share[some, None]
            np.greater(rise, rows[before[some]], out=mask[some])
        return mask, (left, top)

    def to_array(self) -> NDArray[np.bool_]:
        """All masks at the frame's size: bool (N, H, W). As large as that sounds."""
        return spread(map(self.crop, range(len(self))), len(self), self.frame_hw)

    def polygons(self, index: int) -> list[NDArray[np.int32]]:
        """The outlines of one detection's mask, largest area first.

        Filling them gives the mask back, except for holes.

        Returns:
            int32 (P, 2) each: the (x, y) of pixels on the edge, in the frame; several where the mask is in parts.
        """
        from keepbusy.drawing.outlines import outlines  # Loads OpenCV.

        mask, corner_xy = self.crop(index)
        return outlines(mask, corner_xy)

    def _between(
        self, index: int, axis: int, first_px: int, end_px: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """For each pixel along an axis (0: x, 1: y): the two cells of the window around it, and the second's share."""
        centres = np.arange(first_px, end_px) + 0.5
        place = (centres - self.origin_xy_px[axis]) / self.cell_xy_px[axis] - 0.5 - self.window_xy[index, axis]
        last = self.windows[index].shape[1 - axis] - 1
        np.clip(place, 0, last, out=place)
        before = place.astype(np.intp)
        return before, np.minimum(before + 1, last), (place - before).astype(np.float32)


def covered_pixels(boxes_xyxy: NDArray[np.float32], frame_hw: tuple[int, int]) -> NDArray[np.int32]:
    """The pixels whose index lies in a box: left <= x < right, top <= y < bottom.

    Args:
        boxes_xyxy: float32 (N, 4), pixels of the frame.
        frame_hw: The frame's (height, width), pixels.

    Returns:
        int32 (N, 4): left, top, and the first beyond, right and bottom; inside the frame.
    """
    height, width = frame_hw
    # Bounded first: a far corner is more than an int32 holds.
    inside = np.clip(np.ceil(boxes_xyxy), 0, np.array([width, height] * 2, np.float32))
    pixels: NDArray[np.int32] = inside.astype(np.int32)
    return pixels


def spread(
    crops: Iterable[tuple[NDArray[np.bool_], tuple[int, int]]], num_masks: int, frame_hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """Masks at the frame's size: bool (N, H, W).

    Args:
        crops: Each mask, bool (h, w), and the pixel (x, y) of its top left corner in the frame.
        num_masks: How many those are.
        frame_hw: The frame's (height, width), pixels.
    """
    whole = np.zeros((num_masks, *frame_hw), np.bool_)
    for index, (mask, (left, top)) in enumerate(crops):
        whole[index, top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return whole
