"""The user's cache folder: downloaded models, compiled models, and what has been measured once.

Nothing in it is needed: a cache that is full, read-only, damaged or from another version is rebuilt or passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from keepbusy.files import beside
from keepbusy.parsing import parse_json

CACHE_VARIABLE = "KEEPBUSY_CACHE"

MAX_COMPILED_BYTES = 1 << 30
"""Compiled models are pruned to this size, least recently used first. One takes a few to some hundred MB."""


def cache_folder() -> Path:
    """`KEEPBUSY_CACHE`, or the user's cache folder; it need not exist."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("keepbusy", appauthor=False)


def compiled_folder(version: str) -> Path | None:
    """The folder for compiled models of one OpenVINO version, made and pruned; None where it cannot be written."""
    folder = cache_folder() / "compiled" / version.replace("/", "_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        prune(folder.parent, MAX_COMPILED_BYTES)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def prune(folder: Path, max_bytes: int) -> int:
    """Delete the files below a folder that were used the longest time ago, until the rest fits; returns how many."""
    files: list[tuple[float, int, Path]] = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                status = path.stat()
                files.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in files)
    num_deleted = 0
    for _, size, path in sorted(files):
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            num_deleted += 1
        total -= size
    return num_deleted


def fingerprint(paths: list[Path]) -> str:
    """A short name for the contents of some files; a missing one counts as empty."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with contextlib.suppress(OSError), path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()


def model_fingerprint(path: Path) -> str:
    """A short name for a model's contents, its graph and its weights; read again only where a file has changed."""
    files = (path, beside(path, f"{path.stem}.bin")) if path.suffix.lower() == ".xml" else (path,)
    stamps: list[tuple[Path, int, int]] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            stamps.append((file, status.st_size, status.st_mtime_ns))
    return _fingerprint_at(files, tuple(stamps))


@lru_cache(maxsize=16)
def _fingerprint_at(files: tuple[Path, ...], stamps: tuple[tuple[Path, int, int], ...]) -> str:
    return fingerprint(list(files))


class Notebook:
    """What was measured once and is remembered: one small JSON file a key. Safe in several processes at once.

    Args:
        folder: Where the files are; None for `measured` in the cache folder.
    """

    _in_memory: ClassVar[dict[Path, dict[str, Any]]] = {}

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "measured"

    def read(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """What was written under a key; None where there is nothing, or nothing that can be read."""
        path = self._path(key)
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = self._in_memory.get(path)
        value = content.get("value") if isinstance(content, dict) and content.get("key") == key else None
        return value if isinstance(value, dict) else None

    def write(self, key: dict[str, Any], value: dict[str, Any]) -> None:
        """Remember; for this process only where the folder cannot be written."""
        path = self._path(key)
        self._in_memory[path] = {"key": key, "value": value}
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump({"key": key, "value": value}, file, indent=1)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise

    def _path(self, key: dict[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True)
        return self._folder / f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.json"
