"""The files that belong to a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from keepbusy.errors import ModelError
from keepbusy.files.onnx_weights import weight_files
from keepbusy.files.paths import beside, is_hidden, natural_key

SUFFIXES = (".xml", ".onnx")
"""Of the models that are read, the preferred one first."""

NOTES_NAME = "metadata.yaml"
"""Of the file in which Ultralytics' exporter writes what a model is."""

FOLDER_ENDINGS = ("_openvino_model", "_int8_openvino_model")
"""What its folders are called, behind the model's name."""

FOREIGN = {
    ".engine": "TensorRT",
    ".mlmodel": "Core ML",
    ".mlpackage": "Core ML",
    ".mnn": "MNN",
    ".pb": "TensorFlow",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".rknn": "Rockchip",
    ".tflite": "TensorFlow Lite",
    ".torchscript": "TorchScript",
}
"""Models of other programs, by their suffix."""

_HINT = "give an OpenVINO IR (.xml) or an ONNX file (.onnx)"


def model_in(path: Path) -> Path:
    """The model that a path names, as people name one.

    That is the file itself; the one model of an exporter's folder, or of the folder that a `metadata.yaml` is in; the
    graph that a `.bin` has the weights of; or the model whose suffix, or folder's ending, was left out.

    Returns:
        A file that may not exist; `check_readable` tells.

    Raises:
        ModelError: The folder has no model in it, or several; or the weights' graph is missing.
    """
    if os.path.isdir(path):
        return _model_of_folder(path)
    suffix, exists = path.suffix.lower(), os.path.isfile(path)
    if suffix == ".bin" and exists:
        graph = beside(path, f"{path.stem}.xml")
        if not os.path.isfile(graph):
            raise ModelError(
                f"{path}: is the weights of a model whose graph, {graph.name}, is not beside it",
                hint="keep both files together, as they were exported",
            )
        return graph
    if path.name.lower() == NOTES_NAME and exists:
        return _model_of_folder(path.parent)
    if exists or suffix in (*SUFFIXES, *FOREIGN) or not path.name:
        return path
    for ending in (*SUFFIXES, *FOLDER_ENDINGS):
        longer = path.with_name(path.name + ending)
        if os.path.isfile(longer):
            return longer
        if os.path.isdir(longer):
            return _model_of_folder(longer)
    return path


def check_readable(path: Path) -> None:
    """See that a file is there, and can be a model by its suffix.

    Raises:
        ModelError: It is not, or cannot.
    """
    suffix = path.suffix.lower()
    if suffix in FOREIGN:
        raise ModelError(f"{path}: is a model of {FOREIGN[suffix]}, which keepbusy does not read", hint=_how_else(path))
    if not os.path.exists(path) and suffix in (*SUFFIXES, ".bin", ".yaml", ".yml"):
        raise ModelError(f"{path}: no such model file", hint="check the path given with `model`")
    if suffix not in SUFFIXES:
        what = path.suffix or "a file without suffix"
        raise ModelError(f"{path}: is not a model file that keepbusy reads", hint=f"{_HINT}, not {what}")


def _model_of_folder(folder: Path) -> Path:
    files = sorted((one for one in folder.iterdir() if not is_hidden(one)), key=natural_key)
    for suffix in SUFFIXES:
        found = [one for one in files if one.suffix.lower() == suffix]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(one.name for one in found)
            raise ModelError(f"{folder}: is a folder with several models: {names}", hint="name one of them")
    trained = [one for one in files if one.suffix.lower() == ".pt"]
    hint = f"export one of those in it: {_export(trained[0])}" if trained else _HINT
    raise ModelError(f"{folder}: is a folder without a model in it", hint=hint)


def _how_else(path: Path) -> str:
    """What to do with a model of another program, for a hint."""
    for ending in FOLDER_ENDINGS:
        folder = path.with_name(path.stem + ending)
        if os.path.isdir(folder):
            return f"it is exported already: give {folder}"
    if path.suffix.lower() == ".pt":
        return f"export it: {_export(path)}"
    return f"export the model that it was made from: {_export(path.with_suffix('.pt'))}"


def _export(path: Path) -> str:
    return f"yolo export model={path} format=openvino"


def notes_of(path: Path) -> list[Path]:
    """Where exporters write what a model is, beside it: `<stem>.yaml`, `<stem>.yml`, `metadata.yaml`.

    They need not exist.
    """
    return [beside(path, name) for name in (f"{path.stem}.yaml", f"{path.stem}.yml", NOTES_NAME)]


def model_files(path: Path, *, counts: Callable[[Path], bool] = lambda _file: True) -> Iterator[Path]:
    """What is read when a model is: the file, its weights, and what exporters leave beside it.

    Args:
        path: A model file, the folder that an exporter makes, or what else `model_in` finds one by.
        counts: Whether a file is one of the model's, by its name and content. Weights that an ONNX file names are in
            any case.
    """
    try:
        files = list(path.iterdir()) if os.path.isdir(path) else [model_in(path)]
    except (OSError, ModelError):
        files = [path]
    yield from filter(counts, files)
    for file in files:
        suffix = file.suffix.lower()
        if suffix in (".xml", ".onnx"):
            names = (f"{file.stem}.bin", f"{file.stem}.data", f"{file.name}.data")
            yield from filter(counts, (*notes_of(file), *(beside(file, name) for name in names)))
        if suffix == ".onnx":
            yield from weight_files(file)
