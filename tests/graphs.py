"""Graphs of any output form, made on the spot: what they give is set, and still depends on their input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from keepbusy.embedded import embedded_model


def image_input(input_hw: tuple[int, int]) -> tuple[Any, Any]:
    """An image input [1, 3, H, W], and a nought that depends on it, so that nothing is computed beforehand."""
    image = ops.parameter([1, 3, *input_hw], np.float32, name="images")
    image.output(0).get_tensor().set_names({"images"})
    mean = ops.reduce_mean(image, np.array([0, 1, 2, 3]), keep_dims=False)
    return image, ops.multiply(mean, np.float32(0))


def pixel_mean(image: Any, channel: int) -> Any:
    """The mean of one channel of the image, [1, 1, 1, 1]."""
    means = ops.reduce_mean(image, np.array([2, 3]), keep_dims=True)
    return ops.gather(means, np.array([channel]), np.array(1))


def constant(values: NDArray[Any], zero: Any) -> Any:
    """An array as a node that depends on the input."""
    return ops.add(ops.constant(np.ascontiguousarray(values, np.float32)), zero)


def concat(nodes: Sequence[Any], axis: int) -> Any:
    """Nodes joined along an axis."""
    return ops.concat(list(nodes), axis=axis)


def dynamic_rows(rows: NDArray[np.float32], score_column: int, zero: Any) -> Any:
    """The rows whose score is above 0.05: how many there are is known only when it runs."""
    data = constant(rows, zero)
    scores = ops.gather(data, np.array(score_column), np.array(1))
    chosen = ops.non_zero(ops.greater(scores, np.float32(0.05)), output_type="i64")
    return ops.gather(data, ops.squeeze(chosen, np.array([0])), np.array(0))


def save(path: Path, image: Any, outputs: Sequence[Any], *, labels: str = "", **info: str) -> Path:
    """Save a graph as IR, with class names and other words of `model_info`."""
    model = ov.Model(list(outputs), [image], "made")
    for key, value in {"labels": labels, **info}.items():
        if value:
            model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def onnx_model(num_bytes: int, *, seed: int) -> bytes:
    """An ONNX file that OpenVINO can read, of about as many bytes: an addition of random numbers."""
    from onnx import TensorProto, helper

    numbers = np.random.default_rng(seed).random(num_bytes // 4, np.float32)
    weights = helper.make_tensor("weights", TensorProto.FLOAT, numbers.shape, numbers.tobytes(), raw=True)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, numbers.shape) for name in ("input", "output")]
    node = helper.make_node("Add", ["input", "weights"], ["output"])
    graph = helper.make_graph([node], "sum", [ends[0]], [ends[1]], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def save_with_weights(path: Path, name: str) -> Path:
    """An ONNX file with all its weights in another one."""
    import onnx

    (path.parent / name).parent.mkdir(parents=True)
    model = onnx.load_model_from_string(onnx_model(64, seed=1))
    onnx.save_model(model, path, save_as_external_data=True, location=name, size_threshold=0)
    return path


def nan_model(path: Path, *, in_half: bool = False) -> Path:
    """The embedded model with one weight in its middle that is no number."""
    graph = ov.Core().read_model(embedded_model())
    convolution = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"][20]
    weights = convolution.input_value(1).get_node()
    while weights.get_type_name() != "Constant":
        weights = weights.input_value(0).get_node()
    values = np.array(weights.data, np.float32)
    values.flat[0] = np.nan
    stored = ops.constant(values.astype(np.float16)) if in_half else ops.constant(values)
    # `compress_to_fp16` writes 65504 in place of NaN, so that halves are stored as they are.
    found = ops.convert(stored, "f32") if in_half else stored
    convolution.input(1).replace_source_output(found.output(0))
    ov.save_model(graph, path, compress_to_fp16=False)
    return path
