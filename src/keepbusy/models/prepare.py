"""A model's graph made ready to compile: its head, its shape, and the preprocessing inside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keepbusy.config import Precision
from keepbusy.errors import ConfigError, ModelError, first_line
from keepbusy.models.head import Head, raw_graph, tail_graph
from keepbusy.models.load import Model
from keepbusy.models.parts import concatenate_wholes
from keepbusy.models.quantized import computes_in_bytes
from keepbusy.models.rounding import keep_last_sums
from keepbusy.models.stem import take_rows
from keepbusy.models.zero_points import without_zero_points
from keepbusy.values.forms import HeadStrategy, InputForm, OutputForm

if TYPE_CHECKING:
    import openvino as ov

_NUMBERED = re.compile(r"_[0-9]+$")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A graph ready to compile.

    Attributes:
        graph: Takes uint8 (1, H, W, 3), BGR, 0 to 255; static. As exported it takes uint8 in the model's own layout.
        path: The file that it came from.
        input_hw: The input's (height, width), pixels.
        input: What the network wants its pixels to be, and how frames are laid into it.
        output: How its outputs are to be read.
        is_exported: It is for measuring only: `as_exported` made it.
        precision: The number type that the device is to compute in where nobody has asked for one; None leaves it to
            the device.
    """

    graph: ov.Model
    path: Path
    input_hw: tuple[int, int]
    input: InputForm
    output: OutputForm
    is_exported: bool = False
    precision: Precision | None = None


def prepare(
    model: Model,
    *,
    head: Head | None = None,
    strategy: HeadStrategy = "stock",
    input_hw: tuple[int, int] | None = None,
    max_cells: int | None = None,
    is_for_cpu: bool = False,
) -> Prepared:
    """Put a model's graph together.

    What the graph does to its new input: to the network's colour order, number type, range and layout; for YOLO that
    is BGR → RGB and ÷ 255. Where the head changes, the first convolution takes the frame's rows as they lie, if it can.

    Args:
        model: As loaded; not changed.
        head: Its head, for strategies that change it.
        strategy: `stock` keeps the head as exported, `tail` decodes candidates in the graph, `host` leaves the raw
            numbers to the host.
        input_hw: The input's (height, width); None for the model's own.
        max_cells: For `tail`: cells of the finest level that are decoded; None for the default.
        is_for_cpu: Where the head changes, an INT8 network's zero points move to where they cost a CPU nothing, and
            what of it is not INT8 is computed in float32.

    Raises:
        ConfigError: The graph cannot take this shape.
        ModelError: OpenVINO refuses it.
    """
    wanted_hw = input_hw or model.input_hw
    shape = model.input.shape(wanted_hw)
    if strategy == "stock" or head is None:
        graph, output = _reshaped(model, wanted_hw), model.output
        _add_preprocessing(graph, model.input)
    else:
        if strategy == "tail":
            graph, output = tail_graph(model.graph, head, shape, max_cells)
        else:
            graph, output = raw_graph(model.graph, head, shape)
        if not take_rows(graph, model.input):
            _add_preprocessing(graph, model.input)
        concatenate_wholes(graph)
    graph = _with_float_outputs(graph)
    keep_last_sums(graph)
    precision: Precision | None = None
    if is_for_cpu and head is not None and strategy != "stock":
        without_zero_points(graph)
        # What little is not in bytes is then not rounded to bfloat16's eight bits either: the same on every CPU.
        precision = "f32" if computes_in_bytes(graph) else None
    _name_by_place(graph)
    return Prepared(graph, model.path, wanted_hw, model.input, output, precision=precision)


def as_exported(model: Model) -> Prepared:
    """The graph that OpenVINO's `benchmark_app` compiles of a model's file, for measuring what that measures.

    Nothing is changed but the number type of the pixels: the tool gives an image as bytes, in the model's own layout,
    and a conversion to the network's type is all that stands before it. No colours are swapped, nothing is scaled.
    Where the file leaves its size open, it has the size that it was read at.

    Args:
        model: As loaded; not changed.
    """
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model.graph.clone())
    image = steps.input()
    image.tensor().set_element_type(Type.u8)
    image.model().set_layout(Layout(model.input.layout))
    graph = steps.build()
    _name_by_place(graph)
    return Prepared(graph, model.path, model.input_hw, model.input, model.output, is_exported=True)


def _reshaped(model: Model, input_hw: tuple[int, int]) -> ov.Model:
    graph = model.graph.clone()
    if input_hw == model.input_hw:
        return graph
    if model.input.is_fixed:
        raise ConfigError(
            f"{model.path}: has a fixed input of {model.input_hw[0]}x{model.input_hw[1]} (height x width), "
            f"not {input_hw[0]}x{input_hw[1]}",
            hint="export the model with a dynamic input (--dynamic), or leave `imgsz` and `shape` out",
        )
    try:
        graph.reshape(model.input.shape(input_hw))
    except RuntimeError as error:
        raise ModelError(
            f"{model.path}: cannot be set to one picture of {input_hw[0]}x{input_hw[1]}: {first_line(error)}",
            hint="leave `imgsz` and `shape` out",
        ) from error
    return graph


def _add_preprocessing(graph: ov.Model, form: InputForm) -> None:
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    element_type = graph.inputs[0].element_type
    steps = PrePostProcessor(graph)
    image = steps.input()
    image.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.BGR)
    image.model().set_layout(Layout(form.layout))
    if not form.is_bgr:
        image.preprocess().convert_color(ColorFormat.RGB)
    if element_type != Type.u8:
        # In float32, also where the network takes float16: there the mean and the division would lose digits.
        image.preprocess().convert_element_type(Type.f32)
        if any(form.mean):
            image.preprocess().mean(list(form.mean))
        if any(value != 1 for value in form.scale):
            image.preprocess().scale(list(form.scale))
        if element_type != Type.f32:
            image.preprocess().convert_element_type(element_type)
    steps.build()


def _with_float_outputs(graph: ov.Model) -> ov.Model:
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(graph)
    for index in range(len(graph.outputs)):
        steps.output(index).tensor().set_element_type(Type.f32)
    return steps.build()


def _name_by_place(graph: ov.Model) -> None:
    """Give nodes and outputs the same names in each process.

    OpenVINO counts the nodes of a process and numbers them so, and looks for compiled models by their names, too.
    """
    for place, node in enumerate(graph.get_ordered_ops()):
        if _NUMBERED.search(node.get_friendly_name()):
            node.set_friendly_name(f"keepbusy/{place}")
    for place, port in enumerate(graph.outputs):
        port.set_names({f"keepbusy/output/{place}"})
