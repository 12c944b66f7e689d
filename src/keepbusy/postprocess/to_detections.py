"""A model's outputs → detections in the frame's pixels, for every family and task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keepbusy.config import DetectConfig
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.candidates import Candidates, Outputs
from keepbusy.postprocess.classify import classify
from keepbusy.postprocess.detr import detr_candidates, rt_detr_candidates
from keepbusy.postprocess.end_to_end import yolov7_nms_candidates, yolov10_candidates
from keepbusy.postprocess.finish import finish
from keepbusy.postprocess.nms import keep_best, suppress
from keepbusy.postprocess.region import in_region
from keepbusy.postprocess.ssd import ssd_candidates
from keepbusy.postprocess.tail import tail_candidates
from keepbusy.postprocess.yolov5 import yolov5_candidates
from keepbusy.postprocess.yolov5_raw import yolov5_raw_candidates
from keepbusy.postprocess.yolov8 import yolov8_candidates
from keepbusy.postprocess.yolov8_raw import yolov8_raw_candidates
from keepbusy.postprocess.yolox import yolox_raw_candidates
from keepbusy.values.detections import Detections
from keepbusy.values.forms import Family, OutputForm

FindCandidates = Callable[[Outputs, OutputForm, tuple[int, int], DetectConfig], Candidates]
"""(outputs, form, the input's (height, width), config) → what passes the threshold."""

CANDIDATES: dict[Family, FindCandidates] = {
    "yolov5": yolov5_candidates,
    "yolov5-raw": yolov5_raw_candidates,
    "yolov8": yolov8_candidates,
    "yolov8-raw": yolov8_raw_candidates,
    "yolov10": yolov10_candidates,
    "yolox": yolov5_candidates,
    "yolox-raw": yolox_raw_candidates,
    "yolov7-nms": yolov7_nms_candidates,
    "detr": detr_candidates,
    "rt-detr": rt_detr_candidates,
    "ssd": ssd_candidates,
}
"""The one function of each family."""

SUPPRESSED: frozenset[Family] = frozenset({"yolov10", "yolov7-nms", "detr", "rt-detr", "ssd"})
"""Families whose boxes need no suppression."""


def to_detections(
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
    # What is not finite is reported by name; NumPy's warnings about it would go to the terminal.
    with np.errstate(all="ignore"):
        if form.task == "classify":
            return classify(outputs, form, names, letterbox.frame_hw)
        find = tail_candidates if form.is_tail else CANDIDATES[form.family]
        candidates = find(outputs, form, letterbox.input_hw, config)
        if config.region is not None:
            candidates = in_region(candidates, letterbox, config.region, is_rotated=form.task == "obb")
        if form.family in SUPPRESSED:
            kept = keep_best(candidates, config)
        else:
            kept = suppress(candidates, config, is_rotated=form.task == "obb")
        return finish(kept, outputs, letterbox, form, names)
