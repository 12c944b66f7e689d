"""A model's outputs → detections in the frame's pixels, for every family and task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keepbusy.config import DetectConfig
from keepbusy.decode.candidates import Candidates, Outputs
from keepbusy.decode.nms import keep_best, suppress
from keepbusy.decode.yolov5 import yolov5_candidates
from keepbusy.forms import Family, OutputForm
from keepbusy.letterbox import Letterbox
from keepbusy.types import Detections

FindCandidates = Callable[[Outputs, OutputForm, tuple[int, int], DetectConfig], Candidates]
"""(outputs, form, the input's (height, width), config) → what passes the threshold."""

CANDIDATES: dict[Family, FindCandidates] = {
    "yolov5": yolov5_candidates,
}
"""The one function of each family."""

SUPPRESSED: frozenset[Family] = frozenset({"yolov10", "yolov7-nms", "detr", "rt-detr", "ssd"})
"""Families whose boxes need no suppression."""


def decode(
    outputs: Outputs, letterbox: Letterbox, form: OutputForm, config: DetectConfig, names: Sequence[str]
) -> Detections:
    """Detections of one frame, in the frame's pixels.

    Args:
        outputs: The model's outputs; read in place, not kept.
        letterbox: How the frame was laid into the input.
        form: How the outputs are to be read.
        config: Thresholds, classes and limits.
        names: The model's class names.

    Raises:
        ValueError: The outputs have numbers that are not finite.
    """
    candidates = CANDIDATES[form.family](outputs, form, letterbox.input_hw, config)
    kept = keep_best(candidates, config) if form.family in SUPPRESSED else suppress(candidates, config)
    return Detections(letterbox.boxes_to_frame(kept.boxes_xyxy), kept.confidence, kept.class_id, names)
