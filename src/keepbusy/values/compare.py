"""Two detectors' answers to the same frame → how far they agree.

No labels are needed: one side is the reference, which is trusted, the other the candidate, which is quicker or new.

A detection near the confidence threshold may come or go when the device rounds differently. So both sides are asked
for a little more than counts: a detection at or above `conf` must have a partner on the other side, and that partner
may lie down to `conf * (1 - MARGIN)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.values.detections import Detections
from keepbusy.values.masks import Masks

Floats = NDArray[np.float64]

MARGIN = 0.4
"""A partner may be this share of the threshold below it: 0.15 for 0.25. bfloat16 moves 99 scores in 100 by less than
0.03, INT8 nine in ten by about as much."""

MIN_IOU = 0.5
"""Boxes that overlap by less do not mean the same object. Neighbours in a crowd overlap by less, as suppression sees
to; what overlaps by more but not well shows in the percentiles."""

VISIBLE = 0.5
"""Keypoints of a lower confidence in the reference are guesses, and not compared."""


def floor_of(conf: float) -> float:
    """The confidence to detect with where detections from `conf` on are to be compared."""
    return conf * (1 - MARGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate must reach to be taken for the reference.

    The defaults lie between what is right and what is not. A right candidate of another number type (measured:
    bfloat16) matches 0.99 of the detections, with nine boxes in ten above an overlap of 0.98 and nine scores in ten
    within 0.01, on small samples 0.94 and 0.025. A well calibrated INT8 model reaches 0.97, 0.92 and 0.025; one
    calibrated on noise 0.91, 0.86 and 0.08.

    Attributes:
        min_matched: Share of the detections of either side that the other must have, 0 to 1.
        min_iou: Nine in ten matched boxes must overlap by at least this, 0 to 1.
        max_drift: Nine in ten matched scores must differ by at most this, 0 to 1.
    """

    min_matched: float = 0.96
    min_iou: float = 0.90
    max_drift: float = 0.05


ONE_FRAME = Limits(min_matched=0.85, min_iou=0.75, max_drift=0.12)
"""For a single frame, where one detection weighs much: lets roundings pass, not wrong boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How two answers to one frame, or to several, agree. `+` adds frames up.

    Attributes:
        num_reference: Detections of the reference at or above the threshold.
        num_candidate: Those of the candidate.
        missing: int64: which of the reference's have no partner; positions in its detections (of one frame).
        extra: int64: which of the candidate's have none.
        num_class_changes: Of the missing, those whose place the candidate gives to another class.
        iou: float64 (M,): overlap of each matched pair's boxes, 0 to 1; of rotated boxes, with their rotation. Empty
            for classification.
        drift: float64 (M,): each pair's confidence, the candidate's less the reference's.
        offset_px: float64 (M, 2): from the reference's centre to the candidate's, x and y, pixels of the frame.
        mask_iou: float64: overlap of the pairs' masks; empty where there are none.
        keypoint_error: float64: each pair's mean distance of visible keypoints, as a share of its box's diagonal.
    """

    num_reference: int
    num_candidate: int
    missing: NDArray[np.int64]
    extra: NDArray[np.int64]
    num_class_changes: int
    iou: Floats
    drift: Floats
    offset_px: Floats
    mask_iou: Floats
    keypoint_error: Floats

    @property
    def is_empty(self) -> bool:
        """The reference found nothing: whether the candidate is right cannot be told."""
        return self.num_reference == 0

    @property
    def found_share(self) -> float:
        """Share of the reference's detections that the candidate has; 1 where there are none."""
        return 1 - len(self.missing) / self.num_reference if self.num_reference else 1.0

    @property
    def backed_share(self) -> float:
        """Share of the candidate's detections that the reference has; 1 where there are none."""
        return 1 - len(self.extra) / self.num_candidate if self.num_candidate else 1.0

    @property
    def badness(self) -> float:
        """How much is wrong, for ranking frames: 1 a detection without a partner, less for boxes and scores off."""
        pairs = float((1 - self.iou).sum() + np.abs(self.drift).sum())
        return len(self.missing) + len(self.extra) + pairs

    @property
    def is_agreed(self) -> bool:
        """Of one frame: the candidate's answer may stand for the reference's. Roundings pass, wrong boxes do not.

        Nothing against nothing agrees and proves nothing: see `is_empty`.
        """
        return not self.problems(ONE_FRAME)

    def __add__(self, other: Agreement) -> Agreement:
        return total([self, other])

    def problems(self, limits: Limits) -> list[str]:
        """In words, each limit that is not kept; empty where all are. Of nothing against nothing, none."""
        found: list[str] = []
        if self.num_reference and not self.num_candidate and not self.drift.size:
            return [f"the candidate finds nothing, the reference {self.num_reference} detections"]
        if self.found_share < limits.min_matched:
            found.append(
                f"{len(self.missing)} of {self.num_reference} detections of the reference are missing: "
                f"{self.found_share:.1%} found, wanted {limits.min_matched:.1%}"
            )
        if self.backed_share < limits.min_matched:
            found.append(
                f"{len(self.extra)} of {self.num_candidate} detections are not the reference's: "
                f"{self.backed_share:.1%} matched, wanted {limits.min_matched:.1%}"
            )
        if self.iou.size and (iou := percentile(self.iou, 10)) < limits.min_iou:
            found.append(f"boxes differ: one in ten overlaps by less than {iou:.3f}, wanted {limits.min_iou:g}")
        if self.mask_iou.size and (iou := percentile(self.mask_iou, 10)) < limits.min_iou:
            found.append(f"masks differ: one in ten overlaps by less than {iou:.3f}, wanted {limits.min_iou:g}")
        if self.keypoint_error.size and (error := percentile(self.keypoint_error, 90)) > 1 - limits.min_iou:
            found.append(
                f"keypoints differ: one pose in ten is off by over {error:.3f} of its box's diagonal, "
                f"wanted {1 - limits.min_iou:g}"
            )
        if self.drift.size and (drift := percentile(np.abs(self.drift), 90)) > limits.max_drift:
            found.append(f"scores differ: one in ten by over {drift:.3f}, wanted {limits.max_drift:g}")
        return found


