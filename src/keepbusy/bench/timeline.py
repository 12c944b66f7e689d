"""The timeline: every stage's lane, every slot's, and the device's idle gaps, for modes one above the other."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence

from keepbusy.bench.drawing import NUM_FRAME_COLOURS, Drawing, Line, Rect, Text
from keepbusy.bench.report import Report
from keepbusy.bench.trace import Span, busy_and_idle, lanes_of, spans_of
from keepbusy.values.result import Timings

WIDTH = 1120.0
_LEFT, _RIGHT = 84.0, 24.0
_LANE_HEIGHT, _LANE_GAP = 20.0, 4.0
_PANEL_GAP = 26.0
_FRAMES_SHOWN, _MIN_FRAMES_SHOWN = 12, 4
"""The window holds twelve frames of the faster mode, and at least four of the slower one."""


def window_ns(runs: Mapping[str, Sequence[Timings]]) -> int:
    """Length of the window that all modes are shown in, nanoseconds; 0 where there is too little to show."""
    periods = [period for timings in runs.values() if (period := _period_ns(timings))]
    if not periods:
        return 0
    return round(max(_FRAMES_SHOWN * min(periods), _MIN_FRAMES_SHOWN * max(periods)))


def draw_timeline(runs: Mapping[str, Sequence[Timings]], title: str, subtitle: str = "") -> Drawing:
    """Draw runs one above the other on one time scale.

    Each colour is a frame: follow it from lane to lane. What is pale red is time in which the device had no frame.

    Args:
        runs: Mode → its last frames' times, in order, in steady state.
        title: The heading; empty for none.
        subtitle: The line under it; empty for none.
    """
    length_ns = window_ns(runs)
    drawing = Drawing(WIDTH, 0, title or "timeline of the stages")
    shapes = drawing.shapes
    y = 20.0
    if title:
        shapes.append(Text(20, 32, title, "ink", 18, is_bold=True))
        y = 64.0
    if subtitle:
        shapes.append(Text(20, 52, subtitle, "muted", 12))
        y = 84.0
    if not length_ns:
        shapes.append(Text(20, y, "too few frames for a timeline", "muted"))
        drawing.height = y + 20
        return drawing
    for name, timings in runs.items():
        y = _draw_run(drawing, name, timings, length_ns, y) + _PANEL_GAP
    y -= _PANEL_GAP
    _draw_axis(drawing, length_ns, y)
    _draw_legend(drawing, y + 44)
    drawing.height = y + 62
    return drawing


def draw_report(report: Report) -> Drawing:
    """The timeline of a report's last round."""
    environment = report.environment
    height, width = environment["input_hw"]
    title = f"{environment['model']} on {environment['device']}: when the device works, and when it waits"
    subtitle = (
        f"{width}x{height}, {environment['precision'] or 'precision not known'}, "
        f"{environment['device_name'] or environment['cpu_model']}, {environment['usable_cores']:g} cores; "
        "sync above async on one time scale"
    )
    return draw_timeline(report.timings, title, subtitle)


def _draw_run(drawing: Drawing, name: str, timings: Sequence[Timings], length_ns: int, y: float) -> float:
    shapes = drawing.shapes
    spans = spans_of(timings)
    begin_ns = _begin_ns(timings, spans, length_ns)
    end_ns = begin_ns + length_ns
    scale = (WIDTH - _LEFT - _RIGHT) / length_ns
    busy, idle = busy_and_idle(spans, begin_ns, end_ns)
    busy_share = sum(b - a for a, b in busy) / length_ns
    period_ns = _period_ns(timings)
    shapes.append(Text(20, y, name, "ink", 15, is_bold=True))
    facts = f"{1e9 / period_ns:.1f} frames/s, device busy {busy_share:.0%}" if period_ns else ""
    shapes.append(Text(_LEFT, y, facts, "muted", 12))
    y += 10
    for lane in lanes_of(spans):
        _draw_lane(drawing, lane.name, y)
        for span in lane.spans:
            left_ns, right_ns = max(span.start_ns, begin_ns), min(span.end_ns, end_ns)
            if left_ns >= right_ns:
                continue
            x, width = _LEFT + (left_ns - begin_ns) * scale, (right_ns - left_ns) * scale
            colour = f"frame{span.frame_index % NUM_FRAME_COLOURS}"
            tip = f"{lane.name}, frame {span.frame_index}: {(span.end_ns - span.start_ns) / 1e6:.2f} ms"
            shapes.append(Rect(x, y + 1, max(width - 0.8, 0.8), _LANE_HEIGHT - 2, colour, 2.5, tip))
            label = str(span.frame_index)
            if width > 8 * len(label) + 6:
                shapes.append(Text(x + width / 2, y + 14, label, "on", 10.5, "middle"))
        y += _LANE_HEIGHT + _LANE_GAP
    _draw_device(drawing, busy, idle, begin_ns, scale, y)
    return y + _LANE_HEIGHT


