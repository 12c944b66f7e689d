"""A head's last convolution, computed for a part of its columns or of its cells only.

It looks at one cell at a time (its kernel is 1x1), so that what it gives for a cell is one row of the cell's features
times its weights: a few rows cost little, whatever the picture's size. Where it is anything else, or its weights are
not plain numbers (quantized), all of it is computed and the part is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.head.cut import rows_of
from keepbusy.models.head.find import constant_behind

if TYPE_CHECKING:
    import openvino as ov


@dataclass(frozen=True, slots=True, eq=False)
class _Last:
    """A plain 1x1 convolution: what goes in, float32 or float16 weights (out, in), bias (out,)."""

    features: ov.Output
    weights: NDArray[np.floating]
    bias: NDArray[np.floating]


def column_logits(port: ov.Output, columns: list[int]) -> ov.Output:
    """Some of a port's channels for every cell, float32 (cells, columns)."""
    from openvino import opset13 as ops

    last = _plain(port)
    if last is None:
        return ops.gather(rows_of(port), np.array(columns, np.int32), np.int32(1)).output(0)
    weights = ops.constant(np.ascontiguousarray(last.weights[columns])[:, :, None, None])
    some = ops.convolution(last.features, _as(weights, last.features), [1, 1], [0, 0], [0, 0], [1, 1])
    bias = ops.constant(last.bias[columns].reshape(1, -1, 1, 1))
    return rows_of(ops.add(some, _as(bias, last.features)).output(0))


def picked_rows(port: ov.Output, chosen: ov.Output | None) -> ov.Output:
    """All of a port's channels for some cells, float32 (cells, channels).

    Args:
        port: Of a static shape.
        chosen: Which cells, int32 (N,), row by row; None for all.
    """
    from openvino import opset13 as ops

    if chosen is None:
        return rows_of(port)
    last = _plain(port)
    if last is None:
        return ops.gather(rows_of(port), chosen, np.int32(0)).output(0)
    features = ops.transpose(last.features, np.array([0, 2, 3, 1]))
    cells = ops.reshape(features, np.array([-1, last.weights.shape[1]]), special_zero=False)
    rows = ops.matmul(
        ops.gather(cells, chosen, np.int32(0)), _as(ops.constant(last.weights), last.features), False, True
    )
    rows = ops.add(rows, _as(ops.constant(last.bias[None]), last.features))
    is_float = port.get_element_type().get_type_name() == "f32"
    return rows.output(0) if is_float else ops.convert(rows, "f32").output(0)


def _as(node: ov.Node, like: ov.Output) -> ov.Node:
    from openvino import opset13 as ops

    wanted = like.get_element_type()
    return node if node.get_element_type() == wanted else ops.convert(node, wanted.get_type_name())


def _plain(port: ov.Output) -> _Last | None:
    """The convolution behind a port, and its bias."""
    node = port.get_node()
    bias: NDArray[np.floating] | None = None
    if node.get_type_name() == "Add":
        sides = [node.input_value(index).get_node() for index in range(2)]
        kinds = [side.get_type_name() for side in sides]
        if kinds.count("Convolution") != 1:
            return None
        node = sides[kinds.index("Convolution")]
        bias = _numbers(sides[1 - kinds.index("Convolution")])
        if bias is None:
            return None
    if node.get_type_name() != "Convolution" or node.get_attributes()["strides"] != [1, 1]:
        return None
    weights = _numbers(node.input_value(1).get_node())
    if weights is None or weights.shape[2:] != (1, 1) or any(node.get_attributes()["pads_begin"]):
        return None
    num_out = weights.shape[0]
    if bias is None:
        bias = np.zeros(num_out, weights.dtype)
    return None if bias.size != num_out else _Last(node.input_value(0), weights[:, :, 0, 0], bias.reshape(-1))


def _numbers(node: ov.Node) -> NDArray[np.floating] | None:
    """A constant's numbers, through a conversion; None where they are not plain floating-point ones."""
    constant = constant_behind(node)
    if constant is None or constant.get_element_type().get_type_name() not in ("f32", "f16"):
        return None
    return np.asarray(constant.get_data())
