"""Models that end with their own selection: each row is a detection already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates
from keepbusy.postprocess.finite import check_finite
from keepbusy.values.forms import OutputForm


def yolov10_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """Rows of YOLOv10, YOLO26, and of exports with suppression inside, that pass the threshold.

    A row is (left, top, right, bottom, confidence, class, extra...) in pixels of the input; that of a rotated box
    begins with centre and size instead. A row has one class only, so that `multi_label` changes nothing.

    Args:
        outputs: float32 (1, N, 6 + extra), and what the task adds.
        form: The number of classes and the task.
        input_hw: Not needed: boxes are pixels already.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes has a number that is not finite, or a class that there is not.
    """
    rows = outputs[0].reshape(-1, outputs[0].shape[-1])
    rows = rows[~(rows[:, 4] <= config.conf)]
    boxes = cxcywh_to_xyxy(rows[:, :4]) if form.task == "obb" else rows[:, :4]
    return make_candidates(boxes, rows[:, 4], to_class_id(rows[:, 5], form), rows[:, 6:], config)


def yolov7_nms_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """Rows of YOLOv7 with its suppression inside that pass the threshold.

    A row is (picture of the batch, left, top, right, bottom, class, confidence), in pixels of the input.

    Args:
        outputs: float32 (N, 7); N may be 0.
        form: The number of classes.
        input_hw: Not needed: boxes are pixels already.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes has a number that is not finite, or a class that there is not.
    """
    rows = outputs[0].reshape(-1, 7)
    rows = rows[~(rows[:, 6] <= config.conf)]
    return make_candidates(rows[:, 1:5], rows[:, 6], to_class_id(rows[:, 5], form), None, config)


def to_class_id(values: NDArray[np.float32], form: OutputForm) -> NDArray[np.int64]:
    """Class ids that a model gives as numbers.

    Raises:
        ValueError: One is not finite, or is none of the model's classes.
    """
    check_finite(values)
    class_id = np.rint(values).astype(np.int64)
    if len(class_id) and not 0 <= class_id.min() <= class_id.max() < form.num_classes:
        wrong = class_id[(class_id < 0) | (class_id >= form.num_classes)][0]
        raise ValueError(f"the model's output has class {wrong}, but there are {form.num_classes} classes")
    return class_id
