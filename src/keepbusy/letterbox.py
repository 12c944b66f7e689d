"""Frame → tensor: resized and laid out as the model was trained, written straight into the model's input."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.forms import Fit
from keepbusy.types import Image

GREY = 114
"""The grey of the bars, as in YOLOv5's training."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How one frame size is laid into one input size.

    The rule is YOLOv5's with `auto=False`: one scale for both axes, the resized size rounded to whole pixels, the
    picture centred, an odd bar pixel going to the right and the bottom. `corner` puts it in the top left corner
    instead and rounds its size down (YOLOX), `stretch` scales each axis by itself (DETR, SSD), `crop` covers the whole
    input and cuts what hangs over on both sides (classifiers).

    Attributes:
        frame_hw: The frame's (height, width), pixels.
        input_hw: The model input's (height, width), pixels.
        scale_xy: Input pixels per frame pixel, along x and y.
        resized_hw: The picture's (height, width) in the input, pixels; at least 1x1; larger than the input for `crop`.
        left_px, top_px: Where the picture begins in the input; below 0 for `crop`.
    """

    frame_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale_xy: tuple[float, float]
    resized_hw: tuple[int, int]
    left_px: int
    top_px: int

    @classmethod
    def fit(cls, frame_hw: tuple[int, int], input_hw: tuple[int, int], fit: Fit = "letterbox") -> Letterbox:
        """The letterbox that fits a frame of one size into an input of another."""
        ratios = (input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
        if fit == "stretch":
            return cls(frame_hw, input_hw, (ratios[1], ratios[0]), input_hw, 0, 0)
        scale = max(ratios) if fit == "crop" else min(ratios)
        if fit == "corner":
            height, width = max(1, int(frame_hw[0] * scale)), max(1, int(frame_hw[1] * scale))
            return cls(frame_hw, input_hw, (scale, scale), (height, width), 0, 0)
        height, width = max(1, round(frame_hw[0] * scale)), max(1, round(frame_hw[1] * scale))
        left, top = (input_hw[1] - width) // 2, (input_hw[0] - height) // 2
        return cls(frame_hw, input_hw, (scale, scale), (height, width), left, top)

    def boxes_to_frame(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from the input's pixels to the frame's, in place, and clip them to the frame.

        Args:
            boxes_xyxy: float32 (N, 4), pixels of the model's input.
        """
        boxes_xyxy -= np.array((self.left_px, self.top_px) * 2, np.float32)
        boxes_xyxy /= np.array(self.scale_xy * 2, np.float32)
        height, width = self.frame_hw
        np.clip(boxes_xyxy[:, 0::2], 0, width, out=boxes_xyxy[:, 0::2])
        np.clip(boxes_xyxy[:, 1::2], 0, height, out=boxes_xyxy[:, 1::2])
        return boxes_xyxy

    def points_to_frame(self, points_xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points from the input's pixels to the frame's, in place, without clipping.

        Args:
            points_xy: float32 (..., 2), pixels of the model's input.
        """
        points_xy -= np.array((self.left_px, self.top_px), np.float32)
        points_xy /= np.array(self.scale_xy, np.float32)
        return points_xy


class Letterboxer:
    """Writes frames into one input tensor and remembers its bars. One thread at a time.

    The bars are painted only when the geometry changes, and nothing is allocated per frame.

    Args:
        tensor: uint8 (H, W, 3), C-contiguous: the memory that the device reads.
        fit: How frames are laid into it.
        pad_value: The grey of the bars.
    """

    def __init__(self, tensor: NDArray[np.uint8], fit: Fit = "letterbox", pad_value: int = GREY) -> None:
        self._tensor = tensor
        self._input_hw = (int(tensor.shape[0]), int(tensor.shape[1]))
        self._fit: Fit = fit
        self._pad_value = pad_value
        self._letterbox: Letterbox | None = None
        self._window = tensor

    def write(self, image: Image) -> Letterbox:
        """Resize a picture into the tensor; returns how it was laid.

        Args:
            image: uint8 (H, W, 3), BGR.

        Raises:
            ValueError: The picture is not of that form.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"the picture must be uint8 (H, W, 3), and is {image.dtype} {image.shape}")
        frame_hw = (image.shape[0], image.shape[1])
        letterbox = self._letterbox
        if letterbox is None or letterbox.frame_hw != frame_hw:
            letterbox = self._lay(frame_hw)
        height, width = letterbox.resized_hw
        if self._fit == "crop":
            top, left = -letterbox.top_px, -letterbox.left_px
            whole = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
            np.copyto(self._tensor, whole[top : top + self._input_hw[0], left : left + self._input_hw[1]])
        elif frame_hw == letterbox.resized_hw:
            np.copyto(self._window, image)
        else:
            cv2.resize(image, (width, height), dst=self._window, interpolation=cv2.INTER_LINEAR)
        return letterbox

    def _lay(self, frame_hw: tuple[int, int]) -> Letterbox:
        letterbox = Letterbox.fit(frame_hw, self._input_hw, self._fit)
        height, width = letterbox.resized_hw
        if self._fit != "crop":
            self._tensor[...] = self._pad_value
            self._window = self._tensor[
                letterbox.top_px : letterbox.top_px + height, letterbox.left_px : letterbox.left_px + width
            ]
        self._letterbox = letterbox
        return letterbox
