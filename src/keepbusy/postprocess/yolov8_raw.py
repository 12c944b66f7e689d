"""YOLOv8's head before its decoding: box distributions, class logits and extras, by level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, make_candidates, no_candidates, pick_classes
from keepbusy.postprocess.finite import check_finite, passing
from keepbusy.postprocess.logits import logit, sigmoid
from keepbusy.values.forms import OutputForm

Array = NDArray[np.float32]


def yolov8_raw_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """The cells that pass the confidence threshold; only these are decoded.

    A box side's distance from the cell's centre, in strides, is the mean of its distribution over bins 0, 1, ...
    (generalized focal loss, arXiv 2006.04388), or over `form.bins`, with shares rounded by `form.share_steps`; a
    class's confidence is a sigmoid; keypoints are (2 x + cell) x stride, or (x + centre) x stride where
    `form.point_scale` is 1.

    Args:
        outputs: For each stride float32 (1, h, w, 4 x bins), (1, h, w, classes) and, for masks and poses,
            (1, h, w, extra); then what the task adds.
        form: Strides, bins, classes, keypoints.
        input_hw: Not needed: the grids say it.
        config: Thresholds and classes.

    Raises:
        ValueError: A cell that passes the threshold has a number that is not finite.
    """
    num_ports = 3 if form.num_coefficients or form.keypoints[0] else 2
    found: list[list[Array]] = []
    for level, stride in enumerate(form.strides_px):
        ports = outputs[level * num_ports : (level + 1) * num_ports]
        rows = [port.reshape(-1, port.shape[-1]) for port in ports]
        cell = passing(rows[1].max(axis=1), logit(config.conf))
        if len(cell):
            found.append([*(row[cell] for row in rows), *_places(cell, ports[0].shape[2], stride)])
    if not found:
        return no_candidates(form.num_coefficients + math.prod(form.keypoints))
    sides, logits, *extras, centres, strides_px = (np.concatenate(column) for column in zip(*found, strict=True))
    check_finite(logits)
    row, confidence, class_id = pick_classes(sigmoid(logits), config)
    centres, strides_px = centres[row], strides_px[row]
    distances = _distances(sides[row].reshape(len(row), 4, form.num_bins), form)
    boxes = np.concatenate((centres - distances[:, :2], centres + distances[:, 2:]), axis=1) * strides_px
    extra = extras[0][row] if extras else None
    if extra is not None and form.keypoints[0]:
        check_finite(extra)
        extra = _points(extra, centres, strides_px, form)
    return make_candidates(boxes, confidence, class_id, extra, config)


def _places(cell: NDArray[np.intp], grid_w: int, stride_px: int) -> tuple[Array, Array]:
    """Cells' centres in cells, float32 (N, 2), and their stride in pixels, float32 (N, 1)."""
    centres = np.stack((cell % grid_w, cell // grid_w), axis=1).astype(np.float32) + np.float32(0.5)
    return centres, np.full((len(cell), 1), stride_px, np.float32)


def _distances(bins: Array, form: OutputForm) -> Array:
    if bins.shape[2] == 1:
        only: Array = bins[:, :, 0]
        return only
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    values = np.array(form.bins or range(bins.shape[2]), np.float32)
    lowest, highest, levels = form.share_steps
    if levels:
        step = np.float32((highest - lowest) / (levels - 1))
        shares = np.clip(weights / weights.sum(axis=2, keepdims=True), np.float32(lowest), np.float32(highest))
        rounded: Array = (np.rint((shares - np.float32(lowest)) / step) * step + np.float32(lowest)) @ values
        return rounded
    mean: Array = (weights @ values) / weights.sum(axis=2)
    return mean


def _points(extra: Array, centres: Array, strides_px: Array, form: OutputForm) -> Array:
    shape, scale = form.keypoints, np.float32(form.point_scale)
    points = extra.reshape(-1, *shape).copy()
    origins = centres - (scale - 1) / 2
    points[:, :, :2] = (points[:, :, :2] * scale + origins[:, None]) * strides_px[:, None]
    points[:, :, 2:] = sigmoid(points[:, :, 2:])
    rows: Array = points.reshape(len(extra), shape[0] * shape[1])
    return rows
