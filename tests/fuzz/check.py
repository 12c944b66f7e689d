"""What holds for frames and results, whatever the input."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keepbusy.errors import FrameError, KeepbusyError
from keepbusy.evaluate.classes import match_classes
from keepbusy.evaluate.open import open_dataset
from keepbusy.evaluate.scoring import DatasetScorer
from keepbusy.sources import Source
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.build import square_picture

NAMES = ("red", "green")
"""The classes of the data sets that are damaged."""

FOUND = Detections(np.array([[10, 20, 40, 30]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64), NAMES)

MAX_FRAMES = 5000
"""No case has so many: a source that does not end is a finding."""


def check_frames(source: Source, *, limit: int = MAX_FRAMES) -> int:
    """Read a source to its end, or up to a number of frames; how many there were, the failed ones included."""
    last_s = 0.0
    for number in range(limit):
        try:
            frame = source.read()
        except FrameError:
            continue
        if frame is None:
            return number
        last_s = check_frame(frame, last_s)
    assert limit < MAX_FRAMES, "the source does not end"
    return limit


def check_frame(frame: Frame, last_s: float) -> float:
    """A frame's picture, and its time, which begins again with each part of a list; its time, seconds."""
    assert math.isfinite(frame.timestamp_s), frame.timestamp_s
    assert frame.index == 0 or frame.timestamp_s >= last_s, (frame.timestamp_s, last_s)
    image = frame.image
    assert image is not None and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert image.flags.c_contiguous and image.shape[:2] == (frame.height, frame.width) and image.size
    return frame.timestamp_s


def check_results(results: Iterable[Result], *, max_det: int = 300) -> int:
    """Go through a run's results; how many there were."""
    last_s, last_index, number = 0.0, -1, 0
    for number, result in enumerate(results, start=1):
        assert number < MAX_FRAMES, "the run does not end"
        frame = result.frame
        assert frame.index > last_index, (frame.index, last_index)
        assert math.isfinite(frame.timestamp_s) and frame.timestamp_s >= last_s, (frame.timestamp_s, last_s)
        last_s, last_index = frame.timestamp_s, frame.index
        check_detections(result.detections, (frame.height, frame.width), max_det)
        assert result.error is None or len(result.detections) == 0
    return number


def check_detections(found: Detections, shape_hw: tuple[int, int], max_det: int) -> None:
    """Boxes in the frame, confidences from 0 to 1 and falling, no more than there may be."""
    height, width = shape_hw
    boxes, confidence = found.boxes_xyxy, found.confidence
    assert len(found) == len(boxes) == len(confidence) <= max_det
    assert np.isfinite(boxes).all() and (boxes >= 0).all()
    assert (boxes[:, [0, 2]] <= width).all() and (boxes[:, [1, 3]] <= height).all()
    assert ((confidence >= 0) & (confidence <= 1)).all() and (np.diff(confidence) <= 0).all()
    assert all(0 <= one < len(found.names) for one in found.class_id)
    if found.keypoints is not None:
        assert np.isfinite(found.keypoints).all()
    if found.probabilities is not None:
        assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()


def check_evaluation(path: Path, images: Path | None) -> None:
    """All that an evaluation does with the data.

    Raises:
        KeepbusyError: The data are refused, with or without bad labels.
    """
    refusal = None
    for skip_bad_labels in (False, True):
        try:
            data = open_dataset(str(path), images=images, skip_bad_labels=skip_bad_labels)
            mapping, _ = match_classes(data, NAMES, ignore_missing=skip_bad_labels)
            scorer = DatasetScorer(data, NAMES, mapping, ignore_missing=skip_bad_labels)
            with contextlib.closing(data.open()) as source:
                num_frames = source.info.num_frames or 0
            for index in range(num_frames):
                frame = Frame(square_picture(), index, 0.0, 0, "x")
                labels = data.labels(frame)
                assert np.isfinite(labels.boxes_xyxy).all() and np.isfinite(labels.area_px).all()
                scorer.add(Result(frame, FOUND, Timings()))
            accuracy = scorer.evaluation.accuracy().map50_95
            assert accuracy is None or 0 <= accuracy <= 1
            json.dumps(scorer.evaluation.results(scorer.category_ids())).encode()
        except KeepbusyError as error:
            refusal = error
    if refusal is not None:
        raise refusal
