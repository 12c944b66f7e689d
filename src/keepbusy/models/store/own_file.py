"""Files of the store: written and removed as what they are, never what a link in their place leads to, and no pipes."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from keepbusy.files.paths import read_bytes
from keepbusy.files.whole import clear_place, write_all

MAX_TEXT_BYTES = 1 << 16
"""Notes and records have some hundred bytes."""


def open_own(path: Path, *, append: bool = False) -> io.FileIO:
    """Open a file for writing, without a buffer; a link, a pipe or a device in its place is removed first.

    Raises:
        OSError: It cannot be opened, or something else has come into its place.
    """
    clear_place(path)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    # Opening a pipe that nobody reads would wait for ever.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = io.FileIO(os.open(path, flags, 0o666), "ab" if append else "wb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a file of the store")
    return file


def write_own(path: Path, content: bytes) -> None:
    """Write a small file; a link, a pipe or a device in its place is removed first.

    Raises:
        OSError: It cannot be written.
    """
    with open_own(path) as file:
        write_all(file, content)


def read_own(path: Path) -> str:
    """The text of a small file that the store has written.

    Raises:
        OSError: It is not there, is a link or no file, or cannot be read.
        ValueError: It is too long, or no UTF-8.
    """
    if os.path.islink(path) or (os.path.exists(path) and not os.path.isfile(path)):
        raise OSError("not a file of the store")
    return read_bytes(path, MAX_TEXT_BYTES).decode("utf-8")


def size_own(path: Path) -> int:
    """Bytes of a file of the store; 0 where there is none, or a link stands in its place."""
    return os.path.getsize(path) if os.path.isfile(path) and not os.path.islink(path) else 0
