"""YOLOv8's head before its decoding: box distributions, class logits and extras, by level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, make_candidates, pick_classes
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
    has_extra = bool(form.num_coefficients or form.keypoints[0])
    num_ports = 3 if has_extra else 2
    parts: list[tuple[Array, Array, NDArray[np.intp], Array]] = []
    for level, stride in enumerate(form.strides_px):
        ports = outputs[level * num_ports : (level + 1) * num_ports]
        grid_w = ports[0].shape[2]
        sides, logits = (port.reshape(-1, port.shape[-1]) for port in ports[:2])
        cell = passing(logits.max(axis=1), logit(config.conf))
        check_finite(logits[cell])
        row, confidence, class_id = pick_classes(sigmoid(logits[cell]), config)
        cell = cell[row]
        centres = np.stack((cell % grid_w, cell // grid_w), axis=1).astype(np.float32) + np.float32(0.5)
        distances = _distances(sides[cell].reshape(len(cell), 4, form.num_bins), form)
        boxes = np.concatenate((centres - distances[:, :2], centres + distances[:, 2:]), axis=1) * np.float32(stride)
        extra = ports[2].reshape(-1, ports[2].shape[-1])[cell] if has_extra else np.empty((len(cell), 0), np.float32)
        if form.keypoints[0]:
            check_finite(extra)
            extra = _points(extra, centres, stride, form)
        parts.append((boxes, confidence, class_id, extra))
    boxes, confidence, class_id, extra = (np.concatenate(column) for column in zip(*parts, strict=True))
    return make_candidates(boxes, confidence, class_id, extra, config)


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


def _points(extra: Array, centres: Array, stride_px: int, form: OutputForm) -> Array:
    shape, scale = form.keypoints, np.float32(form.point_scale)
    points = extra.reshape(-1, *shape).copy()
    origins = centres - (scale - 1) / 2
    points[:, :, :2] = (points[:, :, :2] * scale + origins[:, None]) * np.float32(stride_px)
    points[:, :, 2:] = sigmoid(points[:, :, 2:])
    rows: Array = points.reshape(len(extra), shape[0] * shape[1])
    return rows
