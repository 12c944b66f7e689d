"""What a model's contents are called."""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import lru_cache
from pathlib import Path

from keepbusy.files.onnx_weights import weight_files
from keepbusy.files.paths import beside


def fingerprint(paths: list[Path]) -> str:
    """A short name for the contents of some files; a missing one, or what is no file, counts as empty."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        if os.path.isfile(path):
            with contextlib.suppress(OSError), path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()


def model_fingerprint(path: Path) -> str:
    """A short name for a model's contents, its graph and its weights; read again only where a file has changed."""
    weights = [beside(path, f"{path.stem}.bin")] if path.suffix.lower() == ".xml" else weight_files(path)
    files = (path, *weights)
    stamps: list[tuple[Path, int, int]] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            stamps.append((file, status.st_size, status.st_mtime_ns))
    return _fingerprint_at(files, tuple(stamps))


@lru_cache(maxsize=16)
def _fingerprint_at(files: tuple[Path, ...], stamps: tuple[tuple[Path, int, int], ...]) -> str:
    return fingerprint(list(files))
