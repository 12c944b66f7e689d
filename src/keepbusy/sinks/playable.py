"""What of a video that is being written can be played, kept where its end does not fit on the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

_BEGINNING_BYTES = 4096
"""More than what comes before the first pictures of an MP4 and is rewritten at the end: about 50 bytes."""


class PlayablePart:
    """The part of a file that can be played, whatever is written behind it.

    A fragment of an MP4 of which only the first bytes fit on the disk can keep players from opening all before it. At
    the end FFmpeg makes a plain MP4 of the fragments: it rewrites the first box, and then writes the index behind the
    pictures; without that index the file can be read neither way.

    Args:
        path: A file that has just been opened to be written. It stays open here: its name may come to mean another.
    """

    def __init__(self, path: Path) -> None:
        self._num_bytes = 0
        self._beginning = b""
        self._file: FileIO | None = None
        if os.path.isfile(path):  # Not a pipe, which would wait.
            with suppress(OSError):
                self._file = FileIO(path, "r+b")

    def extend(self) -> None:
        """Have all that has been written taken for playable."""
        if self._file is None:
            return
        self._num_bytes = os.fstat(self._file.fileno()).st_size
        if not self._beginning:
            self._beginning = os.pread(self._file.fileno(), _BEGINNING_BYTES, 0)

    def close(self, *, is_whole: bool) -> None:
        """Let go of the file, which nobody writes any more; where its end is missing, make it what could be played.

        Args:
            is_whole: Whether it was finished.
        """
        file, self._file = self._file, None
        if file is None:
            return
        with file:
            if not is_whole and self._num_bytes:
                file.truncate(self._num_bytes)
                file.write(self._beginning)