def agree(reference: Detections, candidate: Detections, *, conf: float = 0.25) -> Agreement:
    """Match two answers to one frame.

    Boxes are matched one to one within their class, the closest first.

    Args:
        reference: What the trusted side found, from `floor_of(conf)` on; what is below does not matter.
        candidate: What the other side found, likewise.
        conf: The threshold from which on detections count. For classification the reference's best class counts.
    """
    if reference.probabilities is not None and candidate.probabilities is not None:
        return _agree_on_class(reference.probabilities, candidate.probabilities)
    overlaps = box_overlaps(reference, candidate)
    is_seen = [side.confidence >= floor_of(conf) for side in (reference, candidate)]
    may_match = (reference.class_id[:, None] == candidate.class_id[None, :]) & is_seen[0][:, None] & is_seen[1][None, :]
    pairs = match(np.where(may_match, overlaps, 0.0))
    is_sure = reference.confidence >= conf, candidate.confidence >= conf
    missing = np.setdiff1d(np.flatnonzero(is_sure[0]), pairs[:, 0])
    extra = np.setdiff1d(np.flatnonzero(is_sure[1]), pairs[:, 1])
    pairs = pairs[is_sure[0][pairs[:, 0]] | is_sure[1][pairs[:, 1]]]
    ours, theirs = pairs[:, 0], pairs[:, 1]
    centres = [(side.boxes_xyxy[:, :2] + side.boxes_xyxy[:, 2:]) / 2 for side in (reference, candidate)]
    return Agreement(
        num_reference=int(is_sure[0].sum()),
        num_candidate=int(is_sure[1].sum()),
        missing=missing.astype(np.int64),
        extra=extra.astype(np.int64),
        num_class_changes=len(match(overlaps[np.ix_(missing, extra)])),
        iou=overlaps[ours, theirs],
        drift=candidate.confidence[theirs].astype(np.float64) - reference.confidence[ours],
        offset_px=(centres[1][theirs] - centres[0][ours]).astype(np.float64),
        mask_iou=_mask_overlaps(reference.masks, candidate.masks, pairs),
        keypoint_error=_keypoint_errors(reference, candidate, pairs),
    )


def total(agreements: Sequence[Agreement]) -> Agreement:
    """Several frames as one; positions of missing and extra detections then only count."""
    if not agreements:
        return agree(Detections.empty(), Detections.empty())

    def joined(name: str) -> NDArray[np.float64]:
        parts: NDArray[np.float64] = np.concatenate([getattr(one, name) for one in agreements])
        return parts

    return Agreement(
        num_reference=sum(one.num_reference for one in agreements),
        num_candidate=sum(one.num_candidate for one in agreements),
        missing=joined("missing").astype(np.int64),
        extra=joined("extra").astype(np.int64),
        num_class_changes=sum(one.num_class_changes for one in agreements),
        iou=joined("iou"),
        drift=joined("drift"),
        offset_px=joined("offset_px"),
        mask_iou=joined("mask_iou"),
        keypoint_error=joined("keypoint_error"),
    )


def percentile(values: Floats, share: float) -> float:
    """The value below which `share` percent of the values lie; nan of none."""
    return float(np.percentile(values, share)) if values.size else float("nan")


