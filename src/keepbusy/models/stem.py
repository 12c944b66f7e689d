"""Frames into a network's first convolution without laying their pixels out anew.

A frame is rows of pixels, three numbers each; a network says that it wants three planes, and its first convolution
then wants rows of pixels again: two passes over the input that change nothing. Here two neighbouring pixels of a row
are taken as one of six numbers, which is the same memory seen otherwise, and the convolution's weights are sorted to
fit. It steps over two pixels anyway, so that it computes the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.operations import redirect
from keepbusy.values.forms import InputForm, Sizes

if TYPE_CHECKING:
    import openvino as ov

_POINTWISE = frozenset({"Convert", "FakeQuantize"})
"""What may stand between the input and its convolution, and between the weights and it."""

_SCALING = frozenset({*_POINTWISE, "Multiply", "Subtract"})
"""Quantized weights are small integers, scaled."""

_CHANNELS = 3


@dataclass(frozen=True, slots=True, eq=False)
class _First:
    """The first convolution, and the constant that its weights come from: (out, 3, kernel height, kernel width)."""

    convolution: ov.Node
    weights: ov.Node


def take_rows(graph: ov.Model, form: InputForm) -> bool:
    """Have a graph take uint8 (1, H, W, 3), BGR, as rows of groups of pixels, and do what the network wants with them.

    Args:
        graph: As exported or cut, static, without preprocessing; changed in place where this can be done.
        form: The network's layout, colour order and range.

    Returns:
        Whether it was done: not where the graph begins with anything else than a convolution over three planes that
        steps over two to four pixels.
    """
    from openvino import opset13 as ops

    first = _find(graph, form)
    if first is None:
        return False
    parameter = graph.get_parameters()[0]
    _, _, height, width = parameter.get_shape()
    attributes = first.convolution.get_attributes()
    group = int(attributes["strides"][1])
    begin, end = int(attributes["pads_begin"][1]), int(attributes["pads_end"][1])
    weights = np.asarray(first.weights.get_data())
    place = _Place.of(begin, end, weights.shape[3], group, width)
    if width % group or place is None:
        return False

    frame = ops.parameter([1, height, width, _CHANNELS], np.uint8, "frame")
    rows = ops.reshape(frame, np.array([1, height, width // group, group * _CHANNELS]), special_zero=False)
    pixels = _normalized(ops.convert(rows, "f32"), form, group)
    planes = ops.transpose(pixels, np.array([0, 3, 1, 2]))
    if parameter.get_element_type().get_type_name() != "f32":
        planes = ops.convert(planes, parameter.get_element_type().get_type_name())

    kept = weights if form.is_bgr else weights[:, ::-1]
    sorted_weights = ops.constant(_grouped(kept, begin, group, place))
    sorted_weights.set_friendly_name(first.weights.get_friendly_name())
    redirect(first.weights.output(0), sorted_weights.output(0))
    redirect(parameter.output(0), planes.output(0))
    convolution = first.convolution
    convolution.set_attribute("strides", [int(attributes["strides"][0]), 1])
    convolution.set_attribute("pads_begin", [int(attributes["pads_begin"][0]), place.begin])
    convolution.set_attribute("pads_end", [int(attributes["pads_end"][0]), place.end])
    graph.replace_parameter(0, frame)
    graph.validate_nodes_and_infer_types()
    return True


@dataclass(frozen=True, slots=True)
class _Place:
    """A kernel of groups of pixels: its width and its padding, in groups."""

    width: int
    begin: int
    end: int

    @classmethod
    def of(cls, begin: int, end: int, kernel: int, group: int, width: int) -> _Place | None:
        """For a kernel of so many pixels, padded so, stepping over a group; None where it would have to cut pixels."""
        groups_before = -(-begin // group)
        own_width = (kernel - 1 - begin) // group + 1 + groups_before
        num_outputs = (width + begin + end - kernel) // group + 1
        groups_after = num_outputs - width // group - groups_before + own_width - 1
        return cls(own_width, groups_before, groups_after) if groups_after >= 0 else None


def _find(graph: ov.Model, form: InputForm) -> _First | None:
    """The convolution that an input goes into, if nothing stands between that cares for the place of a pixel."""
    if form.layout != "NCHW" or len(graph.inputs) != 1 or graph.inputs[0].get_partial_shape().is_dynamic:
        return None
    node = graph.get_parameters()[0]
    if len(node.get_shape()) != 4 or node.get_shape()[1] != _CHANNELS:
        return None
    while node.get_type_name() != "Convolution":
        targets = list(node.output(0).get_target_inputs())
        if len(targets) != 1:
            return None
        node = targets[0].get_node()
        if node.get_type_name() in _POINTWISE and not _is_constant(node, targets[0].get_index()):
            return None
        if node.get_type_name() not in (*_POINTWISE, "Convolution"):
            return None
    attributes = node.get_attributes()
    is_plain = attributes["auto_pad"] == "explicit" and all(step == 1 for step in attributes["dilations"])
    weights = _weights(node.input_value(1).get_node())
    if not is_plain or weights is None or not 2 <= attributes["strides"][1] <= 4:
        return None
    return _First(node, weights)


def _is_constant(node: ov.Node, of_input: int) -> bool:
    """Whether all other inputs of a node are one number each."""
    others = [node.input_value(index) for index in range(node.get_input_size()) if index != of_input]
    return all(int(np.prod(other.get_shape())) == 1 for other in others)


def _weights(node: ov.Node) -> ov.Node | None:
    """The constant behind weights that are converted or scaled, each output channel by itself."""
    while node.get_type_name() != "Constant":
        if node.get_type_name() not in _SCALING:
            return None
        shapes = [node.input_value(index).get_shape() for index in range(1, node.get_input_size())]
        if any(len(shape) not in (0, 4) or any(side != 1 for side in shape[1:]) for shape in shapes):
            return None
        if node.get_type_name() == "Subtract":
            return None  # A zero point: the places that are filled up would not be zero.
        node = node.input_value(0).get_node()
    is_known = node.get_element_type().get_type_name() in ("f32", "f16", "i8")
    return node if is_known and len(node.output(0).get_target_inputs()) == 1 else None


def _grouped(weights: NDArray[np.generic], begin: int, group: int, place: _Place) -> NDArray[np.generic]:
    """Weights (out, 3, h, w) over pixels → (out, group x 3, h, groups), zero where a group reaches too far."""
    num_out, _, height, width = weights.shape
    spread = np.zeros((num_out, _CHANNELS, height, place.width * group), weights.dtype)
    left = place.begin * group - begin
    spread[..., left : left + width] = weights
    split = spread.reshape(num_out, _CHANNELS, height, place.width, group)
    return np.ascontiguousarray(split.transpose(0, 4, 1, 2, 3)).reshape(num_out, -1, height, place.width)


def _normalized(pixels: ov.Node, form: InputForm, group: int) -> ov.Node:
    """(x - mean) / scale, both in the network's colour order, as they come with BGR pixels."""
    from openvino import opset13 as ops

    if any(form.mean):
        pixels = ops.subtract(pixels, _row(form.mean, form, group))
    if any(value != 1 for value in form.scale):
        pixels = ops.divide(pixels, _row(form.scale, form, group))
    return pixels


def _row(values: Sizes, form: InputForm, group: int) -> ov.Node:
    from openvino import opset13 as ops

    own = np.array(values if form.is_bgr else values[::-1], np.float32)
    return ops.constant(own if len(own) == 1 else np.tile(own, group))
