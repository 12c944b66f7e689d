"""Frame → tensor: aspect-preserving resize with grey bars, written straight into the model's input."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.types import Image

GREY = 114
"""The grey of the bars, as in YOLOv5's training."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How one frame size is laid into one input size.

    The rule is YOLOv5's with `auto=False`: one scale for both axes, the resized size rounded to whole pixels, the
    picture centred, an odd bar pixel going to the right and the bottom.

    Attributes:
        frame_hw: The frame's (height, width), pixels.
        input_hw: The model input's (height, width), pixels.
        scale: Input pixels per frame pixel.
        resized_hw: The picture's (height, width) inside the input, pixels; at least 1x1.
        left_px, top_px: Where the picture begins inside the input.
    """

    frame_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale: float
    resized_hw: tuple[int, int]
    left_px: int
    top_px: int

    @classmethod
    def fit(cls, frame_hw: tuple[int, int], input_hw: tuple[int, int]) -> Letterbox:
        """The letterbox that fits a frame of one size into an input of another."""
        scale = min(input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
        height = max(1, round(frame_hw[0] * scale))
        width = max(1, round(frame_hw[1] * scale))
        return cls(
            frame_hw=frame_hw,
            input_hw=input_hw,
            scale=scale,
            resized_hw=(height, width),
            left_px=(input_hw[1] - width) // 2,
            top_px=(input_hw[0] - height) // 2,
        )

    def boxes_to_frame(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from the input's pixels to the frame's, in place, and clip them to the frame.

        Args:
            boxes_xyxy: float32 (N, 4), pixels of the model's input.
        """
        boxes_xyxy -= np.array([self.left_px, self.top_px] * 2, np.float32)
        boxes_xyxy /= np.float32(self.scale)
        height, width = self.frame_hw
        np.clip(boxes_xyxy[:, 0::2], 0, width, out=boxes_xyxy[:, 0::2])
        np.clip(boxes_xyxy[:, 1::2], 0, height, out=boxes_xyxy[:, 1::2])
        return boxes_xyxy


class Letterboxer:
    """Writes frames into one input tensor and remembers its bars. One thread at a time.

    The bars are painted only when the geometry changes, and nothing is allocated per frame.

    Args:
        tensor: uint8 (H, W, 3), C-contiguous: the memory that the device reads.
    """

    def __init__(self, tensor: NDArray[np.uint8]) -> None:
        self._tensor = tensor
        self._input_hw = (int(tensor.shape[0]), int(tensor.shape[1]))
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
        if frame_hw == letterbox.resized_hw:
            np.copyto(self._window, image)
        else:
            cv2.resize(image, (width, height), dst=self._window, interpolation=cv2.INTER_LINEAR)
        return letterbox

    def _lay(self, frame_hw: tuple[int, int]) -> Letterbox:
        letterbox = Letterbox.fit(frame_hw, self._input_hw)
        height, width = letterbox.resized_hw
        self._tensor[...] = GREY
        self._window = self._tensor[
            letterbox.top_px : letterbox.top_px + height, letterbox.left_px : letterbox.left_px + width
        ]
        self._letterbox = letterbox
        return letterbox
