"""Attention over a map's cells, as exporters that trace a network write it down: with its sizes as constants."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from openvino import opset13 as ops

AttentionKind = Literal["every-cell", "areas"]
"""YOLO11's attention of every cell to every other (C2PSA), or YOLO12's within each of four areas (A2C2f)."""

NUM_HEADS = 2
NUM_AREAS = 4


def attention(feature: Any, kind: AttentionKind, rng: np.random.Generator) -> Any:
    """The feature (1, C, h, w), and what its cells tell each other added to it; C divisible by two heads."""
    return ops.add(feature, _every_cell(feature, rng) if kind == "every-cell" else _areas(feature, rng))


def _every_cell(feature: Any, rng: np.random.Generator) -> Any:
    _, channels, height, width = _shape(feature)
    depth = channels // NUM_HEADS
    three = _reshape(_mixed(feature, 2 * channels, rng), [1, NUM_HEADS, 2 * depth, height * width])
    query, key, value = _split(three, 2, [depth // 2, depth // 2, depth])
    weights = ops.softmax(ops.matmul(query, key, True, False), -1)
    found = _reshape(ops.matmul(value, weights, False, True), [1, channels, height, width])
    place = _mixed(_reshape(value, [1, channels, height, width]), channels, rng)
    return _mixed(ops.add(found, place), channels, rng)


def _areas(feature: Any, rng: np.random.Generator) -> Any:
    _, channels, height, width = _shape(feature)
    depth, num_cells = channels // NUM_HEADS, height * width
    rows = ops.transpose(_reshape(_mixed(feature, 3 * channels, rng), [1, 3 * channels, -1]), np.array([0, 2, 1]))
    areas = _reshape(rows, [NUM_AREAS, num_cells // NUM_AREAS, 3 * channels])
    three = _reshape(areas, [NUM_AREAS, num_cells // NUM_AREAS, NUM_HEADS, 3 * depth])
    query, key, value = _split(ops.transpose(three, np.array([0, 2, 3, 1])), 2, [depth, depth, depth])
    weights = ops.softmax(ops.matmul(query, key, True, False), -1)
    found = ops.transpose(ops.matmul(value, weights, False, True), np.array([0, 3, 1, 2]))
    found = _reshape(_reshape(found, [1, num_cells, channels]), [1, height, width, channels])
    return _mixed(ops.transpose(found, np.array([0, 3, 1, 2])), channels, rng)


def _mixed(node: Any, num_out: int, rng: np.random.Generator) -> Any:
    num_in = _shape(node)[1]
    weights = rng.normal(0, 1 / num_in, (num_out, num_in, 1, 1)).astype(np.float32)
    return ops.convolution(node, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])


def _reshape(node: Any, target: list[int]) -> Any:
    return ops.reshape(node, np.array(target), special_zero=False)


def _split(node: Any, axis: int, lengths: list[int]) -> list[Any]:
    parts = ops.variadic_split(node, np.array(axis), np.array(lengths))
    return [parts.output(index) for index in range(len(lengths))]


def _shape(node: Any) -> Any:
    return node.get_shape() if hasattr(node, "get_shape") else node.get_output_shape(0)
