"""How many pixels a picture's header promises.

Every kind that OpenCV decodes is looked at, whatever the file is called, because memory is taken by what the header
says. PNG (ISO/IEC 15948), BMP, GIF, WebP (RIFF), Netpbm, PFM, Radiance, Sun raster, JPEG 2000 (ISO/IEC 15444-1, annexes
A and I), TIFF, HEIF; JPEG in `keepbusy.sources.jpeg`; Targa by the file's ending.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from keepbusy.sources import heif
from keepbusy.sources.limits import ShapeHW
from keepbusy.sources.pages import TIFF_ORDERS, tiff_directories
from keepbusy.sources.png import PNG

_WIDTH, _HEIGHT = 256, 257
"""Tags of a TIFF."""

_GAP = rb"(?:\s|#[^\n]*\n)+"
_NETPBM = re.compile(rb"P[1-6Ff]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})")
_PAM_SIDES = (re.compile(rb"\nHEIGHT\s+(\d{1,10})"), re.compile(rb"\nWIDTH\s+(\d{1,10})"))
_RADIANCE_SIDES = re.compile(rb"\n[-+]Y\s+(\d{1,10})\s+[-+]X\s+(\d{1,10})")

_CODESTREAM = b"\xff\x4f\xff\x51"
_RADIANCE_HEAD_BYTES = 1 << 16


def promised_size(content: bytes, name: str) -> ShapeHW | None:
    """Height and width, pixels, that a picture's header promises, as stored; None where it cannot be told.

    JPEG is not looked at.

    Args:
        content: The file's bytes.
        name: The file's name; its ending counts for Targa, which cannot be told by its bytes.
    """
    try:
        found = _size_in(content)
        if found is None and Path(name).suffix.lower() == ".tga":
            found = _pair("<HH", content, 12)
    except (struct.error, ValueError):
        return None  # The header is cut short: no decoder gets further.
    return found


def _size_in(content: bytes) -> ShapeHW | None:
    """By the first bytes; raises what `struct` raises where a header is cut short."""
    if content.startswith(PNG):
        return _pair(">II", content, 16)
    if content.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", content, 6)
    if content.startswith(b"BM"):
        is_old = content[14:18] == b"\x0c\0\0\0"
        return _pair("<HH" if is_old else "<ii", content, 18)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _size_in_webp(content)
    if content[:2] in TIFF_ORDERS:
        first = next(tiff_directories(content, frozenset({_WIDTH, _HEIGHT})), {})
        return (first[_HEIGHT], first[_WIDTH]) if len(first) == 2 else None
    if content.startswith(b"\x59\xa6\x6a\x95"):
        return _pair(">II", content, 4)
    if content[4:8] == b"jP  " or content.startswith(_CODESTREAM):
        return _size_in_jpeg2000(content)
    if content.startswith(b"#?R"):
        found = _RADIANCE_SIDES.search(content, 0, _RADIANCE_HEAD_BYTES)
        return (int(found[1]), int(found[2])) if found else None
    if content.startswith(b"P7"):
        sides = [side.search(content, 0, _RADIANCE_HEAD_BYTES) for side in _PAM_SIDES]
        return (int(sides[0][1]), int(sides[1][1])) if sides[0] and sides[1] else None
    if content.startswith(b"P"):
        match = _NETPBM.match(content)
        return (int(match[2]), int(match[1])) if match else None
    return heif.promised_size(content) if heif.is_heif(content) else None


def _pair(form: str, content: bytes, position: int) -> ShapeHW:
    """Width and height that follow each other."""
    width, height = (abs(side) for side in struct.unpack_from(form, content, position))
    return height, width


def _size_in_webp(content: bytes) -> ShapeHW | None:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[place : place + 3], "little") + 1 for place in (24, 27))
        return height, width
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        height, width = _pair("<HH", content, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _size_in_jpeg2000(content: bytes) -> ShapeHW | None:
    """The codestream's size: the box before it is what other programs show, and may say something else."""
    start = content.find(_CODESTREAM)
    if start < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", content, start + 8)
    return max(0, bottom - top), max(0, right - left)
