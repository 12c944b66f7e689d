"""What a model's metadata says that its graph contradicts. The graph decides; a warning says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from keepbusy.errors import KeepbusyError
from keepbusy.models.outputs import recognise_output
from keepbusy.models.outputs.view import STRIDES_PX, read_words
from keepbusy.values.forms import Family, InputForm, OutputForm, Task

if TYPE_CHECKING:
    import openvino as ov

SizeHW = tuple[int, int]

_ROWS_PER_CELL = {"yolov5": 3, "yolov8": 1, "yolox": 1, "yolox-raw": 1}
"""Families whose rows are the cells of all strides, and how many rows a cell has."""


def told_size(metadata: Mapping[str, Any]) -> SizeHW | None:
    """YOLO exporters' `imgsz`: one side, or height and width, as numbers or as text; None where it is no size."""
    numbers = [int(number) for number in re.findall(r"[0-9]{1,5}", str(metadata.get("imgsz", "")))]
    sides = numbers * 2 if len(numbers) == 1 else numbers
    return (sides[0], sides[1]) if len(sides) == 2 and all(sides) else None


def contradictions(
    metadata: Mapping[str, Any],
    graph: ov.Model,
    form: InputForm,
    output: OutputForm,
    input_hw: SizeHW,
    *,
    task: Task | None = None,
) -> list[str]:
    """What of the metadata does not fit the graph, one part of a sentence each; class names are left to `choose_names`.

    Args:
        metadata: What the model says of itself.
        graph: Static.
        form: Its input, as found.
        output: Its outputs, as found.
        input_hw: Its input's (height, width), pixels.
        task: The user's word for the task, which the metadata may well contradict.
    """
    words = read_words(metadata, "")
    found = []
    if task is None and words.task in get_args(Task) and words.task != output.task:
        found.append(f"says that its task is {words.task}, its outputs are {output.task}")
    if words.keypoints[0] and output.task == "pose" and words.keypoints != output.keypoints:
        told, own = ("x".join(map(str, one)) for one in (words.keypoints, output.keypoints))
        found.append(f"says {told} keypoints, its outputs have {own}")
    told_hw = told_size(metadata)
    if told_hw and any(own not in (None, side) for own, side in zip(form.size_hw, told_hw, strict=True)):
        found.append(f"says an input of {told_hw[0]}x{told_hw[1]}, its own is {input_hw[0]}x{input_hw[1]}")
    stride, own_stride = _told_stride(metadata), _coarsest_stride(graph, output, input_hw)
    if stride and own_stride and stride != own_stride:
        found.append(f"says a stride of {stride}, its coarsest cells have {own_stride}")
    return found


def against_the_model(
    graph: ov.Model,
    input_hw: SizeHW,
    metadata: Mapping[str, Any],
    path: Path,
    output: OutputForm,
    *,
    family: Family | None,
) -> str:
    """What to say where a model is read as another task than it would be without the user's word; "" where it is not.

    Args:
        graph: Static.
        input_hw: Its input's (height, width), pixels.
        metadata: What the model says of itself.
        path: The model's file.
        output: Its outputs, read as the user says.
        family: The user's word for the family.
    """
    try:
        own = recognise_output(graph, input_hw, metadata, path, family=family)
    except KeepbusyError:
        return ""  # Without the user's word it is not understood: nothing contradicts it.
    if own.task == output.task:
        return ""
    words = read_words(metadata, "").task
    says = f"its metadata says {words}" if words == own.task else f"it looks like {own.task}"
    if output.task == "detect":
        return f"read as detect, as `task` says, though {says}: boxes only"
    return f"read as {output.task}, as `task` says, though {says}: what is found may mean nothing"


def _told_stride(metadata: Mapping[str, Any]) -> int | None:
    text = str(metadata.get("stride", "")).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None


def _coarsest_stride(graph: ov.Model, output: OutputForm, input_hw: SizeHW) -> int | None:
    """Pixels of the input that the largest cells cover, by how many cells there are; None where that does not show."""
    if output.strides_px:
        return max(output.strides_px)
    per_cell = _ROWS_PER_CELL.get(output.family)
    shape = graph.outputs[output.outputs[0]].partial_shape
    if per_cell is None or output.task == "classify" or shape.is_dynamic:
        return None
    height, width = input_hw
    for strides in STRIDES_PX:
        num_cells = sum((height // stride) * (width // stride) for stride in strides)
        is_whole = not (height % strides[-1] or width % strides[-1])
        if is_whole and per_cell * num_cells in tuple(shape.to_shape())[1:]:
            return strides[-1]
    return None
