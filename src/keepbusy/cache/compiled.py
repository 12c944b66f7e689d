"""Compiled models: found again, checked, and deleted when there are too many."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from keepbusy.cache.folder import cache_folder
from keepbusy.cache.notes import Notebook, checksum
from keepbusy.errors import ConfigError, reason_of
from keepbusy.files.paths import read_bytes, sha256_of

MAX_COMPILED_BYTES = 1 << 30
"""Compiled models are pruned to this size, least recently used first. One takes a few to some hundred MB."""


MARK = "CACHEDIR.TAG"
"""Also tells programs that make backups what they may leave out."""


_MARK_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Compiled models, written by keepbusy and deleted by it.\n"


_MAX_MARK_BYTES = 1 << 12
_WRITTEN_BY_OPENVINO = re.compile(r"[0-9]+\.(blob|cl_cache)")


_NOTE = re.compile(r"[0-9a-f]{32}\.json|tmp\w+\.part")


_UNFINISHED = "it is not complete"


_UNFINISHED_S = 24 * 3600.0
"""A folder without a note is being written by another process; after so long it was left by one that has died."""


log = logging.getLogger("keepbusy")


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
        if folder.is_symlink() or mark.is_symlink() or not os.path.isfile(mark):
            return False
        return read_bytes(mark, _MAX_MARK_BYTES).decode("ascii") == _MARK_TEXT
    except (OSError, ValueError):
        return False


def prune(parent: Path, max_bytes: int) -> int:
    """Delete the compiled models that were used the longest time ago, until the rest fits; returns how many.

    Only files that OpenVINO writes, in folders that keepbusy has made: see `compiled_folder`.

    Args:
        parent: The folder that these folders are in.
        max_bytes: What is to be left at most.
    """
    found: list[tuple[float, int, Path]] = []
    with contextlib.suppress(OSError):
        for folder in filter(_is_marked, parent.iterdir()):
            found += _compiled_in(folder)
    total = sum(size for _, size, _ in found)
    num_deleted = 0
    for _, size, path in sorted(found):
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError):
            _delete_compiled(path)
            num_deleted += 1
        total -= size
    return num_deleted


def _compiled_in(folder: Path) -> list[tuple[float, int, Path]]:
    """The compiled models in a folder, each a file or a `BlobFolder`: when it was used last, its size, its path."""
    found: list[tuple[float, int, Path]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                path, status = Path(entry.path), entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False) and _is_marked(path):
                    size = sum(size for _, size, _ in _compiled_in(path))
                    found.append(((path / MARK).stat().st_mtime, size, path))
                elif _WRITTEN_BY_OPENVINO.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    return found


def _delete_compiled(path: Path) -> None:
    """Delete a compiled model. Of a folder the note goes first and the mark last; what is not ours stays.

    Raises:
        OSError: Something is left.
    """
    if path.is_symlink() or not os.path.isdir(path):
        path.unlink()
        return
    if not _is_marked(path):
        raise FileExistsError(f"{path} was not made by keepbusy")
    for inner in sorted(path.iterdir(), key=lambda one: _NOTE.fullmatch(one.name) is None):
        is_compiled = _WRITTEN_BY_OPENVINO.fullmatch(inner.name) is not None
        if is_compiled and _is_folder(inner):
            inner.rmdir()
        elif is_compiled or _NOTE.fullmatch(inner.name):
            inner.unlink()
    (path / MARK).unlink()
    path.rmdir()


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path) and not path.is_symlink()


class BlobFolder:
    """One model, compiled for one device: OpenVINO's files, and a note of what they are. Made by `open`.

    OpenVINO finds its files by their names and believes what is in them: one that was damaged, or has got another
    one's name, would run. So each compiled model has a folder of its own, which only one process writes to. A note,
    written last, has the size and the SHA-256 of each file; they are compared before OpenVINO sees the folder. This
    finds mix-ups and damage. Who may write to the folder and means harm can write the note, too.

    The hash is computed only where a file's times or its inode differ from those in the note.

    Attributes:
        path: The folder.
        is_known: Whether there is something good in it already.
    """

    def __init__(self, path: Path, key: dict[str, Any], *, is_known: bool) -> None:
        self.path = path
        self.is_known = is_known
        self._key = key
        self._before = _stamps(path)

    @classmethod
    def open(cls, parent: Path, key: dict[str, Any]) -> BlobFolder:
        """What was compiled before, if it is as it was written, or a new folder. What is not is deleted.

        Args:
            parent: The folder that such folders are in.
            key: What the compiled model depends on.

        Raises:
            OSError: There is none, and none can be made.
        """
        name = checksum(key)
        for path in sorted(parent.glob(f"{name}-*")):
            if not _is_marked(path):
                continue
            fault = _fault_of(path, key)
            if fault is None:
                with contextlib.suppress(OSError):
                    os.utime(path / MARK)
                return cls(path, key, is_known=True)
            if fault != _UNFINISHED:
                log.warning("%s: the compiled model in it is not as it was written (%s): compiling anew", path, fault)
            with contextlib.suppress(OSError):
                if fault != _UNFINISHED or time.time() - path.stat().st_mtime > _UNFINISHED_S:
                    _delete_compiled(path)
        path = parent / f"{name}-{secrets.token_hex(4)}"
        path.mkdir()
        (path / MARK).write_text(_MARK_TEXT, encoding="ascii")
        return cls(path, key, is_known=False)

    def finish(self) -> None:
        """Note what OpenVINO has written. A folder that was complete before, and is not as it was, is given up."""
        stamps = _stamps(self.path)
        if self.is_known and stamps == self._before:
            return
        with contextlib.suppress(OSError):
            if self.is_known or not stamps:
                _delete_compiled(self.path)
            else:
                Notebook(self.path).write(self._key, {"files": {name: _described(self.path / name) for name in stamps}})

    def discard(self) -> None:
        """Delete it."""
        with contextlib.suppress(OSError):
            _delete_compiled(self.path)


def open_blobs(folder: Path | Literal[False] | None, key: Callable[[], dict[str, Any]]) -> BlobFolder | None:
    """See `BlobFolder.open`; None where no cache is wanted, or the folder cannot be written.

    Raises:
        ConfigError: The folder cannot be made.
    """
    if not folder:
        return None
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"`cache_dir`: cannot make the folder {folder}: {reason_of(error)}",
            hint="give a folder that can be written",
        ) from error
    try:
        return BlobFolder.open(folder, key())
    except OSError:
        return None


def _stamps(folder: Path) -> dict[str, list[int]]:
    """By name, what changes when a compiled model's file does."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return {entry.name: _stamp(Path(entry.path)) for entry in entries if _WRITTEN_BY_OPENVINO.fullmatch(entry.name)}
    return {}


