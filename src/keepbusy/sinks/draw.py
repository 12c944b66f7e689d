"""A result's frame with what was found on it, and the running throughput in its corner."""

from __future__ import annotations

from collections import deque

from keepbusy.drawing.draw import draw
from keepbusy.drawing.style import PLAIN, Style
from keepbusy.values.frame import Image
from keepbusy.values.result import Result

__all__ = ["PLAIN", "Style", "ThroughputMeter", "annotate"]


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
    """A copy of the frame with what was found and the throughput on it: see `keepbusy.drawing.draw`.

    Args:
        result: A result whose frame has an image.
        throughput_fps: Written in the corner where the style has it; None for none.
        style: What is drawn, and how.

    Returns:
        uint8 (H, W, 3), BGR, of the frame's size.
    """
    assert result.frame.image is not None  # nosec B101 # for mypy: the caller sees to it, as documented
    picture: Image = result.frame.image.copy()
    draw(picture, result.detections, style, throughput_fps=throughput_fps)
    return picture
