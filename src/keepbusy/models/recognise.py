"""What kind of detector a graph is: layout, input size, classes and the form of its output.

Understood today: YOLOv5's decoded output (and YOLOv7's, which has the same form): one row per anchor with
(cx, cy, w, h, objectness, class probabilities...), for three heads at strides 8, 16, 32, or four with 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from keepbusy.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import openvino as ov

DEFAULT_INPUT_HW = (640, 640)
"""Input size for models that leave it open: the one that YOLOv5 and its successors are trained at."""

SUPPORTED = (
    "one image input [1,3,H,W] or [1,H,W,3], and YOLOv5's decoded output [1, anchors, 5+classes] "
    "(e.g. [1,25200,85] at 640x640); export it with `python export.py --include openvino` or onnx"
)

Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True, slots=True)
class InputForm:
    """The model's image input.

    Attributes:
        layout: Order of its axes.
        input_hw: Its (height, width) in pixels; None on an axis that is dynamic.
    """

    layout: Layout
    input_hw: tuple[int | None, int | None]

    def shape(self, input_hw: tuple[int, int]) -> list[int]:
        """The full static shape for one picture of a size."""
        height, width = input_hw
        return [1, 3, height, width] if self.layout == "NCHW" else [1, height, width, 3]


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The model's detection output.

    Attributes:
        family: How its rows are to be read.
        index: Which of the model's outputs it is.
        num_classes: How many classes a row has.
    """

    family: Literal["yolov5"]
    index: int
    num_classes: int


def recognise_input(model: ov.Model, path: object) -> InputForm:
    """Find the image input of a graph.

    Raises:
        ModelError: There is not exactly one input, or it is no colour picture.
    """
    if len(model.inputs) != 1:
        raise _not_understood(model, path, f"it has {len(model.inputs)} inputs")
    shape = model.inputs[0].partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        raise _not_understood(model, path, "its input does not have four axes")
    sizes = [None if axis.is_dynamic else int(axis.get_length()) for axis in shape]
    if sizes[1] == 3:
        return InputForm("NCHW", (sizes[2], sizes[3]))
    if sizes[3] == 3:
        return InputForm("NHWC", (sizes[1], sizes[2]))
    raise _not_understood(model, path, "its input does not have three colour channels")


def choose_input_hw(form: InputForm, wanted_hw: tuple[int, int] | None, path: object) -> tuple[int, int]:
    """The size to run at: the model's own where it is fixed, else the wanted one, else the default.

    Raises:
        ConfigError: The model's size is fixed and another one is wanted.
    """
    chosen: list[int] = []
    for own, wanted, default in zip(form.input_hw, wanted_hw or (None, None), DEFAULT_INPUT_HW, strict=True):
        if own is not None and wanted is not None and own != wanted:
            raise ConfigError(
                f"--imgsz: {path} has a fixed input of {form.input_hw[0]}x{form.input_hw[1]} (height x width)",
                hint="leave --imgsz out, or export the model with a dynamic input (--dynamic)",
            )
        chosen.append(own or wanted or default)
    return chosen[0], chosen[1]


def recognise_output(model: ov.Model, input_hw: tuple[int, int], path: object) -> OutputForm:
    """Find the detection output of a graph whose input is static by now.

    Raises:
        ModelError: No output has a form that is understood.
    """
    for index, output in enumerate(model.outputs):
        shape = output.partial_shape
        if shape.is_dynamic:
            continue
        sizes = [int(axis) for axis in output.shape]
        if len(sizes) == 3 and sizes[0] == 1 and sizes[2] >= 6 and sizes[1] in _anchor_counts(input_hw):
            return OutputForm("yolov5", index, sizes[2] - 5)
    raise _not_understood(model, path, "none of its outputs has a form that is known")


def _anchor_counts(input_hw: tuple[int, int]) -> list[int]:
    """How many rows YOLOv5 has at an input size: three anchors per cell, strides 8 to 32, or to 64 (P6)."""
    counts: list[int] = []
    for strides in ((8, 16, 32), (8, 16, 32, 64)):
        if all(side % strides[-1] == 0 for side in input_hw):
            counts.append(sum(3 * (input_hw[0] // s) * (input_hw[1] // s) for s in strides))
    return counts


def _not_understood(model: ov.Model, path: object, why: str) -> ModelError:
    inputs = ", ".join(_describe(port) for port in model.inputs)
    outputs = ", ".join(_describe(port) for port in model.outputs)
    return ModelError(
        f"{path}: is not a detector that keepbusy understands: {why}; inputs: {inputs}; outputs: {outputs}",
        hint=f"supported: {SUPPORTED}",
    )


def _describe(port: ov.Output) -> str:
    names: Sequence[str] = sorted(port.names)
    return f"{names[0] if names else '(unnamed)'} {port.partial_shape} {port.element_type.get_type_name()}"
