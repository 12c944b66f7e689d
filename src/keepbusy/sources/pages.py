"""Whether a picture's file holds more pictures than the one that is read: from its headers, without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from keepbusy.sources.heif import is_sequence
from keepbusy.sources.png import PNG, chunks

TIFF_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_TIFF_FORMS = {42: (4, 2, 12), 43: (8, 8, 20)}
"""TIFF and BigTIFF: bytes of an offset, of a directory's count and of one of its entries."""

_TIFF_INTEGERS = {1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8}
"""Types of whole numbers: BYTE, SHORT, LONG, LONG8, with and without sign, and their bytes."""

_SUBFILE_TYPE = 254
_REDUCED_OR_MASK = 1 | 4

_WEBP_ANIMATION = 2
"""A flag of the VP8X chunk."""

MAX_PAGES = 10_000
"""Not counted any further."""

MAX_ENTRIES = 200_000
"""Of all directories of a TIFF together; most have about twenty each."""


def more_pages(content: bytes) -> str | None:
    """What to say of a file with several pages or pictures; None where it has one, or it cannot be told.

    TIFF, PNG, WebP and AVIF are looked at. A TIFF's thumbnails and masks are no pages.
    """
    if content.startswith(PNG):
        num, what = _num_in_png(content), "pictures"
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        num, what = _num_in_webp(content), "pictures"
    elif content[:2] in TIFF_ORDERS:
        num, what = _num_in_tiff(content), "pages"
    else:
        return "has several pictures" if is_sequence(content) else None
    return f"has {num} {what}" if num > 1 else None


def _num_in_png(content: bytes) -> int:
    for kind, start, _ in chunks(content):
        if kind == b"acTL" and start + 4 <= len(content):
            return int.from_bytes(content[start : start + 4], "big")
        if kind == b"IDAT":
            break
    return 1


def _num_in_webp(content: bytes) -> int:
    if content[12:16] != b"VP8X" or not content[20] & _WEBP_ANIMATION:
        return 1
    num, position = 0, 12
    while position + 8 <= len(content):
        num += content[position : position + 4] == b"ANMF"
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    return num


def _num_in_tiff(content: bytes) -> int:
    kinds = (found.get(_SUBFILE_TYPE, 0) for found in tiff_directories(content, frozenset({_SUBFILE_TYPE})))
    return sum(not kind & _REDUCED_OR_MASK for kind in kinds)


def tiff_directories(content: bytes, wanted: frozenset[int]) -> Iterator[dict[int, int]]:
    """The directories of a TIFF, one for each page: some of their tags, those there are, and the first value of each.

    Directories may lie over each other and lead back to one that was passed: not more than `MAX_PAGES` of them and
    `MAX_ENTRIES` of their entries are looked at.

    Args:
        content: The file.
        wanted: The tags. Of one that comes twice the highest value counts.
    """
    order: Literal["little", "big"] = TIFF_ORDERS.get(content[:2], "big")

    def number(position: int, num_bytes: int) -> int:
        return int.from_bytes(content[position : position + num_bytes], order)

    form = _TIFF_FORMS.get(number(2, 2))
    if form is None:
        return
    offset_bytes, count_bytes, entry_bytes = form
    seen: set[int] = set()
    num_left = MAX_ENTRIES
    directory = number(4 if offset_bytes == 4 else 8, offset_bytes)
    while directory and directory not in seen and directory + count_bytes <= len(content) and len(seen) < MAX_PAGES:
        seen.add(directory)
        first = directory + count_bytes
        num_entries = number(directory, count_bytes)
        end = first + entry_bytes * num_entries
        num_left -= num_entries
        if end > len(content) or num_left < 0:
            return
        found: dict[int, int] = {}
        for place in range(first, end, entry_bytes):
            tag = number(place, 2)
            if tag in wanted:
                value_bytes = _TIFF_INTEGERS.get(number(place + 2, 2), 0)
                value = place + entry_bytes - offset_bytes
                if value_bytes > offset_bytes:  # It stands elsewhere.
                    value = number(value, offset_bytes)
                found[tag] = max(number(value, value_bytes), found.get(tag, 0))
        yield found
        directory = number(end, offset_bytes)
