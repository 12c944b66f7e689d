"""The files that belong to a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from keepbusy.files.paths import beside


def notes_of(path: Path) -> list[Path]:
    """Where exporters write what a model is: `<stem>.yaml` or `metadata.yaml` beside it. They need not exist."""
    return [beside(path, name) for name in (f"{path.stem}.yaml", f"{path.stem}.yml", "metadata.yaml")]


def model_files(path: Path) -> Iterator[Path]:
    """What is read when a model is: the file, its weights, and what exporters leave beside it.

    Args:
        path: A model file, or the folder that an exporter makes.
    """
    try:
        files = list(path.iterdir()) if os.path.isdir(path) else [path]
    except OSError:
        files = [path]
    yield from files
    for file in files:
        if file.suffix.lower() in (".xml", ".onnx"):
            yield from notes_of(file)
            yield from (beside(file, f"{file.stem}.bin"), beside(file, f"{file.stem}.data"))
            yield beside(file, f"{file.name}.data")
