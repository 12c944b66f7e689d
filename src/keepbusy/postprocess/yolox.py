"""YOLOX: one row a cell, with objectness, decoded or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates, pick_classes
from keepbusy.postprocess.finite import check_finite, passing
from keepbusy.values.forms import OutputForm


def yolox_raw_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """The cells that pass the confidence threshold, decoded.

    A row is (x, y, log w, log h, objectness, class probabilities...): the centre as an offset from the cell's corner
    and the logarithm of the size, both in cells; the scores have passed their sigmoid. Rows go stride by stride, and
    within a stride line by line: centre = (offset + cell) x stride, size = exp(log size) x stride. YOLOX's own export
    leaves this to the program (`decode_in_inference=False`). Once decoded the rows are `yolov5_candidates`'.

    Args:
        outputs: float32 (1, cells, 5 + classes).
        form: The number of classes, and the strides.
        input_hw: The input's (height, width), pixels: how many cells a stride has.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes the threshold has a number that is not finite.
    """
    cells = outputs[0].reshape(-1, outputs[0].shape[-1])
    passed = passing(cells[:, 4], config.conf)
    rows = cells[passed]
    row, confidence, class_id = pick_classes(rows[:, 5 : 5 + form.num_classes] * rows[:, 4:5], config)
    corner, stride = _places(passed[row], form.strides_px, input_hw)
    boxes = rows[row, :4]
    check_finite(boxes)
    with np.errstate(over="ignore", invalid="ignore"):
        boxes[:, :2] = (boxes[:, :2] + corner) * stride
        boxes[:, 2:] = np.exp(boxes[:, 2:]) * stride
        boxes = cxcywh_to_xyxy(boxes)
    return make_candidates(boxes, confidence, class_id, None, config)


def _places(
    cell: NDArray[np.intp], strides_px: tuple[int, ...], input_hw: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each cell's (column, line) within its stride's grid, float32 (N, 2), and that stride, float32 (N, 1)."""
    columns = np.array([input_hw[1] // stride for stride in strides_px])
    lines = np.array([input_hw[0] // stride for stride in strides_px])
    ends = np.cumsum(lines * columns)
    level = np.searchsorted(ends, cell, side="right")
    within = cell - (ends - lines * columns)[level]
    corner = np.stack((within % columns[level], within // columns[level]), axis=1)
    return corner.astype(np.float32), np.array(strides_px, np.float32)[level, None]
