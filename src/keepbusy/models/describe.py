"""What to say of a graph that is not understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepbusy.errors import ModelError

if TYPE_CHECKING:
    import openvino as ov

SUPPORTED = (
    "one image input [1,3,H,W] or [1,H,W,3], and outputs of YOLOv5 or v7 ([1,25200,85] at 640x640, or their heads), "
    "YOLOv8 and relatives ([1,84,8400]), YOLOv10 or 26 ([1,300,6]), YOLOX ([1,8400,85]), DETR or RT-DETR, an SSD's "
    "DetectionOutput ([1,1,N,7]), or a classifier ([1,classes]); ``family`` says which where the shapes allow it"
)


def not_understood(graph: ov.Model, path: object, why: str) -> ModelError:
    """The error for a graph that is no detector, with its inputs and outputs."""
    inputs = ", ".join(_describe(port) for port in graph.inputs)
    return ModelError(
        f"{path}: is not a model that keepbusy understands: {why}; inputs: {inputs}; outputs: {outputs_text(graph)}",
        hint=f"supported: {SUPPORTED}",
    )


def outputs_text(graph: ov.Model) -> str:
    """A graph's outputs with their shapes, for messages."""
    return ", ".join(_describe(port) for port in graph.outputs)


def _describe(port: ov.Output) -> str:
    names: Sequence[str] = sorted(port.names)
    return f"{names[0] if names else '(unnamed)'} {port.partial_shape} {port.element_type.get_type_name()}"
