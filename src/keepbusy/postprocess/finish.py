"""What is left of the candidates → detections in the frame's pixels, with what the task adds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.candidates import Candidates, Outputs
from keepbusy.postprocess.obb import rotated_to_frame
from keepbusy.postprocess.pose import make_keypoints
from keepbusy.postprocess.segment import make_masks
from keepbusy.values.boxes import corners_of_rotated
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm


def finish(
    kept: Candidates, outputs: Outputs, letterbox: Letterbox, form: OutputForm, names: Sequence[str]
) -> Detections:
    """Map everything to the frame.

    Args:
        kept: What stayed; its boxes are changed in place.
        outputs: The model's outputs; for masks, the last one is the prototypes: float32 (1, P, h, w).
        letterbox: How the frame was laid into the input.
        form: The task.
        names: The model's class names.

    Raises:
        ValueError: The extra numbers do not fit the task, or are not finite.
    """
    frame_hw = letterbox.frame_hw
    if form.task == "obb":
        rotated = rotated_to_frame(kept.boxes_xyxy, kept.extra[:, 0], letterbox)
        corners = corners_of_rotated(rotated)
        upright = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)
        height, width = frame_hw
        np.clip(upright, 0, np.array([width, height] * 2, np.float32), out=upright)
        return Detections(upright, kept.confidence, kept.class_id, names, boxes_xywhr=rotated, frame_hw=frame_hw)
    boxes = letterbox.boxes_to_frame(kept.boxes_xyxy)
    if form.task == "segment":
        masks = make_masks(kept.extra, outputs[-1], boxes, letterbox)
        return Detections(boxes, kept.confidence, kept.class_id, names, masks=masks, frame_hw=frame_hw)
    if form.task == "pose":
        keypoints = make_keypoints(kept.extra, form.keypoints, letterbox)
        return Detections(boxes, kept.confidence, kept.class_id, names, keypoints=keypoints, frame_hw=frame_hw)
    return Detections(boxes, kept.confidence, kept.class_id, names, frame_hw=frame_hw)
