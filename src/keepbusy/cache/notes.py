"""What was measured once, and is remembered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from keepbusy.cache.folder import cache_folder
from keepbusy.files.parsing import parse_json
from keepbusy.files.paths import read_text

MAX_NOTE_BYTES = 1 << 20
"""Notes have some hundred bytes; what is larger is none."""


class Notebook:
    """What was measured once and is remembered: one small JSON file a key. Safe in several processes at once.

    Args:
        folder: Where the files are; None for `measured` in the cache folder.
    """

    _in_memory: ClassVar[dict[Path, dict[str, Any]]] = {}

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "measured"

    def read(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """What was written under a key; None where there is nothing, or it is not as it was written."""
        path = self._path(key)
        try:
            content = parse_json(_read_note(path))
        except (OSError, ValueError):
            content = self._in_memory.get(path)
        if not isinstance(content, dict) or content.get("key") != key:
            return None
        value = content.get("value")
        if not isinstance(value, dict) or content.get("checksum") != checksum(key, value):
            return None
        return value

    def write(self, key: dict[str, Any], value: dict[str, Any]) -> None:
        """Remember; for this process only where the folder cannot be written."""
        path = self._path(key)
        content = {"key": key, "value": value, "checksum": checksum(key, value)}
        self._in_memory[path] = content
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def _path(self, key: dict[str, Any]) -> Path:
        return self._folder / f"{checksum(key)}.json"


def _read_note(path: Path) -> str:
    """The text of a note; of nothing else that may be in its place, such as a pipe, which would be waited for."""
    if not os.path.isfile(path):
        raise ValueError("it is no note")
    return read_text(path, MAX_NOTE_BYTES)


def checksum(*values: dict[str, Any]) -> str:
    """A short name for some values, by what is in them."""
    text = "".join(json.dumps(value, sort_keys=True) for value in values)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
