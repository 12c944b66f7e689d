"""Whether a picture's file holds more pictures than the one that is read: from its headers, without decoding."""

from __future__ import annotations

from keepbusy.sources.heif import is_sequence

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF_FORMS = {42: (4, 2, 12), 43: (8, 8, 20)}
"""TIFF and BigTIFF: bytes of an offset, of a directory's count and of one of its entries."""

_SUBFILE_TYPE = 254
_REDUCED_OR_MASK = 1 | 4

_WEBP_ANIMATION = 2
"""A flag of the VP8X chunk."""

MAX_PAGES = 10_000
"""Not counted any further."""


def more_pages(content: bytes) -> str | None:
    """What to say of a file with several pages or pictures; None where it has one, or it cannot be told.

    TIFF, PNG, WebP and AVIF are looked at. A TIFF's thumbnails and masks are no pages.
    """
    if content.startswith(_PNG):
        num, what = _num_in_png(content), "pictures"
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        num, what = _num_in_webp(content), "pictures"
    elif content[:2] in (b"II", b"MM"):
        num, what = _num_in_tiff(content), "pages"
    else:
        return "has several pictures" if is_sequence(content) else None
    return f"has {num} {what}" if num > 1 else None


def _num_in_png(content: bytes) -> int:
    position = len(_PNG)
    while position + 12 <= len(content):
        kind = content[position + 4 : position + 8]
        if kind == b"acTL":
            return int.from_bytes(content[position + 8 : position + 12], "big")
        if kind == b"IDAT":
            break
        position += 12 + int.from_bytes(content[position : position + 4], "big")
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
    order = "little" if content[:1] == b"I" else "big"

    def number(position: int, num_bytes: int) -> int:
        return int.from_bytes(content[position : position + num_bytes], order)  # type: ignore[arg-type]

    form = _TIFF_FORMS.get(number(2, 2))
    if form is None:
        return 1
    offset_bytes, count_bytes, entry_bytes = form
    seen: set[int] = set()
    num = 0
    directory = number(4 if offset_bytes == 4 else 8, offset_bytes)
    while directory and directory not in seen and directory + count_bytes <= len(content) and len(seen) < MAX_PAGES:
        seen.add(directory)
        first = directory + count_bytes
        end = first + entry_bytes * number(directory, count_bytes)
        if end + offset_bytes > len(content):
            break
        kind = 0
        for place in range(first, end, entry_bytes):
            if number(place, 2) == _SUBFILE_TYPE:
                kind = number(place + entry_bytes - offset_bytes, 4)
                break
        num += not kind & _REDUCED_OR_MASK
        directory = number(end, offset_bytes)
    return num
