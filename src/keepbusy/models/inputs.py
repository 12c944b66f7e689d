"""The model's image input: its layout, its size, and what it wants its pixels to be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from keepbusy.errors import ModelError, first_line
from keepbusy.models.describe import not_understood
from keepbusy.values.forms import InputForm

if TYPE_CHECKING:
    import openvino as ov

DEFAULT_INPUT_HW = (640, 640)
"""Input size for models that leave it open: the one that YOLOv5 and its successors are trained at."""

_STEP_PX = 64
"""Networks halve their input five or six times: their sizes are multiples of 32 or 64."""

_USUAL_SIZES_HW = tuple(
    (side, side) for side in (320, 416, 1280, 512, 608, 256, 384, 448, 480, 736, 768, 832, 960, 1024)
)
"""Sizes that networks of one size are tried at, the usual ones first."""

SIZE_INPUTS = ("orig_target_sizes", "target_sizes")
"""Second inputs that ask for the (width, height) that boxes are wanted in: RT-DETR, D-FINE and relatives."""


def recognise_input(graph: ov.Model, path: object) -> InputForm:
    """Find the image input of a graph. Beside it there may only be one for the size that boxes are wanted in.

    Raises:
        ModelError: There is not exactly one such input, or it is no colour picture.
    """
    images = [port for port in graph.inputs if not _asks_for_size(port)]
    if len(images) != 1:
        raise not_understood(graph, path, f"it has {len(graph.inputs)} inputs")
    shape = images[0].partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        raise not_understood(graph, path, "its input does not have four axes")
    sizes = [None if axis.is_dynamic else int(axis.get_length()) for axis in shape]
    if sizes[1] == 3:
        return InputForm("NCHW", (sizes[2], sizes[3]))
    if sizes[3] == 3:
        return InputForm("NHWC", (sizes[1], sizes[2]))
    raise not_understood(graph, path, "its input does not have three colour channels")


def answer_size_inputs(graph: ov.Model, input_hw: tuple[int, int]) -> None:
    """Give a graph that asks for the size of its boxes the input's own, so that one input is left: the image.

    Args:
        graph: Is changed.
        input_hw: The input's (height, width), pixels.
    """
    from openvino import opset13

    asking = [port for port in graph.inputs if _asks_for_size(port)]
    for port in asking:
        size_wh = opset13.constant([[input_hw[1], input_hw[0]]], port.element_type)
        port.replace(size_wh.output(0))
        graph.remove_parameter(port.get_node())
    if asking:
        graph.validate_nodes_and_infer_types()


def _asks_for_size(port: ov.Output) -> bool:
    is_pair = port.partial_shape.rank.is_static and len(port.partial_shape) == 2 and port.partial_shape[1] == 2
    return bool(is_pair) and any(name in SIZE_INPUTS for name in port.names)


def settle_size(
    graph: ov.Model, form: InputForm, wanted_hw: tuple[int, int] | None, told_hw: tuple[int, int] | None, path: object
) -> tuple[tuple[int, int], InputForm]:
    """Make a graph static, for one picture, at the size to read it at.

    That is the model's own size where it is fixed, else the wanted one, else the default. Some exports have an input
    of any size, and sizes fixed inside: they work at one size only, which is looked for, and they count as fixed from
    then on.

    Args:
        graph: Is reshaped.
        form: Its input.
        wanted_hw: What the user asks for: (height, width), pixels.
        told_hw: The size that its metadata tells.
        path: The model's file, for messages.

    Returns:
        The size, and the form with it where it is the only one.

    Raises:
        ModelError: It cannot be set to one picture at any of them.
    """
    tried: list[tuple[int, int]] = []
    reason = ""
    for one in (wanted_hw, DEFAULT_INPUT_HW, told_hw, *_USUAL_SIZES_HW):
        if one is None:
            continue
        height, width = one
        input_hw = (form.size_hw[0] or height, form.size_hw[1] or width)
        if input_hw in tried:
            continue
        tried.append(input_hw)
        problem = _reshape_problem(graph, form, input_hw)
        reason = reason or problem
        if not problem:
            answer_size_inputs(graph, input_hw)
            if not _has_shape(graph, form, input_hw):
                graph.reshape(form.shape(input_hw))
            return input_hw, form if form.is_fixed or _takes_others(graph, form, input_hw) else _fixed(form, input_hw)
    sizes = "x".join(str(side) for side in tried[0])
    raise ModelError(
        f"{path}: cannot be set to one picture of {sizes}: {reason}",
        hint="export the model with batch size 1" + ("" if form.is_fixed else " and a fixed input size"),
    )


def _reshape_problem(graph: ov.Model, form: InputForm, input_hw: tuple[int, int]) -> str:
    """Why a graph cannot be set to one picture of a size; empty where it can."""
    if _has_shape(graph, form, input_hw):
        return ""
    own = graph.clone()
    try:
        answer_size_inputs(own, input_hw)
        own.reshape(form.shape(input_hw))
    except RuntimeError as error:
        return first_line(error)
    return ""


def _has_shape(graph: ov.Model, form: InputForm, input_hw: tuple[int, int]) -> bool:
    return not graph.is_dynamic() and list(graph.inputs[0].partial_shape.to_shape()) == form.shape(input_hw)


def _takes_others(graph: ov.Model, form: InputForm, input_hw: tuple[int, int]) -> bool:
    return not _reshape_problem(graph, form, (input_hw[0] + _STEP_PX, input_hw[1] + 2 * _STEP_PX))


def _fixed(form: InputForm, input_hw: tuple[int, int]) -> InputForm:
    return dataclasses.replace(form, size_hw=input_hw)
