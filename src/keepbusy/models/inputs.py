"""The model's image input: its layout, its size, and what it wants its pixels to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbusy.forms import InputForm
from keepbusy.models.describe import not_understood

if TYPE_CHECKING:
    import openvino as ov

DEFAULT_INPUT_HW = (640, 640)
"""Input size for models that leave it open: the one that YOLOv5 and its successors are trained at."""


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


def takes_bytes(graph: ov.Model) -> bool:
    """Whether a graph takes uint8: what turns 0..255 into the network's own range then is inside.

    Exports for cameras are made so with OpenVINO's `PrePostProcessor`. The scaling need not be seen in the graph: it is
    folded into the first convolution where that can be done.
    """
    return any(port.element_type.get_type_name() == "u8" and len(port.partial_shape) == 4 for port in graph.inputs)


def choose_input_hw(form: InputForm, wanted_hw: tuple[int, int] | None) -> tuple[int, int]:
    """The size to read the graph at: the model's own where it is fixed, else the wanted one, else the default."""
    height, width = (
        own or wanted or default
        for own, wanted, default in zip(form.size_hw, wanted_hw or (None, None), DEFAULT_INPUT_HW, strict=True)
    )
    return height, width
