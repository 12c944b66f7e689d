"""Masks, keypoints, rotated boxes and classes, against definitions written down in plain loops in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.config import DetectConfig
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Candidates, suppress, to_detections
from keepbusy.postprocess.obb import rotated_to_frame
from keepbusy.values.detections import Detections
from keepbusy.values.forms import Family, OutputForm, Task
from tests.test_masks import CELL_PX, INPUT_HW, full_logits, inside

NAMES = ("a", "b", "c")
FRAME_HW = (150, 230)
NUM_CELLS = sum((INPUT_HW[0] // stride) * (INPUT_HW[1] // stride) for stride in (8, 16, 32))
NUM_PROTOTYPES = 8

Box = tuple[float, ...]
Found = tuple[Box, float, int, NDArray[np.float64]]
"""Centre and size, confidence, class, what the task adds."""

Overlap = Callable[[Found, Found], float]


def random_cells(
    seed: int, num_extra: int, num_cells: int = NUM_CELLS
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (cx, cy, w, h) that crowd around few places, class scores of which few are high, and extra numbers."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((0, 0), INPUT_HW[::-1], (6, 2))
    centres = places[rng.integers(0, 6, num_cells)] + rng.normal(0, 6, (num_cells, 2))
    boxes = np.concatenate((centres, rng.uniform(6, 60, (num_cells, 2))), axis=1)
    scores = rng.uniform(0, 1, (num_cells, len(NAMES))) ** 3 * rng.choice([0.1, 1], (num_cells, 1), p=[0.7, 0.3])
    extra = rng.normal(size=(num_cells, num_extra))
    return boxes.astype(np.float32), scores.astype(np.float32), extra.astype(np.float32)


def prototypes_of(seed: int) -> NDArray[np.float32]:
    shape = (1, NUM_PROTOTYPES, INPUT_HW[0] // CELL_PX, INPUT_HW[1] // CELL_PX)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def candidates_of(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], extra: NDArray[np.float32], conf: float = 0.25
) -> list[Found]:
    """Each cell's best class, where it passes the threshold, most confident first."""
    found: list[Found] = []
    for box, row, more in zip(boxes.astype(float), scores, extra.astype(float), strict=True):
        class_id = int(np.argmax(row))
        if row[class_id] > conf:
            found.append((tuple(box), float(row[class_id]), class_id, more))
    return sorted(found, key=lambda one: -one[1])


def keep_greedily(found: list[Found], overlap: Overlap, iou: float = 0.45, *, agnostic: bool = False) -> list[Found]:
    kept: list[Found] = []
    for one in found:
        if all((one[2] != better[2] and not agnostic) or overlap(one, better) <= iou for better in kept):
            kept.append(one)
    return kept


def upright_iou(one: Found, other: Found) -> float:
    (ax, ay, aw, ah), (bx, by, bw, bh) = one[0], other[0]
    width = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    height = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (aw * ah + bw * bh - shared)


def hellinger_iou(one: Found, other: Found) -> float:
    """ProbIoU from the textbook: covariance matrices, their determinants and inverses."""

    def gaussian(found: Found) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        cx, cy, width, height = found[0]
        angle = float(found[3][0])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return np.array([cx, cy]), turn @ np.diag([width**2 / 12, height**2 / 12]) @ turn.T

    (mean_a, cov_a), (mean_b, cov_b) = gaussian(one), gaussian(other)
    middle = (cov_a + cov_b) / 2
    apart = mean_a - mean_b
    bhattacharyya = float(apart @ np.linalg.inv(middle) @ apart) / 8 + 0.5 * math.log(
        np.linalg.det(middle) / math.sqrt(np.linalg.det(cov_a) * np.linalg.det(cov_b))
    )
    return 1 - math.sqrt(max(0.0, 1 - math.exp(-bhattacharyya)))


