"""What may not be replaced in the folder that models are saved to."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from keepbusy.errors import ConfigError
from keepbusy.files.paths import file_id
from keepbusy.models.files import model_files
from keepbusy.models.saved_form import is_saved_by_us


def check_targets(model: Path, folder: Path, names: Sequence[str], *, exist_ok: bool) -> None:
    """See, before any work is done, that no file is going to be replaced that must not be.

    Args:
        model: The model that is read.
        folder: Where files go.
        names: What the graphs are called that go there; the weights of each go beside it.
        exist_ok: Whether models that this program did not write may be replaced.

    Raises:
        ConfigError: A file is the model itself, or was not written by this program.
    """
    _check_apart(model, folder)
    if exist_ok:
        return
    for name in names:
        foreign = _foreign_file(folder / name)
        if foreign is not None:
            raise ConfigError(
                f"`folder`: {foreign} exists, and keepbusy did not write it",
                hint="give another folder, or `exist_ok` to write over it",
            )


def _check_apart(path: Path, folder: Path) -> None:
    """See that no file that would be replaced is the model itself: it may be a link to one of an earlier run."""
    own = {file_id(file) for file in model_files(path)} - {None}
    for file in folder.glob(f"{glob.escape(path.stem)}-*"):
        if file_id(file) in own:
            raise ConfigError(
                f"`folder`: {file} is {path} itself, under another name, and would be replaced",
                hint="give another folder",
            )


def _foreign_file(graph: Path) -> Path | None:
    """The file of somebody else in a graph's place or its weights'; None where there is none.

    Weights belong to their graph: they are ours where it is.
    """
    if is_saved_by_us(graph):
        return None
    return next((file for file in (graph, graph.with_suffix(".bin")) if os.path.lexists(file)), None)
