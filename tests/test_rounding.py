"""The last sums of a network come in float32 where that is cheap, also from a device that computes in bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from keepbusy.models import load_model
from keepbusy.models.head import find_head
from keepbusy.models.prepare import prepare
from keepbusy.models.rounding import keep_last_sums

MODEL = Path(__file__).parent / "models" / "street-yolov8n.xml"


def quantized(node: Any, low: float, high: float) -> Any:
    return ops.fake_quantize(node, *(np.float32(value) for value in (low, high, low, high)), 256)


def network(*, is_quantized: bool, height: int = 16) -> ov.Model:
    """Two convolutions of eight channels, the second one the last."""
    rng = np.random.default_rng(0)
    node: Any = ops.parameter([1, 8, height, 16], np.float32, name="given")
    given = node
    for name in ("first", "last"):
        weights: Any = ops.constant(rng.integers(-127, 128, (8, 8, 3, 3), np.int8))
        weights = ops.multiply(ops.convert(weights, "f32"), np.full((8, 1, 1, 1), 2e-4, np.float32))
        node = quantized(node, 0, 8) if is_quantized else ops.relu(node)
        node = ops.convolution(node, weights, [1, 1], [1, 1], [1, 1], [1, 1], name=name)
    return ov.Model([ops.result(ops.add(node, np.float32(100)))], [given], "network")


def run(graph: ov.Model) -> Any:
    numbers = np.random.default_rng(1).uniform(0, 8, (1, 8, 16, 16)).astype(np.float32)
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(numbers)[0]


def test_the_last_quantized_convolution_is_marked_and_computes_the_same() -> None:
    graph, plain = network(is_quantized=True), network(is_quantized=True)
    assert keep_last_sums(graph) == 1
    assert [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"] == [
        "first",
        "last",
    ]
    np.testing.assert_allclose(run(graph), run(plain), rtol=1e-6)


def test_a_network_of_no_fixed_height_stays_as_it_is() -> None:
    assert keep_last_sums(network(is_quantized=True, height=-1)) == 0


def test_a_plain_network_stays_as_it_is() -> None:
    assert keep_last_sums(network(is_quantized=False)) == 0


def test_what_a_trained_int8_network_says_has_more_than_eight_bits(data: Path) -> None:
    """A number of bfloat16 has zeros in the lower half of float32's 32 bits."""
    model = load_model(data / "models" / "yolov8n_int8_openvino_model")
    head = find_head(model.graph, model.output, model.input_hw)
    graph = prepare(model, head=head, strategy="host", input_hw=(384, 640)).graph
    picture = np.random.default_rng(1).integers(0, 256, (1, 384, 640, 3), np.uint8)
    outputs = ov.Core().compile_model(graph, "CPU")(picture)
    for index in range(len(outputs)):
        lower = np.ascontiguousarray(outputs[index]).view(np.uint32) & 0xFFFF
        assert np.count_nonzero(lower) > 0.9 * lower.size


def test_the_mean_of_an_exported_heads_distribution_is_marked() -> None:
    graph = prepare(load_model(MODEL), strategy="stock").graph
    convolutions = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"]
    marked = [node for node in convolutions if "DisablePrecisionConversion_0" in node.get_rt_info()]
    assert [list(node.input_value(1).get_shape()) for node in marked] == [[1, 16, 1, 1]]
