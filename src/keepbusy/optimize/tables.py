"""The report as a rich table and lines, for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from keepbusy.optimize.report import Report, spread_of
from keepbusy.terminal.table import FigureTable


def render(report: Report) -> RenderableType:
    """What was measured, and in a line what it comes to."""
    has_labels = any(row.map50_95 is not None for row in report.rows)
    base = report.fastest_original
    table = FigureTable("")
    table.add_figures("input", "frames/s", f"of {base.name}", *_accuracy_columns(has_labels), "MB")
    for row in report.rows:
        accuracy = [_points(row.map50_95), _points(row.map50)] if has_labels else [_share(row.matched)]
        height, width = row.input_hw
        table.add_row(
            Text(row.name),
            f"{width}x{height}",
            f"{row.fps:.1f}" if row.rounds_fps else "–",
            spread_of(row, base),
            *accuracy,
            f"{row.size_bytes / 1e6:.1f}",
            style="bold" if row.name == report.chosen else None,
        )
    return Group(table, Text(_summary(report)))


def _accuracy_columns(has_labels: bool) -> list[str]:
    return ["mAP50-95", "mAP50"] if has_labels else ["matched"]


def _summary(report: Report) -> str:
    row, base, speed_up = report.row(report.chosen), report.fastest_original, report.speed_up
    text = f"{row.name}: {speed_up.median:.2f} times the speed of {base.name}"
    drop = report.drop_points
    if drop is not None:
        text += f", accuracy {'down' if drop > 0 else 'up'} {abs(drop):.2f} points"
    elif row.matched is not None:
        text += f", {row.matched:.1%} of the detections are the original's (no labels: this is no accuracy)"
    return text


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
