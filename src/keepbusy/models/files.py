"""The files that belong to a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from keepbusy.files.onnx_weights import weight_files
from keepbusy.files.paths import beside


def notes_of(path: Path) -> list[Path]:
    """Where exporters write what a model is, beside it: `<stem>.yaml`, `<stem>.yml`, `metadata.yaml`.

    They need not exist.
    """
    return [beside(path, name) for name in (f"{path.stem}.yaml", f"{path.stem}.yml", "metadata.yaml")]


def model_files(path: Path, *, counts: Callable[[Path], bool] = lambda _file: True) -> Iterator[Path]:
    """What is read when a model is: the file, its weights, and what exporters leave beside it.

    Args:
        path: A model file, or the folder that an exporter makes.
        counts: Whether a file is one of the model's, by its name and content. Weights that an ONNX file names are in
            any case.
    """
    try:
        files = list(path.iterdir()) if os.path.isdir(path) else [path]
    except OSError:
        files = [path]
    yield from filter(counts, files)
    for file in files:
        suffix = file.suffix.lower()
        if suffix in (".xml", ".onnx"):
            names = (f"{file.stem}.bin", f"{file.stem}.data", f"{file.name}.data")
            yield from filter(counts, (*notes_of(file), *(beside(file, name) for name in names)))
        if suffix == ".onnx":
            yield from weight_files(file)
