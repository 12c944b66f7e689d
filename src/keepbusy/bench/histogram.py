"""Latency histograms as drawings."""

from __future__ import annotations

import math

from keepbusy.bench.drawing import Drawing, Line, Rect, Text
from keepbusy.bench.samples import Latency

_WIDTH, _HEIGHT = 520.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 12.0, 12.0, 44.0, 164.0


def draw_histogram(latency: Latency, name: str, low_ms: float, high_ms: float, colour: str) -> Drawing:
    """Draw the histogram of one measurement's latencies, with its median and 99th percentile.

    Args:
        latency: What to draw.
        name: The heading.
        low_ms, high_ms: Ends of the logarithmic axis; the same for all that are to be compared.
        colour: Role of the bars' colour.
    """
    drawing = Drawing(_WIDTH, _HEIGHT, f"latency of {name}")
    shapes = drawing.shapes
    shapes.append(Text(_LEFT, 18, name, "ink", 14, is_bold=True))
    scale = (_WIDTH - _LEFT - _RIGHT) / math.log(high_ms / low_ms)

    def x_of(value_ms: float) -> float:
        return _LEFT + math.log(min(max(value_ms, low_ms), high_ms) / low_ms) * scale

    for tick_ms in _ticks(low_ms, high_ms):
        x = x_of(tick_ms)
        shapes.append(Line(x, _TOP - 8, x, _BOTTOM, "grid"))
        shapes.append(Text(x, _BOTTOM + 18, f"{tick_ms:g} ms", "muted", 11, "middle"))
    tallest = max((count / max(b - a, 1e-9) * (a + b) for a, b, count in latency.bins), default=0.0)
    for left_ms, right_ms, count in latency.bins:
        if count == 0:
            continue
        # Frames for each step of the logarithmic axis, so that narrow and wide bins compare.
        share = count / max(right_ms - left_ms, 1e-9) * (left_ms + right_ms) / tallest
        height = max((_BOTTOM - _TOP) * share, 1.0)
        x = x_of(left_ms)
        tip = f"{left_ms:.2f} to {right_ms:.2f} ms: {count} frames"
        shapes.append(Rect(x, _BOTTOM - height, max(x_of(right_ms) - x - 0.5, 1.0), height, colour, 1, tip))
    shapes.append(Line(_LEFT, _BOTTOM, _WIDTH - _RIGHT, _BOTTOM, "muted"))
    for value_ms in (latency.p50_ms, latency.p99_ms):
        shapes.append(Line(x_of(value_ms), _TOP - 8, x_of(value_ms), _BOTTOM, "ink", 1.2))
    facts = (
        f"p50 {latency.p50_ms:.1f}   p90 {latency.p90_ms:.1f}   p99 {latency.p99_ms:.1f}   max {latency.max_ms:.1f} ms"
    )
    shapes.append(Text(_WIDTH - _RIGHT, 18, facts, "muted", 12, "end"))
    return drawing


def _ticks(low_ms: float, high_ms: float) -> list[float]:
    powers = range(math.floor(math.log10(low_ms)), math.ceil(math.log10(high_ms)) + 1)
    steps = (1, 2, 5) if high_ms / low_ms < 150 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low_ms <= step * 10.0**power <= high_ms]
