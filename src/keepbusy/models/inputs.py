"""The model's image input: its layout, its size, and what it wants its pixels to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbusy.errors import ConfigError
from keepbusy.forms import InputForm
from keepbusy.models.describe import not_understood

if TYPE_CHECKING:
    import openvino as ov

DEFAULT_INPUT_HW = (640, 640)
"""Input size for models that leave it open: the one that YOLOv5 and its successors are trained at."""


def recognise_input(graph: ov.Model, path: object) -> InputForm:
    """Find the image input of a graph.

    Raises:
        ModelError: There is not exactly one input, or it is no colour picture.
    """
    if len(graph.inputs) != 1:
        raise not_understood(graph, path, f"it has {len(graph.inputs)} inputs")
    shape = graph.inputs[0].partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        raise not_understood(graph, path, "its input does not have four axes")
    sizes = [None if axis.is_dynamic else int(axis.get_length()) for axis in shape]
    if sizes[1] == 3:
        return InputForm("NCHW", (sizes[2], sizes[3]))
    if sizes[3] == 3:
        return InputForm("NHWC", (sizes[1], sizes[2]))
    raise not_understood(graph, path, "its input does not have three colour channels")


def choose_input_hw(form: InputForm, wanted_hw: tuple[int, int] | None, path: object) -> tuple[int, int]:
    """The size to run at: the model's own where it is fixed, else the wanted one, else the default.

    Raises:
        ConfigError: The model's size is fixed and another one is wanted.
    """
    chosen: list[int] = []
    for own, wanted, default in zip(form.size_hw, wanted_hw or (None, None), DEFAULT_INPUT_HW, strict=True):
        if own is not None and wanted is not None and own != wanted:
            raise ConfigError(
                f"--imgsz: {path} has a fixed input of {form.size_hw[0]}x{form.size_hw[1]} (height x width)",
                hint="leave --imgsz out, or export the model with a dynamic input (--dynamic)",
            )
        chosen.append(own or wanted or default)
    return chosen[0], chosen[1]
