"""Whether a head that selects its detections itself does so by the formula that is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.head.probe import (
    BOX_TOLERANCE_PX,
    POINT_SCALES,
    SCORE_TOLERANCE,
    HeadProbe,
    keypoint_columns,
    sigmoid,
    yolov8_corners,
)
from keepbusy.values.forms import OutputForm

Array = NDArray[np.float64]

_SPREAD = 0.5
"""Standard deviation of the made-up logits: the best scores then lie far enough apart for float32 to order them."""

_MAY_DIFFER = 2
"""Rows that may do so: of two scores that are equal in float32, either may come first, or be the last that is taken."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What the probe found.

    Attributes:
        roles: Which of a level's ports are boxes, classes and, where there is any, extra.
        num_bins: Bins of a box side's distribution; 1 for the distance itself.
        num_rows: How many rows the graph selects.
        point_scale: For poses: see `OutputForm.point_scale`.
    """

    roles: tuple[int, ...]
    num_bins: int
    num_rows: int
    point_scale: int


def probe_selected(probe: HeadProbe, strides: Sequence[int], form: OutputForm) -> Selected | None:
    """The parts of a selecting head, if YOLOv10's formula gives its rows; else None.

    The formula (Ultralytics' export of YOLOv10 and 26): boxes as in YOLOv8, as corners; the cells with the best
    classes, as many as there are rows; of all classes of these the best, as many again, each a row: left, top, right,
    bottom, score, class, extra.

    Args:
        probe: The head, with its ports by level, each level's in the same order.
        strides: Pixels of the input a cell, by level.
        form: What the task adds to a row.
    """
    num_extra = form.num_extra
    num_roles = 3 if num_extra else 2
    if len(probe.ports) != num_roles * len(strides):
        return None
    values = probe.noise(_SPREAD)
    found = probe.run(values)
    if found.ndim != 2 or found.shape[1] != 6 + num_extra:
        return None
    levels = [[value[0] for value in values[n * num_roles : (n + 1) * num_roles]] for n in range(len(strides))]
    for roles in permutations(range(num_roles)):
        boxes, extra = levels[0][roles[0]], levels[0][roles[2]] if num_extra else None
        if len(boxes) % 4 or (extra is not None and len(extra) != num_extra):
            continue
        ordered = [[own[role] for role in roles] for own in levels]
        if any(len({len(own[role]) for own in ordered}) != 1 for role in range(num_roles)):
            continue
        num_bins = len(boxes) // 4
        if form.bins and len(form.bins) != num_bins:
            continue
        for scale in POINT_SCALES if form.keypoints[0] else POINT_SCALES[:1]:
            expected = _rows(ordered, strides, num_bins, len(found), dataclasses.replace(form, point_scale=scale))
            if _has_the_same_rows(found, expected, num_extra if form.keypoints[0] else 0):
                return Selected(roles, num_bins, len(found), scale)
    return None


def _rows(levels: list[list[Array]], strides: Sequence[int], num_bins: int, num_rows: int, form: OutputForm) -> Array:
    corners: list[Array] = []
    others: list[list[Array]] = []
    for (sides, *rest), stride in zip(levels, strides, strict=True):
        centres, low, high = yolov8_corners(sides, num_bins, form)
        corners.append(np.concatenate((low, high)).T * stride)
        if form.keypoints[0]:
            rest[1] = keypoint_columns(rest[1], centres, stride, form)
        others.append(rest)
    boxes = np.concatenate(corners)
    logits, *extra = (
        np.concatenate([part.reshape(len(part), -1).T for part in parts]) for parts in zip(*others, strict=True)
    )
    cells = np.argsort(-logits.max(axis=1), kind="stable")[:num_rows]
    chosen = logits[cells].reshape(-1)
    best = np.argsort(-chosen, kind="stable")[:num_rows]
    cell, class_id = np.divmod(best, logits.shape[1])
    cell = cells[cell]
    scores = sigmoid(chosen[best])
    return np.concatenate([boxes[cell], scores[:, None], class_id[:, None], *(one[cell] for one in extra)], axis=1)


def _has_the_same_rows(found: Array, expected: Array, num_in_pixels: int) -> bool:
    """Whether two sets of rows are the same, in whatever order; boxes and so many numbers at the end are in pixels."""
    if found.shape != expected.shape:
        return False
    tolerance = np.full(found.shape[1], SCORE_TOLERANCE)
    tolerance[:4] = BOX_TOLERANCE_PX
    if num_in_pixels:
        tolerance[-num_in_pixels:] = BOX_TOLERANCE_PX
    gaps = np.abs(found[:, None] - expected[None]) - 1e-3 * np.abs(expected)[None]
    is_same: NDArray[np.bool_] = np.all(gaps <= tolerance, axis=2)
    return all(int(is_same.any(axis=axis).sum()) >= len(found) - _MAY_DIFFER for axis in (0, 1))
