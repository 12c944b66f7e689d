"""What the boxes of HEIF files (HEIC, AVIF) tell: whether a picture is made of tiles, and how it is turned.

ISO/IEC 23008-12: `infe` names an item's type, `grid` for a picture that is put together from tiles; `irot` turns a
picture by quarters, anticlockwise; `imir` then mirrors it, top to bottom (0) or left to right (1).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keepbusy.types import Image

META_BYTES = 1 << 18
"""Where the boxes that count are looked for: they stand before the pixels."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def read_start(path: Path) -> bytes:
    """The part of a file that its boxes stand in; nothing where it is no HEIF file or cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
            return start + file.read(META_BYTES) if is_heif(start) else b""
    except OSError:
        return b""


def is_heif(content: bytes) -> bool:
    """Whether bytes begin as a HEIF file does, AVIF included."""
    return content[4:8] == b"ftyp" and (content[8:12] in _HEIC_BRANDS or content[8:12] in (b"avif", b"avis"))


def is_heic(content: bytes) -> bool:
    """Whether bytes begin as a HEIC file does: H.265 inside, which OpenCV does not read."""
    return is_heif(content) and content[8:12] in _HEIC_BRANDS and b"av01" not in content[:META_BYTES]


def is_grid(content: bytes) -> bool:
    """Whether a HEIF file's picture is put together from tiles."""
    start = content[:META_BYTES]
    place = start.find(b"infe")
    while place >= 0:
        # version and flags, item id (2 or 4 bytes), protection index, then the item's type.
        id_bytes = 4 if start[place + 4 : place + 5] == b"\x03" else 2
        if start[place + 10 + id_bytes : place + 14 + id_bytes] == b"grid":
            return True
        place = start.find(b"infe", place + 4)
    return False


def upright(content: bytes, image: Image) -> Image:
    """An AVIF picture turned as its file asks for; other files' pictures as they are.

    Args:
        content: The file.
        image: uint8 (H, W, 3), as stored.
    """
    if not is_heif(content):
        return image
    num_quarters = _property(content, b"irot", 3) or 0
    shown = np.rot90(image, num_quarters)
    axis = _property(content, b"imir", 1)
    if axis is not None:
        shown = shown[:, ::-1] if axis else shown[::-1]
    return np.ascontiguousarray(shown)


def _property(content: bytes, kind: bytes, mask: int) -> int | None:
    """The number in a property's box; None where there is no such box."""
    place = content[:META_BYTES].find(kind)
    return content[place + 4] & mask if 0 <= place < len(content) - 4 else None
