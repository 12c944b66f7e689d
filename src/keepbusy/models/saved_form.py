"""What a graph that keepbusy saves says of itself in its file: that it is ours, and how its outputs are to be read."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from keepbusy.errors import ModelError
from keepbusy.files.parsing import parse_json
from keepbusy.models.names import Names
from keepbusy.models.pixels import FITS
from keepbusy.values.forms import Family, InputForm, OutputForm, Task

if TYPE_CHECKING:
    import openvino as ov

SECTION = "keepbusy"
"""The section of the file's `rt_info` that is ours; what other programs understand stands in `model_info`."""

VERSION = 1
"""Of what the section says. A file of another version is made anew, not guessed at."""

_TAG = f"<{SECTION}>".encode()
"""How the section stands in the file. Nowhere else can it: texts in attributes have `&lt;` for `<`."""

_HINT = "make it again from the model it came from: keepbusy optimize"


def mark_as_saved(graph: ov.Model) -> None:
    """Note in a graph that keepbusy is going to save it: a later run may write over its file."""
    graph.set_rt_info(str(VERSION), [SECTION, "version"])


def is_saved_by_us(path: Path) -> bool:
    """Whether a file is a graph that keepbusy has saved; where it was moved to or what it leads to does not matter.

    Args:
        path: The `.xml` file.
    """
    if not os.path.isfile(path) or not os.path.getsize(path):
        return False
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(_TAG) >= 0
    except (OSError, ValueError):
        return False


def write_form(graph: ov.Model, form: InputForm, output: OutputForm, names: Names) -> None:
    """Note in a graph whose preprocessing is inside how its outputs are to be read. It is saved with the graph.

    Args:
        graph: Takes uint8 (1, H, W, 3), BGR.
        form: How frames are laid into it.
        output: Its outputs.
        names: Its classes.
    """
    fit = next(word for word, fit in FITS.items() if fit == form.fit)
    model_info = {
        "embedded_processing": "True",
        "resize_type": fit,
        "pad_value": str(form.pad_value),
        "labels": " ".join(name.replace(" ", "_") for name in names),
        "names": str(dict(enumerate(names))),
    }
    for key, value in model_info.items():
        graph.set_rt_info(value, ["model_info", key])
    mark_as_saved(graph)
    note = dataclasses.replace(output, why="it says so: keepbusy has rewritten it", doubt="")
    graph.set_rt_info(json.dumps(dataclasses.asdict(note)), [SECTION, "output"])


def read_form(graph: ov.Model, path: object) -> OutputForm | None:
    """What `write_form` noted; None where it did not.

    Args:
        graph: As read from its file.
        path: The file, for messages.

    Raises:
        ModelError: The note is of another version, or damaged.
    """
    if not graph.has_rt_info([SECTION, "output"]):
        return None
    if _text(graph, "version") != str(VERSION):
        raise ModelError(f"{path}: was rewritten by another version of keepbusy", hint=_HINT)
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        content = parse_json(_text(graph, "output"))
        form = OutputForm(**{key: _tuples(value) for key, value in content.items()})
        if form.family in get_args(Family) and form.task in get_args(Task) and form.outputs:
            return form
    raise ModelError(f"{path}: what it says of its outputs cannot be read", hint=_HINT)


def _text(graph: ov.Model, key: str) -> str:
    if not graph.has_rt_info([SECTION, key]):
        return ""
    value = graph.get_rt_info([SECTION, key])
    return str(getattr(value, "value", value))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