def _draw_device(
    drawing: Drawing,
    busy: Sequence[tuple[int, int]],
    idle: Sequence[tuple[int, int]],
    begin_ns: int,
    scale: float,
    y: float,
) -> None:
    shapes = drawing.shapes
    _draw_lane(drawing, "device", y, is_bold=True)
    for start_ns, end_ns in busy:
        tip = f"busy for {(end_ns - start_ns) / 1e6:.2f} ms"
        shapes.append(
            Rect(
                _LEFT + (start_ns - begin_ns) * scale,
                y + 1,
                (end_ns - start_ns) * scale,
                _LANE_HEIGHT - 2,
                "busy",
                0,
                tip,
            )
        )
    for start_ns, end_ns in idle:
        x, width = _LEFT + (start_ns - begin_ns) * scale, (end_ns - start_ns) * scale
        tip = f"idle for {(end_ns - start_ns) / 1e6:.2f} ms"
        shapes.append(Rect(x, y + 1, width, _LANE_HEIGHT - 2, "idle", 0, tip))
        if width > 76:
            shapes.append(
                Text(x + width / 2, y + 14, f"idle {(end_ns - start_ns) / 1e6:.1f} ms", "alarm", 10.5, "middle")
            )
        elif width > 32:
            shapes.append(Text(x + width / 2, y + 14, f"{(end_ns - start_ns) / 1e6:.1f}", "alarm", 10.5, "middle"))


def _draw_lane(drawing: Drawing, name: str, y: float, *, is_bold: bool = False) -> None:
    drawing.shapes.append(Text(_LEFT - 10, y + 14, name, "ink" if is_bold else "muted", 12, "end", is_bold))
    drawing.shapes.append(Rect(_LEFT, y, WIDTH - _LEFT - _RIGHT, _LANE_HEIGHT, "lane"))


def _draw_axis(drawing: Drawing, length_ns: int, y: float) -> None:
    scale = (WIDTH - _LEFT - _RIGHT) / length_ns
    length_ms = length_ns / 1e6
    step_ms = _round_step(length_ms / 10)
    for number in range(int(length_ms / step_ms) + 1):
        x = _LEFT + number * step_ms * 1e6 * scale
        drawing.shapes.append(Line(x, y + 2, x, y + 8, "muted"))
        label = f"{number * step_ms:g}" + (" ms" if number == 0 else "")
        drawing.shapes.append(Text(x, y + 22, label, "muted", 11, "middle"))
    drawing.shapes.append(Line(_LEFT, y + 2, WIDTH - _RIGHT, y + 2, "grid"))


def _draw_legend(drawing: Drawing, y: float) -> None:
    x = _LEFT
    for index in range(NUM_FRAME_COLOURS):
        drawing.shapes.append(Rect(x + index * 13, y - 9, 11, 11, f"frame{index}", 2.5))
    x += NUM_FRAME_COLOURS * 13 + 4
    drawing.shapes.append(Text(x, y, "one colour, one frame: follow it from lane to lane", "muted", 11.5))
    x += 320
    drawing.shapes.append(Rect(x, y - 9, 22, 11, "busy"))
    drawing.shapes.append(Text(x + 28, y, "device at work", "muted", 11.5))
    x += 140
    drawing.shapes.append(Rect(x, y - 9, 22, 11, "idle"))
    drawing.shapes.append(Text(x + 28, y, "device idle", "muted", 11.5))


def _period_ns(timings: Sequence[Timings]) -> float:
    """Mean time between results; 0 with fewer than three frames."""
    ends = sorted(one.postprocess_end_ns for one in timings if one.postprocess_end_ns)
    if len(ends) < 3:
        return 0.0
    return statistics.mean(b - a for a, b in itertools.pairwise(ends))


def _begin_ns(timings: Sequence[Timings], spans: Sequence[Span], length_ns: int) -> int:
    """The window's begin: where all lanes are full, so not at the ends, and with the begin of a frame."""
    starts = sorted(one.preprocess_start_ns for one in timings if one.preprocess_start_ns)
    last_ns = max(span.end_ns for span in spans)
    middle_ns = (starts[0] + last_ns - length_ns) // 2
    return next((start for start in starts if start >= middle_ns), starts[0]) - length_ns // 200


def _round_step(step_ms: float) -> float:
    power = 10.0 ** math.floor(math.log10(step_ms))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step_ms)
