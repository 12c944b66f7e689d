"""The frontier as a drawing: throughput against latency."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from keepbusy.bench.drawing import Drawing, Line, Rect, Text
from keepbusy.tune.frontier import Point
from keepbusy.tune.report import TuneReport, shown_points
from keepbusy.tune.space import DEFAULT

_WIDTH = 860.0
_LEFT, _RIGHT, _TOP = 64.0, 28.0, 78.0
_PLOT_HEIGHT = 300.0
_ROW = 20.0


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values → places; the latency's axis is logarithmic where it spans much."""

    low_ms: float
    high_ms: float
    low_fps: float
    high_fps: float
    bottom: float

    def x(self, latency_ms: float) -> float:
        span = math.log(self.high_ms / self.low_ms)
        return _LEFT + math.log(latency_ms / self.low_ms) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, fps: float) -> float:
        return self.bottom - (fps - self.low_fps) / (self.high_fps - self.low_fps) * (self.bottom - _TOP)


def draw_frontier(report: TuneReport) -> Drawing:
    """All that was measured as dots, the frontier as steps, the chosen one and the default by name, the limit."""
    shown = shown_points(report)
    bottom = _TOP + _PLOT_HEIGHT
    height = bottom + 64 + _ROW * len(shown)
    drawing = Drawing(_WIDTH, height, "throughput against latency of the configurations tried")
    everything = [*report.points, report.default]
    scale = _Scale(
        low_ms=min(point.latency_ms for point in everything) / 1.15,
        high_ms=max(point.latency_ms for point in everything) * 1.15,
        low_fps=0.0,
        high_fps=max(point.fps for point in everything) * 1.08,
        bottom=bottom,
    )
    _draw_heading(drawing, report)
    _draw_axes(drawing, scale, report)
    for point in report.points:
        _dot(drawing, scale, point, "idle" if _is_above(point, report) else "muted", 6)
    _draw_steps(drawing, scale, report)
    numbers = {point.candidate: number for number, point in enumerate(shown, 1)}
    for point in reversed(shown):
        is_chosen = report.chosen is not None and point.candidate == report.chosen.candidate
        colour = "frame2" if is_chosen else "frame1" if point.candidate == DEFAULT else "frame0"
        _dot(drawing, scale, point, colour, 17)
        x, y = scale.x(point.latency_ms), scale.y(point.fps)
        drawing.shapes.append(Text(x, y + 4, str(numbers[point.candidate]), "on", 11, "middle", is_bold=True))
    _draw_list(drawing, shown, report, bottom + 62)
    return drawing


def _draw_heading(drawing: Drawing, report: TuneReport) -> None:
    origin = report.origin
    drawing.shapes.append(
        Text(
            20,
            28,
            f"{origin.get('model', '')} on {origin.get('device', '')}: throughput and latency",
            "ink",
            16,
            is_bold=True,
        )
    )
    cores = origin.get("usable_cores")
    facts = [str(origin.get("device_name") or ""), f"{cores:g} cores" if cores else ""]
    facts += [", ".join(origin.get("sources") or ()), f"{len(report.points) + 1} configurations, end to end"]
    drawing.shapes.append(Text(20, 48, "; ".join(fact for fact in facts if fact), "muted", 12))


def _draw_axes(drawing: Drawing, scale: _Scale, report: TuneReport) -> None:
    shapes = drawing.shapes
    for fps in _steps(scale.high_fps):
        y = scale.y(fps)
        shapes.append(Line(_LEFT, y, _WIDTH - _RIGHT, y, "grid"))
        shapes.append(Text(_LEFT - 8, y + 4, f"{fps:g}", "muted", 11, "end"))
    for latency_ms in _ticks(scale.low_ms, scale.high_ms):
        x = scale.x(latency_ms)
        shapes.append(Line(x, _TOP, x, scale.bottom, "grid"))
        shapes.append(Text(x, scale.bottom + 16, f"{latency_ms:g}", "muted", 11, "middle"))
    shapes.append(Line(_LEFT, scale.bottom, _WIDTH - _RIGHT, scale.bottom, "muted"))
    shapes.append(Text(_LEFT - 8, _TOP - 10, "frames/s", "muted", 11, "end"))
    name = f"latency p{report.percentile:g}, ms (frame read to result)"
    shapes.append(Text(_WIDTH - _RIGHT, scale.bottom + 34, name, "muted", 11, "end"))
    left = _LEFT
    for colour, word in (("frame2", "chosen"), ("frame1", "default"), ("frame0", "frontier"), ("muted", "others")):
        shapes.append(Rect(left, scale.bottom + 25, 10, 10, colour, 5))
        shapes.append(Text(left + 15, scale.bottom + 34, word, "muted", 11))
        left += 78
    limit_ms = report.max_latency_ms
    if limit_ms is not None and scale.low_ms < limit_ms < scale.high_ms:
        x = scale.x(limit_ms)
        shapes.append(Line(x, _TOP - 6, x, scale.bottom, "alarm", 1.5))
        is_right = x > _WIDTH / 2
        shapes.append(
            Text(
                x - 6 if is_right else x + 6,
                _TOP - 10,
                f"limit {limit_ms:g} ms",
                "alarm",
                11,
                "end" if is_right else "start",
            )
        )


def _draw_steps(drawing: Drawing, scale: _Scale, report: TuneReport) -> None:
    """The frontier: what throughput there is for a latency. Between two points it is that of the slower one."""
    edge = sorted(report.frontier, key=lambda point: point.latency_ms)
    for here, there in itertools.pairwise(edge):
        x, y = scale.x(there.latency_ms), scale.y(here.fps)
        drawing.shapes.append(Line(scale.x(here.latency_ms), y, x, y, "frame0", 1.5))
        drawing.shapes.append(Line(x, y, x, scale.y(there.fps), "frame0", 1.5))


def _draw_list(drawing: Drawing, shown: list[Point], report: TuneReport, top: float) -> None:
    for index, point in enumerate(shown):
        y = top + index * _ROW
        is_chosen = report.chosen is not None and point.candidate == report.chosen.candidate
        name = str(point.candidate) + ("  (chosen)" if is_chosen else "")
        drawing.shapes += [
            Text(34, y, str(index + 1), "muted", 12, "end"),
            Text(110, y, f"{point.fps:.1f}", "ink", 12, "end", is_bold=is_chosen),
            Text(190, y, f"{point.latency_ms:.1f} ms", "ink", 12, "end", is_bold=is_chosen),
            Text(206, y, name, "ink", 12, is_bold=is_chosen),
        ]


def _dot(drawing: Drawing, scale: _Scale, point: Point, colour: str, size: float) -> None:
    x, y = scale.x(point.latency_ms), scale.y(point.fps)
    title = f"{point.candidate}: {point.fps:.1f} frames/s, {point.latency_ms:.1f} ms"
    drawing.shapes.append(Rect(x - size / 2, y - size / 2, size, size, colour, size / 2, title))


def _is_above(point: Point, report: TuneReport) -> bool:
    return report.max_latency_ms is not None and point.latency_ms > report.max_latency_ms


def _steps(high: float) -> list[float]:
    """Round values from 0 up, four to eight of them."""
    rough = high / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * index for index in range(int(high / step) + 1)]


def _ticks(low_ms: float, high_ms: float) -> list[float]:
    """Round values on a logarithmic axis, close enough that there are three."""
    powers = range(math.floor(math.log10(low_ms)), math.ceil(math.log10(high_ms)) + 1)
    for factors in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(n / 10 for n in range(10, 100, 2))):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [round(value, 6) for value in found if low_ms <= value <= high_ms]
        if len(found) >= 3:
            break
    return found
