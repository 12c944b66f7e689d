"""YOLOv5's decoded output: one row an anchor, with objectness."""

from __future__ import annotations

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates, pick_classes
from keepbusy.postprocess.finite import passing
from keepbusy.values.forms import OutputForm


def yolov5_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """The rows that pass the confidence threshold.

    A row is (cx, cy, w, h, objectness, class probabilities..., mask coefficients...), the box in pixels of the input.
    A candidate's confidence is objectness x its class's probability; each row keeps its best class only (YOLOv5's rule
    for detection), or with `multi_label` every class that passes (its rule for evaluation). Objectness alone is
    compared first: a product of two probabilities is never above either, so that nothing is lost and few rows are
    read in full.

    Args:
        outputs: float32 (1, N, 5 + classes + coefficients), and what the task adds.
        form: The number of classes.
        input_hw: Not needed: boxes are pixels already.
        config: Thresholds and classes.

    Raises:
        ValueError: A row that passes the threshold has a number that is not finite.
    """
    rows = outputs[0].reshape(-1, outputs[0].shape[-1])
    rows = rows[passing(rows[:, 4], config.conf)]
    end = 5 + form.num_classes
    row, confidence, class_id = pick_classes(rows[:, 5:end] * rows[:, 4:5], config)
    rows = rows[row]
    return make_candidates(cxcywh_to_xyxy(rows[:, :4]), confidence, class_id, rows[:, end:], config)
