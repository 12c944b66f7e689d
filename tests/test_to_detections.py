from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Candidates, suppress, to_detections
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm
from tests import reference

NAMES = tuple("abc")
FORM = OutputForm("yolov5", "detect", (0,), len(NAMES))


def decode_yolov5(
    output: NDArray[np.float32], letterbox: Letterbox, config: DetectConfig, names: tuple[str, ...]
) -> Detections:
    return to_detections((output,), letterbox, FORM, config, names)


def candidates(boxes: NDArray[np.float32], confidence: NDArray[np.float32], class_id: NDArray[np.int64]) -> Candidates:
    return Candidates(boxes, confidence, class_id, np.empty((len(confidence), 0), np.float32))


def random_output(seed: int, num_rows: int = 60) -> np.ndarray:
    """Rows whose boxes crowd around few places, so that suppression has work to do, and leave the input."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 64, (5, 2))[rng.integers(0, 5, num_rows)] + rng.normal(0, 4, (num_rows, 2))
    sizes = rng.uniform(4, 40, (num_rows, 2))
    probabilities = rng.uniform(0, 1, (num_rows, 4))
    return np.concatenate((centres, sizes, probabilities), axis=1, dtype=np.float32)[None]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    conf=st.sampled_from([0.0, 0.1, 0.25, 0.6]),
    iou=st.sampled_from([0.0, 0.3, 0.45, 0.9]),
    max_det=st.sampled_from([1, 5, 300]),
    agnostic=st.booleans(),
    frame_wh=st.tuples(st.integers(1, 900), st.integers(1, 900)),
)
def test_agrees_with_the_definition(
    seed: int, conf: float, iou: float, max_det: int, agnostic: bool, frame_wh: tuple[int, int]
) -> None:
    output = random_output(seed)
    frame_hw = (frame_wh[1], frame_wh[0])
    expected = reference.detect(output, frame_hw, (64, 64), conf=conf, iou=iou, max_det=max_det, agnostic=agnostic)
    config = DetectConfig(conf=conf, iou=iou, max_det=max_det, agnostic_nms=agnostic)
    found = decode_yolov5(output, Letterbox.fit(frame_hw, (64, 64)), config, NAMES)
    assert found.class_id.tolist() == [class_id for class_id, _, _ in expected]
    np.testing.assert_allclose(found.confidence, [confidence for _, confidence, _ in expected], rtol=1e-6)
    # float32 holds 24 bits: a coordinate up to 900 px carries a rounding of 2**-14 px, scaled up with the frame.
    np.testing.assert_allclose(found.boxes_xyxy, np.array([box for _, _, box in expected]).reshape(-1, 4), atol=2e-3)
    assert found.boxes_xyxy.dtype == np.float32 and found.class_id.dtype == np.int64


def test_multi_label_keeps_every_class_of_a_row() -> None:
    output = random_output(3)
    config = DetectConfig(conf=0.2, iou=1.0, max_det=300, multi_label=True)
    found = decode_yolov5(output, Letterbox.fit((64, 64), (64, 64)), config, NAMES)
    expected = sorted(
        (float(np.float32(row[4]) * np.float32(row[5 + class_id])) for row in output[0] for class_id in range(3)),
        reverse=True,
    )
    expected = [value for value in expected if value > np.float32(0.2)]
    assert len(found) == len(expected) > 60
    np.testing.assert_allclose(found.confidence, expected, rtol=1e-6)


def test_only_the_wanted_classes() -> None:
    output = random_output(1)
    letterbox = Letterbox.fit((64, 64), (64, 64))
    every = decode_yolov5(output, letterbox, DetectConfig(), NAMES)
    some = decode_yolov5(output, letterbox, DetectConfig(classes=(0, 2)), NAMES)
    wanted = np.isin(every.class_id, (0, 2))
    assert 0 < wanted.sum() < len(every)
    np.testing.assert_array_equal(some.boxes_xyxy, every.boxes_xyxy[wanted])


def test_classes_never_suppress_each_other_even_across_the_left_edge() -> None:
    # Batched suppression moves classes apart by shifting them: boxes that leave the input must not meet there.
    boxes = np.array([[560, 0, 660, 100], [-100, 0, 0, 100], [-90, 0, 10, 100]], np.float32)
    confidence = np.array([0.9, 0.8, 0.7], np.float32)
    kept = suppress(candidates(boxes, confidence, np.array([0, 1, 1])), DetectConfig(iou=0.45))
    assert kept.confidence.tolist() == [np.float32(0.9), np.float32(0.8)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 3, 4, 6])
def test_numbers_that_are_not_finite_are_an_error_never_a_box(bad: float, column: int) -> None:
    output = random_output(2)
    output[0, 7, 4:] = 0.9
    output[0, 7, column] = bad
    with pytest.raises(ValueError, match="not finite"):
        decode_yolov5(output, Letterbox.fit((64, 64), (64, 64)), DetectConfig(), NAMES)


def test_nothing_found_is_empty() -> None:
    found = decode_yolov5(
        np.zeros((1, 10, 8), np.float32), Letterbox.fit((64, 64), (64, 64)), DetectConfig(conf=0.0), NAMES
    )
    assert len(found) == 0 and found.boxes_xyxy.shape == (0, 4)


def test_a_flood_of_candidates_is_cut_to_the_best() -> None:
    num = 40_000
    boxes = np.tile(np.arange(num, dtype=np.float32)[:, None] * 3, (1, 4)) + np.array([0, 0, 2, 2], np.float32)
    confidence = np.linspace(0.1, 0.9, num, dtype=np.float32)
    flood = candidates(boxes[:35_000], confidence[:35_000], np.zeros(35_000, np.int64))
    kept = suppress(flood, DetectConfig(max_det=3))
    assert kept.confidence.tolist() == confidence[[34_999, 34_998, 34_997]].tolist()
