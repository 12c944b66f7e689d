"""OpenVINO's DetectionOutput: a list of detections that ends where the picture's number is negative."""

from __future__ import annotations

import numpy as np

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, make_candidates
from keepbusy.postprocess.end_to_end import to_class_id
from keepbusy.values.forms import OutputForm


def ssd_candidates(outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig) -> Candidates:
    """The rows that pass the confidence threshold.

    A row is (picture, class, confidence, left, top, right, bottom), the corners as shares of the input's sides. What
    follows the first row with a negative picture is what memory held before.

    Args:
        outputs: float32 (1, 1, N, 7).
        form: The number of classes without the background, and `has_background` where class 0 is that: the model's
            class 1 then is ours 0.
        input_hw: The input's (height, width), pixels.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes has a number that is not finite, or a class that there is not.
    """
    rows = outputs[0].reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    rows = rows[~(rows[:, 2] <= config.conf)]
    labels = rows[:, 1] - np.float32(form.has_background)
    corners = rows[:, 3:] * np.array((input_hw[1], input_hw[0]) * 2, np.float32)
    return make_candidates(corners, rows[:, 2], to_class_id(labels, form), None, config)
