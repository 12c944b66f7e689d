"""A head run by itself on made-up numbers, to see whether a family's formula gives what it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.compile import compile_graph
from keepbusy.models.operations import redirect
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov

Array = NDArray[np.float64]
Anchors = tuple[tuple[float, float], ...]

_SEED = 20_240_101
_SPREAD = 2.0
"""Standard deviation of the made-up logits: what trained heads give, and not so much that a sigmoid saturates."""

POINT_SCALES = (2, 1)
"""Of keypoints: see `OutputForm.point_scale`."""

_MAY_ROUND = 2e-3
"""Share of the cells in which float32 and float64 may round a bin's share to either side: expected are 3 in 8400."""

BOX_TOLERANCE_PX = 0.05
SCORE_TOLERANCE = 1e-3
"""Weights stored as fp16 (anchors, grids) and float32 sums differ from the formula in float64 by less than this."""


class HeadProbe:
    """The part of a graph between its last convolutions and one output.

    Args:
        graph: The graph; not changed.
        ports: Where it is cut.
        output: The output that is looked at.
        without: Names of nodes with one input of interest, the first, that are taken out.
    """

    def __init__(self, graph: ov.Model, ports: Sequence[ov.Output], output: int, without: Collection[str] = ()) -> None:
        import openvino as ov
        from openvino import opset13 as ops

        self.ports = list(ports)
        copy = graph.clone()
        by_name = {node.get_friendly_name(): node for node in copy.get_ordered_ops()}
        parameters = []
        for port in ports:
            parameter = ops.parameter(list(port.get_shape()), np.float32)
            redirect(by_name[port.get_node().get_friendly_name()].output(0), parameter.output(0))
            parameters.append(parameter)
        for name in without:
            by_name[name].output(0).replace(by_name[name].input_value(0))
        result = copy.outputs[output].get_node()
        part = ov.Model([result], [*parameters, *copy.get_parameters()], "head")
        self._inputs = [part.get_parameters().index(parameter) for parameter in parameters]
        self._others = [index for index in range(len(part.inputs)) if index not in self._inputs]
        self._shapes = [tuple(part.inputs[index].get_shape()) for index in range(len(part.inputs))]
        self._compiled = compile_graph(ov.Core(), part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, values: Sequence[Array]) -> Array:
        """The output for made-up numbers at the ports, each (1, channels, h, w); without its first axis."""
        given = {index: value.astype(np.float32) for index, value in zip(self._inputs, values, strict=True)}
        given |= {index: np.zeros(self._shapes[index], np.float32) for index in self._others}
        output: NDArray[np.float32] = self._compiled(given)[0]
        return np.asarray(output[0], np.float64)

    def zeros(self) -> list[Array]:
        """Zero at every port."""
        return [np.zeros(tuple(port.get_shape())) for port in self.ports]

    def noise(self, spread: float = _SPREAD) -> list[Array]:
        """Normal noise at every port, always the same, of a standard deviation."""
        rng = np.random.default_rng(_SEED)
        return [rng.normal(0, spread, tuple(port.get_shape())) for port in self.ports]


