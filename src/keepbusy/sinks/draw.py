"""Detections drawn on the picture, with the running throughput in its corner."""

from __future__ import annotations

from collections import deque

import cv2

from keepbusy.types import Image, Result

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)

# Twelve colours (BGR) that stay apart from each other, from grey roads and for most colour-blind people.
_PALETTE = (
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


def annotate(result: Result, throughput_fps: float | None = None) -> Image:
    """A copy of the frame with boxes, labels and throughput on it.

    Args:
        result: A result whose frame has an image.
        throughput_fps: Written in the corner; None for none.

    Returns:
        uint8 (H, W, 3), BGR, of the frame's size.
    """
    assert result.frame.image is not None
    picture: Image = result.frame.image.copy()
    detections = result.detections
    # Sized for 720p, growing with the picture's shorter side.
    unit = max(0.7, min(picture.shape[:2]) / 720)
    thickness = max(1, round(2 * unit))
    for class_id, confidence, box in zip(
        detections.class_id[::-1].tolist(),
        detections.confidence[::-1].tolist(),
        detections.boxes_xyxy[::-1].round().astype(int).tolist(),
        strict=True,
    ):
        colour = _PALETTE[class_id % len(_PALETTE)]
        left, top, right, bottom = box
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        _label(picture, f"{detections.names[class_id]} {confidence:.2f}", (left, top), colour, 0.55 * unit)
    if throughput_fps:
        text = f"Throughput: {throughput_fps:.1f} FPS"
        _label(picture, text, (0, 0), _BLACK, 0.8 * unit)
    return picture


def _label(picture: Image, text: str, anchor_xy: tuple[int, int], colour: tuple[int, int, int], scale: float) -> None:
    """Text on a filled ground, above the anchor where there is room, else below it."""
    thickness = max(1, round(1.5 * scale))
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(1, round(4 * scale))
    left = max(0, min(anchor_xy[0], picture.shape[1] - width - 2 * pad))
    ground_h = height + baseline + 2 * pad
    top = anchor_xy[1] - ground_h if anchor_xy[1] >= ground_h else anchor_xy[1]
    cv2.rectangle(picture, (left, top), (left + width + 2 * pad, top + ground_h), colour, cv2.FILLED)
    origin = (left + pad, top + pad + height)
    cv2.putText(picture, text, origin, _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
