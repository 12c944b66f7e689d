"""Matching of two answers to one frame, against exhaustive search and against cases worked out by hand."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from keepbusy.values.compare import MIN_IOU, ONE_FRAME, Limits, agree, box_overlaps, floor_of, match, total
from keepbusy.values.detections import Detections
from keepbusy.values.masks import Masks
from tests.reference import overlap

NAMES = ("person", "car", "bus")


def found(*rows: tuple[float, ...], **more: object) -> Detections:
    """Detections from (left, top, right, bottom, confidence, class)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), NAMES, **more)  # type: ignore[arg-type]


def moved(detections: Detections, dx: float, dy: float = 0.0, *, score: float = 0.0) -> Detections:
    boxes = detections.boxes_xyxy + np.array((dx, dy, dx, dy), np.float32)
    confidence = (detections.confidence + score).astype(np.float32)
    return Detections(boxes, confidence, detections.class_id, NAMES)


STREET = found(
    *((10, 10, 50, 90, 0.9, 0), (45, 12, 80, 95, 0.8, 0), (200, 40, 300, 100, 0.7, 1), (210, 45, 305, 110, 0.6, 2))
)


def test_an_answer_agrees_with_itself_in_full() -> None:
    same = agree(STREET, STREET)
    assert (same.num_reference, same.num_candidate, len(same.missing), len(same.extra)) == (4, 4, 0, 0)
    assert same.iou.tolist() == [1.0] * 4 and same.drift.tolist() == [0.0] * 4
    assert same.problems(Limits()) == [] and same.badness == 0 and same.is_agreed


def test_matching_is_the_best_assignment_where_boxes_are_in_no_doubt() -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        corners = rng.integers(0, 6, (4, 2)) * 40
        boxes = np.hstack((corners, corners + 30)).astype(np.float32)
        boxes = np.unique(boxes, axis=0)
        order = rng.permutation(len(boxes))
        shaken = boxes[order] + rng.uniform(-2, 2, boxes.shape).astype(np.float32)
        table = np.array([[overlap(tuple(a), tuple(b)) for b in shaken.tolist()] for a in boxes.tolist()])
        best = max(
            itertools.permutations(range(len(boxes))), key=lambda columns: sum(table[range(len(boxes)), columns])
        )
        assert match(table).tolist() == [[row, column] for row, column in enumerate(best)]


def test_matching_takes_the_closest_first_and_each_box_once() -> None:
    table = np.array([[0.9, 0.8, 0.0], [0.95, 0.0, 0.0], [0.0, MIN_IOU - 0.01, 0.6]])
    assert match(table).tolist() == [[0, 1], [1, 0], [2, 2]]
    assert match(np.array([[0.7, 0.7], [0.7, 0.7]])).tolist() == [[0, 0], [1, 1]]
    assert match(np.empty((0, 3))).shape == (0, 2)


def test_overlaps_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 50, (9, 2))
    boxes = np.hstack((corners, corners + rng.uniform(0, 40, (9, 2)), np.full((9, 2), 0.5)))
    a, b = found(*boxes[:5].tolist()), found(*boxes[5:].tolist())
    expected = [[overlap(tuple(one), tuple(other)) for other in b.boxes_xyxy.tolist()] for one in a.boxes_xyxy.tolist()]
    np.testing.assert_allclose(box_overlaps(a, b), expected, atol=1e-6)
    flat = found((5, 5, 5, 9, 0.5, 0), (7, 5, 7, 9, 0.5, 0), (5, 5, 9, 9, 0.5, 0))
    assert box_overlaps(flat, flat).tolist() == np.eye(3).tolist()


def test_other_classes_do_not_match_and_are_named_as_such() -> None:
    other = Detections(STREET.boxes_xyxy, STREET.confidence, np.array([0, 0, 2, 2]), NAMES)
    result = agree(STREET, other)
    assert (result.missing.tolist(), result.extra.tolist(), result.num_class_changes) == ([2], [2], 1)
    assert (result.found_share, result.backed_share) == (0.75, 0.75)


def test_what_flickers_at_the_threshold_is_no_difference() -> None:
    sure, faint, fainter = ((10, 10, 50, 90, c, 0) for c in (0.26, 0.24, floor_of(0.25) - 0.01))
    assert agree(found(sure), found(faint)).problems(Limits()) == []
    appeared = agree(found(faint), found(sure))
    assert (appeared.num_reference, appeared.num_candidate, len(appeared.extra)) == (0, 1, 0)
    assert agree(found(sure), found(fainter)).missing.tolist() == [0]
    # Pairs that are below the threshold on both sides say nothing.
    assert agree(found(faint), found(faint)).iou.size == 0


@pytest.mark.parametrize(
    ("reference", "candidate", "is_empty", "is_agreed"),
    [
        (Detections.empty(), Detections.empty(), True, True),
        (STREET, Detections.empty(), False, False),
        (Detections.empty(), STREET, True, False),
    ],
)
def test_empty_answers(reference: Detections, candidate: Detections, is_empty: bool, is_agreed: bool) -> None:
    result = agree(reference, candidate)
    assert (result.is_empty, result.is_agreed) == (is_empty, is_agreed)
    assert len(result.missing) == len(reference) and len(result.extra) == len(candidate)
    assert bool(result.problems(Limits())) is not is_agreed


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (moved(STREET, 25), "missing"),
        (moved(STREET, 6, 6), "boxes differ"),
        (moved(STREET, 0, score=-0.2), "scores differ"),
        (Detections.empty(), "finds nothing"),
    ],
)
def test_wrong_answers_to_one_frame_are_told_from_roundings(candidate: Detections, words: str) -> None:
    result = agree(STREET, candidate)
    assert not result.is_agreed
    assert words in " ".join(result.problems(ONE_FRAME))


