"""Non-maximum suppression: of boxes that overlap, the best one stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates
from keepbusy.postprocess.obb import covariances, probiou

MAX_CANDIDATES = 30_000
"""At most this many of the most confident candidates enter the suppression, as in YOLOv5."""

MANY_CANDIDATES = 3_000
"""From here on OpenCV's suppression, which grows with the square of the number, is slower than rows in NumPy."""

OverlapsOf = Callable[[int, NDArray[np.intp]], NDArray[np.float64]]
"""(one candidate, others) → how much each of the others overlaps it, 0 to 1."""


def suppress(candidates: Candidates, config: DetectConfig, *, is_rotated: bool = False) -> Candidates:
    """Non-maximum suppression, most confident first, at most `max_det` left.

    Greedy, as everywhere in the field: a candidate goes when it overlaps a better one that stayed by more than
    `config.iou`; only within its class unless `config.agnostic_nms`. Equal confidences keep the order of the rows.

    Args:
        candidates: What passed the threshold.
        config: `iou`, `agnostic_nms`, `max_det`.
        is_rotated: The first extra number is an angle, and the overlap is the probabilistic IoU; else the
            intersection over union.
    """
    if len(candidates) == 0:
        return candidates
    if len(candidates) > MAX_CANDIDATES:
        candidates = candidates.take(np.argsort(-candidates.confidence, kind="stable")[:MAX_CANDIDATES])
    if is_rotated:
        return candidates.take(pick_greedily(candidates, config, _rotated_overlaps(candidates)))
    if len(candidates) > MANY_CANDIDATES:
        return candidates.take(pick_greedily(candidates, config, _upright_overlaps(candidates)))
    return candidates.take(_pick_by_opencv(candidates, config))


def keep_best(candidates: Candidates, config: DetectConfig) -> Candidates:
    """What stands in for suppression where the model has done it already: most confident first, at most `max_det`."""
    return candidates.take(np.argsort(-candidates.confidence, kind="stable")[: config.max_det])


def pick_greedily(candidates: Candidates, config: DetectConfig, overlaps_of: OverlapsOf) -> NDArray[np.intp]:
    """Which candidates stay: at most `max_det` rounds, each over what is still left."""
    left = np.argsort(-candidates.confidence, kind="stable")
    class_id = np.zeros_like(candidates.class_id) if config.agnostic_nms else candidates.class_id
    kept: list[int] = []
    while len(left) and len(kept) < config.max_det:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        rivals = np.flatnonzero(class_id[left] == class_id[best])
        left = np.delete(left, rivals[overlaps_of(best, left[rivals]) > config.iou])
    return np.array(kept, dtype=np.intp)


def _pick_by_opencv(candidates: Candidates, config: DetectConfig) -> NDArray[np.intp]:
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
    return np.asarray(kept, dtype=np.intp).reshape(-1)[: config.max_det]


def _upright_overlaps(candidates: Candidates) -> OverlapsOf:
    left, top, right, bottom = candidates.boxes_xyxy.T.astype(np.float64)
    area = (right - left) * (bottom - top)

    def overlaps_of(one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        width = np.minimum(right[others], right[one]) - np.maximum(left[others], left[one])
        height = np.minimum(bottom[others], bottom[one]) - np.maximum(top[others], top[one])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        # Two boxes without area share nothing.
        overlap: NDArray[np.float64] = shared / np.maximum(area[others] + area[one] - shared, 1e-12)
        return overlap

    return overlaps_of


def _rotated_overlaps(candidates: Candidates) -> OverlapsOf:
    boxes = candidates.boxes_xyxy.astype(np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    angle = candidates.extra[:, :1].astype(np.float64)
    spread = covariances(np.concatenate((centres, boxes[:, 2:] - boxes[:, :2], angle), axis=1))

    def overlaps_of(one: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        return probiou(centres[one], spread[one], centres[others], spread[others])

    return overlaps_of
