"""What family and task a graph's outputs are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keepbusy.forms import Family, OutputForm, Task
from keepbusy.models.describe import not_understood

if TYPE_CHECKING:
    import openvino as ov


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

    Args:
        graph: The graph as exported.
        input_hw: Its input's (height, width), pixels.
        metadata: What the model says of itself.
        path: The model's file, for messages.
        family: The user's word for the family; None to guess.
        task: The user's word for the task; None to guess.

    Raises:
        ModelError: No output has a form that is understood.
    """
    for index, output in enumerate(graph.outputs):
        shape = output.partial_shape
        if shape.is_dynamic:
            continue
        sizes = [int(axis) for axis in output.shape]
        if len(sizes) == 3 and sizes[0] == 1 and sizes[2] >= 6 and sizes[1] in _anchor_counts(input_hw):
            return OutputForm("yolov5", "detect", (index,), sizes[2] - 5)
    raise not_understood(graph, path, "none of its outputs has a form that is known")


def _anchor_counts(input_hw: tuple[int, int]) -> list[int]:
    """How many rows YOLOv5 has at an input size: three anchors per cell, strides 8 to 32, or to 64 (P6)."""
    counts: list[int] = []
    for strides in ((8, 16, 32), (8, 16, 32, 64)):
        if all(side % strides[-1] == 0 for side in input_hw):
            counts.append(sum(3 * (input_hw[0] // s) * (input_hw[1] // s) for s in strides))
    return counts
