"""Outputs → detections: candidates, non-maximum suppression, back to the frame's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.letterbox import Letterbox
from keepbusy.types import Detections

MAX_CANDIDATES = 30_000
"""At most this many of the most confident candidates enter the suppression, as in YOLOv5."""

Candidates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""boxes_xyxy float32 (N, 4) in pixels of the input, confidence float32 (N,), class_id int64 (N,)."""


def yolov5_candidates(output: NDArray[np.float32], config: DetectConfig) -> Candidates:
    """The rows of YOLOv5's decoded output that pass the confidence threshold.

    A row is (cx, cy, w, h, objectness, class probabilities...), the box in pixels of the input. A candidate's
    confidence is objectness x its class's probability; each row keeps its best class only (YOLOv5's rule for
    detection), or with `multi_label` every class that passes (its rule for evaluation). Objectness alone is compared
    first: a product of two probabilities is never above either, so that nothing is lost and few rows are read in full.

    Args:
        output: float32 (1, N, 5 + classes) or (N, 5 + classes); read in place, not kept.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes the threshold has a number that is not finite.
    """
    rows = output.reshape(-1, output.shape[-1])
    objectness = rows[:, 4]
    # `not <=` keeps NaN, so that it is reported below instead of being lost.
    rows = rows[~(objectness <= config.conf)]
    scores = rows[:, 5:] * rows[:, 4:5]
    if config.multi_label:
        row, class_id = np.nonzero(~(scores <= config.conf))
        boxes, confidence = rows[row, :4], scores[row, class_id]
    else:
        class_id = scores.argmax(axis=1)
        confidence = np.take_along_axis(scores, class_id[:, None], axis=1)[:, 0]
        keep = ~(confidence <= config.conf)
        boxes, confidence, class_id = rows[keep, :4], confidence[keep], class_id[keep]
    if config.classes is not None:
        wanted = np.isin(class_id, config.classes)
        boxes, confidence, class_id = boxes[wanted], confidence[wanted], class_id[wanted]
    if not (np.isfinite(boxes).all() and np.isfinite(confidence).all()):
        raise ValueError("the model's output has numbers that are not finite (NaN or infinity)")
    half = boxes[:, 2:] / 2
    boxes_xyxy = np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    return boxes_xyxy.astype(np.float32, copy=False), confidence, class_id.astype(np.int64, copy=False)


def suppress(candidates: Candidates, config: DetectConfig) -> Candidates:
    """Non-maximum suppression, most confident first, at most `max_det` left.

    Greedy, as everywhere in the field: a candidate goes when it overlaps a better one that stayed by an
    intersection over union above `config.iou`; only within its class unless `config.agnostic_nms`. Equal
    confidences keep the order of the rows. Boxes and results are as in `Candidates`.
    """
    boxes_xyxy, confidence, class_id = candidates
    if len(confidence) == 0:
        return candidates
    if len(confidence) > MAX_CANDIDATES:
        best = np.argsort(-confidence, kind="stable")[:MAX_CANDIDATES]
        boxes_xyxy, confidence, class_id = boxes_xyxy[best], confidence[best], class_id[best]
    scores: Any = confidence
    boxes_xywh: Any = boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    # Batched suppression shifts each class by the largest coordinate: none may be negative.
    boxes_xywh[:, :2] -= boxes_xywh[:, :2].min()
    if config.agnostic_nms:
        kept = cv2.dnn.NMSBoxes(boxes_xywh, scores, 0.0, config.iou)
    else:
        # The stubs ask for lists; arrays are read just as well, and without a Python object for each number.
        class_ids: Any = class_id.astype(np.int32)
        kept = cv2.dnn.NMSBoxesBatched(boxes_xywh, scores, class_ids, 0.0, config.iou)
    order = np.asarray(kept, dtype=np.intp).reshape(-1)[: config.max_det]
    return boxes_xyxy[order], confidence[order], class_id[order]


def decode_yolov5(
    output: NDArray[np.float32], letterbox: Letterbox, config: DetectConfig, names: Sequence[str]
) -> Detections:
    """Detections of one frame, in the frame's pixels, from YOLOv5's decoded output.

    Args:
        output: float32 (1, N, 5 + classes); read in place, not kept.
        letterbox: How the frame was laid into the input.
        config: Thresholds, classes and limits.
        names: The model's class names.

    Raises:
        ValueError: The output has numbers that are not finite.
    """
    boxes_xyxy, confidence, class_id = suppress(yolov5_candidates(output, config), config)
    return Detections(letterbox.boxes_to_frame(boxes_xyxy), confidence, class_id, names)
