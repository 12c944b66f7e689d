"""What the chunks of a PNG promise (ISO/IEC 15948), before anything is unpacked.

A PNG holds more than pixels: texts and colour profiles, which are compressed. A few MB of them can become GB. libpng
limits that by itself, FFmpeg does not, and decodes PNGs in animations, icons and videos.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"

MAX_UNPACKED_BYTES = 1 << 26
"""Of all texts and profiles of a picture together: profiles have some MB at most."""

MAX_MISSING_BYTES = 1 << 26
"""A chunk that lacks more is no picture that was cut short."""

MAX_RATIO = 1040
"""Deflate makes a byte of at most 1032 (RFC 1951)."""

_STEP_BYTES = 1 << 20

_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def lacks_data(content: bytes) -> bool:
    """Whether a PNG is far too short: for its pixels, however well they are compressed, or for a chunk.

    A decoder takes memory for a chunk before it looks whether there is so much.
    """
    if len(content) < 26 or _promises_too_much(content):
        return True
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    row_bytes = 1 + (width * content[24] * _CHANNELS.get(content[25], 0) + 7) // 8
    return height * row_bytes > len(content) * MAX_RATIO


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a PNG: the kind of each, where its data begin, and how many bytes it promises."""
    place = len(PNG)
    while place + 8 <= len(content):
        num_bytes = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], place + 8, num_bytes
        place += 12 + num_bytes


def _promises_too_much(content: bytes) -> bool:
    most = len(content) + MAX_MISSING_BYTES
    return any(start + num_bytes + 4 > most for _, start, num_bytes in chunks(content))


def unpacks_too_far(content: bytes) -> bool:
    """Whether the texts and profiles of a PNG, or of chunks of one, become more than `MAX_UNPACKED_BYTES`."""
    return _unpack_too_far(io.BytesIO(content.removeprefix(PNG)))


def file_unpacks_too_far(file: BinaryIO) -> bool:
    """The same for a file that stands at its beginning; False where it is no PNG."""
    return file.read(len(PNG)) == PNG and _unpack_too_far(file)


def _unpack_too_far(file: BinaryIO) -> bool:
    num_left = MAX_UNPACKED_BYTES
    while len(head := file.read(8)) == 8:
        num_bytes = int.from_bytes(head[:4], "big")
        if head[4:] not in _COMPRESSED:
            file.seek(num_bytes + 4, io.SEEK_CUR)
            continue
        data = file.read(num_bytes)
        file.seek(4, io.SEEK_CUR)
        num_left -= _unpacked_bytes(head[4:], data, num_left + 1)
        if num_left < 0:
            return True
    return False


def _unpacked_bytes(kind: bytes, data: bytes, max_bytes: int) -> int:
    """What a chunk's content becomes, bytes; counted as far as `max_bytes`."""
    start = data.find(b"\0") + 2  # The name, and the method of compression.
    if kind == b"iTXt":
        if data[start - 1 : start] != b"\1":
            return 0  # It is not compressed.
        language = data.find(b"\0", start + 1)
        start = data.find(b"\0", language + 1) + 1
    unpacker, packed, num_bytes = zlib.decompressobj(), data[start:], 0
    try:
        while packed and not unpacker.eof and num_bytes < max_bytes:
            num_bytes += len(unpacker.decompress(packed, _STEP_BYTES))
            packed = unpacker.unconsumed_tail
    except zlib.error:
        pass  # What stands before the damage is unpacked all the same.
    return num_bytes
