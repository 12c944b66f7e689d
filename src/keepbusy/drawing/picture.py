"""Pictures that callers give: checked, and made what drawing works on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ConfigError

Pixels = NDArray[np.uint8]
"""A picture: uint8 (H, W, 3), colour order BGR."""


def check_picture(name: str, image: Any, frame_hw: tuple[int, int] | None = None) -> Pixels:
    """See that something is a picture, and the one that is expected.

    Args:
        name: What it is given to, for the message.
        image: What was given.
        frame_hw: The (height, width) that it must have, pixels; None for any.

    Returns:
        The same array: uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).

    Raises:
        ConfigError: It is no picture, or one of another size.
    """
    if not isinstance(image, np.ndarray):
        raise ConfigError(f"{name}: {type(image).__name__} is no array of pixels", hint=_hint_for(image))
    if image.dtype != np.uint8:
        raise ConfigError(
            f"{name}: the picture is an array of {image.dtype}",
            hint="give uint8, 0 to 255: (255 * picture).astype(numpy.uint8) where it is 0 to 1",
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or not image.size:
        raise ConfigError(
            f"{name}: an array of the shape {image.shape} is no picture",
            hint="give one picture: (H, W, 3) in the order BGR, (H, W) grey, or (H, W, 4) with transparency",
        )
    if frame_hw is not None and image.shape[:2] != frame_hw:
        (height, width), (frame_height, frame_width) = image.shape[:2], frame_hw
        raise ConfigError(
            f"{name}: the picture is {width}x{height}, the frame of these detections {frame_width}x{frame_height}",
            hint="give the picture as the model was given it, before it was resized or cut",
        )
    return image


def as_bgr(name: str, image: Any, frame_hw: tuple[int, int] | None = None) -> Pixels:
    """A copy of a picture that can be drawn on.

    Args:
        name: What it is given to, for the message.
        image: uint8 (H, W, 3) BGR, (H, W) or (H, W, 1) grey, or (H, W, 4) BGRA, whose transparency is left out.
        frame_hw: The (height, width) that it must have, pixels; None for any.

    Returns:
        uint8 (H, W, 3), BGR, C-contiguous; shares no memory with what was given.

    Raises:
        ConfigError: It is no picture, or one of another size.
    """
    pixels = check_picture(name, image, frame_hw)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    if pixels.shape[2] == 4:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), np.uint8)
    return np.array(pixels, order="C")


def _hint_for(image: Any) -> str:
    if isinstance(image, (str, bytes)) or hasattr(image, "__fspath__"):
        return "give its pixels: cv2.imread(path); a picture is written by save(path, image)"
    if hasattr(image, "convert") and hasattr(image, "size"):  # PIL's.
        return "give its pixels, in the order BGR: numpy.asarray(picture.convert('RGB'))[..., ::-1]"
    return "give a NumPy array: uint8 (H, W, 3), in the order BGR"