def _stamp(path: Path) -> list[int]:
    """Size, times and inode of a file itself, not of what it may lead to."""
    status = path.lstat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode]


def _described(path: Path) -> dict[str, Any]:
    stamp = _stamp(path)  # Before the hash: what is written in between is then hashed again.
    return {"stamp": stamp, "sha256": sha256_of(path)}


def _fault_of(folder: Path, key: dict[str, Any]) -> str | None:
    """Why the files in a folder cannot be used; None where they can. Files that the note does not know are deleted."""
    book = Notebook(folder)
    note = book.read(key)
    if note is None:
        return (
            "its note is damaged, or of another model" if any(map(_NOTE.fullmatch, os.listdir(folder))) else _UNFINISHED
        )
    files: dict[str, dict[str, Any]] = note["files"]
    stamps = _stamps(folder)
    for name in stamps.keys() - files.keys():
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    is_changed = False
    for name, file in files.items():
        path, stamp = folder / name, stamps.get(name)
        if stamp == file["stamp"]:
            continue
        if stamp is None or not stat.S_ISREG(stamp[-1]):
            return f"{name} is missing, or is no file"
        try:
            if stamp[0] != file["stamp"][0] or sha256_of(path) != file["sha256"]:
                return f"{name} has other contents"
        except OSError as error:
            return f"{name}: {reason_of(error)}"
        file["stamp"], is_changed = stamp, True
    if is_changed:
        book.write(key, note)
    return None
