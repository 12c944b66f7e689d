"""Detections drawn on the picture, with the running throughput in its corner."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from keepbusy.sinks.draw_tasks import (
    Colour,
    draw_classes,
    draw_keypoints,
    draw_label,
    draw_mask,
    draw_polygon,
    highest_corner,
)
from keepbusy.sinks.scripts import drawn_name
from keepbusy.values.frame import Image
from keepbusy.values.result import Result

_BLACK = (0, 0, 0)

# Twelve colours (BGR) that stay apart from each other, from grey roads and for most colour-blind people.
_PALETTE: tuple[Colour, ...] = (
    (60, 76, 231),
    (219, 152, 52),
    (113, 204, 46),
    (18, 156, 243),
    (182, 89, 155),
    (156, 188, 26),
    (0, 190, 241),
    (147, 73, 232),
    (34, 126, 230),
    (228, 204, 72),
    (120, 90, 60),
    (70, 200, 160),
)


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn, and how.

    Attributes:
        has_labels: Whether boxes have a label.
        has_confidence: Whether labels tell the confidence.
        has_throughput: Whether the running throughput is written in the corner.
        line_width_px: How wide lines are; None to go by the picture's size.
    """

    has_labels: bool = True
    has_confidence: bool = True
    has_throughput: bool = True
    line_width_px: int | None = None


STAMP_SCALE = 0.4
"""Size of the throughput's letters: smaller than the labels' of boxes, which are 0.55."""

PLAIN = Style()
"""Everything is drawn, sized by the picture."""


class ThroughputMeter:
    """Frames a second over the last frames, from the times at which their results were ready.

    Args:
        window: How many frames to look back.
    """

    def __init__(self, window: int = 60) -> None:
        self._ready_ns: deque[int] = deque(maxlen=window)

    def add(self, ready_ns: int) -> float:
        """Count a result; the throughput up to it, 0 for the first."""
        self._ready_ns.append(ready_ns)
        span_ns = ready_ns - self._ready_ns[0]
        return (len(self._ready_ns) - 1) * 1e9 / span_ns if span_ns > 0 else 0.0


def annotate(result: Result, throughput_fps: float | None = None, style: Style = PLAIN) -> Image:
    """A copy of the frame with what was found and the throughput on it.

    Masks lie translucent below everything, then boxes (rotated ones as they stand) with labels, then keypoints; a
    classification is a list in the corner.

    Args:
        result: A result whose frame has an image.
        throughput_fps: Written in the corner where the style has it; None for none.
        style: What is drawn, and how.

    Returns:
        uint8 (H, W, 3), BGR, of the frame's size.
    """
    assert result.frame.image is not None  # nosec B101 # for mypy: the caller sees to it, as documented
    picture: Image = result.frame.image.copy()
    detections = result.detections
    # Sized for 720p, growing with the picture's shorter side.
    unit = max(0.7, min(picture.shape[:2]) / 720)
    thickness = style.line_width_px or max(1, round(2 * unit))
    class_ids = detections.class_id.tolist()
    colours = [_PALETTE[class_id % len(_PALETTE)] for class_id in class_ids]
    # The most confident ones are drawn last, over the others.
    order = range(len(class_ids) - 1, -1, -1)
    if detections.masks is not None:
        # Largest first, so that what stands before a large thing keeps its own tint.
        sides = detections.boxes_xyxy[:, 2:] - detections.boxes_xyxy[:, :2]
        for index in np.argsort(-sides.prod(axis=1), kind="stable").tolist():
            draw_mask(picture, *detections.masks.crop(index), colours[index], thickness)
    boxes = detections.boxes_xyxy.round().astype(int).tolist()
    confidence = detections.confidence.tolist()
    corners = detections.boxes_xyxyxyxy
    for index in order:
        left, top, right, bottom = boxes[index]
        anchor = (left, top)
        if corners is None:
            cv2.rectangle(picture, (left, top), (right, bottom), colours[index], thickness, cv2.LINE_AA)
        else:
            draw_polygon(picture, corners[index], colours[index], thickness)
            anchor = highest_corner(corners[index])
        if style.has_labels:
            text = drawn_name(class_ids[index], detections.names)
            text = f"{text} {confidence[index]:.2f}" if style.has_confidence else text
            draw_label(picture, text, anchor, colours[index], 0.55 * unit)
    for points in () if detections.keypoints is None else detections.keypoints[::-1]:
        draw_keypoints(picture, points, unit)
    end = 0
    if throughput_fps and style.has_throughput:
        text = f"{throughput_fps:.1f} FPS"
        end = draw_label(picture, text, (0, 0), _BLACK, STAMP_SCALE * unit)
    if detections.probabilities is not None:
        classes = [
            (drawn_name(class_id, detections.names), probability, _PALETTE[class_id % len(_PALETTE)])
            for class_id, probability in detections.top(5)
        ]
        draw_classes(picture, classes, end, unit)
    return picture
