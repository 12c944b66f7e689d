"""Precision and recall: against each other, and against the confidence that one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_CONFIDENCES = 1001
"""Confidences from 0 to 1 in steps of a thousandth."""


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Of every class that has objects, at an overlap of 0.50.

    Attributes:
        class_id: int64 (C,), the classes.
        recalls: float64 (101,), 0 to 1: COCO's recall points.
        precision_at_recall: float64 (C, 101), COCO's precision there; a class's mean is its average precision.
        confidences: float64 (K,), 0 to 1.
        precision: float64 (C, K), right detections among those of at least each confidence; NaN where there are none.
        recall: float64 (C, K), objects found by them.
        f1: float64 (C, K), the harmonic mean of both; 0 where nothing is found.
        best_index: Place in `confidences` of the highest `f1`, mean over classes; the lowest one of several.
    """

    class_id: NDArray[np.int64]
    recalls: NDArray[np.float64]
    precision_at_recall: NDArray[np.float64]
    confidences: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    best_index: int

    @property
    def best_confidence(self) -> float:
        """The confidence with the highest mean F1: what to ask for where misses cost as much as false alarms."""
        return float(self.confidences[self.best_index])


def mean_over_classes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (C, K) → (K,), the mean of those that are not NaN; NaN where all are."""
    counted = np.isfinite(values)
    total = np.where(counted, values, 0.0).sum(axis=0)
    count = counted.sum(axis=0)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def make_curves(scorer: Any, num_objects: list[int]) -> Curves:
    """The curves of a scorer that has accumulated at the one overlap of 0.50, with its matches.

    Args:
        scorer: A `COCOeval_faster`.
        num_objects: Objects of each class, without crowds.
    """
    class_id = np.flatnonzero(num_objects)
    truths, found = scorer.cocoGt.anns, scorer.cocoDt.anns
    matches = {int(left): int(right) for left, right in (key.split("_", 1) for key in scorer.eval["matched"])}
    scores: dict[int, list[float]] = {int(number): [] for number in class_id}
    hits: dict[int, list[bool]] = {int(number): [] for number in class_id}
    for number, detection in found.items():
        own_class = detection["category_id"] - 1
        matched = matches.get(number)
        # What lies in a crowd is neither right nor wrong.
        if own_class in scores and (matched is None or not truths[matched]["iscrowd"]):
            scores[own_class].append(detection["score"])
            hits[own_class].append(matched is not None)
    confidences = np.linspace(0, 1, NUM_CONFIDENCES)
    rows = [
        _against_confidence(np.array(scores[number]), np.array(hits[number], np.bool_), confidences)
        for number in class_id.tolist()
    ]
    right = np.array([row[0] for row in rows], np.float64)
    shown = np.array([row[1] for row in rows], np.float64)
    recall = right / np.array([num_objects[number] for number in class_id.tolist()])[:, None]
    precision = np.where(shown > 0, right / np.maximum(shown, 1), np.nan)
    total = np.nan_to_num(precision) + recall
    f1 = np.where(total > 0, 2 * np.nan_to_num(precision) * recall / np.where(total > 0, total, 1), 0.0)
    return Curves(
        class_id=class_id,
        recalls=np.asarray(scorer.params.recThrs, np.float64),
        precision_at_recall=np.asarray(scorer.eval["precision"][0, :, class_id, 0, -1], np.float64),
        confidences=confidences,
        precision=precision,
        recall=recall,
        f1=f1,
        best_index=int(f1.mean(axis=0).argmax()),
    )


def _against_confidence(
    scores: NDArray[np.float64], hits: NDArray[np.bool_], confidences: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many hits, and how many detections, have at least each confidence."""
    order = np.argsort(scores, kind="stable")
    below = np.searchsorted(scores[order], confidences, side="left")
    hits_from = np.append(np.cumsum(hits[order][::-1])[::-1], 0)
    return hits_from[below], len(scores) - below
