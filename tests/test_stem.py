"""Frames as rows of pixel groups: the first convolution sums what it summed before."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from keepbusy.models.stem import take_rows
from keepbusy.values.forms import InputForm

HEIGHT, WIDTH = 12, 24


def network(
    kernel: int,
    stride: int,
    begin: int,
    end: int,
    *,
    element_type: Any = np.float32,
    between: str = "",
    dilation: int = 1,
) -> ov.Model:
    """A convolution (4 channels) over [1, 3, H, W], with something before it or its weights."""
    rng = np.random.default_rng(kernel * 10 + stride)
    image = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="images")
    node: Any = image
    if between == "quantized":
        node = ops.fake_quantize(node, *(np.float32(value) for value in (0, 1, 0, 1)), 256)
    if between == "relu":
        node = ops.relu(node)
    weights: Any = ops.constant(rng.normal(0, 1, (4, 3, kernel, kernel)).astype(element_type))
    if element_type is np.float16:
        weights = ops.convert(weights, "f32")
    if between == "quantized":
        weights = ops.constant(rng.integers(-127, 128, (4, 3, kernel, kernel), np.int8))
        weights = ops.multiply(ops.convert(weights, "f32"), rng.random((4, 1, 1, 1)).astype(np.float32))
    if between == "scaled by input channel":
        weights = ops.multiply(weights, rng.random((1, 3, 1, 1)).astype(np.float32))
    steps, pads = [stride, stride], ([begin, begin], [end, end])
    node = ops.convolution(node, weights, steps, *pads, [dilation, dilation])
    return ov.Model([ops.result(ops.relu(node))], [image], "network")


def frame(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


def planes(picture: NDArray[np.uint8], form: InputForm) -> NDArray[np.float32]:
    """What the network wants, made by hand: float32 (1, 3, H, W)."""
    pixels = picture.astype(np.float32)
    pixels = pixels if form.is_bgr else pixels[..., ::-1]
    mean, scale = np.array(form.mean, np.float32), np.array(form.scale, np.float32)
    pixels = np.asarray((pixels - mean) / scale, np.float32)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def run(graph: ov.Model, given: NDArray[Any]) -> NDArray[np.float32]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result: NDArray[np.float32] = compiled(given)[0]
    return result


FORMS = {
    "yolo": InputForm("NCHW", (HEIGHT, WIDTH)),
    "bgr": InputForm("NCHW", (HEIGHT, WIDTH), is_bgr=True, scale=(1.0,)),
    "mean": InputForm("NCHW", (HEIGHT, WIDTH), mean=(123.0, 116.0, 103.0), scale=(58.0, 57.0, 56.0)),
    "bgr mean": InputForm("NCHW", (HEIGHT, WIDTH), is_bgr=True, mean=(103.0, 116.0, 123.0), scale=(56.0, 57.0, 58.0)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("kernel", "stride", "begin", "end"),
    [(6, 2, 2, 2), (3, 2, 1, 1), (3, 2, 0, 1), (2, 2, 0, 0), (7, 2, 3, 3), (5, 2, 2, 1), (4, 4, 0, 0), (7, 3, 2, 2)],
)
def test_the_sums_are_the_same(kernel: int, stride: int, begin: int, end: int, form: InputForm) -> None:
    graph = network(kernel, stride, begin, end)
    expected = run(graph, planes(frame(), form))
    assert take_rows(graph, form)
    assert graph.inputs[0].get_element_type() == ov.Type.u8
    assert list(graph.inputs[0].get_shape()) == [1, HEIGHT, WIDTH, 3]
    found = run(graph, frame())
    assert found.shape == expected.shape and np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize("between", ["", "quantized"])
@pytest.mark.parametrize("element_type", [np.float16, np.float32])
def test_weights_stay_as_they_are_stored(element_type: Any, between: str) -> None:
    graph = network(6, 2, 2, 2, element_type=element_type, between=between)
    expected = run(graph, planes(frame(), FORMS["yolo"]))
    stored = {str(node.get_element_type()) for node in graph.get_ops() if node.get_type_name() == "Constant"}
    assert take_rows(graph, FORMS["yolo"])
    found = run(graph, frame())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3 * float(np.abs(expected).max()))
    after = {str(node.get_element_type()) for node in graph.get_ops() if node.get_type_name() == "Constant"}
    assert stored <= after


@pytest.mark.parametrize(
    "graph",
    [
        network(3, 1, 1, 1),
        network(3, 2, 1, 1, between="relu"),
        network(3, 2, 1, 1, between="scaled by input channel"),
        network(3, 2, 2, 2, dilation=2),
        network(7, 5, 2, 2),
    ],
    ids=["stride 1", "something between", "weights by input channel", "dilated", "stride 5"],
)
def test_what_begins_otherwise_is_left_alone(graph: ov.Model) -> None:
    before = [node.get_friendly_name() for node in graph.get_ordered_ops()]
    assert not take_rows(graph, FORMS["yolo"])
    assert [node.get_friendly_name() for node in graph.get_ordered_ops()] == before


def test_a_network_that_takes_rows_already_is_left_alone() -> None:
    assert not take_rows(network(6, 2, 2, 2), InputForm("NHWC", (HEIGHT, WIDTH)))
