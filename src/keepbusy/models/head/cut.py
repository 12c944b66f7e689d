"""A graph that ends where its head began."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.errors import first_line
from keepbusy.models.head.find import Head
from keepbusy.models.head.sizes import follow_input

if TYPE_CHECKING:
    import openvino as ov


SizeHW = tuple[int, int]


class FixedSizeError(RuntimeError):
    """A network has a size written into it that cannot be made to follow its input."""

    def __init__(self, node: ov.Node) -> None:
        super().__init__(f"{node.get_type_name()} {node.get_friendly_name()}")


def cut_graph(
    graph: ov.Model, head: Head, input_shape: list[int]
) -> tuple[ov.Model, list[list[ov.Output]], list[ov.Output]]:
    """Cut a graph at its head, and set its input's shape: with the head's grids gone, any will do.

    Args:
        graph: The graph as exported; not changed.
        head: Where to cut.
        input_shape: Of the image input, in the graph's own layout.

    Returns:
        The new graph, the ports that were cut, by level, and the head's further outputs (the prototypes of masks).

    Raises:
        FixedSizeError: An operation of the network keeps it to its own shape.
    """
    cut = _without_head(graph, head)
    grown = _grown(cut, head.levels[-1].stride_px)
    try:
        # A shape that is left open is taken by any graph, and shows nothing.
        cut.reshape(grown if -1 in input_shape else input_shape)
    except RuntimeError:
        cut = _without_head(graph, head)
        stuck = follow_input(cut, grown)
        if stuck is not None:
            raise FixedSizeError(stuck) from None
    cut.reshape(input_shape)
    results = cut.get_results()
    found: list[list[ov.Output]] = []
    begin = 0
    for level in head.levels:
        found.append([result.input_value(0) for result in results[begin : begin + len(level.ports)]])
        begin += len(level.ports)
    return cut, found, [result.input_value(0) for result in results[begin:]]


def _without_head(graph: ov.Model, head: Head) -> ov.Model:
    """A copy whose results are the ports of a head, by level, and the head's further outputs."""
    import openvino as ov
    from openvino import opset13 as ops

    copy = graph.clone()
    by_name = {node.get_friendly_name(): node for node in copy.get_ordered_ops()}
    ports = [by_name[name].output(0) for level in head.levels for name in level.ports]
    rest = [copy.outputs[index].get_node().input_value(0) for index in head.form.outputs[1:]]
    return ov.Model([ops.result(port) for port in (*ports, *rest)], copy.get_parameters(), graph.get_friendly_name())


def _grown(graph: ov.Model, stride_px: int) -> list[int]:
    """The shape of a graph's image input, grown so that what is a number of cells in the graph shows as one.

    In cells of the coarsest stride, height and width get no factor in common with what they were, so that nothing but
    a number of cells can grow as they do; and they grow by different factors.
    """
    image = next(one for one in graph.get_parameters() if len(one.get_partial_shape()) == 4)
    shape = [int(length) for length in image.get_output_shape(0)]
    place = 2 if shape[1] in (1, 3) else 1
    height, width = (length // stride_px for length in shape[place : place + 2])
    num = height * width
    new_height = next(length for length in itertools.count(height + 1) if math.gcd(length, num) == 1)
    new_width = next(
        length
        for length in itertools.count(width + 1)
        if math.gcd(length, num) == 1 and length * height != new_height * width
    )
    shape[place : place + 2] = [new_height * stride_px, new_width * stride_px]
    return shape


def can_reshape(graph: ov.Model, head: Head, own_hw: SizeHW, to_shape: Callable[[SizeHW], list[int]]) -> bool:
    """Whether the network behind a head takes other shapes: see `fixed_by`."""
    return not fixed_by(graph, head, own_hw, to_shape)


def fixed_by(graph: ov.Model, head: Head, own_hw: SizeHW, to_shape: Callable[[SizeHW], list[int]]) -> str:
    """The operation that keeps the network behind a head to its own shape, in words; empty where it takes others.

    Attention whose sizes are written into the graph takes them where these can be made to follow the input.

    Args:
        graph: The graph as exported; not changed.
        head: Where to cut.
        own_hw: Its own input (height, width), pixels.
        to_shape: (height, width) → the input's full shape.
    """
    step = head.levels[-1].stride_px
    height, width = own_hw
    try:
        cut_graph(graph, head, to_shape((height - step if height > step else height + step, width)))
    except FixedSizeError as error:
        return str(error)
    except RuntimeError as error:
        return first_line(error)
    return ""


def rows_of(port: ov.Output) -> ov.Output:
    """A port's numbers as rows, (cells, channels): the device computes in this order, so it costs nothing."""
    from openvino import opset13 as ops

    last = ops.transpose(port, np.array([0, 2, 3, 1]))
    if port.get_element_type().get_type_name() != "f32":
        last = ops.convert(last, "f32")
    return ops.reshape(last, np.array([-1, int(port.get_shape()[1])]), special_zero=False).output(0)
