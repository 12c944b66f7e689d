"""The head put back in a cheaper form: in the graph, only the best few hundred cells of each level are decoded.

For each level the scores are looked at alone (objectness for YOLOv5, the best class for YOLOv8), `TopK` finds the
best, `Gather` takes only those rows, and the family's formula decodes them. The output is small, of a fixed shape,
and needs no work on the host but the suppression. It is exact as long as the last score that was taken lies under the
threshold; that score is an output too, so that it can be seen when it does not.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.forms import OutputForm
from keepbusy.models.head.cut import cut_graph, rows_of
from keepbusy.models.head.find import Head, Level

if TYPE_CHECKING:
    import openvino as ov

MAX_CANDIDATES = 384
"""Cells of the finest level that are decoded. A street with thirty people and cars in view has up to 280 above 0.25
there, 190 a level up and 140 above. Each further hundred costs one in a hundred of the time of a small model."""

_SHARES = (1.0, 2 / 3, 1 / 2)
"""Of that number, by level, finest first: coarse levels have few cells."""


def tail_graph(
    graph: ov.Model, head: Head, input_shape: list[int], max_candidates: int = MAX_CANDIDATES
) -> tuple[ov.Model, OutputForm]:
    """Replace the head by the tail.

    Args:
        graph: As exported, without preprocessing; not changed.
        head: What `find_head` found in it.
        input_shape: Of the image input, in the graph's own layout; height and width multiples of the largest stride.
        max_candidates: Cells of the finest level that are decoded; coarser levels have fewer.

    Returns:
        The graph, whose outputs are the rows, float32 (N, 6 + extra): left, top, right, bottom in pixels of the
        input, confidence, class, and what the task adds; the largest score (a logit) that may have been left out,
        float32 (1,); then the task's other outputs. And how they are to be read.
    """
    import openvino as ov
    from openvino import opset13 as ops

    cut, levels = cut_graph(graph, head, input_shape)
    num_ports = sum(len(level) for level in levels)
    rest = [result.input_value(0) for result in cut.get_results()[num_ports:]]
    build = _yolov5_level if head.form.family == "yolov5" else _yolov8_level
    numbers = [round(max_candidates * share) for share in (*_SHARES, *[_SHARES[-1]] * len(levels))]
    parts = [
        build(ports, level, head, number)
        for ports, level, number in zip(levels, head.levels, numbers[: len(levels)], strict=True)
    ]
    rows = ops.concat([part for part, _ in parts], 0)
    left_out = ops.reduce_max(ops.concat([last for _, last in parts], 0), np.array([0]), keep_dims=True)
    results = [ops.result(node) for node in (rows, left_out, *rest)]
    form = dataclasses.replace(head.form, outputs=tuple(range(len(results))), is_tail=True)
    return ov.Model(results, cut.get_parameters(), graph.get_friendly_name()), form


def _yolov5_level(ports: list[ov.Output], level: Level, head: Head, max_candidates: int) -> tuple[ov.Output, ov.Output]:
    from openvino import opset13 as ops

    num_classes = head.form.num_classes
    width = 5 + num_classes + head.num_extra
    rows = rows_of(ports[0], width)
    chosen, last = _best(_columns(rows, 4, 5), max_candidates)
    picked = ops.gather(rows, chosen, np.int32(0)).output(0)
    known = ops.sigmoid(_columns(picked, 0, 5 + num_classes)).output(0)
    grid = _grid(ports[0], len(level.anchors_px))
    anchors = np.tile(np.array(level.anchors_px, np.float32), (len(grid) // len(level.anchors_px), 1))
    table = np.concatenate(((grid - 0.5) * level.stride_px, anchors * 4), axis=1)
    place = ops.gather(ops.constant(table.astype(np.float32)), chosen, np.int32(0)).output(0)
    centres = ops.add(ops.multiply(_columns(known, 0, 2), _number(2 * level.stride_px)), _columns(place, 0, 2))
    half = ops.multiply(ops.multiply(_power2(_columns(known, 2, 4)), _columns(place, 2, 4)), _number(0.5))
    scores = ops.multiply(_columns(known, 5, 5 + num_classes), _columns(known, 4, 5))
    parts = [ops.subtract(centres, half), ops.add(centres, half), *_best_class(scores.output(0))]
    if head.num_extra:
        parts.append(_columns(picked, 5 + num_classes, width))
    return ops.concat(parts, 1).output(0), last


def _yolov8_level(ports: list[ov.Output], level: Level, head: Head, max_candidates: int) -> tuple[ov.Output, ov.Output]:
    from openvino import opset13 as ops

    logits = rows_of(ports[1], head.form.num_classes)
    best = ops.reduce_max(logits, np.array([1]), keep_dims=True).output(0)
    chosen, last = _best(best, max_candidates)
    scores = ops.sigmoid(ops.gather(logits, chosen, np.int32(0))).output(0)
    sides = ops.gather(rows_of(ports[0], 4 * head.num_bins), chosen, np.int32(0)).output(0)
    if head.num_bins > 1:
        bins = ops.softmax(ops.reshape(sides, np.array([-1, 4, head.num_bins]), special_zero=False), 2)
        weights = ops.constant(np.arange(head.num_bins, dtype=np.float32))
        sides = ops.reduce_sum(ops.multiply(bins, weights), np.array([2]), keep_dims=False).output(0)
    grid = _grid(ports[0], 1)
    cells = ops.gather(ops.constant(grid), chosen, np.int32(0)).output(0)
    centres = ops.add(cells, _number(0.5))
    stride = _number(level.stride_px)
    parts = [
        ops.multiply(ops.subtract(centres, _columns(sides, 0, 2)), stride),
        ops.multiply(ops.add(centres, _columns(sides, 2, 4)), stride),
        *_best_class(scores),
    ]
    if head.num_extra:
        extra = ops.gather(rows_of(ports[2], head.num_extra), chosen, np.int32(0)).output(0)
        parts.append(_points(extra, cells, level.stride_px, head.form) if head.form.keypoints[0] else extra)
    return ops.concat(parts, 1).output(0), last


def _points(extra: ov.Output, cells: ov.Output, stride_px: int, form: OutputForm) -> ov.Output:
    """Keypoints in pixels of the input, their visibility as a share."""
    from openvino import opset13 as ops

    num, size = form.keypoints
    points = ops.reshape(extra, np.array([-1, num, size]), special_zero=False)
    axis = np.array([2])
    places = ops.slice(points, np.array([0]), np.array([2]), np.array([1]), axis)
    cells = ops.unsqueeze(cells, np.array([1])).output(0)
    places = ops.multiply(ops.add(ops.multiply(places, _number(2)), cells), _number(stride_px))
    if size == 3:
        seen = ops.sigmoid(ops.slice(points, np.array([2]), np.array([3]), np.array([1]), axis))
        places = ops.concat([places, seen], 2)
    return ops.reshape(places, np.array([-1, num * size]), special_zero=False).output(0)


def _best(column: ov.Output, max_candidates: int) -> tuple[ov.Output, ov.Output]:
    """The rows with the largest scores, and the smallest of these: -infinity where every row was taken."""
    from openvino import opset13 as ops

    scores = ops.reshape(column, np.array([-1]), special_zero=False)
    num_rows = int(scores.output(0).get_shape()[0])
    num_taken = min(max_candidates, num_rows)
    best = ops.topk(scores, np.int32(num_taken), 0, "max", "value", index_element_type="i32")
    if num_taken == num_rows:
        return best.output(1), ops.constant(np.array([-math.inf], np.float32)).output(0)
    end = np.array([num_taken])
    last = ops.slice(best.output(0), end - 1, end, np.array([1]), np.array([0]))
    return best.output(1), last.output(0)


def _best_class(scores: ov.Output) -> list[ov.Output]:
    """Each row's best score and its class, as columns."""
    from openvino import opset13 as ops

    best = ops.topk(scores, np.int32(1), 1, "max", "none", index_element_type="i32")
    return [best.output(0), ops.convert(best.output(1), "f32").output(0)]


def _grid(port: ov.Output, num_anchors: int) -> NDArray[np.float32]:
    """Each row's cell (x, y), float32 (cells x anchors, 2)."""
    _, _, height, width = port.get_shape()
    cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
    return np.repeat(cells, num_anchors, axis=0).astype(np.float32)


def _columns(rows: ov.Output, begin: int, end: int) -> ov.Output:
    from openvino import opset13 as ops

    return ops.slice(rows, np.array([begin]), np.array([end]), np.array([1]), np.array([1])).output(0)


def _power2(value: ov.Output) -> ov.Output:
    from openvino import opset13 as ops

    return ops.multiply(value, value).output(0)


def _number(value: float) -> ov.Output:
    from openvino import opset13 as ops

    return ops.constant(np.float32(value)).output(0)
