"""What a case must leave as it was: threads, open files, temporary files, its input."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

LINGERS_S = 5.0
"""How long threads and open files may take to go once a case is over."""


def contents(folder: Path) -> dict[str, str]:
    """A checksum of each file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def open_files() -> dict[str, int]:
    """How often each file is open, where the system tells."""
    found: dict[str, int] = {}
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(entry).partition(":")[0]
        except OSError:
            continue  # The folder's own.
        found[target] = found.get(target, 0) + 1
    return found


class Watch:
    """Looks before a case, and tells afterwards what is not as it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contents = contents(folder)
        self._threads = set(threading.enumerate())
        self._files = open_files()
        self._temporary = set(os.listdir(tempfile.gettempdir()))

    def fault(self) -> str | None:
        """The first difference; None where there is none."""
        if contents(self._folder) != self._contents:
            return "an input file was changed"
        end_s = time.monotonic() + LINGERS_S
        while (fault := self._leak()) and time.monotonic() < end_s:
            gc.collect()
            time.sleep(0.02)
        return fault

    def _leak(self) -> str | None:
        threads = [one for one in threading.enumerate() if one not in self._threads]
        if threads:
            return f"leaked threads: {threads}"
        more = {name: count for name, count in open_files().items() if count > self._files.get(name, 0)}
        if more:
            return f"leaked open files: {more}"
        left = set(os.listdir(tempfile.gettempdir())) - self._temporary
        return f"temporary files left: {sorted(left)}" if left else None


class Unheard:
    """Collects exceptions that Python would only print: of threads, and of what is dropped."""

    def __init__(self) -> None:
        self.told: list[str] = []
        sys.unraisablehook = self._hear
        threading.excepthook = self._hear

    def _hear(self, args: Any) -> None:
        self.told.append(f"nobody caught {args.exc_value!r}")

    def take(self) -> str | None:
        """The first one since the last call."""
        told, self.told = self.told, []
        return told[0] if told else None
