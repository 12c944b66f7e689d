"""Boxes in other forms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def xyxy_to_xywh(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Left, top, right, bottom → centre x, centre y, width, height; float32 (N, 4) both, in the same unit."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate(((low + high) / 2, high - low), axis=1)


def as_shares(boxes: NDArray[np.float32], frame_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes in pixels → as shares of the frame's width and height.

    Args:
        boxes: float32 (N, 4): x, y, x, y, or x, y, width, height; pixels.
        frame_hw: The frame's (height, width), pixels.

    Returns:
        float32 (N, 4): 0 to 1 for what lies in the frame.
    """
    height, width = frame_hw
    shares: NDArray[np.float32] = np.divide(boxes, np.array([width, height, width, height], np.float32))
    return shares


def corners_of_rotated(boxes_xywhr: NDArray[np.float32]) -> NDArray[np.float32]:
    """The corners of rotated boxes, in order around each.

    Args:
        boxes_xywhr: float32 (N, 5): centre, width, height, angle in radians, clockwise.

    Returns:
        float32 (N, 4, 2): x and y.
    """
    half, angle = boxes_xywhr[:, 2:4] / 2, boxes_xywhr[:, 4]
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.stack((cos * half[:, 0], sin * half[:, 0]), axis=1)
    across = np.stack((-sin * half[:, 1], cos * half[:, 1]), axis=1)
    offsets = np.stack((along + across, along - across, -along - across, across - along), axis=1)
    return (boxes_xywhr[:, None, :2] + offsets).astype(np.float32, copy=False)
