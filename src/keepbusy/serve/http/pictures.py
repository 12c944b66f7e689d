"""JPEGs of streams: made once for each frame and size, however many look at it."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from keepbusy.drawing.write import encode_picture
from keepbusy.errors import FrameError
from keepbusy.serve.http.bodies import BadRequestError
from keepbusy.serve.http.room import Room
from keepbusy.serve.supervise.served import Latest, Served
from keepbusy.sinks.draw import annotate
from keepbusy.sources.jpeg import read_header
from keepbusy.sources.picture import decode_picture
from keepbusy.sources.size import promised_size
from keepbusy.values.frame import Image

WIDTHS = (160, 240, 320, 480, 640, 960, 1280, 1920)
"""Of tiles, pixels: few, so that viewers share them."""

MAX_KEPT = 256
"""JPEGs that are kept for those who come a moment later: one of each stream and size."""


class Pictures:
    """Used in one event loop; the work is done in threads of its own.

    Args:
        quality: Of JPEGs, 1 to 100.
        room_pixels: Pixels of uploaded pictures that may be decoded and wait at once.
        num_threads: So many are encoded at once.
    """

    def __init__(self, quality: int, room_pixels: int, num_threads: int = 2) -> None:
        self.quality = quality
        self.room = Room(room_pixels)
        self.num_made = 0
        self._kept: OrderedDict[tuple[int, int], tuple[int, asyncio.Future[bytes]]] = OrderedDict()
        self._threads = ThreadPoolExecutor(num_threads, "keepbusy-pictures")

    async def jpeg(self, served: Served, latest: Latest, width: int) -> bytes:
        """A stream's frame at the next of `WIDTHS`, without boxes.

        Raises:
            FrameError: Its picture cannot be made.
        """
        size = next((one for one in WIDTHS if one >= width), WIDTHS[-1])
        key = (served.number, size)
        number, making = self._kept.get(key, (0, None))
        if making is None or number != latest.number:
            self.num_made += 1
            making = asyncio.ensure_future(self._do(_encode, latest, size, self.quality))
            self._kept[key] = (latest.number, making)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return bytes(await asyncio.shield(making))

    async def drawn(self, latest: Latest, width: int | None) -> bytes:
        """A frame with its boxes on it.

        Raises:
            FrameError: Its picture cannot be made.
        """
        return bytes(await self._do(_encode_drawn, latest, width, self.quality))

    async def decode(self, content: bytes, max_pixels: int) -> Image:
        """A picture that was uploaded → pixels: uint8 (H, W, 3), BGR.

        Raises:
            BadRequestError: It is no picture, or has too many pixels.
        """
        image: Image = await self._do(_decode, content, max_pixels)
        return image

    async def _do(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _sized(image: Image, width: int | None) -> Image:
    height, own_width = image.shape[:2]
    if width is None or width >= own_width:
        return image
    size_wh = (width, max(1, round(height * width / own_width)))
    # Areas, not points: small people would vanish.
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _encode(latest: Latest, width: int, quality: int) -> bytes:
    image = latest.result.frame.image
    if image is None:
        return b""
    return encode_picture(".jpg", _sized(image, width), quality)


def _encode_drawn(latest: Latest, width: int | None, quality: int) -> bytes:
    return encode_picture(".jpg", _sized(annotate(latest.result), width), quality)


def num_pixels_of(content: bytes, otherwise: int) -> int:
    """How many pixels a picture has by its header, without decoding it."""
    try:
        header = read_header(content)
        shape_hw = promised_size(content, "") if header is None else header.shape_hw
    except Exception:  # Decoding it says what is wrong.
        shape_hw = None
    return otherwise if shape_hw is None else math.prod(shape_hw)


def _decode(content: bytes, max_pixels: int) -> Image:
    try:
        picture = decode_picture(content, "the picture", max_pixels=max_pixels)
    except FrameError as error:
        status = 413 if "more" in error.reason and "pixels" in error.reason else 422
        hint = "`limits.picture_pixels` says how many are allowed" if status == 413 else error.hint or ""
        raise BadRequestError(status, error.reason, hint) from None
    except Exception as error:
        raise BadRequestError(422, f"the picture cannot be read: {type(error).__name__}") from None
    return picture if isinstance(picture, np.ndarray) else picture.image
