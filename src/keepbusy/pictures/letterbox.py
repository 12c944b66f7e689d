"""Frame → tensor: resized and laid out as the model was trained, written straight into the model's input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.pictures.planes import Planes, Reduced, shrink
from keepbusy.values.forms import Fit
from keepbusy.values.frame import Image, Picture

GREY = 114
"""The grey of the bars, as in YOLOv5's training."""

CELL_PX = 32
"""The coarsest stride of a YOLO head: sides of the input are multiples of it."""


@dataclass(frozen=True, slots=True)
class Laying:
    """How frames are laid into a model's inputs.

    Attributes:
        fit: The rule.
        pad_value: The grey of the bars, 0 to 255.
        nominal_hw: The model's own input, (height, width) in pixels, where inputs are parts of it without grey bars;
            see `Letterbox.fit`.
    """

    fit: Fit = "letterbox"
    pad_value: int = GREY
    nominal_hw: tuple[int, int] | None = None


LETTERBOXED = Laying()
"""As YOLO does it."""


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
    def fit(
        cls,
        frame_hw: tuple[int, int],
        input_hw: tuple[int, int],
        fit: Fit = "letterbox",
        nominal_hw: tuple[int, int] | None = None,
    ) -> Letterbox:
        """The letterbox that fits a frame of one size into an input of another.

        Args:
            frame_hw: The frame's (height, width), pixels.
            input_hw: The input's (height, width), pixels.
            fit: The rule.
            nominal_hw: The model's own input, where `input_hw` is a part of it without grey bars: a `letterbox` then
                keeps its scale, and its place against the cells of the network, so that it finds the same.
        """
        if fit == "letterbox" and nominal_hw is not None and nominal_hw != input_hw:
            whole = cls.fit(frame_hw, nominal_hw)
            height, width = whole.resized_hw
            top, left = _shift(whole.top_px, height, input_hw[0]), _shift(whole.left_px, width, input_hw[1])
            if top is not None and left is not None:
                return cls(frame_hw, input_hw, whole.scale_xy, whole.resized_hw, left, top)
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
        offset, scale, limit = _box_numbers(self)
        boxes_xyxy -= offset
        boxes_xyxy /= scale
        np.maximum(boxes_xyxy, 0, out=boxes_xyxy)
        np.minimum(boxes_xyxy, limit, out=boxes_xyxy)
        return boxes_xyxy

    def points_to_frame(self, points_xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points from the input's pixels to the frame's, in place, without clipping.

        Args:
            points_xy: float32 (..., 2), pixels of the model's input.
        """
        points_xy -= np.array((self.left_px, self.top_px), np.float32)
        points_xy /= np.array(self.scale_xy, np.float32)
        return points_xy


@lru_cache(maxsize=64)
def _box_numbers(letterbox: Letterbox) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Offset, scale and limit of a box's four numbers: in a run they are the same for frame after frame."""
    height, width = letterbox.frame_hw
    numbers = ((letterbox.left_px, letterbox.top_px) * 2, letterbox.scale_xy * 2, (width, height) * 2)
    offset, scale, limit = (np.array(four, np.float32) for four in numbers)
    return offset, scale, limit


def _shift(begin: int, length: int, side: int) -> int | None:
    """Where something begins in a shorter side, moved by whole cells only, near the middle; None if it does not fit."""
    place = begin % CELL_PX
    spare = (side - place - length) // CELL_PX
    return None if spare < 0 else place + spare // 2 * CELL_PX


class Letterboxer:
    """Writes frames into one input tensor and remembers its bars. One thread at a time.

    The bars are painted only when the geometry changes, and nothing is set up per frame.

    Args:
        tensor: uint8 (H, W, 3), C-contiguous: the memory that the device reads.
        laying: How frames are laid into it.
    """

    def __init__(self, tensor: NDArray[np.uint8], laying: Laying = LETTERBOXED) -> None:
        self._tensor = tensor
        self._input_hw = (int(tensor.shape[0]), int(tensor.shape[1]))
        self._laying = laying
        self._letterbox: Letterbox | None = None
        self._window = tensor

    def write(self, picture: Image | Picture) -> Letterbox:
        """Resize a picture into the tensor; returns how it was laid.

        A decoder's planes are resized before they are converted where that makes them smaller (`planes.py`); a picture
        that was read at a part of its size is laid as the whole one would be.

        Args:
            picture: uint8 (H, W, 3), BGR, or a frame's `picture`.

        Raises:
            ValueError: The picture is not of that form.
            FrameError: It has to be read from its file again, and cannot be.
        """
        frame_hw = _checked_size(picture)
        letterbox = self._letterbox
        if letterbox is None or letterbox.frame_hw != frame_hw:
            letterbox = self._lay(frame_hw)
        self._resize(picture, letterbox)
        if self._laying.fit == "crop":
            top, left = -letterbox.top_px, -letterbox.left_px
            np.copyto(self._tensor, self._window[top : top + self._input_hw[0], left : left + self._input_hw[1]])
        return letterbox

    def _resize(self, picture: Image | Picture, letterbox: Letterbox) -> None:
        height, width = letterbox.resized_hw
        if isinstance(picture, Planes) and height * width < letterbox.frame_hw[0] * letterbox.frame_hw[1]:
            shrink(picture, self._window)
            return
        if isinstance(picture, np.ndarray):
            image = picture
        elif isinstance(picture, Reduced) and picture.pixels.shape[0] >= height and picture.pixels.shape[1] >= width:
            image = picture.pixels
        else:
            image = picture.image
        if image.shape[:2] == letterbox.resized_hw:
            np.copyto(self._window, image)
        else:
            cv2.resize(image, (width, height), dst=self._window, interpolation=cv2.INTER_LINEAR)

    def _lay(self, frame_hw: tuple[int, int]) -> Letterbox:
        letterbox = Letterbox.fit(frame_hw, self._input_hw, self._laying.fit, self._laying.nominal_hw)
        height, width = letterbox.resized_hw
        if self._laying.fit == "crop":
            self._window = np.empty((height, width, 3), np.uint8)
        else:
            self._tensor[...] = self._laying.pad_value
            self._window = self._tensor[
                letterbox.top_px : letterbox.top_px + height, letterbox.left_px : letterbox.left_px + width
            ]
        self._letterbox = letterbox
        return letterbox


def _checked_size(picture: Image | Picture) -> tuple[int, int]:
    if not isinstance(picture, np.ndarray):
        return picture.shape_hw
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"the picture must be uint8 (H, W, 3), and is {picture.dtype} {picture.shape}")
    return int(picture.shape[0]), int(picture.shape[1])
