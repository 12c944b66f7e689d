"""The article's host work before and after the model: letterbox, blob, boxes back to the frame. OpenCV and NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = (114, 114, 114)


class Fit(NamedTuple):
    """Where a frame lies in the model's input: input pixels per frame pixel, and the bars at left and top."""

    scale: float
    left_px: int
    top_px: int


def letterbox(frame: NDArray[np.uint8], input_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], Fit]:
    """Resize a frame (uint8 (H, W, 3), BGR) to the input's size, its aspect kept, grey bars around it."""
    height, width = frame.shape[:2]
    scale = min(input_hw[0] / height, input_hw[1] / width)
    inner_wh = (round(width * scale), round(height * scale))
    picture: Any = frame
    if inner_wh != (width, height):
        picture = cv2.resize(picture, inner_wh, interpolation=cv2.INTER_LINEAR)
    bars_x, bars_y = input_hw[1] - inner_wh[0], input_hw[0] - inner_wh[1]
    left, top = bars_x // 2, bars_y // 2
    picture = cv2.copyMakeBorder(picture, top, bars_y - top, left, bars_x - left, cv2.BORDER_CONSTANT, value=GREY)
    return picture, Fit(scale, left, top)


def to_blob(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The model's input: float32 (1, 3, H, W), RGB, 0 to 1."""
    return np.asarray(cv2.dnn.blobFromImage(picture, 1 / 255.0, swapRB=True), np.float32)


def to_frame(boxes_xyxy: NDArray[np.float32], fit: Fit, frame_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (N, 4) from the input's pixels to the frame's, clipped to it; changed in place."""
    boxes_xyxy[:, 0::2] = ((boxes_xyxy[:, 0::2] - fit.left_px) / fit.scale).clip(0, frame_hw[1])
    boxes_xyxy[:, 1::2] = ((boxes_xyxy[:, 1::2] - fit.top_px) / fit.scale).clip(0, frame_hw[0])
    return boxes_xyxy
