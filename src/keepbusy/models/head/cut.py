"""A graph that ends where its head began."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.head.find import Head

if TYPE_CHECKING:
    import openvino as ov


SizeHW = tuple[int, int]


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
    """
    import openvino as ov
    from openvino import opset13 as ops

    copy = graph.clone()
    by_name = {node.get_friendly_name(): node for node in copy.get_ordered_ops()}
    ports = [by_name[name].output(0) for level in head.levels for name in level.ports]
    rest = [copy.outputs[index].get_node().input_value(0) for index in head.form.outputs[1:]]
    cut = ov.Model([ops.result(port) for port in (*ports, *rest)], copy.get_parameters(), graph.get_friendly_name())
    cut.reshape(input_shape)
    results = cut.get_results()
    found: list[list[ov.Output]] = []
    begin = 0
    for level in head.levels:
        found.append([result.input_value(0) for result in results[begin : begin + len(level.ports)]])
        begin += len(level.ports)
    return cut, found, [result.input_value(0) for result in results[begin:]]


def can_reshape(graph: ov.Model, head: Head, own_hw: tuple[int, int], to_shape: Callable[[SizeHW], list[int]]) -> bool:
    """Whether the network behind a head takes other shapes: attention with sizes written into it does not.

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
    except RuntimeError:
        return False
    return True


def rows_of(port: ov.Output) -> ov.Output:
    """A port's numbers as rows, (cells, channels): the device computes in this order, so it costs nothing."""
    from openvino import opset13 as ops

    last = ops.transpose(port, np.array([0, 2, 3, 1]))
    if port.get_element_type().get_type_name() != "f32":
        last = ops.convert(last, "f32")
    return ops.reshape(last, np.array([-1, int(port.get_shape()[1])]), special_zero=False).output(0)
