"""A head that selects its detections itself, put back so that only what it can select is decoded.

YOLOv10 and 26 are trained to mark each thing once, and end with a selection instead of a suppression: the cells with
the best classes, as many as rows are wanted, and of all their classes the best, as many again. No level can have more
of the best cells than there are rows, so that as many of each are enough: the rows are those of the graph as exported,
whatever is in the picture, and no threshold is needed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.head.cells import corners, joined, pick_yolov8, points
from keepbusy.models.head.cut import cut_graph
from keepbusy.models.head.find import Head
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov


def selected_graph(graph: ov.Model, head: Head, input_shape: list[int]) -> tuple[ov.Model, OutputForm]:
    """Put the selection back.

    Args:
        graph: As exported, without preprocessing; not changed.
        head: What `find_head` found in it, with `num_selected`.
        input_shape: Of the image input, in the graph's own layout; height and width multiples of the largest stride.

    Returns:
        The graph, whose outputs are as exported: the rows, float32 (1, N, 6 + extra), and what the task adds; and how
        they are to be read.
    """
    import openvino as ov
    from openvino import opset13 as ops

    cut, levels, rest = cut_graph(graph, head, input_shape)
    picked = [pick_yolov8(ports, level, head.num_selected) for ports, level in zip(levels, head.levels, strict=True)]
    parts, *where = joined(picked)
    num_cells, num_classes = (int(axis) for axis in parts[1].get_shape())
    num_cells_kept = min(head.num_selected, num_cells)
    num_rows = min(head.num_selected, num_cells_kept * num_classes)

    best = ops.reduce_max(parts[1], np.array([1]), keep_dims=False)
    cells = ops.topk(best, np.int32(num_cells_kept), 0, "max", "none", index_element_type="i32").output(1)
    sides, logits, *extra, places, strides = (ops.gather(one, cells, np.int32(0)).output(0) for one in (*parts, *where))
    if head.form.keypoints[0]:
        extra = [points(extra[0], places, strides, head.form)]

    every = ops.reshape(logits, np.array([-1]), special_zero=False)
    rows = ops.topk(every, np.int32(num_rows), 0, "max", "value", index_element_type="i32")
    cell = ops.divide(rows.output(1), np.int32(num_classes))
    boxes = ops.concat(corners(sides, places, strides, head.form), 1)
    box, *extra = (ops.gather(one, cell, np.int32(0)) for one in (boxes, *extra))
    scores = ops.unsqueeze(ops.sigmoid(rows.output(0)), np.array([1]))
    class_id = ops.unsqueeze(ops.convert(ops.mod(rows.output(1), np.int32(num_classes)), "f32"), np.array([1]))
    detections = ops.unsqueeze(ops.concat([box, scores, class_id, *extra], 1), np.array([0]))
    results = [ops.result(node) for node in (detections, *rest)]
    form = dataclasses.replace(head.form, outputs=tuple(range(len(results))), is_rewritten=True)
    return ov.Model(results, cut.get_parameters(), graph.get_friendly_name()), form
