"""Sizes of feature maps that an exporter has written into a graph as constants, made to follow the input.

Attention flattens a map of 20x20 cells to 400 tokens and unfolds them again. Exporters that trace a network write these
numbers down, and the graph then takes no other input. Which of a reshape's numbers they are is told by the shapes on
both sides of it: the axes that its input's map goes into follow the map; the others (channels, heads) stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino as ov

Shape = tuple[int, ...]
Shapes = dict[tuple[str, int], Shape]
"""By node and output: what they were."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A number of a reshape's target that is the length of another tensor's axis.

    Attributes:
        tensor: Which.
        index: Of its axes.
    """

    tensor: ov.Output
    index: int


Number = int | Axis
"""Of a reshape's target; -1 for what is left."""


def follow_input(graph: ov.Model, input_shape: Sequence[int]) -> ov.Node | None:
    """Make the sizes that are written into a graph follow its input.

    Args:
        graph: Static; changed: the targets of its reshapes, and its shapes, which then are those for `input_shape`.
        input_shape: Of the image input, in the graph's own layout, static. Height and width must differ from the
            graph's own by different factors, so that the two can be told apart.

    Returns:
        None; or the first node that cannot follow, and the graph is of no use.
    """
    import openvino as ov

    nodes = graph.get_ordered_ops()
    shapes = {
        (node.get_name(), index): tuple(output.get_shape())
        for node in nodes
        for index, output in enumerate(node.outputs())
        if output.get_partial_shape().is_static
    }
    for node in nodes:
        kind = node.get_type_name()
        try:
            if kind == "Parameter" and len(node.get_partial_shape()) == len(input_shape):
                node.set_partial_shape(ov.PartialShape(list(input_shape)))
            if kind == "Reshape" and not _follow_reshape(node, shapes):
                return node
            if kind == "Interpolate" and not _follow_interpolate(node, shapes):
                return node
            node.validate_and_infer_types()
        except RuntimeError:
            return node
    return None


def _follow_reshape(node: ov.Node, shapes: Shapes) -> bool:
    if node.input_value(1).get_node().get_type_name() != "Constant":
        return True
    data = node.input_value(0)
    old_in, old_out = shapes.get(_key(data)), shapes.get(_key(node.output(0)))
    if old_in is None or old_out is None or data.get_partial_shape().is_dynamic:
        return False
    if tuple(data.get_shape()) == old_in:
        return True
    target = _new_target(data, old_in, old_out, shapes)
    if target is None:
        return False
    node.set_arguments([data, _joined(target)])
    return True


def _new_target(data: ov.Output, old_in: Shape, old_out: Shape, shapes: Shapes) -> list[Number] | None:
    """What a reshape's target is once its sizes follow; None where that cannot be told."""
    new_in = tuple(data.get_shape())
    target: list[Number] = []
    for inside, outside in _groups(old_in, old_out):
        lengths = [old_out[index] for index in outside]
        growing = [index for index in inside if old_in[index] != new_in[index]]
        if not growing:
            target += lengths
        elif len(inside) == len(outside) == 1:
            target.append(Axis(data, inside[0]))
        else:
            steady = math.prod(old_in[index] for index in inside if index not in growing)
            old, new = (math.prod(shape[index] for index in growing) for shape in (old_in, new_in))
            ways = (_as_a_map(data, lengths, steady * new, shapes), _on_one_axis(lengths, old, new, steady))
            found = [way for way in ways if way is not None]
            if len(found) != 1:
                return None  # Four rows of six cells, or four areas of six cells: both fit, and are not the same.
            target += found[0]
    following = [index for index, number in enumerate(target) if number == -1 or isinstance(number, Axis)]
    if len(following) == 1:
        target[following[0]] = -1
    return target if target.count(-1) < 2 else None


def _groups(old_in: Shape, old_out: Shape) -> list[tuple[list[int], list[int]]]:
    """The axes of a reshape's two sides that hold the same numbers: the shortest runs whose products are equal."""
    groups: list[tuple[list[int], list[int]]] = []
    left, right = list(range(len(old_in))), list(range(len(old_out)))
    while left or right:
        inside, outside = left[:1], right[:1]
        left, right = left[1:], right[1:]
        while (a := math.prod(old_in[i] for i in inside)) != (b := math.prod(old_out[i] for i in outside)):
            source, taken = (left, inside) if a < b else (right, outside)
            if not source:
                return []
            taken.append(source.pop(0))
        groups.append((inside, outside))
    return groups


