"""YOLOv5's and YOLOv7's heads as the network leaves them: one tensor a stride, before decoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess.candidates import Candidates, Outputs, cxcywh_to_xyxy, make_candidates, pick_classes
from keepbusy.postprocess.finite import check_finite
from keepbusy.postprocess.logits import least_logit, sigmoid
from keepbusy.values.forms import OutputForm


def yolov5_raw_candidates(
    outputs: Outputs, form: OutputForm, input_hw: tuple[int, int], config: DetectConfig
) -> Candidates:
    """The anchors that pass the confidence threshold, decoded.

    With s the sigmoid of what the network gives: centre = (2s - 0.5 + cell) x stride, size = (2s)² x anchor, scores =
    s; mask coefficients stay as they are. Objectness alone is compared first, as a logit, so that only what passes
    needs a sigmoid.

    Args:
        outputs: A head a stride, float32 (1, anchors, h, w, 5 + classes + coefficients) or as the convolution leaves
            it (1, anchors x (5 + classes + coefficients), h, w), or the same with its channels last; then what the
            task adds.
        form: Number of classes, anchors, strides, and whether the sigmoid is still to come.
        input_hw: Not needed: anchors and strides are pixels.
        config: Thresholds and classes.

    Raises:
        ValueError: An anchor that passes the threshold has a number that is not finite.
    """
    end = 5 + form.num_classes
    boxes: list[NDArray[np.float32]] = []
    rows: list[NDArray[np.float32]] = []
    for output, anchors_px, stride in zip(outputs, form.anchors_px, form.strides_px, strict=False):
        head = _by_anchor(output, len(anchors_px), form)
        anchor, y, x = np.nonzero(~(head[..., 4] <= _least(form, config)))
        found = head[anchor, y, x]
        check_finite(found if len(found) else head[..., 4])
        if form.is_logits:
            found[:, :end] = sigmoid(found[:, :end])
        corner = np.stack((x, y), axis=1).astype(np.float32)
        centre = (found[:, :2] * 2 - 0.5 + corner) * stride
        size = (found[:, 2:4] * 2) ** 2 * np.array(anchors_px, np.float32)[anchor]
        boxes.append(np.concatenate((centre, size), axis=1, dtype=np.float32))
        rows.append(found)
    every, box = np.concatenate(rows), np.concatenate(boxes)
    row, confidence, class_id = pick_classes(every[:, 5:end] * every[:, 4:5], config)
    return make_candidates(cxcywh_to_xyxy(box[row]), confidence, class_id, every[row, end:], config)


def _least(form: OutputForm, config: DetectConfig) -> float:
    return least_logit(config.conf) if form.is_logits else config.conf


def _by_anchor(output: NDArray[np.float32], num_anchors: int, form: OutputForm) -> NDArray[np.float32]:
    """A view of one head as (anchors, h, w, numbers)."""
    if output.ndim == 5:
        return output.reshape(output.shape[1:])
    if form.is_channels_last:
        height, width = output.shape[1:3]
        return np.moveaxis(output.reshape(height, width, num_anchors, -1), 2, 0)
    height, width = output.shape[-2:]
    head: NDArray[np.float32] = np.moveaxis(output.reshape(num_anchors, -1, height, width), 1, -1)
    return head
