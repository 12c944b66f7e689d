"""Non-maximum suppression: of boxes that overlap, the best one stays."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from keepbusy.config import DetectConfig
from keepbusy.decode.candidates import Candidates

MAX_CANDIDATES = 30_000
"""At most this many of the most confident candidates enter the suppression, as in YOLOv5."""


def suppress(candidates: Candidates, config: DetectConfig) -> Candidates:
    """Non-maximum suppression, most confident first, at most `max_det` left.

    Greedy, as everywhere in the field: a candidate goes when it overlaps a better one that stayed by an
    intersection over union above `config.iou`; only within its class unless `config.agnostic_nms`. Equal
    confidences keep the order of the rows.
    """
    if len(candidates) == 0:
        return candidates
    if len(candidates) > MAX_CANDIDATES:
        candidates = candidates.take(np.argsort(-candidates.confidence, kind="stable")[:MAX_CANDIDATES])
    scores: Any = candidates.confidence
    boxes_xywh: Any = candidates.boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    # Batched suppression shifts each class by the largest coordinate: none may be negative.
    boxes_xywh[:, :2] -= boxes_xywh[:, :2].min()
    if config.agnostic_nms:
        kept = cv2.dnn.NMSBoxes(boxes_xywh, scores, 0.0, config.iou)
    else:
        # The stubs ask for lists; arrays are read just as well, and without a Python object for each number.
        class_ids: Any = candidates.class_id.astype(np.int32)
        kept = cv2.dnn.NMSBoxesBatched(boxes_xywh, scores, class_ids, 0.0, config.iou)
    return candidates.take(np.asarray(kept, dtype=np.intp).reshape(-1)[: config.max_det])


def keep_best(candidates: Candidates, config: DetectConfig) -> Candidates:
    """What stands in for suppression where the model has done it already: most confident first, at most `max_det`."""
    return candidates.take(np.argsort(-candidates.confidence, kind="stable")[: config.max_det])
