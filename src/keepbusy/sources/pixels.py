"""Pictures that are in memory already: arrays, and pictures of Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np

from keepbusy.errors import ConfigError
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.values.frame import Frame, Image

TAKEN = "a path, a NumPy array (uint8, (H, W, 3) in BGR, or (H, W) in grey), or a picture of Pillow"
"""What can be made a picture, for messages."""


def is_pixels(value: object) -> bool:
    """Whether something is an array or a picture of Pillow."""
    return isinstance(value, np.ndarray) or _is_pillow(value)


def is_odd_array(value: object) -> bool:
    """Whether something is an array that is no picture, by its type or shape."""
    if not isinstance(value, np.ndarray):
        return False
    is_picture = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    return value.dtype != np.uint8 or not is_picture or not value.size


def to_image(value: Any) -> Image:
    """An array or a picture of Pillow as uint8 (H, W, 3), BGR, C-contiguous.

    Grey becomes three equal channels, and a fourth channel (transparency) is dropped. Arrays are taken as BGR(A), as
    OpenCV gives them; pictures of Pillow know their own colours.

    Raises:
        ConfigError: It is something else; the message names what was given and what is taken.
    """
    if _is_pillow(value):
        return np.ascontiguousarray(np.asarray(value.convert("RGB"), np.uint8)[:, :, ::-1])
    if not isinstance(value, np.ndarray):
        raise ConfigError(f"a picture cannot be made of {type(value).__name__}", hint=f"give {TAKEN}")
    if is_odd_array(value):
        raise ConfigError(
            f"an array of {value.dtype} with the shape {value.shape} is no picture",
            hint="give uint8, (height, width, 3), blue, green, red; multiply shares of 0 to 1 by 255",
        )
    if value.ndim == 2:
        value = value[:, :, None]
    if value.shape[2] == 1:
        value = np.repeat(value, 3, axis=2)
    return np.ascontiguousarray(value[:, :, :3])


class Pixels(Source):
    """Pictures in memory as a source. Finite; each is one frame.

    Args:
        images: uint8 (H, W, 3) each, BGR.
        source_id: The source's number in the run.
    """

    def __init__(self, images: list[Image], source_id: int = 0) -> None:
        self.info = SourceInfo("array" if len(images) == 1 else f"{len(images)} arrays", num_frames=len(images))
        self._images = images
        self._source_id = source_id
        self._next = 0

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for image in self._images:
            size_hw = (int(image.shape[0]), int(image.shape[1]))
            found[size_hw] = found.get(size_hw, 0) + 1
        return found

    def read(self) -> Frame | None:
        if self._next >= len(self._images):
            return None
        index = self._next
        self._next += 1
        return Frame(self._images[index], index, float(index), self._source_id, self.info.name)

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._images)

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        self._next = len(self._images)


def _is_pillow(value: object) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(value).__mro__)
