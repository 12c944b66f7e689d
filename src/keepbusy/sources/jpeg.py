"""What the header of a JPEG tells (ITU T.81, annex B), and decoding it at a part of its size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from keepbusy.values.frame import Image

Divisor = Literal[2, 4, 8]

_REDUCED: dict[Divisor, int] = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
END_OF_IMAGE = b"\xff\xd9"

MAX_SCANS = 200
"""A progressive picture has about ten. Each is a pass over all pixels, and takes a few bytes only in the file."""

_START_OF_SCAN_MARKER = b"\xff\xda"

_FILLERS = (b"\x00", b"\x55", b"\xaa", b"\xfe")
_FILLER_BYTES = 64

_START_OF_SCAN = 0xDA
_NO_MARKER = -1
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the first scan of a JPEG.

    Attributes:
        shape_hw: Height and width as stored, pixels, before an orientation tag is followed; None where the header
            does not tell.
        scan: Where the first scan begins in the file, bytes; None where there is none.
        is_scanned_once: Whether the first scan has all of the picture in it: neither progressive nor in planes.
    """

    shape_hw: tuple[int, int] | None
    scan: int | None
    is_scanned_once: bool = False

    def is_cut(self, content: bytes) -> bool:
        """Whether the end marker is missing: decoders fill the missing part with grey and say nothing.

        It is looked for behind the start of the scan, because a thumbnail inside the header has an end marker of its
        own.
        """
        return self.scan is not None and content.rfind(b"\xff\xd9", self.scan) < 0


def read_header(content: bytes) -> JpegHeader | None:
    """Walk the segments of a JPEG up to its first scan; None if the bytes are no JPEG."""
    if not content.startswith(b"\xff\xd8"):
        return None
    shape_hw: tuple[int, int] | None = None
    num_components = 0
    for marker, start, _ in _segments(content):
        if marker == _START_OF_SCAN:
            return JpegHeader(shape_hw, start, content[start + 4 : start + 5] == bytes((num_components,)))
        if marker in _FRAME_HEADERS and start + 10 <= len(content):
            num_components = content[start + 9] if marker in _SEQUENTIAL else 0
            height = int.from_bytes(content[start + 5 : start + 7], "big")
            width = int.from_bytes(content[start + 7 : start + 9], "big")
            if height and width:
                # A second frame header is an error, which decoders take in different ways: the larger one counts.
                shape_hw = max(shape_hw or (0, 0), (height, width), key=math.prod)
    return JpegHeader(shape_hw, None)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG, those behind scans too: marker, and where the segment begins and ends, bytes.

    The marker is `_NO_MARKER` where something else stands in its place; the walk ends there.
    """
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            yield _NO_MARKER, position, position
            return
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield marker, position, end
        position = _next_marker(content, end) if marker == _START_OF_SCAN else end


def is_whole_without_end(content: bytes) -> bool:
    """Whether a JPEG without its end marker has all its pixels.

    All scans that complete a progressive picture must be there (ITU T.81, annex G), and what follows the last byte must
    make no difference: where data is missing, a decoder takes what follows for pixels.
    """
    if not _has_all_scans(content):
        return False
    first = _decode_with_end(content, _FILLERS[0])
    # One at a time, and compared without a third picture's memory.
    return first is not None and all(
        (other := _decode_with_end(content, filler)) is not None
        and other.shape == first.shape
        and cv2.norm(first, other, cv2.NORM_INF) == 0
        for filler in _FILLERS[1:]
    )


def _decode_with_end(content: bytes, filler: bytes) -> Image | None:
    completed = np.frombuffer(content + filler * _FILLER_BYTES + END_OF_IMAGE, np.uint8)
    return cv2.imdecode(completed, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def count_scans(content: bytes, header: JpegHeader) -> int:
    """How many scans a JPEG has; 1 where the first one is all of it."""
    return 1 if header.is_scanned_once or header.scan is None else content.count(_START_OF_SCAN_MARKER, header.scan)


def _has_all_scans(content: bytes) -> bool:
    """Whether the scans bring every coefficient of every component to its last bit."""
    waiting: dict[int, set[int]] = {}
    for marker, start, end in _segments(content):
        if marker == _NO_MARKER:
            return False
        segment = content[start + 4 : end]
        if marker in _FRAME_HEADERS and len(segment) > 5 and len(segment) >= 6 + 3 * segment[5]:
            waiting = {segment[6 + 3 * index]: set(range(64)) for index in range(segment[5])}
        if marker == _START_OF_SCAN:
            if not segment or len(segment) < 4 + 2 * segment[0]:
                return False
            first, last, bits = segment[1 + 2 * segment[0] : 4 + 2 * segment[0]]
            if bits & 0x0F == 0:
                for index in range(segment[0]):
                    waiting.get(segment[1 + 2 * index], set()).difference_update(range(first, last + 1))
    return bool(waiting) and not any(waiting.values())


def _next_marker(content: bytes, position: int) -> int:
    """Where the next marker stands behind a scan's data; the end where there is none."""
    while (position := content.find(b"\xff", position)) >= 0:
        following = content[position + 1 : position + 2]
        if following and following != b"\x00" and not 0xD0 <= following[0] <= 0xD7:
            return position
        position += 1
    return len(content)


def divisor_for(shape_hw: tuple[int, int], min_long_side_px: int) -> Divisor | None:
    """The largest divisor that leaves a picture's longer side at least this long; None if even 2 is too much."""
    for divisor in _REDUCED:
        if max(shape_hw) // divisor >= min_long_side_px:
            return divisor
    return None


def decode_reduced(content: Image, shape_hw: tuple[int, int], divisor: Divisor) -> tuple[Image, tuple[int, int]] | None:
    """Decode a JPEG at a part of its size, which skips most of the work, with its orientation tag followed.

    Args:
        content: uint8 (bytes,), the file.
        shape_hw: As its header tells.
        divisor: What the sides are divided by, and rounded up.

    Returns:
        uint8 (H, W, 3), BGR, and height and width of the whole picture as it is to be seen; None where the decoder does
        not give what was expected, or where sides that differ become equal, so that which way up it is cannot be told.
    """
    height, width = -(-shape_hw[0] // divisor), -(-shape_hw[1] // divisor)
    if height == width and shape_hw[0] != shape_hw[1]:
        return None
    image = cv2.imdecode(content, _REDUCED[divisor])
    if image is None or image.dtype != "uint8" or image.ndim != 3:
        return None
    if image.shape[:2] == (height, width):
        return image, shape_hw  # type: ignore[return-value]
    if image.shape[:2] == (width, height):
        return image, (shape_hw[1], shape_hw[0])  # type: ignore[return-value]
    return None
