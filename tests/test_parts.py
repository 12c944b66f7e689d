"""A concatenation that begins with all parts of a tensor takes the tensor, and gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from keepbusy.models.parts import concatenate_wholes


def network(*, variadic: bool, order: tuple[int, ...], split_axis: int, axis: int, channels: int = 4) -> ov.Model:
    """Two halves of a tensor, the second one worked on, concatenated in some order with what came of it."""
    whole = ops.parameter([1, channels, 6, 8], np.float32, name="whole")
    if variadic:
        parts = ops.variadic_split(whole, np.int32(split_axis), np.array([1, 3] if split_axis % 4 == 1 else [2, 4]))
    else:
        parts = ops.split(whole, np.int32(split_axis), 2)
    halves: list[Any] = [parts.output(index) for index in order]
    if axis % 4 == 1 and split_axis % 4 == 1:
        halves.append(ops.relu(parts.output(1)).output(0))
    return ov.Model([ops.result(ops.concat(halves, axis))], [whole], "network")


def results(graph: ov.Model) -> Any:
    numbers = np.random.default_rng(0).normal(0, 1, (1, 4, 6, 8)).astype(np.float32)
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(numbers)[0]


@pytest.mark.parametrize("variadic", [False, True])
@pytest.mark.parametrize(("split_axis", "axis"), [(1, 1), (-3, 1), (1, -3)])
def test_a_whole_is_taken_instead_of_its_parts(variadic: bool, split_axis: int, axis: int) -> None:
    graph = network(variadic=variadic, order=(0, 1), split_axis=split_axis, axis=axis)
    wanted = results(graph)
    assert concatenate_wholes(graph) == 1
    left = [node.get_type_name() for node in graph.get_ordered_ops()]
    assert "Split" not in left and "VariadicSplit" not in left and left.count("Slice") == 1
    np.testing.assert_array_equal(results(graph), wanted)


@pytest.mark.parametrize(
    ("order", "split_axis", "axis"),
    [((1, 0), 1, 1), ((1,), 1, 1), ((0, 1), 2, 1)],
    ids=["turned round", "a part missing", "another axis"],
)
def test_what_is_put_together_otherwise_stays(order: tuple[int, ...], split_axis: int, axis: int) -> None:
    graph = network(variadic=False, order=order, split_axis=split_axis, axis=axis)
    wanted = results(graph)
    assert concatenate_wholes(graph) == 0
    np.testing.assert_array_equal(results(graph), wanted)


def test_a_tensor_of_no_fixed_length_stays_in_its_parts() -> None:
    assert concatenate_wholes(network(variadic=False, order=(0, 1), split_axis=1, axis=1, channels=-1)) == 0
