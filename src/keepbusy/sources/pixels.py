"""Pictures that are there already: arrays, pictures of Pillow, bytes of encoded pictures, and files that are open."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keepbusy.config import MAX_PIXELS, Channels
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.sources.limits import too_large
from keepbusy.sources.opened import content_of, is_open_file
from keepbusy.sources.picture import blaming, decode_picture
from keepbusy.sources.refusals import is_text, no_picture, text_for_picture
from keepbusy.values.frame import Frame, Image


def is_pixels(value: object) -> bool:
    """Whether something is an array, a picture of Pillow, bytes, or an open file."""
    return isinstance(value, (np.ndarray, bytes, bytearray, memoryview)) or _is_pillow(value) or is_open_file(value)


def is_odd_array(value: object) -> bool:
    """Whether something is an array that is no picture, by its type or shape."""
    if not isinstance(value, np.ndarray):
        return False
    is_picture = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    return value.dtype != np.uint8 or not is_picture or not value.size


def check_pixels(value: Any) -> None:
    """See that something can be a picture, without decoding it.

    Raises:
        ConfigError: It cannot; the message names what was given and what is taken.
    """
    if not is_pixels(value) or is_odd_array(value):
        raise no_picture(value)


def to_image(
    value: Any, channels: Channels = "bgr", *, name: str = "image", index: int = 0, max_pixels: int = MAX_PIXELS
) -> Image:
    """An array, a picture of Pillow, or an encoded picture as uint8 (H, W, 3), BGR, C-contiguous.

    Grey becomes three equal channels, and a fourth channel (transparency) is dropped. Pictures of Pillow and encoded
    pictures know their own colours.

    Args:
        value: uint8 (H, W, 3), (H, W, 4), (H, W) or (H, W, 1); a picture of Pillow; the bytes of a picture's file; or
            the file, open for its bytes, which is read from where it stands.
        channels: The order of an array's colours.
        name: What to call the picture where it cannot be decoded.
        index: The frame to blame for that.
        max_pixels: An encoded picture that has more by its header is not decoded, nor is a picture of Pillow converted.
            An array is taken whatever its size: the memory is spent.

    Raises:
        ConfigError: It is something else; the message names what was given and what is taken.
        FrameError: It is encoded, and cannot be decoded, or has too many pixels.
    """
    check_pixels(value)
    if isinstance(value, np.ndarray):
        return _from_array(value, channels)
    with blaming(name, index):
        if _is_pillow(value):
            size_hw = int(value.height), int(value.width)
            if math.prod(size_hw) > max_pixels:  # It may not be decoded yet: Pillow waits until somebody looks.
                raise too_large(size_hw, max_pixels, source=name, frame_index=index, what="the picture")
            return np.ascontiguousarray(np.asarray(value.convert("RGB"), np.uint8)[:, :, ::-1])
        content = content_of(value, name, index, max_pixels) if is_open_file(value) else bytes(value)
        if is_text(content):
            raise text_for_picture(name, index)
        picture = decode_picture(content, name, index, max_pixels=max_pixels)
    return picture if isinstance(picture, np.ndarray) else picture.image


def _from_array(value: Image, channels: Channels) -> Image:
    if value.ndim == 2:
        value = value[:, :, None]
    if value.shape[2] == 1:
        value = np.repeat(value, 3, axis=2)
    return np.ascontiguousarray(value[:, :, 2::-1] if channels == "rgb" else value[:, :, :3])


class Pixels(Source):
    """Pictures in memory as a source. Finite; each is one frame, and becomes pixels when it is read.

    Args:
        pictures: What `to_image` takes.
        source_id: The source's number in the run.
        channels: The order of the colours of arrays.
        max_pixels: As for `to_image`.

    Raises:
        ConfigError: One of them is no picture.
    """

    def __init__(
        self,
        pictures: Sequence[Any],
        source_id: int = 0,
        *,
        channels: Channels = "bgr",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        for picture in pictures:
            check_pixels(picture)
        what = "array" if all(isinstance(one, np.ndarray) for one in pictures) else "picture"
        name = what if len(pictures) == 1 else f"{len(pictures)} {what}s"
        self.info = SourceInfo(name, num_frames=len(pictures))
        self._pictures = list(pictures)
        self._source_id = source_id
        self._channels: Channels = channels
        self._max_pixels = max_pixels
        self._next = 0

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for picture in self._pictures:
            if (size_hw := _size_of(picture)) is not None:
                found[size_hw] = found.get(size_hw, 0) + 1
        return found

    def read(self) -> Frame | None:
        if self._next >= len(self._pictures):
            return None
        index = self._next
        self._next += 1
        name = self.info.name
        if is_open_file(given := self._pictures[index]):
            with blaming(name, index):
                # It can be read once; in a loop the picture comes again.
                self._pictures[index] = content_of(given, name, index, self._max_pixels)
        image = to_image(self._pictures[index], self._channels, name=name, index=index, max_pixels=self._max_pixels)
        return Frame(image, index, float(index), self._source_id, name)

    def skip(self) -> bool:
        self._next += 1
        return self._next <= len(self._pictures)

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        self._next = len(self._pictures)


def _size_of(picture: Any) -> tuple[int, int] | None:
    """Height and width, pixels; None where an encoded picture does not tell them, or a file stands somewhere in it."""
    if isinstance(picture, np.ndarray):
        return int(picture.shape[0]), int(picture.shape[1])
    if _is_pillow(picture):
        return int(picture.height), int(picture.width)
    import imagesize

    width, height = -1, -1
    with contextlib.suppress(Exception):  # Decoding it says what is wrong.
        if not is_open_file(picture):
            width, height = imagesize.get(io.BytesIO(picture), exif_rotation=True)
        elif picture.seekable() and picture.tell() == 0:
            try:
                width, height = imagesize.get(picture, exif_rotation=True)
            finally:
                picture.seek(0)
    return (height, width) if width > 0 and height > 0 else None


def _is_pillow(value: object) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == "PIL.Image.Image" for kind in type(value).__mro__)
