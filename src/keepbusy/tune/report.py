"""What a search found: as a profile, as JSON, as tables and lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from keepbusy.bench.samples import MIN_ROUNDS
from keepbusy.config import Options
from keepbusy.terminal.table import FigureTable
from keepbusy.tune.frontier import Point
from keepbusy.tune.profile import TunedProfile
from keepbusy.tune.search import Search
from keepbusy.tune.space import DEFAULT, Candidate

FORMAT = "keepbusy-tune"
VERSION = 1

PLOT_SIZE = (60, 12)
"""Columns and lines of the plot in the terminal."""


@dataclass(frozen=True, slots=True)
class TuneReport:
    """What a search found.

    Attributes:
        origin: The keys of `profile.TUNED_FOR`.
        percentile: The latency that counts, 0 to 100.
        max_latency_ms: Its limit.
        default: The configuration without any options.
        chosen: What to use; None where nothing keeps the limit.
        points: All candidates that were measured.
        frontier: Of these and the default, those that no other beats in both throughput and latency.
        rejected: What is out because its detections differ, and how.
        failed: What could not be run, and why.
        elapsed_s: How long it took.
        is_finished: It was not interrupted.
    """

    origin: Mapping[str, Any]
    percentile: float
    max_latency_ms: float | None
    default: Point
    chosen: Point | None
    points: Sequence[Point]
    frontier: Sequence[Point]
    rejected: Mapping[Candidate, str]
    failed: Mapping[Candidate, str]
    elapsed_s: float
    is_finished: bool


def report_of(
    search: Search, origin: Mapping[str, Any], failed: Mapping[Candidate, str], *, percentile: float
) -> TuneReport:
    """What a search has found so far; it must have found something."""
    found = search.found
    return TuneReport(
        origin=origin,
        percentile=percentile,
        max_latency_ms=search.max_latency_ms,
        default=found.default,
        chosen=found.chosen,
        points=found.points,
        frontier=found.frontier,
        rejected={one: why for one, why in found.objections.items() if why is not None},
        failed=failed,
        elapsed_s=search.elapsed_s,
        is_finished=search.is_finished,
    )


def to_profile(report: TuneReport, fixed: Options | None = None) -> TunedProfile:
    """The chosen configuration as a profile; there must be one.

    Args:
        report: What was found.
        fixed: Options that all candidates had, and that it was tuned for.
    """
    chosen = report.chosen
    assert chosen is not None  # nosec B101 # for mypy: the caller sees to it, as documented
    name = f"latency_p{report.percentile:g}_ms"
    measured: dict[str, Any] = {
        "fps": round(chosen.fps, 1),
        name: round(chosen.latency_ms, 2),
        "default_fps": round(report.default.fps, 1),
        f"default_{name}": round(report.default.latency_ms, 2),
        "gain": round(chosen.standing.gain.median, 3),
        "gain_interval": _interval(chosen),
        "max_latency_ms": report.max_latency_ms,
        "rounds": chosen.standing.num_rounds,
        "is_finished": report.is_finished,
    }
    return TunedProfile(
        options=Options(**{**(fixed or {}), **chosen.candidate.options}),
        tuned_for=report.origin,
        measured={key: value for key, value in measured.items() if value is not None},
    )


def to_dict(report: TuneReport) -> dict[str, Any]:
    """All of it, ready for JSON."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "tuned_for": {key: value for key, value in report.origin.items() if value is not None},
        "percentile": report.percentile,
        "max_latency_ms": report.max_latency_ms,
        "is_finished": report.is_finished,
        "elapsed_s": round(report.elapsed_s, 1),
        "default": _point(report.default),
        "chosen": _point(report.chosen) if report.chosen is not None else None,
        "frontier": [_point(point) for point in report.frontier],
        "points": [_point(point) for point in report.points],
        "rejected": {str(one): why for one, why in report.rejected.items()},
        "failed": {str(one): why for one, why in report.failed.items()},
    }


def render(report: TuneReport) -> RenderableType:
    """The frontier as a table and a plot, and what was chosen."""
    parts: list[RenderableType] = [frontier_table(report), ""]
    if len(report.points) > 1:
        parts += [Text(text_plot(report)), ""]
    parts.append(verdict(report))
    parts += [Text(f"rejected: {one}: {why}", style="yellow") for one, why in report.rejected.items()]
    parts += [Text(f"cannot be run: {one}: {why}", style="yellow") for one, why in report.failed.items()]
    parts.append(Text(footnote(report), style="dim"))
    return Group(*parts)


def frontier_table(report: TuneReport) -> FigureTable:
    """The frontier, the default and the chosen one."""
    table = FigureTable("", header_style="dim")
    table.add_figures("frames/s", f"p{report.percentile:g} ms", "÷ default", "interval", "rounds")
    table.add_words("options")
    for point in shown_points(report):
        interval = _interval(point)
        is_default = point.candidate == DEFAULT
        table.add_row(
            mark_of(point, report),
            f"{point.fps:.1f}",
            f"{point.latency_ms:.1f}",
            f"{point.standing.gain.median:.3f}",
            "" if is_default else f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "–",
            str(point.standing.num_rounds),
            str(point.candidate),
            style="bold" if _is_chosen(point, report) else None,
        )
    return table


