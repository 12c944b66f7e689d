"""The user's cache folder: downloaded models, compiled models, and what has been measured once.

Nothing in it is needed: a cache that is full, read-only, damaged or from another version is rebuilt or passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
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


MARK = "CACHEDIR.TAG"
"""Also tells programs that make backups what they may leave out."""

_MARK_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Compiled models, written by keepbusy and deleted by it.\n"
_COMPILED_SUFFIXES = (".blob", ".cl_cache")

log = logging.getLogger("keepbusy")


def cache_folder() -> Path:
    """`KEEPBUSY_CACHE`, or the user's cache folder; it need not exist."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("keepbusy", appauthor=False)


def compiled_folder(version: str) -> Path | None:
    """The folder for compiled models of one OpenVINO version, made and pruned.

    A folder that keepbusy has made is marked, as caches are (bford.info/cachedir). One that was there before, with
    something in it, is not ours and stays as it is.

    Returns:
        None where there can be none: it cannot be written, or it is somebody else's.
    """
    parent = cache_folder() / "compiled"
    folder = parent / version.replace("/", "_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_marked(folder):
            if any(folder.iterdir()):
                log.info("%s: was not made by keepbusy, so that compiled models are not kept there", folder)
                return None
            (folder / MARK).write_text(_MARK_TEXT, encoding="ascii")
        prune(parent, MAX_COMPILED_BYTES)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _is_marked(folder: Path) -> bool:
    """Whether keepbusy has made a folder. Links lead to places that are not ours."""
    mark = folder / MARK
    try:
        if folder.is_symlink() or mark.is_symlink():
            return False
        return mark.read_text(encoding="ascii") == _MARK_TEXT
    except (OSError, ValueError):
        return False


def prune(parent: Path, max_bytes: int) -> int:
    """Delete the compiled models that were used the longest time ago, until the rest fits; returns how many.

    Only files that OpenVINO writes, in folders that keepbusy has made: see `compiled_folder`.

    Args:
        parent: The folder that these folders are in.
        max_bytes: What is to be left at most.
    """
    files: list[tuple[float, int, str]] = []
    with contextlib.suppress(OSError):
        for folder in filter(_is_marked, parent.iterdir()):
            files += _compiled_in(folder)
    total = sum(size for _, size, _ in files)
    num_deleted = 0
    for _, size, path in sorted(files):
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            num_deleted += 1
        total -= size
    return num_deleted


def _compiled_in(folder: Path) -> list[tuple[float, int, str]]:
    """The compiled models in a folder: when each was used last, its size, its path."""
    found: list[tuple[float, int, str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(_COMPILED_SUFFIXES) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found.append((max(status.st_atime, status.st_mtime), status.st_size, entry.path))
    return found


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
        """What was written under a key; None where there is nothing, or it is not as it was written."""
        path = self._path(key)
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = self._in_memory.get(path)
        if not isinstance(content, dict) or content.get("key") != key:
            return None
        value = content.get("value")
        if not isinstance(value, dict) or content.get("checksum") != _checksum(key, value):
            return None
        return value

    def write(self, key: dict[str, Any], value: dict[str, Any]) -> None:
        """Remember; for this process only where the folder cannot be written."""
        path = self._path(key)
        content = {"key": key, "value": value, "checksum": _checksum(key, value)}
        self._in_memory[path] = content
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                Path(name).replace(path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise

    def _path(self, key: dict[str, Any]) -> Path:
        return self._folder / f"{_checksum(key)}.json"


def _checksum(*values: dict[str, Any]) -> str:
    text = "".join(json.dumps(value, sort_keys=True) for value in values)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
