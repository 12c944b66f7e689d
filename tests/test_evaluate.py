from __future__ import annotations

import numpy as np
import pytest

from keepbusy.evaluate import CocoEvaluation
from keepbusy.types import Detections

NAMES = ("cat", "dog", "cow")
BOXES = np.array([[10, 10, 50, 50], [60, 10, 200, 150], [0, 60, 20, 75]], np.float32)
CLASSES = np.array([0, 1, 0])


def found(boxes: np.ndarray, confidence: list[float], classes: list[int]) -> Detections:  # type: ignore[type-arg]
    return Detections(boxes.astype(np.float32), np.array(confidence, np.float32), np.array(classes), NAMES)


def test_perfect_detections_score_one() -> None:
    evaluation = CocoEvaluation(NAMES)
    for _ in range(3):
        evaluation.add((200, 150), BOXES, CLASSES, found(BOXES, [0.9, 0.8, 0.7], [0, 1, 0]))
    score = evaluation.accuracy()
    assert (score.map50_95, score.map50, score.map75) == pytest.approx((1, 1, 1))
    assert (score.num_frames, score.num_objects) == (3, 9)
    assert score.by_class["cow"].map50 is None and score.by_class["cat"].num_objects == 6
    assert score.by_area == pytest.approx({"small": 1, "medium": 1, "large": 1})


def test_a_loose_box_counts_up_to_its_overlap() -> None:
    # 32 of 40 columns: an overlap of 0.8, which passes 0.50, 0.55, ... 0.80: seven of ten thresholds.
    loose = np.array([[10, 10, 42, 50]])
    evaluation = CocoEvaluation(NAMES)
    evaluation.add((200, 150), BOXES[:1], CLASSES[:1], found(loose, [0.9], [0]))
    score = evaluation.accuracy()
    assert score.map50_95 == pytest.approx(0.7) and score.map50 == pytest.approx(1) and score.map75 == pytest.approx(1)


def test_a_miss_halves_and_a_false_alarm_above_costs() -> None:
    # One of two cats found: precision 1 up to a recall of 0.5, which is 51 of COCO's 101 recall points.
    evaluation = CocoEvaluation(NAMES)
    evaluation.add((200, 150), BOXES[[0, 2]], CLASSES[[0, 2]], found(BOXES[:1], [0.9], [0]))
    assert evaluation.accuracy().map50 == pytest.approx(51 / 101)
    # A more confident false alarm: precision 1/2 at every recall.
    evaluation = CocoEvaluation(NAMES)
    boxes = np.array([[100, 100, 140, 140], [10, 10, 50, 50]])
    evaluation.add((200, 150), BOXES[:1], CLASSES[:1], found(boxes, [0.9, 0.8], [0, 0]))
    assert evaluation.accuracy().map50 == pytest.approx(0.5)


def test_the_right_box_of_the_wrong_class_counts_for_nothing() -> None:
    evaluation = CocoEvaluation(NAMES)
    evaluation.add((200, 150), BOXES[:1], CLASSES[:1], found(BOXES[:1], [0.9], [1]))
    assert evaluation.accuracy().map50 == 0


def test_nothing_found_and_nothing_to_find() -> None:
    nothing = CocoEvaluation(NAMES)
    nothing.add((200, 150), BOXES, CLASSES, Detections.empty(NAMES))
    score = nothing.accuracy()
    assert score.map50_95 == 0 and score.by_class["dog"].map50 == 0 and score.by_class["cow"].map50 is None
    empty = CocoEvaluation(NAMES)
    empty.add((200, 150), np.empty((0, 4), np.float32), np.empty(0, np.int64), found(BOXES[:1], [0.9], [0]))
    assert empty.accuracy().map50_95 is None