def test_roundings_of_one_frame_agree() -> None:
    assert agree(STREET, moved(STREET, 0.4, -0.3, score=0.02)).is_agreed
    np.testing.assert_allclose(agree(STREET, moved(STREET, 2, -1)).offset_px, [(2, -1)] * 4, atol=1e-4)


def test_frames_add_up() -> None:
    parts = [agree(STREET, moved(STREET, 1)), agree(STREET, found()), agree(found(), STREET)]
    whole = total(parts)
    assert (whole.num_reference, whole.num_candidate, len(whole.missing), len(whole.extra)) == (8, 8, 4, 4)
    assert whole.iou.tolist() == parts[0].iou.tolist()
    assert (parts[0] + parts[1]).found_share == 0.5
    assert total([]).is_empty


def rotated(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32)
    reach = np.hypot(table[:, 2], table[:, 3])[:, None] / 2
    boxes = np.hstack((table[:, :2] - reach, table[:, :2] + reach))
    return found(*np.hstack((boxes, np.full((len(rows), 1), 0.9), np.zeros((len(rows), 1)))), boxes_xywhr=table)


def drawn_overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """By counting points of a fine grid inside both, from the definition of a rotation."""
    y, x = np.mgrid[0:100:0.1, 0:100:0.1]

    def inside(box: tuple[float, ...]) -> NDArray[np.bool_]:
        cx, cy, w, h, angle = box
        along = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
        across = -(x - cx) * math.sin(angle) + (y - cy) * math.cos(angle)
        is_inside: NDArray[np.bool_] = (np.abs(along) <= w / 2) & (np.abs(across) <= h / 2)
        return is_inside

    one, other = inside(a), inside(b)
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("turn", [0.0, 0.3, math.pi / 2])
def test_rotated_boxes_overlap_with_their_rotation(turn: float) -> None:
    a, b = (50.0, 50.0, 60.0, 20.0, 0.5), (51.0, 50.0, 58.0, 21.0, 0.5 + turn)
    assert box_overlaps(rotated(a), rotated(b))[0, 0] == pytest.approx(drawn_overlap(a, b), abs=0.005)
    assert agree(rotated(a), rotated(b)).is_agreed == (turn == 0.0)


def masks_of(*pictures: NDArray[np.uint8], boxes: NDArray[np.float32]) -> Masks:
    """Masks whose cells are the frame's pixels, inside where the picture is above 0."""
    logits = tuple(np.where(picture > 0, 4.0, -4.0).astype(np.float32) for picture in pictures)
    return Masks(logits, np.zeros((len(pictures), 2), np.int32), (1.0, 1.0), (0.0, 0.0), boxes, pictures[0].shape[:2])


def test_masks_are_compared_pixel_by_pixel() -> None:
    disc, shifted = (np.zeros((100, 100), np.uint8) for _ in range(2))
    cv2.circle(disc, (50, 50), 30, 255, cv2.FILLED)
    cv2.circle(shifted, (56, 50), 30, 255, cv2.FILLED)
    box = np.array([[20, 20, 81, 81]], np.float32)
    plain = found((20, 20, 81, 81, 0.9, 0))
    sides = [
        Detections(plain.boxes_xyxy, plain.confidence, plain.class_id, NAMES, masks=masks_of(picture, boxes=box))
        for picture in (disc, shifted)
    ]
    inside = [picture.copy() for picture in (disc, shifted)]
    for picture in inside:
        picture[:, 81:] = 0  # A mask ends where its box does.
    expected = float(((inside[0] > 0) & (inside[1] > 0)).sum() / ((inside[0] > 0) | (inside[1] > 0)).sum())
    result = agree(*sides)
    assert result.mask_iou.tolist() == pytest.approx([expected], abs=1e-6)
    assert agree(sides[0], sides[0]).mask_iou.tolist() == [1.0]
    assert "masks differ" in " ".join(result.problems(Limits()))


def test_keypoints_are_compared_by_their_distance_as_a_share_of_the_box() -> None:
    points = np.array([[[15, 20, 0.9], [45, 80, 0.8], [0, 0, 0.1]]], np.float32)
    off = points + np.array([[[3, 4, 0], [0, 0, 0], [90, 90, 0.8]]], np.float32)
    box = (10, 10, 40, 50, 0.9, 0)
    result = agree(found(box, keypoints=points), found(box, keypoints=off))
    # Distances 5 and 0, the invisible one does not count; the box's diagonal is 50.
    assert result.keypoint_error.tolist() == pytest.approx([2.5 / 50])
    assert result.problems(Limits()) == []
    far = agree(found(box, keypoints=points), found(box, keypoints=points + np.float32(10) * (points[..., 2:] > 0)))
    assert "keypoints differ" in " ".join(far.problems(Limits()))


def classified(*probabilities: float) -> Detections:
    nothing = Detections.empty(NAMES)
    return Detections(
        *(nothing.boxes_xyxy, nothing.confidence, nothing.class_id, NAMES),
        probabilities=np.array(probabilities, np.float32),
    )


@pytest.mark.parametrize(
    ("candidate", "is_agreed"),
    [((0.79, 0.11, 0.1), True), ((0.2, 0.7, 0.1), False), ((0.0, 0.0, 0.0), False), ((0.6, 0.2, 0.2), False)],
)
def test_classification_compares_the_best_class(candidate: tuple[float, ...], is_agreed: bool) -> None:
    assert agree(classified(0.8, 0.1, 0.1), classified(*candidate)).is_agreed == is_agreed


def test_a_class_that_the_reference_hardly_prefers_may_change() -> None:
    assert agree(classified(0.41, 0.40, 0.19), classified(0.40, 0.41, 0.19)).is_agreed
