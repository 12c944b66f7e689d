"""Heads as quantization leaves them: with its nodes put in by hand, and by NNCF itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

Weights = Literal["int8", "uint8", "plain", "fake-quantize"]
"""How a quantized weight is stored: as bytes and a scale, with a zero point, as a number on the grid, or rounded."""

STEP = 15 / 127
GRID = np.round(np.arange(16) / STEP) * STEP
"""Bins 0 to 15 in INT8."""


def with_bins(
    graph: ov.Model, weights: Weights = "int8", *, steps: Sequence[int] | None = None, scale: float = STEP
) -> ov.Model:
    """The graph with the sum over its distribution's bins quantized.

    Args:
        graph: Changed.
        weights: How they are stored.
        steps: Bytes of the bins; None for the right ones.
        scale: Of a byte.
    """
    node = bins_sum(graph)
    own = np.array(steps if steps is not None else np.round(np.arange(16) / scale), np.int64).reshape(1, 16, 1, 1)
    factor = ops.constant(np.float32(scale))
    if weights == "int8":
        new = ops.multiply(ops.convert(ops.constant(own.astype(np.int8)), "f32"), factor)
    elif weights == "uint8":
        moved = ops.convert(ops.constant((own + 3).astype(np.uint8)), "f32")
        new = ops.multiply(ops.subtract(moved, np.float32(3)), factor)
    elif weights == "plain":
        new = ops.convert(ops.constant((own * scale).astype(np.float16)), "f32")
    else:
        ends = [np.float32(-127 * scale), np.float32(127 * scale)]
        new = ops.fake_quantize(ops.constant(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)), *ends, *ends, 255)
    node.input(1).replace_source_output(new.output(0))
    return graph


def with_rounding(
    graph: ov.Model,
    node: ov.Node,
    low: Any,
    high: Any,
    *,
    levels: int = 256,
    gain: float = 1,
) -> ov.Model:
    """The graph with what a node gives rounded to so many numbers from low to high, and `gain` times as much of it."""
    targets = list(node.output(0).get_target_inputs())
    ends = [np.array(end, np.float32) for end in (low, high)]
    out = [end * np.float32(gain) for end in ends]
    rounded = ops.fake_quantize(node.output(0), *ends, *out, levels)
    for target in targets:
        target.replace_source_output(rounded.output(0))
    return graph


def bins_sum(graph: ov.Model) -> ov.Node:
    """The convolution that sums up the bins."""
    return only(graph, "Convolution", lambda node: list(node.get_input_shape(1)) == [1, 16, 1, 1])


def only(graph: ov.Model, kind: str, fits: Callable[[ov.Node], bool] = lambda node: True) -> ov.Node:
    """The one node of a kind that fits; the last where there are several."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == kind and fits(node)][-1]


def by_nncf(graph: ov.Model, input_hw: tuple[int, int], num_pictures: int = 8) -> ov.Model:
    """The graph, quantized by NNCF with nothing left out, calibrated on noise."""
    from keepbusy.optimize.quantize import import_nncf

    nncf = import_nncf()
    rng = np.random.default_rng(0)
    pictures: list[NDArray[np.float32]] = [rng.random((1, 3, *input_hw), np.float32) for _ in range(num_pictures)]
    with contextlib.redirect_stdout(io.StringIO()):
        found: ov.Model = nncf.quantize(
            graph,
            nncf.Dataset(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=num_pictures,
        )
    return found