def match(overlaps: Floats, min_iou: float = MIN_IOU) -> NDArray[np.int64]:
    """Pair rows with columns one to one, the pair that overlaps most first; equal ones keep their order.

    Greedy: where boxes are in no doubt it finds what an optimal assignment finds.

    Args:
        overlaps: float64 (N, M).
        min_iou: Pairs that overlap by less stay apart.

    Returns:
        int64 (pairs, 2): row and column, by row.
    """
    rows, columns = np.nonzero(overlaps >= min_iou)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in partner and column not in taken:
            partner[row] = column
            taken.add(column)
    return np.array(sorted(partner.items()), np.int64).reshape(-1, 2)


def box_overlaps(a: Detections, b: Detections) -> Floats:
    """Intersection over union of every box of one with every box of the other, float64 (N, M).

    Rotated boxes are taken with their rotation where both sides have it. A box without an area (one that the frame's
    edge has cut off) overlaps only its like.
    """
    boxes_a, boxes_b = a.boxes_xyxy.astype(np.float64), b.boxes_xyxy.astype(np.float64)
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    common = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas_a, areas_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (boxes_a, boxes_b))
    union = areas_a[:, None] + areas_b[None, :] - common
    overlaps: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    gaps = np.abs(boxes_a[:, None] - boxes_b[None, :]).max(axis=2, initial=0.0)
    overlaps[(union <= 0) & (gaps < 1)] = 1.0
    if a.boxes_xywhr is not None and b.boxes_xywhr is not None:
        for row, column in np.argwhere(common > 0).tolist():
            overlaps[row, column] = _rotated_overlap(a.boxes_xywhr[row].tolist(), b.boxes_xywhr[column].tolist())
    return overlaps


def _rotated_overlap(a: list[float], b: list[float]) -> float:
    rectangles = [((x, y), (w, h), float(np.degrees(angle))) for x, y, w, h, angle in (a, b)]
    _, corners = cv2.rotatedRectangleIntersection(rectangles[0], rectangles[1])
    common = float(cv2.contourArea(cv2.convexHull(corners))) if corners is not None else 0.0
    union = a[2] * a[3] + b[2] * b[3] - common
    return common / union if union > 0 else 0.0


def _mask_overlaps(a: Masks | None, b: Masks | None, pairs: NDArray[np.int64]) -> Floats:
    if a is None or b is None:
        return np.empty(0)
    return np.array([_mask_overlap(a, b, ours, theirs) for ours, theirs in pairs.tolist()], np.float64)


def _mask_overlap(a: Masks, b: Masks, ours: int, theirs: int) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    (mask_a, (left_a, top_a)), (mask_b, (left_b, top_b)) = a.crop(ours), b.crop(theirs)
    left, top = max(left_a, left_b), max(top_a, top_b)
    right = min(left_a + mask_a.shape[1], left_b + mask_b.shape[1])
    bottom = min(top_a + mask_a.shape[0], top_b + mask_b.shape[0])
    common = 0
    if right > left and bottom > top:
        part_a = mask_a[top - top_a : bottom - top_a, left - left_a : right - left_a]
        part_b = mask_b[top - top_b : bottom - top_b, left - left_b : right - left_b]
        common = int(np.count_nonzero(part_a & part_b))
    union = int(np.count_nonzero(mask_a)) + int(np.count_nonzero(mask_b)) - common
    return common / union if union else 1.0


def _keypoint_errors(a: Detections, b: Detections, pairs: NDArray[np.int64]) -> Floats:
    if a.keypoints is None or b.keypoints is None or not len(pairs):
        return np.empty(0)
    ours, theirs = a.keypoints[pairs[:, 0]].astype(np.float64), b.keypoints[pairs[:, 1]].astype(np.float64)
    is_visible = ours[:, :, 2] >= VISIBLE
    distances = np.linalg.norm(ours[:, :, :2] - theirs[:, :, :2], axis=2)
    boxes = a.boxes_xyxy[pairs[:, 0]].astype(np.float64)
    diagonals = np.maximum(np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0)
    has_visible = is_visible.any(axis=1)
    means = (distances * is_visible).sum(axis=1)[has_visible] / is_visible.sum(axis=1)[has_visible]
    errors: Floats = means / diagonals[has_visible]
    return errors


def _agree_on_class(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> Agreement:
    """Of classification: the best class is the one detection. Where the reference itself hardly prefers it to the
    candidate's choice, either will do."""
    ours, theirs = int(reference.argmax()), int(candidate.argmax())
    is_same = ours == theirs or float(reference[theirs]) >= floor_of(float(reference[ours]))
    unmatched = np.array([] if is_same else [0], np.int64)
    return Agreement(
        num_reference=1,
        num_candidate=1,
        missing=unmatched,
        extra=unmatched,
        num_class_changes=len(unmatched),
        iou=np.empty(0),
        drift=np.array([float(candidate[ours]) - float(reference[ours])]),
        offset_px=np.empty((0, 2)),
        mask_iou=np.empty(0),
        keypoint_error=np.empty(0),
    )
