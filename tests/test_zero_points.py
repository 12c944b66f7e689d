"""Convolutions that know nothing of zero points give what they gave, at the picture's edge as well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from keepbusy.models import load_model
from keepbusy.models.head import find_head
from keepbusy.models.prepare import prepare
from keepbusy.models.quantized import computes_in_bytes
from keepbusy.models.zero_points import without_zero_points

STEP = 0.03


def quantized(node: Any, zero: float, *, levels: int = 256, step: float = STEP) -> Any:
    ends = [np.float32(end * step) for end in (-zero, levels - 1 - zero)]
    return ops.fake_quantize(node, *ends, *ends, levels)


def weights(shape: tuple[int, ...], seed: int) -> Any:
    numbers = np.random.default_rng(seed).integers(-127, 127, shape, np.int8)
    scales = np.random.default_rng(seed).uniform(1e-4, 3e-4, (*shape[: len(shape) - 3], 1, 1, 1)).astype(np.float32)
    return ops.multiply(ops.convert(ops.constant(numbers), "f32"), ops.constant(scales))


def convolution(node: Any, seed: int, *, kernel: int = 3, stride: int = 1, pads: tuple[int, int] = (1, 1)) -> Any:
    """Eight channels from as many as there are, with a bias."""
    begin, end = ([side] * 2 for side in pads)
    shape = (8, int(node.output(0).get_shape()[1] if hasattr(node, "output") else node.get_shape()[1]), kernel, kernel)
    made = ops.convolution(node, weights(shape, seed), [stride] * 2, begin, end, [1, 1])
    return ops.add(made, np.random.default_rng(seed).normal(0, 1, (1, 8, 1, 1)).astype(np.float32))


def start(*, num_channels: int = 8) -> tuple[Any, Any]:
    """The input, and an activation made of it."""
    given = ops.parameter([1, num_channels, 12, 16], np.float32, name="given")
    return given, ops.swish(given)


def enlarged(node: Any, mode: str) -> Any:
    """Twice as high and as wide."""
    return ops.interpolate(node, np.array([2, 2], np.float32), mode, "scales", axes=np.array([2, 3]))


def network(kind: str) -> ov.Model:
    """One activation with a zero point, and what is made of it."""
    given, node = start()
    node = quantized(node, 9)
    if kind == "3x3":
        node = convolution(node, 1)
    elif kind == "1x1":
        node = convolution(node, 1, kernel=1, pads=(0, 0))
    elif kind == "stride, uneven pads":
        node = convolution(node, 1, kernel=4, stride=2, pads=(1, 2))
    elif kind == "each channel by itself":
        node = ops.group_convolution(node, weights((8, 1, 1, 3, 3), 1), [1, 1], [1, 1], [1, 1], [1, 1])
    elif kind == "no bias, two readers":
        made = ops.convolution(node, weights((8, 8, 3, 3), 1), [1, 1], [1, 1], [1, 1], [1, 1])
        node = ops.add(ops.relu(made), ops.multiply(made, np.float32(2)))
    elif kind == "bias first":
        made = ops.convolution(node, weights((8, 8, 3, 3), 1), [1, 1], [1, 1], [1, 1], [1, 1])
        node = ops.add(np.full((1, 8, 1, 1), 0.5, np.float32), made)
    elif kind == "a block":
        half = ops.slice(node, np.array([4]), np.array([8]), np.array([1]), np.array([1]))
        inner = quantized(ops.swish(convolution(half, 1, kernel=3)), 5)
        shorter = ops.slice(inner, np.array([0]), np.array([4]), np.array([1]), np.array([1]))
        node = convolution(ops.concat([node, quantized(ops.add(half, shorter), 9)], 1), 2, kernel=1, pads=(0, 0))
    elif kind == "halves":
        halves = ops.variadic_split(node, np.int32(1), np.array([3, 5]))
        inner = convolution(halves.output(1), 1)
        node = convolution(ops.concat([halves.output(1), halves.output(0)], 1), 2)
        node = ops.add(ops.add(node, inner), ops.reduce_sum(halves.output(0), np.array([1]), keep_dims=True))
    elif kind == "pooled and enlarged":
        pooled = ops.max_pool(node, [1, 1], [1, 1], [2, 2], [2, 2], [5, 5]).output(0)
        larger = enlarged(pooled, "nearest")
        node = ops.add(convolution(larger, 1, stride=2), node)
    else:
        raise ValueError(kind)
    return ov.Model([ops.result(node)], [given], kind)


def results(graph: ov.Model) -> Any:
    shape = list(graph.inputs[0].shape)
    numbers = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(numbers)[0]


KINDS = {
    **dict.fromkeys(("3x3", "1x1", "stride, uneven pads", "each channel by itself", "bias first"), 1),
    **{"no bias, two readers": 1, "a block": 2, "halves": 2, "pooled and enlarged": 1},
}


@pytest.mark.parametrize(("kind", "num"), KINDS.items())
def test_the_sums_are_the_same(kind: str, num: int) -> None:
    graph = network(kind)
    wanted = results(graph)
    assert without_zero_points(graph) == num
    found = results(graph)
    # A sum that lies between two steps may be rounded the other way; none does here.
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(np.abs(wanted).max()))
    assert all(
        not any((*node.get_attributes()["pads_begin"], *node.get_attributes()["pads_end"]))
        for node in graph.get_ordered_ops()
        if "Convolution" in node.get_type_name()
    )


def test_each_activation_is_quantized_once() -> None:
    graph = network("a block")
    without_zero_points(graph)
    kinds = Counter(node.get_type_name() for node in graph.get_ordered_ops())
    assert (kinds["FakeQuantize"], kinds["Slice"], kinds["Concat"], kinds["Pad"]) == (3, 2, 1, 1)


def padded(node: Any) -> Any:
    return convolution(node, 1)


@pytest.mark.parametrize(
    "activation",
    [
        lambda node: quantized(node, 0),
        lambda node: quantized(node, 9.4),
        lambda node: quantized(node, 9, levels=255),
        lambda node: quantized(node, 256),
        lambda node: ops.fake_quantize(node, *(np.float32(end) for end in (-0.3, 7.35, 0.0, 7.65)), 256),
        lambda node: ops.concat([quantized(node, 9), quantized(node, 8)], 1),
        lambda node: ops.concat([quantized(node, 9), quantized(node, 9, step=0.04)], 1),
        lambda node: ops.concat([quantized(node, 9), node], 1),
        lambda node: ops.relu(quantized(node, 9)),
        lambda node: enlarged(quantized(node, 9), "linear"),
        lambda node: ops.fake_quantize(
            node, *(np.full((1, 8, 1, 1), end, np.float32) for end in (-0.3, 7.35, -0.3, 7.35)), 256
        ),
    ],
    ids=[
        *("no zero point", "between two numbers", "levels", "outside", "moved", "other zeros", "other steps"),
        *("not quantized", "an operation between", "enlarged smoothly", "ranges of channels"),
    ],
)
def test_what_is_of_another_form_stays_as_it_is(activation: Any) -> None:
    given, node = start()
    graph = ov.Model([ops.result(padded(activation(node)))], [given], "network")
    wanted = results(graph)
    assert without_zero_points(graph) == 0
    np.testing.assert_array_equal(results(graph), wanted)


def test_padding_that_openvino_works_out_stays() -> None:
    given, node = start()
    node = ops.convolution(quantized(node, 9), weights((8, 8, 3, 3), 1), [1, 1], [0, 0], [0, 0], [1, 1], "same_upper")
    assert without_zero_points(ov.Model([ops.result(node)], [given], "network")) == 0


def test_weights_that_are_no_constant_stay() -> None:
    given, node = start()
    kernel = ops.parameter([8, 8, 3, 3], np.float32)
    made = ops.convolution(quantized(node, 9), kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    assert without_zero_points(ov.Model([ops.result(made)], [given, kernel], "network")) == 0


def int8_models(data: Path) -> list[Path]:
    return sorted(data.glob("models/*int8*/*.xml"))


@pytest.mark.parametrize("strategy", ["tail", "host"])
def test_trained_networks_have_none_left_before_their_convolutions(data: Path, strategy: Any) -> None:
    for path in int8_models(data):
        model = load_model(path)
        head = find_head(model.graph, model.output, model.input_hw)
        assert head is not None
        made = {for_cpu: prepare(model, head=head, strategy=strategy, is_for_cpu=for_cpu) for for_cpu in (False, True)}
        kinds = {
            for_cpu: Counter(node.get_type_name() for node in graph.graph.get_ordered_ops())
            for for_cpu, graph in made.items()
        }
        assert kinds[False]["Pad"] == 0 < kinds[True]["Pad"], path
        assert kinds[True]["FakeQuantize"] == kinds[False]["FakeQuantize"], path
        padded = [
            node.get_friendly_name()
            for node in made[True].graph.get_ordered_ops()
            if node.get_type_name() == "Convolution"
            and any(node.get_attributes()["pads_begin"])
            and node.input_value(0).get_node().get_type_name() == "FakeQuantize"
        ]
        assert len(padded) <= 1, (path, padded)  # The picture itself has none.


def test_an_int8_network_is_computed_in_float32_where_that_is_free(data: Path) -> None:
    for path in [*int8_models(data), data / "models" / "yolo11n_openvino_model" / "yolo11n.xml"]:
        model = load_model(path)
        head = find_head(model.graph, model.output, model.input_hw)
        wanted = "f32" if "int8" in path.parent.name else None
        assert prepare(model, head=head, strategy="tail", is_for_cpu=True).precision == wanted
        assert prepare(model, head=head, strategy="tail").precision is None
        assert prepare(model, head=head, strategy="stock", is_for_cpu=True).precision is None


@pytest.mark.parametrize(("num_plain", "is_in_bytes"), [(0, True), (1, False)])
def test_a_network_with_layers_in_floating_point_is_not_computed_in_bytes(num_plain: int, is_in_bytes: bool) -> None:
    given, node = start()
    for seed in range(3):
        node = convolution(quantized(node, 9), seed)
    for seed in range(num_plain):
        node = convolution(node, seed)
    graph = ov.Model([ops.result(node)], [given], "network")
    without_zero_points(graph)
    assert computes_in_bytes(graph) is is_in_bytes
