"""Accuracy while NNCF tries what to leave in float: raw outputs → detections → mAP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.evaluate import CocoEvaluation, match_classes
from keepbusy.evaluate.classes import to_model
from keepbusy.models.names import Names
from keepbusy.optimize.frames import Frames, Sample
from keepbusy.optimize.measure import EVAL_CONF, EVAL_IOU, MAX_DET
from keepbusy.optimize.quantize import AccuracyControl
from keepbusy.postprocess import Outputs, to_detections
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm


def control_by_map(frames: Frames, samples: Sequence[Sample], names: Names, max_drop: float) -> AccuracyControl:
    """Let mAP50-95 decide.

    Args:
        frames: Where the samples come from; with labels.
        samples: What is scored, time and again.
        names: The model's classes.
        max_drop: How much may be lost, 0 to 1.
    """
    assert frames.dataset is not None  # nosec B101 # for mypy: the caller sees to it, as documented
    mapping, _ = match_classes(frames.dataset, names, ignore_missing=True)
    config = DetectConfig(conf=EVAL_CONF, iou=EVAL_IOU, max_det=MAX_DET, multi_label=True)

    def detect(outputs: Outputs, sample: Sample, form: OutputForm) -> Detections:
        return to_detections(outputs, sample.letterbox, form, config, names)

    def score(found: Iterable[tuple[Sample, Detections]]) -> float:
        return _map50_95(found, names, mapping)

    return AccuracyControl(samples, detect, score, max_drop)


def _map50_95(found: Iterable[tuple[Sample, Detections]], names: Names, mapping: NDArray[np.int64]) -> float:
    evaluation = CocoEvaluation(names, MAX_DET)
    for sample, detections in found:
        labels = sample.labels
        assert labels is not None  # nosec B101 # for mypy: samples of labelled frames
        class_id = to_model(labels.class_id, mapping)
        known = class_id >= 0
        height, width = sample.letterbox.frame_hw
        evaluation.add(
            (width, height),
            labels.boxes_xyxy[known],
            class_id[known],
            detections,
            is_crowd=labels.is_crowd[known],
            area_px=labels.area_px[known],
        )
    return evaluation.accuracy().map50_95 or 0.0
