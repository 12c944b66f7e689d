"""Files of other people: which of them count, in which order, what their text is, and whether two are one."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_hidden(path: Path) -> bool:
    """Whether a listing passes over a file: its name begins with a dot (`._photo.jpg`, `.DS_Store`)."""
    return path.name.startswith(".")


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people count: `2.png` before `10.png`. Compared folder by folder."""
    parts: list[tuple[int, int, str]] = []
    for part in path.parts:
        for piece in re.split(r"([0-9]+)", part):
            parts.append((0, int(piece), piece) if piece.isascii() and piece.isdecimal() else (1, 0, piece))
        parts.append((-1, 0, ""))
    return tuple(parts)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, whatever the locale is.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not UTF-8; the message names UTF-16 where its mark says so.
    """
    content = path.read_bytes()
    if content.startswith(_UTF16_MARKS):
        raise ValueError("the file is UTF-16, and UTF-8 is expected: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def is_same_file(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file: through links, another spelling, or letter case where that does not count.

    A path that does not exist yet is compared by where it would be.
    """
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(first)) == os.path.normcase(os.path.realpath(second))


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, or is it, links followed."""
    real, real_folder = os.path.realpath(path), os.path.realpath(folder)
    return real == real_folder or real.startswith(os.path.join(real_folder, ""))
