from __future__ import annotations

import numpy as np
import pytest

from keepbusy.evaluate import CocoEvaluation
from keepbusy.values.detections import Detections

NAMES = ("cat", "dog", "cow")
BOXES = np.array([[10, 10, 50, 50], [60, 10, 200, 150], [0, 60, 20, 75]], np.float32)
CLASSES = np.array([0, 1, 0])


def found(boxes: np.ndarray, confidence: list[float], classes: list[int]) -> Detections:
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


def test_a_crowd_is_neither_right_nor_wrong_and_its_area_is_its_own() -> None:
    # A false alarm above the hit halves the precision, unless it lies in a crowd of its class.
    boxes = np.array([[100, 100, 140, 140], [10, 10, 50, 50]])
    truth = np.array([[10, 10, 50, 50], [90, 90, 190, 140]], np.float64)
    for crowd_class, expected in ((0, 1.0), (1, 0.5)):
        evaluation = CocoEvaluation(NAMES)
        evaluation.add(
            (200, 150),
            truth,
            np.array([0, crowd_class]),
            found(boxes, [0.9, 0.8], [0, 0]),
            is_crowd=np.array([False, True]),
            area_px=np.array([100.0, 9.0]),
        )
        score = evaluation.accuracy()
        assert score.map50 == pytest.approx(expected)
        # 40x40 pixels are of medium size; the annotation's own area says small, and there the false alarm is not.
        assert score.by_area["small"] == pytest.approx(1) and score.by_area["medium"] is None
        assert score.num_objects == 1 and score.by_class["dog"].num_objects == 0
        num_false = 0 if crowd_class == 0 else 1
        assert evaluation.confusion().counts.tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4, [num_false, 0, 0, 0]]
        curves = evaluation.curves()
        assert curves is not None
        assert curves.precision[0, 0] == pytest.approx(1 / (1 + num_false))


def test_curves_count_hits_above_each_confidence() -> None:
    # Cats: hit at 0.9, false alarm at 0.6, hit at 0.5. Dogs: one of one at 0.7, and one of the same object at 0.3.
    evaluation = CocoEvaluation(NAMES)
    boxes = np.concatenate((BOXES[[0]], [[100, 100, 140, 140]], BOXES[[2]], BOXES[[1]], BOXES[[1]]))
    evaluation.add((200, 150), BOXES, CLASSES, found(boxes, [0.9, 0.6, 0.5, 0.7, 0.3], [0, 0, 0, 1, 1]))
    curves = evaluation.curves()
    assert curves is not None
    assert curves.class_id.tolist() == [0, 1]
    at = {round(float(value), 3): index for index, value in enumerate(curves.confidences)}
    columns = [at[value] for value in (0.2, 0.4, 0.55, 0.65, 0.8, 0.95)]
    assert curves.precision[0, columns[:-1]] == pytest.approx([2 / 3, 2 / 3, 1 / 2, 1, 1])
    assert curves.recall[0, columns] == pytest.approx([1, 1, 1 / 2, 1 / 2, 1 / 2, 0])
    assert curves.precision[1, columns[:4]] == pytest.approx([1 / 2, 1, 1, 1])
    assert np.isnan(curves.precision[:, columns[-1]]).all() and curves.f1[:, columns[-1]].tolist() == [0, 0]
    # F1: up to 0.5 (0.8 + 1) / 2 once the dog's second box is gone, which is just above 0.3 in float32.
    assert curves.best_confidence == pytest.approx(0.301)
    assert curves.f1[:, curves.best_index] == pytest.approx([0.8, 1])
    assert curves.precision_at_recall.mean(axis=1) == pytest.approx(
        [(51 * 1 + 50 * 2 / 3) / 101, 1]
    )  # which is each class's average precision
    accuracy = evaluation.accuracy()
    assert [accuracy.by_class[name].map50 for name in ("cat", "dog")] == pytest.approx(
        curves.precision_at_recall.mean(axis=1).tolist()
    )


def test_a_hit_counts_once_even_where_another_overlap_would_choose_another_box() -> None:
    # Two boxes over one object: the more confident is the looser one. At 0.50 it is the hit, and the other is false.
    loose, close = [10, 10, 50, 38], [10, 10, 50, 50]
    evaluation = CocoEvaluation(NAMES)
    evaluation.add((200, 150), BOXES[:1], CLASSES[:1], found(np.array([loose, close]), [0.9, 0.8], [0, 0]))
    curves = evaluation.curves()
    assert curves is not None
    assert (curves.precision[0, 0], curves.recall[0, 0]) == (0.5, 1.0)


def test_confusion_pairs_the_most_confident_with_what_it_overlaps_most() -> None:
    evaluation = CocoEvaluation(NAMES)
    # The first cat is taken for a dog (0.9) and, less surely, for a cat, which then has nothing left to be.
    boxes = np.concatenate((BOXES[[0]], BOXES[[0]], BOXES[[1]], [[150, 0, 190, 9]], BOXES[[2]]))
    evaluation.add((200, 150), BOXES, CLASSES, found(boxes, [0.9, 0.5, 0.8, 0.6, 0.24], [1, 0, 1, 2, 0]))
    evaluation.add((200, 150), BOXES[:0], CLASSES[:0], found(BOXES[:1], [0.9], [2]))
    evaluation.add((200, 150), BOXES[:1], CLASSES[:1], Detections.empty(NAMES))
    assert evaluation.confusion().counts.tolist() == [[0, 1, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 2, 0]]


def test_results_have_the_datas_own_ids() -> None:
    evaluation = CocoEvaluation(NAMES)
    for image_id in (139, "street"):
        evaluation.add((200, 150), BOXES, CLASSES, found(BOXES, [0.9, 0.8, 0.7], [0, 1, 2]), image_id=image_id)
    results = evaluation.results([17, 18, -1])
    assert [(item["image_id"], item["category_id"]) for item in results] == [
        (139, 17),
        (139, 18),
        ("street", 17),
        ("street", 18),
    ]
    assert results[1]["bbox"] == [60, 10, 140, 140] and results[1]["score"] == 0.8
    assert [item["category_id"] for item in evaluation.results()] == [0, 1, 2, 0, 1, 2]


def test_classes_of_one_name_stay_apart() -> None:
    evaluation = CocoEvaluation(("cat", "cat"))
    evaluation.add((200, 150), BOXES, CLASSES, found(BOXES[[1]], [0.9], [1]))
    by_class = evaluation.accuracy().by_class
    assert by_class["cat (0)"].map50 == 0 and by_class["cat (1)"].map50 == pytest.approx(1)


def test_nothing_found_has_no_curves_but_a_confusion() -> None:
    evaluation = CocoEvaluation(NAMES)
    evaluation.add((200, 150), BOXES, CLASSES, Detections.empty(NAMES))
    assert evaluation.curves() is None
    assert evaluation.confusion().counts[:, -1].tolist() == [2, 1, 0, 0]
    assert CocoEvaluation(NAMES).accuracy().map50 is None