def probe_yolov5(probe: HeadProbe, strides: Sequence[int], form: OutputForm) -> tuple[Anchors, ...] | None:
    """YOLOv5's anchors by level, if its formula gives the head's output; else None.

    Zero logits make every box its anchor. The formula (Ultralytics' YOLOv5, since v5.0): with s the sigmoid of a
    cell's numbers, centre = (2 s - 0.5 + cell) x stride, size = (2 s)^2 x anchor, objectness and classes = s; mask
    coefficients stay as they are. Rows: level, anchor, y, x.
    """
    width = 5 + form.num_classes + form.num_coefficients
    grids = [tuple(port.get_shape())[2:] for port in probe.ports]
    counts = [int(port.get_shape()[1]) // width for port in probe.ports]
    if any(int(port.get_shape()[1]) != count * width for port, count in zip(probe.ports, counts, strict=True)):
        return None
    rows = probe.run(probe.zeros())
    if rows.shape != (sum(n * h * w for n, (h, w) in zip(counts, grids, strict=True)), width):
        return None
    anchors: list[Anchors] = []
    begin = 0
    for count, (height, grid_w) in zip(counts, grids, strict=True):
        sizes = rows[begin : begin + count * height * grid_w, 2:4].reshape(count, -1, 2)[:, 0]
        anchors.append(tuple((float(w), float(h)) for w, h in sizes))
        begin += count * height * grid_w
    values = probe.noise()
    expected = [
        _yolov5_rows(value[0], own, stride, form) for value, own, stride in zip(values, anchors, strides, strict=True)
    ]
    return tuple(anchors) if _agrees(probe.run(values), np.concatenate(expected)) else None


def _yolov5_rows(value: Array, anchors: Anchors, stride: int, form: OutputForm) -> Array:
    channels, height, width = value.shape
    rows = value.reshape(len(anchors), channels // len(anchors), height, width).transpose(0, 2, 3, 1).copy()
    end = 5 + form.num_classes
    rows[..., :end] = sigmoid(rows[..., :end])
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    rows[..., :2] = (2 * rows[..., :2] - 0.5 + grid) * stride
    rows[..., 2:4] = (2 * rows[..., 2:4]) ** 2 * np.array(anchors)[:, None, None]
    flat: Array = rows.reshape(-1, rows.shape[-1])
    return flat


def probe_yolov8(
    probe: HeadProbe, strides: Sequence[int], form: OutputForm
) -> tuple[list[tuple[int, ...]], int, int] | None:
    """Which port is what, and what the formula leaves open, if YOLOv8's formula gives the head's output; else None.

    The formula (Ultralytics' YOLOv8, from generalized focal loss, arXiv 2006.04388): a box side's distance from the
    cell's centre is the mean of its distribution over bins 0, 1, ... in strides, or over `form.bins`, with shares
    rounded by `form.share_steps`; classes are sigmoids; mask coefficients stay as they are; keypoints are
    (2 x + cell) x stride, or (x + centre) x stride (YOLO26), their visibility a sigmoid. The output is
    (4 + classes + extra, cells), the box as centre and size.

    Returns:
        By level: the indices of the ports for boxes, classes and, where there is any, extra. The number of bins. The
        keypoints' scale, 2 or 1.
    """
    num_roles = 3 if form.num_extra else 2
    if len(probe.ports) != num_roles * len(strides):
        return None
    values = probe.noise()
    found = probe.run(values)
    if found.ndim != 2 or found.shape[0] != 4 + form.num_classes + form.num_extra:
        return None
    order: list[tuple[int, ...]] = []
    num_bins = 0
    for level in range(len(strides)):
        own = range(level * num_roles, (level + 1) * num_roles)
        roles = _roles(probe, values, found, own, form)
        if roles is None:
            return None
        num_bins = values[roles[0]].shape[1] // 4
        if form.bins and len(form.bins) != num_bins:
            return None
        order.append(roles)
    for scale in POINT_SCALES if form.keypoints[0] else POINT_SCALES[:1]:
        scaled = dataclasses.replace(form, point_scale=scale)
        expected = [
            _yolov8_columns([values[index][0] for index in roles], stride, num_bins, scaled)
            for roles, stride in zip(order, strides, strict=True)
        ]
        may_differ = max(1, round(_MAY_ROUND * found.shape[1])) if form.share_steps[2] else 0
        if _agrees(found.T, np.concatenate(expected, axis=1).T, may_differ):
            return order, num_bins, scale
    return None


def _roles(probe: HeadProbe, values: list[Array], found: Array, own: range, form: OutputForm) -> tuple[int, ...] | None:
    """Tell a level's ports apart by the rows of the output that change with each."""
    roles: dict[int, int] = {}
    ends = (0, 4, 4 + form.num_classes, found.shape[0])
    for index in own:
        changed = list(values)
        changed[index] = values[index] + 1.0 + values[index] ** 2
        rows = np.flatnonzero(np.abs(probe.run(changed) - found).max(axis=1) > 0)
        role = [n for n in range(3) if len(rows) and ends[n] <= rows[0] and rows[-1] < ends[n + 1]]
        if len(role) != 1:
            return None
        roles[role[0]] = index
    return tuple(roles[role] for role in sorted(roles)) if sorted(roles) == list(range(len(own))) else None


def yolov8_corners(sides: Array, num_bins: int, form: OutputForm) -> tuple[Array, Array, Array]:
    """A level's boxes by YOLOv8's formula, in cells: centres, (left, top) and (right, bottom), (2, cells) each.

    Args:
        sides: What the boxes' port gives, (4 x bins, h, w).
        num_bins: Bins of a side's distribution; 1 where it is the distance itself.
        form: What the bins stand for, and how their shares are rounded.
    """
    _, height, width = sides.shape
    centres = np.stack(np.meshgrid(np.arange(width), np.arange(height))).reshape(2, -1) + 0.5
    bins = sides.reshape(4, num_bins, -1)
    if num_bins > 1:
        weights = np.exp(bins - bins.max(axis=1, keepdims=True))
        shares = weights / weights.sum(axis=1, keepdims=True)
        lowest, highest, levels = form.share_steps
        if levels:
            step = (highest - lowest) / (levels - 1)
            shares = lowest + step * np.round((np.clip(shares, lowest, highest) - lowest) / step)
        distances = (shares * np.array(form.bins or range(num_bins))[:, None]).sum(axis=1)
    else:
        distances = bins[:, 0]
    low: Array = centres - distances[:2]
    high: Array = centres + distances[2:]
    return np.asarray(centres, np.float64), low, high


def _yolov8_columns(ports: list[Array], stride: int, num_bins: int, form: OutputForm) -> Array:
    centres, low, high = yolov8_corners(ports[0], num_bins, form)
    columns = [(low + high) / 2 * stride, (high - low) * stride, sigmoid(ports[1].reshape(form.num_classes, -1))]
    if form.num_coefficients:
        columns.append(ports[2].reshape(form.num_coefficients, -1))
    elif form.keypoints[0]:
        columns.append(keypoint_columns(ports[2], centres, stride, form))
    return np.concatenate(columns)


def keypoint_columns(values: Array, centres: Array, stride: int, form: OutputForm) -> Array:
    """A level's keypoints by the formula, in pixels of the input, and their visibility: (K x D, cells).

    Args:
        values: What the keypoints' port gives, (K x D, h, w).
        centres: The cells' centres, in cells, (2, cells).
        stride: Pixels of the input a cell.
        form: The keypoints' number and scale.
    """
    points = values.reshape(*form.keypoints, -1).copy()
    points[:, :2] = (points[:, :2] * form.point_scale + centres - (form.point_scale - 1) / 2) * stride
    points[:, 2:] = sigmoid(points[:, 2:])
    columns: Array = points.reshape(-1, points.shape[-1])
    return columns


def _agrees(found: Array, expected: Array, may_differ: int = 0) -> bool:
    """Whether rows are the same: boxes (and what is in pixels with them) to a part of a pixel, the rest closely.

    So many of them may differ.
    """
    if found.shape != expected.shape:
        return False
    gap = np.abs(found - expected)
    # Weights in fp16 make a grid of 640 pixels uncertain by up to a quarter of a pixel: the share of it counts.
    pixels = gap[:, :4] <= BOX_TOLERANCE_PX + np.abs(expected[:, :4]) * 1e-3
    rest = gap[:, 4:] <= SCORE_TOLERANCE + np.abs(expected[:, 4:]) * 1e-3
    return int((~(pixels.all(axis=1) & rest.all(axis=1))).sum()) <= may_differ


def sigmoid(value: Array) -> Array:
    """1 / (1 + e^-x)."""
    share: Array = 1 / (1 + np.exp(-value))
    return share
