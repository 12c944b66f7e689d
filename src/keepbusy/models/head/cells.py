"""The cells of a level that are worth decoding, and what is known of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.head.cut import rows_of
from keepbusy.models.head.find import Level
from keepbusy.models.head.pick import picked_rows
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """The cells of one level that are decoded: rows for their anchors, one after the other.

    Attributes:
        parts: What the ports give for them, float32 (N, columns) each.
        places: Where they lie, float32 (N, columns), as the family's formula needs it.
        strides: Pixels of the input a cell, float32 (N, 1).
        last: The smallest score that was taken, float32 (1,): -infinity where every cell was.
    """

    parts: list[ov.Output]
    places: ov.Output
    strides: NDArray[np.float32]
    last: ov.Output


def pick_yolov8(ports: list[ov.Output], level: Level, max_cells: int) -> Picked:
    """The cells whose best class is the likeliest: boxes, classes and extra for them; places are x and y, in cells."""
    from openvino import opset13 as ops

    logits = rows_of(ports[1])
    chosen, last = best_cells(ops.reduce_max(logits, np.array([1]), keep_dims=False).output(0), max_cells)
    classes = logits if chosen is None else ops.gather(logits, chosen, np.int32(0)).output(0)
    others = [picked_rows(port, chosen) for port in (ports[0], *ports[2:])]
    places = rows_at(grid_of(ports[0]), chosen)
    return Picked([others[0], classes, *others[1:]], places, strides_of(places, level), last)


def joined(picked: Sequence[Picked]) -> tuple[list[ov.Output], ov.Output, ov.Output]:
    """The cells of all levels together: parts, places and strides, finest level first."""
    from openvino import opset13 as ops

    parts = [ops.concat(list(column), 0).output(0) for column in zip(*(one.parts for one in picked), strict=True)]
    places = ops.concat([one.places for one in picked], 0).output(0)
    return parts, places, ops.constant(np.concatenate([one.strides for one in picked])).output(0)


def corners(sides: ov.Output, places: ov.Output, strides: ov.Output, form: OutputForm) -> list[ov.Output]:
    """YOLOv8's boxes in pixels of the input: (left, top) and (right, bottom), float32 (N, 2) each.

    Args:
        sides: What the boxes' port gives: the four sides' distances from the cell's centre, or their distributions.
        places: The cell's x and y, in cells.
        strides: Pixels of the input a cell.
        form: What the bins stand for, and how their shares are rounded.
    """
    from openvino import opset13 as ops

    num_bins = int(sides.get_shape()[1]) // 4
    if num_bins > 1:
        bins = ops.softmax(ops.reshape(sides, np.array([-1, 4, num_bins]), special_zero=False), 2)
        lowest, highest, levels = form.share_steps
        if levels:
            ends = [constant(lowest), constant(highest)]
            bins = ops.fake_quantize(bins, *ends, *ends, levels)
        weights = ops.constant(np.array(form.bins or range(num_bins), np.float32))
        sides = ops.reduce_sum(ops.multiply(bins, weights), np.array([2]), keep_dims=False).output(0)
    centres = ops.add(places, constant(0.5))
    return [
        ops.multiply(ops.subtract(centres, columns_of(sides, 0, 2)), strides).output(0),
        ops.multiply(ops.add(centres, columns_of(sides, 2, 4)), strides).output(0),
    ]


def points(extra: ov.Output, cells: ov.Output, strides: ov.Output, form: OutputForm) -> ov.Output:
    """Keypoints in pixels of the input, their visibility as a share: float32 (N, K x D).

    Args:
        extra: What the keypoints' port gives.
        cells: The cell's x and y.
        strides: Pixels of the input a cell.
        form: The keypoints' number and scale.
    """
    from openvino import opset13 as ops

    num, size = form.keypoints
    every = ops.reshape(extra, np.array([-1, num, size]), special_zero=False)
    axis = np.array([2])
    places = ops.slice(every, np.array([0]), np.array([2]), np.array([1]), axis)
    cells, strides = (ops.unsqueeze(each, np.array([1])).output(0) for each in (cells, strides))
    origins = ops.add(cells, constant((2 - form.point_scale) / 2))
    places = ops.multiply(ops.add(ops.multiply(places, constant(form.point_scale)), origins), strides)
    if size == 3:
        seen = ops.sigmoid(ops.slice(every, np.array([2]), np.array([3]), np.array([1]), axis))
        places = ops.concat([places, seen], 2)
    return ops.reshape(places, np.array([-1, num * size]), special_zero=False).output(0)


def best_cells(scores: ov.Output, max_cells: int) -> tuple[ov.Output | None, ov.Output]:
    """The cells with the largest scores, None for all of them; and the smallest of these, -infinity for all."""
    from openvino import opset13 as ops

    if int(scores.get_shape()[0]) <= max_cells:
        return None, ops.constant(np.array([-math.inf], np.float32)).output(0)
    best = ops.topk(scores, np.int32(max_cells), 0, "max", "value", index_element_type="i32")
    end = np.array([max_cells])
    return best.output(1), ops.slice(best.output(0), end - 1, end, np.array([1]), np.array([0])).output(0)


def rows_at(table: NDArray[np.float32], chosen: ov.Output | None) -> ov.Output:
    """The chosen rows of a table with one for each cell."""
    from openvino import opset13 as ops

    every = ops.constant(np.ascontiguousarray(table, np.float32)).output(0)
    return every if chosen is None else ops.gather(every, chosen, np.int32(0)).output(0)


def grid_of(port: ov.Output) -> NDArray[np.float32]:
    """Each cell's (x, y), float32 (cells, 2)."""
    _, _, height, width = port.get_shape()
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(np.float32)


def strides_of(places: ov.Output, level: Level) -> NDArray[np.float32]:
    """The level's stride for each of some places."""
    return np.full((int(places.get_shape()[0]), 1), level.stride_px, np.float32)


def columns_of(rows: ov.Output, begin: int, end: int) -> ov.Output:
    """Some columns of rows."""
    from openvino import opset13 as ops

    return ops.slice(rows, np.array([begin]), np.array([end]), np.array([1]), np.array([1])).output(0)


def constant(value: float) -> ov.Output:
    """A float32 constant."""
    from openvino import opset13 as ops

    return ops.constant(np.float32(value)).output(0)
