"""What a model's contents are called."""

from __future__ import annotations

import contextlib
import hashlib
from functools import lru_cache
from pathlib import Path

from keepbusy.files.paths import beside


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
