"""The head put back in a cheaper form: in the graph, only the best few hundred cells of each level are computed.

For each level the scores are looked at alone (objectness for YOLOv5, the best class for YOLOv8), `TopK` finds the
best cells, and only for these the head's last convolution is computed, of all levels together, and decoded by the
family's formula. The output is small, of a fixed shape, and needs no work on the host but the suppression. It is exact
as long as the last score that was taken lies under the threshold; that score is an output too, so that it can be seen
when it does not.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.head.cells import (
    Picked,
    best_cells,
    columns_of,
    constant,
    corners,
    grid_of,
    joined,
    pick_yolov8,
    points,
    rows_at,
    strides_of,
)
from keepbusy.models.head.cut import cut_graph
from keepbusy.models.head.find import Head, Level
from keepbusy.models.head.pick import column_logits, picked_rows
from keepbusy.models.head.selected import selected_graph
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov

MAX_CELLS = {"yolov5": (192, 160, 128), "yolov8": (384, 256, 192)}
"""Cells of each level that are decoded, finest first, by family; with all their anchors. A street with thirty people
and cars in view has up to 110 above 0.25 in one level, and the most crowded of 128 pictures of COCO 140 above 0.1;
YOLOv8 marks more cells of one thing. Each further hundred costs one in a hundred of the time of a small model."""


def tail_graph(
    graph: ov.Model, head: Head, input_shape: list[int], max_cells: int | None = None
) -> tuple[ov.Model, OutputForm]:
    """Replace the head by the tail.

    Args:
        graph: As exported, without preprocessing; not changed.
        head: What `find_head` found in it.
        input_shape: Of the image input, in the graph's own layout; height and width multiples of the largest stride.
        max_cells: Cells of the finest level that are decoded, of coarser ones fewer; None for `MAX_CELLS`.

    Returns:
        The graph, whose outputs are the rows, float32 (N, 6 + extra): left, top, right, bottom in pixels of the
        input, confidence, class, and what the task adds; the largest score (a logit) that may have been left out,
        float32 (1,); then the task's other outputs. And how they are to be read. Heads that select their rows
        themselves get their own outputs back (`selected_graph`).
    """
    import openvino as ov
    from openvino import opset13 as ops

    if head.num_selected:
        return selected_graph(graph, head, input_shape)
    cut, levels, rest = cut_graph(graph, head, input_shape)
    is_yolov5 = head.form.family == "yolov5"
    rows_from = _yolov5_rows if is_yolov5 else _yolov8_rows
    picked = [
        _pick_yolov5(ports, level, head, number) if is_yolov5 else pick_yolov8(ports, level, number)
        for ports, level, number in zip(levels, head.levels, _numbers_of_cells(head, max_cells), strict=True)
    ]
    rows = rows_from(*joined(picked), head.form)
    left_out = ops.reduce_max(ops.concat([one.last for one in picked], 0), np.array([0]), keep_dims=True)
    results = [ops.result(node) for node in (rows, left_out, *rest)]
    form = dataclasses.replace(head.form, outputs=tuple(range(len(results))), is_rewritten=True, is_tail=True)
    return ov.Model(results, cut.get_parameters(), graph.get_friendly_name()), form


def _numbers_of_cells(head: Head, max_cells: int | None) -> list[int]:
    usual = MAX_CELLS[head.form.family]
    every = (*usual, *[usual[-1]] * len(head.levels))[: len(head.levels)]
    return [number if max_cells is None else round(max_cells * number / usual[0]) for number in every]


def _pick_yolov5(ports: list[ov.Output], level: Level, head: Head, max_cells: int) -> Picked:
    from openvino import opset13 as ops

    num_anchors = len(level.anchors_px)
    width = 5 + head.form.num_classes + head.form.num_extra
    objectness = column_logits(ports[0], [anchor * width + 4 for anchor in range(num_anchors)])
    chosen, last = best_cells(ops.reduce_max(objectness, np.array([1]), keep_dims=False).output(0), max_cells)
    rows = ops.reshape(picked_rows(ports[0], chosen), np.array([-1, width]), special_zero=False).output(0)
    origins = (grid_of(ports[0]) - 0.5) * level.stride_px
    sizes = np.array(level.anchors_px, np.float32) * 4
    table = np.concatenate((np.repeat(origins, num_anchors, axis=0), np.tile(sizes, (len(origins), 1))), axis=1)
    places = rows_at(table.reshape(len(origins), -1), chosen)
    places = ops.reshape(places, np.array([-1, 4]), special_zero=False).output(0)
    return Picked([rows], places, strides_of(places, level), last)


def _yolov5_rows(parts: list[ov.Output], places: ov.Output, strides: ov.Output, form: OutputForm) -> ov.Output:
    """`places` are the cell's (x - 0.5, y - 0.5) in pixels, and four times the anchor's width and height."""
    from openvino import opset13 as ops

    end = 5 + form.num_classes
    known = ops.sigmoid(columns_of(parts[0], 0, 5)).output(0)
    score, class_id = _best_class(columns_of(parts[0], 5, end))
    steps = ops.multiply(strides, constant(2))
    centres = ops.add(ops.multiply(columns_of(known, 0, 2), steps), columns_of(places, 0, 2))
    half = ops.multiply(ops.multiply(_power2(columns_of(known, 2, 4)), columns_of(places, 2, 4)), constant(0.5))
    confidence = ops.multiply(score, columns_of(known, 4, 5))
    columns = [ops.subtract(centres, half), ops.add(centres, half), confidence, class_id]
    if form.num_coefficients:
        columns.append(columns_of(parts[0], end, end + form.num_coefficients))
    return ops.concat(columns, 1).output(0)


def _yolov8_rows(parts: list[ov.Output], places: ov.Output, strides: ov.Output, form: OutputForm) -> ov.Output:
    """`places` are the cell's x and y, in cells."""
    from openvino import opset13 as ops

    columns = [*corners(parts[0], places, strides, form), *_best_class(parts[1])]
    if form.keypoints[0]:
        columns.append(points(parts[2], places, strides, form))
    else:
        columns += parts[2:]
    return ops.concat(columns, 1).output(0)


def _best_class(logits: ov.Output) -> list[ov.Output]:
    """Each row's best score and its class, as columns."""
    from openvino import opset13 as ops

    best = ops.topk(logits, np.int32(1), 1, "max", "none", index_element_type="i32")
    return [ops.sigmoid(best.output(0)).output(0), ops.convert(best.output(1), "f32").output(0)]


def _power2(value: ov.Output) -> ov.Output:
    from openvino import opset13 as ops

    return ops.multiply(value, value).output(0)