def pack(
    family: Family, task: Task, boxes: NDArray[np.float32], scores: NDArray[np.float32], extra: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The output of a family that says this."""
    if family == "yolov8":
        return np.ascontiguousarray(np.concatenate((boxes, scores, extra), axis=1).T)[None]
    if family == "yolov5":
        objectness = np.full((len(boxes), 1), 0.5, np.float32)
        return np.concatenate((boxes, objectness, scores * 2, extra), axis=1)[None]
    half = boxes[:, 2:] / 2
    placed = boxes if task == "obb" else np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    best = scores.argmax(axis=1)[:, None].astype(np.float32)
    return np.concatenate((placed, scores.max(axis=1, keepdims=True), best, extra), axis=1)[None]


def kept_of(family: Family, found: list[Found], overlap: Overlap, *, agnostic: bool = False) -> list[Found]:
    """What stays: end-to-end models have suppressed already."""
    return found if family == "yolov10" else keep_greedily(found, overlap, agnostic=agnostic)


def to_frame(x: float, y: float, frame_hw: tuple[int, int] = FRAME_HW) -> tuple[float, float]:
    """A point of the letterboxed input in the frame."""
    scale = min(INPUT_HW[0] / frame_hw[0], INPUT_HW[1] / frame_hw[1])
    left = (INPUT_HW[1] - round(frame_hw[1] * scale)) // 2
    top = (INPUT_HW[0] - round(frame_hw[0] * scale)) // 2
    return (x - left) / scale, (y - top) / scale


def check_boxes(detections: Detections, kept: list[Found]) -> None:
    assert len(kept) > 5
    assert detections.class_id.tolist() == [one[2] for one in kept]
    np.testing.assert_allclose(detections.confidence, [one[1] for one in kept], rtol=1e-6)
    height, width = FRAME_HW
    for box, (cx, cy, w, h) in zip(detections.boxes_xyxy, [one[0] for one in kept], strict=True):
        corners = np.array([*to_frame(cx - w / 2, cy - h / 2), *to_frame(cx + w / 2, cy + h / 2)])
        np.testing.assert_allclose(box, corners.clip(0, [width, height, width, height]), atol=2e-3)


def check_masks(detections: Detections, kept: list[Found], prototypes: NDArray[np.float32]) -> None:
    check_boxes(detections, kept)
    assert detections.masks is not None
    logits = full_logits(np.array([one[3] for one in kept], np.float32), prototypes, FRAME_HW, "letterbox")
    for mask, plane, box in zip(detections.masks.to_array(), logits, detections.boxes_xyxy, strict=True):
        is_clear = np.abs(plane) > 1e-4
        np.testing.assert_array_equal(mask[is_clear], ((plane > 0) & inside(box, FRAME_HW))[is_clear])
        assert is_clear.mean() > 0.99


def check_keypoints(detections: Detections, kept: list[Found], num_values: int) -> None:
    check_boxes(detections, kept)
    assert detections.keypoints is not None and detections.keypoints.dtype == np.float32
    expected = []
    for one in kept:
        numbers = one[3].reshape(-1, num_values)
        expected.append([(*to_frame(row[0], row[1]), row[2] if num_values == 3 else 1.0) for row in numbers])
    np.testing.assert_allclose(detections.keypoints, expected, rtol=1e-5, atol=2e-3)


def check_rotated(detections: Detections, kept: list[Found]) -> None:
    assert len(kept) > 5
    assert detections.class_id.tolist() == [one[2] for one in kept]
    assert detections.boxes_xywhr is not None and detections.boxes_xyxyxyxy is not None
    angles = detections.boxes_xywhr[:, 4]
    assert (angles >= 0).all() and (angles < math.pi / 2).all()
    height, width = FRAME_HW
    for corners, upright, one in zip(detections.boxes_xyxyxyxy, detections.boxes_xyxy, kept, strict=True):
        (cx, cy, w, h), angle = one[0], float(one[3][0])
        expected = []
        for along, across in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)):
            x = cx + along * math.cos(angle) - across * math.sin(angle)
            y = cy + along * math.sin(angle) + across * math.cos(angle)
            expected.append(to_frame(x, y))
        # The same four corners, wherever the way around begins and in whichever direction it goes.
        apart = np.linalg.norm(corners[:, None] - np.array(expected)[None], axis=2)
        assert (apart.min(axis=0) < 5e-3).all() and (apart.min(axis=1) < 5e-3).all()
        x, y = np.array(expected).T
        box = np.array([x.min(), y.min(), x.max(), y.max()]).clip(0, [width, height, width, height])
        np.testing.assert_allclose(upright, box, atol=5e-3)
        # In order around it: neighbours are a side apart, never a diagonal.
        sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
        np.testing.assert_allclose(sides, np.roll(sides, 2), rtol=1e-3, atol=1e-3)


def run(outputs: tuple[NDArray[np.float32], ...], form: OutputForm, config: DetectConfig | None = None) -> Detections:
    return to_detections(outputs, Letterbox.fit(FRAME_HW, INPUT_HW), form, config or DetectConfig(), NAMES)


@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolov10"])
def test_masks_of_every_family(family: Family) -> None:
    boxes, scores, extra = random_cells(1, NUM_PROTOTYPES)
    prototypes = prototypes_of(1)
    form = OutputForm(family, "segment", (0, 1), len(NAMES), num_coefficients=NUM_PROTOTYPES)
    detections = run((pack(family, "segment", boxes, scores, extra), prototypes), form)
    check_masks(detections, kept_of(family, candidates_of(boxes, scores, extra), upright_iou), prototypes)


@pytest.mark.parametrize("family", ["yolov8", "yolov10"])
@pytest.mark.parametrize("keypoints", [(17, 3), (5, 2)])
def test_keypoints_of_every_family(family: Family, keypoints: tuple[int, int]) -> None:
    boxes, scores, extra = random_cells(2, keypoints[0] * keypoints[1])
    extra *= 100
    form = OutputForm(family, "pose", (0,), len(NAMES), keypoints=keypoints)
    detections = run((pack(family, "pose", boxes, scores, extra),), form)
    check_keypoints(detections, kept_of(family, candidates_of(boxes, scores, extra), upright_iou), keypoints[1])


@pytest.mark.parametrize("family", ["yolov8", "yolov10"])
@pytest.mark.parametrize("agnostic", [False, True])
def test_rotated_boxes_of_every_family(family: Family, agnostic: bool) -> None:
    boxes, scores, extra = random_cells(3, 1)
    extra *= 3
    form = OutputForm(family, "obb", (0,), len(NAMES))
    output = pack(family, "obb", boxes, scores, extra)
    detections = run((output,), form, DetectConfig(agnostic_nms=agnostic))
    check_rotated(detections, kept_of(family, candidates_of(boxes, scores, extra), hellinger_iou, agnostic=agnostic))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    iou=st.sampled_from([0.05, 0.3, 0.45, 0.9]),
    max_det=st.sampled_from([1, 4, 300]),
    agnostic=st.booleans(),
)
def test_rotated_suppression_agrees_with_the_textbook(seed: int, iou: float, max_det: int, agnostic: bool) -> None:
    boxes, scores, extra = random_cells(seed, 1, 40)
    extra *= 3
    scores = scores.clip(0.26)
    found = candidates_of(boxes, scores, extra)
    expected = keep_greedily(found, hellinger_iou, iou, agnostic=agnostic)[:max_det]
    config = DetectConfig(iou=iou, max_det=max_det, agnostic_nms=agnostic)
    form = OutputForm("yolov8", "obb", (0,), len(NAMES))
    detections = run((pack("yolov8", "obb", boxes, scores, extra),), form, config)
    np.testing.assert_allclose(detections.confidence, [one[1] for one in expected], rtol=1e-6)


def test_rotated_boxes_without_width_are_no_trouble() -> None:
    boxes = np.array([[50, 50, 0, 30], [50, 50, 0, 30], [50, 50, 0, 0], [90, 50, 1e-30, 1e4]], np.float32)
    scores = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]], np.float32)
    angles = np.array([[0.3], [0.3], [1], [-40]], np.float32)
    form = OutputForm("yolov8", "obb", (0,), len(NAMES))
    detections = run((pack("yolov8", "obb", boxes, scores, angles),), form)
    assert detections.confidence.tolist() == [np.float32(0.9), np.float32(0.7), np.float32(0.6)]
    assert np.isfinite(detections.boxes_xyxy).all()


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        (0.0, (20, 10, 0.0)),
        (0.5, (20, 10, 0.5)),
        (math.pi / 2, (10, 20, 0.0)),
        (2.0, (10, 20, 2.0 - math.pi / 2)),
        (-0.5, (10, 20, math.pi / 2 - 0.5)),
        (math.pi, (20, 10, 0.0)),
        (-1e-9, (20, 10, 0.0)),
        (-7 * math.pi - 0.25, (10, 20, math.pi / 2 - 0.25)),
    ],
)
def test_angles_lie_in_the_first_quarter(angle: float, expected: tuple[float, float, float]) -> None:
    letterbox = Letterbox.fit(INPUT_HW, INPUT_HW)
    box = np.array([[40, 45, 60, 55]], np.float32)
    found = rotated_to_frame(box, np.array([angle], np.float32), letterbox)[0]
    np.testing.assert_allclose(found, (50, 50, *expected), atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, 2.5])
def test_a_stretched_rotated_box_keeps_its_direction_and_area(angle: float) -> None:
    letterbox = Letterbox.fit((300, 200), INPUT_HW, "stretch")
    box = np.array([[30, 40, 70, 50]], np.float32)
    cx, cy, width, height, turn = rotated_to_frame(box, np.array([angle], np.float32), letterbox)[0].tolist()
    stretch_x, stretch_y = 200 / INPUT_HW[1], 300 / INPUT_HW[0]
    assert (cx, cy) == pytest.approx((50 * stretch_x, 45 * stretch_y))
    assert width * height == pytest.approx(400 * stretch_x * stretch_y, rel=1e-4)
    along = (math.cos(angle) * stretch_x, math.sin(angle) * stretch_y)
    assert max(width, height) == pytest.approx(
        max(40 * math.hypot(*along), 400 * stretch_x * stretch_y / (40 * math.hypot(*along))), rel=1e-4
    )
    assert math.remainder(turn - math.atan2(along[1], along[0]), math.pi / 2) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("is_logits", [False, True])
def test_classes_of_the_whole_picture(is_logits: bool) -> None:
    scores = np.array([[1.5, -2.0, 300.0, 299.0]] if is_logits else [[0.2, 0.1, 0.6, 0.1]], np.float32)
    form = OutputForm("yolov5", "classify", (0,), 4, is_logits=is_logits)
    letterbox = Letterbox.fit(FRAME_HW, (64, 64), "crop")
    found = to_detections((scores,), letterbox, form, DetectConfig(conf=0.9), ("a", "b", "c", "d"))
    assert len(found) == 0 and found.boxes_xyxy.shape == (0, 4)
    expected = [0.0, 0.0, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))] if is_logits else scores[0].tolist()
    assert found.probabilities is not None and found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-7)
    class_id, probability = found.top(2)[0]
    assert class_id == 2 and probability == pytest.approx(expected[2])
    assert [class_id for class_id, _ in found.top(9)] == ([2, 3, 0, 1] if is_logits else [2, 0, 1, 3])
    assert found.top(0) == [] and Detections.empty(NAMES).top() == []
    # The device's memory is not kept.
    scores[:] = 0
    assert found.probabilities[2] > 0.5


def test_numbers_that_are_not_finite_are_an_error() -> None:
    form = OutputForm("yolov8", "classify", (0,), 3)
    with pytest.raises(ValueError, match="not finite"):
        run((np.array([[0.1, np.nan, 0.2]], np.float32),), form)


def test_extra_numbers_that_make_no_keypoints_are_an_error() -> None:
    boxes, scores, extra = random_cells(4, 7)
    half = np.concatenate((boxes[:, :2], boxes[:, 2:]), axis=1)
    form = OutputForm("yolov10", "pose", (0,), len(NAMES), keypoints=(5, 3))
    with pytest.raises(ValueError, match="7 numbers a detection do not make 5 keypoints"):
        run((pack("yolov10", "pose", half, scores, extra),), form)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("max_det", [20, 10_000])
def test_the_suppression_of_many_is_that_of_few(agnostic: bool, max_det: int) -> None:
    # Above some thousands another way is taken: both must keep the same.
    rng = np.random.default_rng(0)
    num = 4_000
    centres = rng.uniform(0, 3000, (100, 2))[rng.integers(0, 100, num)] + rng.normal(0, 5, (num, 2))
    sides = rng.uniform(10, 60, (num, 2))
    boxes = np.concatenate((centres - sides / 2, centres + sides / 2), axis=1).astype(np.float32)
    confidence = rng.uniform(0.25, 1, num).astype(np.float32)
    class_id = rng.integers(0, 3, num)
    config = DetectConfig(max_det=max_det, agnostic_nms=agnostic)
    kept = suppress(Candidates(boxes, confidence, class_id, np.zeros((num, 0), np.float32)), config)
    xywh = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).astype(np.float64)
    if not agnostic:
        xywh[:, 0] += class_id * 10_000
    expected = np.array(cv2.dnn.NMSBoxes(xywh.tolist(), confidence.tolist(), 0.0, config.iou), np.intp)[:max_det]
    np.testing.assert_array_equal(kept.confidence, confidence[expected])


def test_supervision_gets_masks_corners_and_keypoints() -> None:
    supervision = pytest.importorskip("supervision")
    boxes, scores, extra = random_cells(1, NUM_PROTOTYPES)
    form = OutputForm("yolov8", "segment", (0, 1), len(NAMES), num_coefficients=NUM_PROTOTYPES)
    segmented = run((pack("yolov8", "segment", boxes, scores, extra), prototypes_of(1)), form)
    assert segmented.masks is not None
    theirs = segmented.to_supervision()
    np.testing.assert_array_equal(theirs.mask, segmented.masks.to_array())
    rotated = run((pack("yolov8", "obb", boxes, scores, extra[:, :1]),), OutputForm("yolov8", "obb", (0,), len(NAMES)))
    theirs = rotated.to_supervision()
    np.testing.assert_array_equal(theirs.data["xyxyxyxy"], rotated.boxes_xyxyxyxy)
    picture = supervision.OrientedBoxAnnotator().annotate(np.zeros((*FRAME_HW, 3), np.uint8), theirs)
    assert picture.any()
    form = OutputForm("yolov8", "pose", (0,), len(NAMES), keypoints=(2, 3))
    posed = run((pack("yolov8", "pose", boxes, scores, extra[:, :6]),), form)
    points = posed.to_supervision_keypoints()
    assert posed.keypoints is not None
    np.testing.assert_array_equal(points.xy, posed.keypoints[..., :2])
    np.testing.assert_array_equal(points.keypoint_confidence, posed.keypoints[..., 2])
    assert points.data["class_name"].tolist() == [posed.name(index) for index in range(len(posed))]
    with pytest.raises(ValueError, match="no keypoints"):
        rotated.to_supervision_keypoints()


def save_graph(
    path: Path, rows: NDArray[np.float32], scores: slice, others: tuple[NDArray[np.float32], ...], words: dict[str, str]
) -> Path:
    """A model whose output is given, with scores times the picture's brightest value: nothing for a black one.

    Args:
        path: Where to write it.
        rows: (1, numbers, cells), or (1, classes).
        scores: Which of the numbers are scores.
        others: Further outputs, as they are.
        words: Its metadata.
    """
    image = ops.parameter([1, 3, *INPUT_HW], np.float32, name="images")
    brightest = ops.reduce_max(image, np.array([1, 2, 3]), keep_dims=False)
    before, scored, after = rows[:, : scores.start], rows[:, scores], rows[:, scores.stop :]
    parts = [ops.constant(part) for part in (before, after)]
    column = ops.reshape(brightest, np.array([1] * rows.ndim), special_zero=False)
    lit = ops.multiply(ops.constant(np.ascontiguousarray(scored)), column)
    joined = [part for part in (parts[0], lit, parts[1]) if 0 not in part.shape]
    outputs = [
        ops.concat(joined, axis=1),
        *(ops.add(ops.constant(other), ops.multiply(brightest, ops.constant(np.float32(0)))) for other in others),
    ]
    model = ov.Model(outputs, [image], "task")
    for key, value in words.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_each_task_from_the_picture_to_the_result(tmp_path: Path, task: Task) -> None:
    num_extra = {"segment": NUM_PROTOTYPES, "pose": 51, "obb": 1}[task]
    boxes, scores, extra = random_cells(6, num_extra)
    prototypes = prototypes_of(6)
    words = {"task": task, "names": str(dict(enumerate(NAMES))), "stride": "32"} | (
        {"kpt_shape": "[17, 3]"} if task == "pose" else {}
    )
    others = (prototypes,) if task == "segment" else ()
    rows = pack("yolov8", task, boxes, scores, extra)
    detector = kb.Detector(
        save_graph(tmp_path / "m.xml", rows, slice(4, 4 + len(NAMES)), others, words), precision="f32"
    )
    detections = detector(np.full((*FRAME_HW, 3), 255, np.uint8))
    found = candidates_of(boxes, scores, extra)
    if task == "segment":
        check_masks(detections, keep_greedily(found, upright_iou), prototypes)
    elif task == "pose":
        check_keypoints(detections, keep_greedily(found, upright_iou), 3)
    else:
        check_rotated(detections, keep_greedily(found, hellinger_iou))
    assert detections.names == NAMES
    assert len(detector(np.zeros((*FRAME_HW, 3), np.uint8))) == len(found_in_grey(task, boxes, scores, extra))


def found_in_grey(
    task: Task, boxes: NDArray[np.float32], scores: NDArray[np.float32], extra: NDArray[np.float32]
) -> list[Found]:
    """What is left of a black picture: the bars of the letterbox are grey, 114 of 255."""
    dimmed = (scores * np.float32(114 / 255)).astype(np.float32)
    return keep_greedily(candidates_of(boxes, dimmed, extra), hellinger_iou if task == "obb" else upright_iou)


def test_a_classifier_from_the_picture_to_the_result(tmp_path: Path) -> None:
    words = {"task": "classify", "names": str(dict(enumerate(NAMES)))}
    scores = np.array([[0.25, 0.7, 0.05]], np.float32)
    detector = kb.Detector(save_graph(tmp_path / "m.xml", scores, slice(0, 3), (), words), precision="f32")
    found = detector(np.full((*FRAME_HW, 3), 255, np.uint8))
    assert found.probabilities is not None and len(found) == 0
    assert [class_id for class_id, _ in found.top()] == [1, 0, 2]
