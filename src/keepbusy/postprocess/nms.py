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

SWEPT_CANDIDATES = 500
"""From here on it pays to find the pairs that can overlap before any is compared."""

_MAX_PAIRS = 40
"""Per candidate, as neighbours along x: where there are more, OpenCV is quicker."""

_MAX_HITS = 1
"""Per candidate, as pairs that overlap too much: where there are more, few candidates stay, and OpenCV is quicker."""

_SAMPLE = 64
"""Candidates whose pairs are looked at before all are."""

_MIN_SIDE_PX = 1e-6
"""Boxes with a smaller side have no area to speak of, and OpenCV has a rule of its own for them."""

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
    swept = pick_by_sweep(candidates, config) if len(candidates) >= SWEPT_CANDIDATES else None
    return candidates.take(pick_by_opencv(candidates, config) if swept is None else swept)


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


def pick_by_sweep(candidates: Candidates, config: DetectConfig) -> NDArray[np.intp] | None:
    """What `pick_by_opencv` picks, in time that grows with the number of neighbours instead of with its square.

    Candidates are sorted by their left edges, each class in a place of its own on the x axis: only those that begin
    before one ends can overlap it.

    Returns:
        Which candidates stay; None where there are so many neighbours, or boxes without area, that OpenCV is to pick.
    """
    boxes = candidates.boxes_xyxy.astype(np.float64)
    sizes = boxes[:, 2:] - boxes[:, :2]
    num = len(boxes)
    if not bool((sizes > _MIN_SIDE_PX).all()):
        return None
    left = boxes[:, 0] - boxes[:, 0].min()
    if not config.agnostic_nms:
        left += candidates.class_id * (boxes[:, 2].max() - boxes[:, 0].min() + 1)
    order = np.argsort(left)
    begin = left[order]
    counts = np.searchsorted(begin, begin + sizes[order, 0]) - np.arange(1, num + 1)
    if counts.sum() > _MAX_PAIRS * num:
        return None

    def hits_of(firsts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The pairs of some, by their places in `order`, that overlap too much."""
        own = counts[firsts]
        one = np.repeat(firsts, own)
        other = np.arange(len(one)) - np.repeat(np.cumsum(own) - own, own) + one + 1
        one, other = order[one], order[other]
        is_hit = _overlaps_as_opencv(boxes, sizes, one, other) > np.float32(config.iou)
        return one[is_hit], other[is_hit]

    sample = np.arange(0, num, max(num // _SAMPLE, 1))
    if len(hits_of(sample)[0]) > _MAX_HITS * len(sample):
        return None
    one, other = hits_of(np.arange(num))
    if len(one) > 2 * _MAX_HITS * num:
        return None
    best_first = np.argsort(-candidates.confidence, kind="stable")
    rank = np.empty(num, np.intp)
    rank[best_first] = np.arange(num)
    ranks = np.sort(np.stack((rank[one], rank[other]), axis=1), axis=1)
    stays = [True] * num
    for better, worse in ranks[np.argsort(ranks[:, 0])].tolist():
        if stays[better]:
            stays[worse] = False
    return best_first[stays][: config.max_det]


def _overlaps_as_opencv(
    boxes: NDArray[np.float64], sizes: NDArray[np.float64], one: NDArray[np.intp], other: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Intersections over unions of pairs, rounded as OpenCV does it: 1 less the distance as a float32."""
    first, second = boxes[one], boxes[other]
    shared = (np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])).clip(0).prod(axis=1)
    area = sizes.prod(axis=1)
    distance = 1 - shared / (area[one] + area[other] - shared)
    overlap: NDArray[np.float32] = np.float32(1) - distance.astype(np.float32)
    return overlap


def pick_by_opencv(candidates: Candidates, config: DetectConfig) -> NDArray[np.intp]:
    """OpenCV's suppression, which compares each candidate with all that stay before it."""
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
