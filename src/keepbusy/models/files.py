"""The files that belong to a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def model_files(path: Path) -> Iterator[Path]:
    """What is read when a model is: the file, its weights, and what exporters leave beside it.

    Args:
        path: A model file, or the folder that an exporter makes.
    """
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        files = [path]
    yield from files
    for file in files:
        if file.suffix.lower() in (".xml", ".onnx"):
            yield from (file.with_suffix(suffix) for suffix in (".bin", ".BIN", ".yaml", ".yml", ".data"))
            yield from (file.parent / name for name in ("metadata.yaml", f"{file.name}.data"))
