"""Boxes, of which MP4, MOV and HEIF files are made (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator


class Reader:
    """Numbers out of a box, one after the other."""

    def __init__(self, content: bytes, start: int, end: int) -> None:
        self._content = content
        self._end = end
        self.position = start

    def number(self, num_bytes: int) -> int:
        start, self.position = self.position, self.position + num_bytes
        if self.position > self._end:
            raise ValueError("a box is cut short")
        return int.from_bytes(self._content[start : self.position], "big")


def boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes that follow each other: kind, and where their content begins and ends."""
    while start + 8 <= end:
        size, kind, header = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8], 8
        if size == 1:
            size, header = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        elif size == 0:
            size = end - start
        if size < header:
            return
        yield kind, start + header, min(start + size, end)
        start += size


def is_index_last(head: bytes) -> bool:
    """Whether an MP4 file begins with its pictures and tells where they are behind them.

    Args:
        head: The first bytes of the file.
    """
    kinds = (kind for kind, _, _ in boxes(head, 0, len(head)))
    return next((kind == b"mdat" for kind in kinds if kind in (b"mdat", b"moov", b"moof")), False)
