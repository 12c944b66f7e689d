"""Planted faults: the embedded model, spoiled as conversions, optimisations and devices have been seen to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from keepbusy.embedded import embedded_model

STRIDES_PX = (8, 16, 32)


def save_spoiled(path: Path, spoil: Callable[[ov.Model], None]) -> Path:
    """The embedded model with a fault in it."""
    graph = ov.Core().read_model(embedded_model())
    spoil(graph)
    graph.validate_nodes_and_infer_types()
    ov.save_model(graph, path)
    return path


def swap_colours(graph: ov.Model) -> None:
    """Red for blue: the first convolution's weights with their input channels reversed."""
    convolution = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution")
    weights = convolution.input_value(1).get_node()
    if weights.get_type_name() == "Convert":
        weights = weights.input_value(0).get_node()
    # A constant of its own: a Gather on the weights would be taken for a preprocessing step and cancelled out.
    reversed_weights = ops.constant(np.ascontiguousarray(weights.data[:, ::-1].astype(np.float32)))
    convolution.input(1).replace_source_output(reversed_weights.output(0))


def shift_half_a_cell(graph: ov.Model) -> None:
    """Boxes half a cell to the right and down, as with a forgotten -0.5 in the decoding."""
    _, height, width = (int(size) for size in graph.inputs[0].shape[1:])
    offsets = [
        np.tile(np.array((stride / 2, stride / 2), np.float32), (3 * (height // stride) * (width // stride), 1))
        for stride in STRIDES_PX
    ]
    rows = np.concatenate(offsets)
    whole = np.zeros((1, len(rows), int(graph.outputs[0].shape[2])), np.float32)
    whole[0, :, :2] = rows
    _replace_output(graph, lambda output: ops.add(output, ops.constant(whole)))


def exchange_anchors(head: int, *, is_turned: bool) -> Callable[[ov.Model], None]:
    """One head's anchors: in reversed order, or turned by a right angle (width for height)."""

    def spoil(graph: ov.Model) -> None:
        scalings = [
            node
            for node in graph.get_ordered_ops()
            if node.get_type_name() == "Multiply"
            and [int(size) for size in node.input_value(1).get_shape()] == [1, 3, 1, 1, 2]
        ]
        assert len(scalings) == len(STRIDES_PX)
        anchors = scalings[head].input_value(1)
        exchanged = (
            ops.gather(anchors, np.array([1, 0]), np.array(4))
            if is_turned
            else ops.gather(anchors, np.array([2, 1, 0]), np.array(1))
        )
        scalings[head].input(1).replace_source_output(exchanged.output(0))

    return spoil


def return_zeros(graph: ov.Model) -> None:
    """A device that answers, with nothing in it."""
    _replace_output(graph, lambda output: ops.multiply(output, ops.constant(np.float32(0))))


def pad_with_black(graph: ov.Model) -> None:
    """Bars of another grey than the model was trained with: what its metadata ask for."""
    graph.set_rt_info("0", ["model_info", "pad_value"])


def calibrate_on_noise(graph: ov.Model) -> ov.Model:
    """INT8 by post-training quantization, calibrated on what the model never sees."""
    import nncf

    noise = np.random.default_rng(0).random((2, 1, 3, 640, 640), dtype=np.float32)
    quantized: ov.Model = nncf.quantize(graph, nncf.Dataset(list(noise)), subset_size=len(noise))
    return quantized


def _replace_output(graph: ov.Model, make: Callable[[ov.Output], ov.Node]) -> None:
    result = graph.get_results()[0]
    result.input(0).replace_source_output(make(result.input_value(0)).output(0))
