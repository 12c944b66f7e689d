"""A classifier's output → probabilities of the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keepbusy.postprocess.candidates import Outputs
from keepbusy.postprocess.finite import check_finite
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm


def classify(
    outputs: Outputs, form: OutputForm, names: Sequence[str], frame_hw: tuple[int, int] | None = None
) -> Detections:
    """Detections without boxes, with the probability of each class.

    Args:
        outputs: float32 (1, C): probabilities, or with `form.is_logits` what comes before their softmax.
        form: `is_logits`.
        names: The model's class names.
        frame_hw: The frame's (height, width), pixels; None where they are not known.

    Raises:
        ValueError: The output has numbers that are not finite.
    """
    scores = outputs[0].reshape(-1).astype(np.float64)
    check_finite(scores)
    if form.is_logits:
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
    found = Detections.empty(names, frame_hw=frame_hw)
    return replace(found, probabilities=scores.astype(np.float32))
