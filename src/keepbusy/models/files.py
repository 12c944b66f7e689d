"""The files that belong to a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def beside(path: Path, name: str) -> Path:
    """A file of some name in the folder of another; where there is none, one that differs in its letters' case only.

    `Model.xml` with `model.BIN` comes from file systems on which they are the same name.
    """
    wanted = path.parent / name
    if wanted.exists():
        return wanted
    try:
        alike = sorted(one for one in path.parent.iterdir() if one.name.lower() == name.lower())
    except OSError:
        alike = []
    return alike[0] if alike else wanted


def notes_of(path: Path) -> list[Path]:
    """Where exporters write what a model is: `<stem>.yaml` or `metadata.yaml` beside it. They need not exist."""
    return [beside(path, name) for name in (f"{path.stem}.yaml", f"{path.stem}.yml", "metadata.yaml")]


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
            yield from notes_of(file)
            yield from (beside(file, f"{file.stem}.bin"), beside(file, f"{file.stem}.data"))
            yield beside(file, f"{file.name}.data")