def shown_points(report: TuneReport) -> list[Point]:
    """The frontier, the default and the chosen one; by throughput, the highest first."""
    points = {point.candidate: point for point in (*report.frontier, report.default)}
    if report.chosen is not None:
        points[report.chosen.candidate] = report.chosen
    return sorted(points.values(), key=lambda point: -point.fps)


def mark_of(point: Point, report: TuneReport) -> str:
    """→ the chosen one, d the default, × above the limit."""
    is_above = report.max_latency_ms is not None and point.latency_ms > report.max_latency_ms
    return ("→" if _is_chosen(point, report) else "") + ("d" if point.candidate == DEFAULT else "") + "×" * is_above


def text_plot(report: TuneReport) -> str:
    """Throughput (up) against latency (to the right, logarithmic), drawn with characters."""
    import math

    width, height = PLOT_SIZE
    edge = {point.candidate for point in report.frontier}
    points = [*report.points, report.default]
    low_ms, high_ms = (pick(point.latency_ms for point in points) for pick in (min, max))
    low, high = (pick(point.fps for point in points) for pick in (min, max))
    span, spread = math.log(max(high_ms / low_ms, 1.01)), max(high - low, 0.01 * high)
    grid = [[" "] * width for _ in range(height)]

    def column_of(latency_ms: float) -> int:
        return round(math.log(latency_ms / low_ms) / span * (width - 1))

    if report.max_latency_ms is not None and low_ms <= report.max_latency_ms <= high_ms:
        for line in grid:
            line[column_of(report.max_latency_ms)] = "┊"

    def rank(point: Point) -> tuple[bool, bool, bool]:
        return _is_chosen(point, report), point.candidate == DEFAULT, point.candidate in edge

    for point in sorted(points, key=rank):
        row = height - 1 - round((point.fps - low) / spread * (height - 1))
        sign = "★" if _is_chosen(point, report) else "d" if point.candidate == DEFAULT else "·"
        grid[row][column_of(point.latency_ms)] = "o" if sign == "·" and point.candidate in edge else sign
    labels = [f"{high:8.1f}", *[" " * 8] * (height - 2), f"{low:8.1f}"]
    lines = [f"{label} │{''.join(line)}" for label, line in zip(labels, grid, strict=True)]
    left, right = f"{low_ms:.1f}", f"{high_ms:.1f} ms (p{report.percentile:g})"
    lines.append(f"{'frames/s':>8} └{'─' * width}")
    lines.append(f"{'':8}  {left}{right:>{width - len(left)}}")
    lines.append(f"{'':8}  ★ chosen  d default  o frontier  · others" + ("  ┊ limit" if report.max_latency_ms else ""))
    return "\n".join(line.rstrip() for line in lines)


def verdict(report: TuneReport) -> Text:
    """What was chosen, in words."""
    chosen, default = report.chosen, report.default
    limit = f" with p{report.percentile:g} within {report.max_latency_ms:g} ms" if report.max_latency_ms else ""
    if chosen is None:
        lowest = min(point.latency_ms for point in [*report.points, default])
        return Text(f"nothing keeps the limit: the lowest p{report.percentile:g} is {lowest:.1f} ms", style="bold red")
    if chosen.candidate == DEFAULT:
        return Text(f"the default is as fast as anything that was tried{limit}", style="bold")
    interval = _interval(chosen)
    sure = (
        f" ({interval[0]:.2f} to {interval[1]:.2f})"
        if interval
        else f", in {_count(chosen.standing.num_rounds, 'round')}"
    )
    return Text.assemble(
        (str(chosen.candidate), "bold cyan"),
        f"\n{chosen.fps:.1f} frames/s{limit}: {chosen.standing.gain.median:.2f} times the default{sure}",
    )


def footnote(report: TuneReport) -> str:
    """How it was measured."""
    end = "" if report.is_finished else ", interrupted: the best until then"
    return (
        f"{_count(len(report.points) + 1, 'configuration')} in {report.elapsed_s:.0f} s{end}; end to end, each beside "
        "the default in the same rounds; medians, intervals of 95 %. Latency: from frame read to result, what waits "
        "before the device included."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + "s" * (number != 1)


def _is_chosen(point: Point, report: TuneReport) -> bool:
    return report.chosen is not None and point.candidate == report.chosen.candidate


def _interval(point: Point) -> list[float] | None:
    gain = point.standing.gain
    if gain.low is None or gain.high is None or point.standing.num_rounds < MIN_ROUNDS or point.candidate == DEFAULT:
        return None
    return [round(gain.low, 3), round(gain.high, 3)]


def _point(point: Point) -> dict[str, Any]:
    return {
        "options": dict(point.candidate.items),
        "fps": round(point.fps, 2),
        "latency_ms": round(point.latency_ms, 3),
        "gain": round(point.standing.gain.median, 4),
        "gain_interval": _interval(point),
        "num_rounds": point.standing.num_rounds,
        "level": point.level,
    }