def _as_a_map(data: ov.Output, lengths: list[int], num: int, shapes: Shapes) -> list[Number] | None:
    """How so many numbers lie on axes that had these lengths, if two of them were those of a map; None if not."""
    for begin in range(len(lengths) - 1):
        own = (lengths[begin], lengths[begin + 1])
        like = _map_of(data, own, shapes)
        if like is not None and math.prod(lengths) // math.prod(own) * math.prod(like.get_shape()[2:]) == num:
            return [*lengths[:begin], Axis(like, 2), Axis(like, 3), *lengths[begin + 2 :]]
    return None


def _on_one_axis(lengths: list[int], old: int, new: int, steady: int) -> list[Number] | None:
    """How the cells of a map lie on axes that had these lengths, if one of them grows with it; None if not.

    It holds all cells, or, where there is nothing else, a part of them, the others being parts of equal size.

    Args:
        lengths: What the axes' lengths were.
        old: How many cells there were.
        new: How many there are.
        steady: How many numbers there are of each, in what lies on these axes.
    """
    can = [
        index
        for index, length in enumerate(lengths)
        if length > 1 and length * new % old == 0 and (steady == 1 or length % old == 0)
    ]
    if len(can) != 1:
        return None
    numbers: list[Number] = list(lengths)
    numbers[can[0]] = -1
    return numbers


def _map_of(data: ov.Output, size_hw: tuple[int, int], shapes: Shapes) -> ov.Output | None:
    """The nearest map (N, C, h, w) that a tensor is made from, of a size as it was; None where there is none."""
    seen: set[str] = set()
    waiting = [data]
    while waiting:
        tensor = waiting.pop(0)
        shape = shapes.get(_key(tensor))
        if shape is not None and len(shape) == 4 and shape[2:] == size_hw and _has_grown(tensor, shape):
            return tensor
        node = tensor.get_node()
        if node.get_name() not in seen:
            seen.add(node.get_name())
            waiting += [node.input_value(index) for index in range(node.get_input_size())]
    return None


def _has_grown(tensor: ov.Output, shape: Shape) -> bool:
    """Whether both sides have: those of heads and channels that happen to be as long do not."""
    return all(int(new) != old for new, old in zip(list(tensor.get_shape())[2:], shape[2:], strict=True))


def _follow_interpolate(node: ov.Node, shapes: Shapes) -> bool:
    """Make an upsampling to a constant size one by the factor that it is; other constants cannot follow."""
    data, sizes = node.input_value(0), node.input_value(1)
    if node.get_attributes().get("shape_calculation_mode") != "sizes" or sizes.get_node().get_type_name() != "Constant":
        return True
    old_in = shapes.get(_key(data))
    if old_in is None or tuple(data.get_shape()) == old_in:
        return old_in is not None
    axes = _axes_of(node, len(old_in))
    wanted = [int(size) for size in sizes.get_node().get_data().reshape(-1)]
    if len(axes) != len(wanted) or any(size % old_in[axis] for axis, size in zip(axes, wanted, strict=True)):
        return False
    from openvino import opset13 as ops

    factors = np.array([size // old_in[axis] for axis, size in zip(axes, wanted, strict=True)], np.int64)
    lengths = ops.gather(ops.shape_of(data, "i64"), np.array(axes), np.int64(0))
    followed = ops.convert(ops.multiply(lengths, factors), sizes.get_element_type().get_type_name())
    node.input(1).replace_source_output(followed.output(0))
    return True


def _axes_of(interpolate: ov.Node, num_axes: int) -> list[int]:
    """Which axes an upsampling changes; empty where that is not a constant."""
    place = 2 if interpolate.get_type_info().version_id == "opset11" else 3
    if interpolate.get_input_size() <= place:
        return list(range(num_axes))
    axes = interpolate.input_value(place).get_node()
    if axes.get_type_name() != "Constant":
        return []
    return [int(axis) % num_axes for axis in axes.get_data().reshape(-1)]


def _joined(target: list[Number]) -> ov.Output:
    """A reshape's target as a tensor: a constant where it can be."""
    from openvino import opset13 as ops

    if all(isinstance(number, int) for number in target):
        return ops.constant(np.array(target, np.int64)).output(0)
    parts = []
    for number in target:
        if isinstance(number, int):
            parts.append(ops.constant(np.array([number], np.int64)))
        else:
            lengths = ops.shape_of(number.tensor, "i64")
            parts.append(ops.gather(lengths, np.array([number.index]), np.int64(0)))
    return ops.concat(parts, 0).output(0)


def _key(tensor: ov.Output) -> tuple[str, int]:
    return tensor.get_node().get_name(), tensor.get_index()
