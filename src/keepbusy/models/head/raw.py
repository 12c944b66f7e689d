"""The graph without its head: raw numbers, decoded on the host. Exact, and free to take any shape."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.head.cut import cut_graph
from keepbusy.models.head.find import Head
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov


def raw_graph(graph: ov.Model, head: Head, input_shape: list[int]) -> tuple[ov.Model, OutputForm]:
    """Cut the head off.

    Args:
        graph: As exported, without preprocessing; not changed.
        head: What `find_head` found in it.
        input_shape: Of the image input, in the graph's own layout; height and width multiples of the largest stride.

    Returns:
        The graph, whose outputs are float32 (1, h, w, channels) by level and port, then the task's other outputs;
        and how they are to be read.
    """
    import openvino as ov
    from openvino import opset13 as ops

    cut, levels, rest = cut_graph(graph, head, input_shape)
    outputs = [ops.transpose(port, np.array([0, 2, 3, 1])) for level in levels for port in level]
    results = [ops.result(node) for node in (*outputs, *rest)]
    form = dataclasses.replace(
        head.form,
        family="yolov5-raw" if head.form.family == "yolov5" else "yolov8-raw",
        outputs=tuple(range(len(results))),
        anchors_px=tuple(level.anchors_px for level in head.levels),
        strides_px=tuple(level.stride_px for level in head.levels),
        num_bins=head.num_bins,
        is_channels_last=True,
        is_logits=True,
    )
    return ov.Model(results, cut.get_parameters(), graph.get_friendly_name()), form
