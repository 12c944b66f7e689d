"""What to say of a graph that is not understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepbusy.errors import ModelError

if TYPE_CHECKING:
    import openvino as ov

SUPPORTED = (
    "one image input [1,3,H,W] or [1,H,W,3], and YOLOv5's decoded output [1, anchors, 5+classes] "
    "(e.g. [1,25200,85] at 640x640); export it with `python export.py --include openvino` or onnx"
)


def not_understood(graph: ov.Model, path: object, why: str) -> ModelError:
    """The error for a graph that is no detector, with its inputs and outputs."""
    inputs = ", ".join(_describe(port) for port in graph.inputs)
    outputs = ", ".join(_describe(port) for port in graph.outputs)
    return ModelError(
        f"{path}: is not a detector that keepbusy understands: {why}; inputs: {inputs}; outputs: {outputs}",
        hint=f"supported: {SUPPORTED}",
    )


def _describe(port: ov.Output) -> str:
    names: Sequence[str] = sorted(port.names)
    return f"{names[0] if names else '(unnamed)'} {port.partial_shape} {port.element_type.get_type_name()}"
