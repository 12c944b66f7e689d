"""DETR and its relatives: a few hundred queries, each a box as a share of the picture, and class scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates, pick_classes
from keepbusy.postprocess.end_to_end import to_class_id
from keepbusy.postprocess.finite import check_finite, passing
from keepbusy.postprocess.logits import least_logit, sigmoid
from keepbusy.values.forms import OutputForm


def detr_candidates(outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig) -> Candidates:
    """The queries that pass the confidence threshold.

    A query is a box (cx, cy, w, h) as shares of the input's width and height, and one score a class: probabilities,
    or logits. Logits become probabilities by a sigmoid each (RT-DETR, Deformable DETR), or where the last class
    means "no object" by a softmax over all of them (DETR). One class a query unless `multi_label`.

    Args:
        outputs: float32 (1, N, 4 + classes); or boxes (1, N, 4), then scores (1, N, classes).
        form: The number of classes without "no object", `has_background` where that one exists, `is_logits`.
        input_hw: The input's (height, width), pixels.
        config: Thresholds and classes.

    Raises:
        ValueError: A query that passes the threshold has a number that is not finite.
    """
    boxes = outputs[0].reshape(-1, outputs[0].shape[-1])
    scores = boxes[:, 4:] if len(outputs) == 1 else outputs[1].reshape(-1, outputs[1].shape[-1])
    if form.is_logits and form.has_background:
        check_finite(scores)
        probabilities = softmax(scores)[:, : form.num_classes]
        kept = np.arange(len(scores))
    else:
        best = scores[:, : form.num_classes].max(axis=1)
        kept = passing(best, least_logit(config.conf) if form.is_logits else config.conf)
        probabilities = scores[kept, : form.num_classes]
        check_finite(probabilities)
        if form.is_logits:
            probabilities = sigmoid(probabilities)
    row, confidence, class_id = pick_classes(probabilities, config)
    size = np.array((input_hw[1], input_hw[0]) * 2, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        corners = cxcywh_to_xyxy(boxes[kept[row], :4] * size)
    return make_candidates(corners, confidence, class_id, None, config)


def rt_detr_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """Detections of a model that has selected them already, by the threshold.

    Args:
        outputs: Either labels (1, N), boxes (1, N, 4) as corners and scores (1, N); or labels (1, N) and boxes
            (1, N, 5) with the score as fifth number; or rows (1, N, 6): centre, size, score, class. Float32 all.
        form: The number of classes, and whether boxes are shares of the input's sides instead of its pixels.
        input_hw: The input's (height, width), pixels.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes has a number that is not finite, or a class that there is not.
    """
    rows = outputs[-1 if len(outputs) == 1 else 1]
    rows = rows.reshape(-1, rows.shape[-1])
    if len(outputs) == 1:
        scores, labels = rows[:, 4], rows[:, 5]
    else:
        labels, scores = outputs[0].reshape(-1), rows[:, 4] if len(outputs) == 2 else outputs[2].reshape(-1)
    kept = np.flatnonzero(~(scores <= config.conf))
    boxes = rows[kept, :4]
    with np.errstate(invalid="ignore", over="ignore"):
        if form.is_normalized:
            boxes = boxes * np.array((input_hw[1], input_hw[0]) * 2, np.float32)
        if len(outputs) == 1:
            boxes = cxcywh_to_xyxy(boxes)
    return make_candidates(boxes, scores[kept], to_class_id(labels[kept], form), None, config)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis; the largest is taken off first, so that nothing overflows."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = powers / powers.sum(axis=-1, keepdims=True)
    return result
