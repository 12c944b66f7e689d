"""YOLOv8's decoded output and its relatives': one column a cell, no objectness."""

from __future__ import annotations

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates, pick_classes
from keepbusy.postprocess.finite import passing
from keepbusy.values.forms import OutputForm


def yolov8_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """The cells that pass the confidence threshold.

    A cell is (cx, cy, w, h, class probabilities..., mask coefficients, keypoints or the angle), the box in pixels of
    the input. Its confidence is its best class's probability, or with `multi_label` each one that passes. The classes
    are reduced along the long axis, row by row as they lie in memory, and only cells that pass are gathered.

    Args:
        outputs: float32 (1, 4 + classes + extra, cells), or with these two axes swapped, and what the task adds.
        form: The number of classes, and what else a cell has.
        input_hw: Not needed: boxes are pixels already.
        config: Thresholds and classes.

    Raises:
        ValueError: A cell that passes the threshold has a number that is not finite.
    """
    cells = outputs[0].reshape(outputs[0].shape[-2:])
    if len(cells) != cell_width(form):
        cells = cells.T
    end = 4 + form.num_classes
    # The maximum carries NaN on.
    rows = cells[:, passing(cells[4:end].max(axis=0), config.conf)].T
    row, confidence, class_id = pick_classes(rows[:, 4:end], config)
    rows = rows[row]
    return make_candidates(cxcywh_to_xyxy(rows[:, :4]), confidence, class_id, rows[:, end:], config)


def cell_width(form: OutputForm) -> int:
    """How many numbers one cell has: box, classes, and what the task adds."""
    num_points, num_values = form.keypoints
    return 4 + form.num_classes + form.num_coefficients + num_points * num_values + (form.task == "obb")
