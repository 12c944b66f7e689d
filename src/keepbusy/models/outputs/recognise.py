"""What family and task a graph's outputs are of."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from keepbusy.errors import ConfigError
from keepbusy.models.describe import not_understood, outputs_text
from keepbusy.models.outputs.heads import anchor_heads
from keepbusy.models.outputs.lists import boxes_and_scores, classes, lists, ssd, suppressed_rows
from keepbusy.models.outputs.rows import anchors, cells, selected
from keepbusy.models.outputs.tasks import Impossible
from keepbusy.models.outputs.view import View, look
from keepbusy.models.saved_form import read_form
from keepbusy.values.forms import FAMILIES, Family, OutputForm, Task

if TYPE_CHECKING:
    import openvino as ov

Rule = Callable[[View], "OutputForm | None"]
"""Finds the outputs of one form in a graph; None where there are none."""

RULES: tuple[Rule, ...] = (
    # The narrowest first. Decoded outputs go before the heads that some exports leave beside them.
    ssd,
    suppressed_rows,
    anchors,
    cells,
    boxes_and_scores,
    lists,
    selected,
    anchor_heads,
    classes,
)

RULES_OF: dict[Family, tuple[Rule, ...]] = {
    "yolov5": (anchors, classes),
    "yolov5-raw": (anchor_heads,),
    "yolov8": (cells, classes),
    "yolov10": (selected,),
    "yolox": (cells,),
    "yolox-raw": (cells,),
    "yolov7-nms": (suppressed_rows,),
    "detr": (boxes_and_scores, selected),
    "rt-detr": (lists, selected),
    "ssd": (ssd,),
}
"""Where the user names the family, only these are asked."""


def recognise_output(
    graph: ov.Model,
    input_hw: tuple[int, int],
    metadata: Mapping[str, Any],
    path: object,
    *,
    family: Family | None = None,
    task: Task | None = None,
) -> OutputForm:
    """Find out how to read the outputs of a graph whose input is static by now.

    Shapes come first: how many cells and anchors the input's size makes. Where several families share a shape, the
    graph's last layers decide, then the metadata, then what is usual; `OutputForm.why` says it, and
    `OutputForm.doubt` what else it could be. A family or task that the user names is obeyed if the shapes allow it.

    Args:
        graph: The graph as exported.
        input_hw: Its input's (height, width), pixels.
        metadata: What the model says of itself.
        path: The model's file, for messages.
        family: The user's word for the family; None to guess.
        task: The user's word for the task; None to guess.

    Raises:
        ModelError: No output has a form that is understood.
        ConfigError: The outputs cannot be of the family or task that the user names.
    """
    saved = read_form(graph, path)
    if saved is not None and family in (None, saved.family) and task in (None, saved.task):
        return saved
    view = look(graph, input_hw, metadata, path, family, task)
    said = view.words.task
    if family is None and task is None and said and said not in get_args(Task):
        raise not_understood(graph, path, f"its metadata says that its task is {said}")
    why = ""
    for rule in RULES if family is None else RULES_OF.get(family, ()):
        try:
            form = rule(view)
        except Impossible as reason:
            why = why or str(reason)
            continue
        if form is not None and (task is None or form.task == task):
            return form
    if family is not None:
        raise ConfigError(
            f"`family` {family}: {path} has no such output{': ' + why if why else ''}; outputs: {outputs_text(graph)}",
            hint=f"{family} needs {FAMILIES[family]}; {_what_it_is(view)}leave `family` out to let keepbusy find out",
        )
    if task is not None:
        raise ConfigError(
            f"`task` {task}: {path} has no such output{': ' + why if why else ''}; outputs: {outputs_text(graph)}",
            hint=f"{_what_it_is(view)}leave `task` out to let keepbusy find out",
        )
    raise not_understood(graph, path, why or "none of its outputs has a form that is known")


def _what_it_is(view: View) -> str:
    """What the outputs are taken for where nobody names anything, for a hint; "" where that is not known either."""
    view = dataclasses.replace(view, family=None, task=None)
    for rule in RULES:
        with contextlib.suppress(Impossible):
            if (form := rule(view)) is not None:
                return f"it is read as {form.family}, {form.task}: "
    return ""
