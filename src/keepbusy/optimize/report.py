"""What was measured of each form of a model, and whether the new one may stand for the old."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from keepbusy.bench.samples import Ratio, ratio

FLOAT_HEAD_POINTS = 0.1
"""The head's last convolutions stay in float where that is worth at least so many points of mAP50-95, ..."""

FLOAT_HEAD_SPEED = 0.97
"""... and leaves at least this share of the speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One form of the model.

    Attributes:
        name: What it is: `exported` or `rewritten` with its number type, `int8`, or `int8, float head`.
        precision: The number type that the device says it computes in, for what is not INT8.
        input_hw: The input's (height, width) in the measurement of speed, pixels.
        rounds_fps: Frames a second in each round, the model alone, all requests in flight; empty where the device does
            not have the number type.
        map50_95: 0 to 1; None without labels.
        map50: At an overlap of 0.50.
        matched: Without labels: the share of detections that have a partner on the other side, of the worse side; None
            for the form that the others are compared with.
        problems: Without labels: in words, what does not agree.
        size_bytes: On the disk, with weights.
    """

    name: str
    precision: str
    input_hw: tuple[int, int]
    size_bytes: int
    rounds_fps: tuple[float, ...] = ()
    map50_95: float | None = None
    map50: float | None = None
    matched: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Median of the rounds; 0 where there are none."""
        return statistics.median(self.rounds_fps) if self.rounds_fps else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All forms, and what becomes of the new one.

    Attributes:
        rows: What was measured; the originals first.
        chosen: Name of the new form.
        originals: Names of the forms that it must beat.
        trusted: Names of the float32 forms, whose accuracy it must keep.
        max_drop: Points of mAP50-95 (hundredths) that may be lost.
        settings: Model, device, data, rounds.
        notes: What a person should know, one sentence each.
        files: What was written.
    """

    rows: tuple[Row, ...]
    chosen: str
    originals: tuple[str, ...]
    trusted: tuple[str, ...]
    max_drop: float
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def row(self, name: str) -> Row:
        """The form of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def fastest_original(self) -> Row:
        """The one that the new form must be faster than."""
        return max((self.row(name) for name in self.originals), key=lambda row: row.fps)

    @property
    def speed_up(self) -> Ratio:
        """The new form's speed ÷ that of the fastest original, of the same rounds."""
        return ratio(self.row(self.chosen).rounds_fps, self.fastest_original.rounds_fps)

    @property
    def drop_points(self) -> float | None:
        """Points of mAP50-95 below the better float32 form; negative where it is above; None without labels."""
        best = max((self.row(name).map50_95 or 0.0 for name in self.trusted), default=0.0)
        found = self.row(self.chosen).map50_95
        return None if found is None else (best - found) * 100

    @property
    def refusals(self) -> list[str]:
        """In words, with the figures, why the new form should not be used; empty where it should."""
        found: list[str] = []
        row, base, speed_up = self.row(self.chosen), self.fastest_original, self.speed_up
        if speed_up.median <= 1:
            found.append(
                f"{row.name} is not faster on this device: {row.fps:.1f} frames/s, {base.name} {base.fps:.1f} "
                f"({speed_up.median:.2f} times)"
            )
        drop = self.drop_points
        if drop is not None and self.is_too_inaccurate:
            best = max((self.row(name) for name in self.trusted), key=lambda one: one.map50_95 or 0.0)
            found.append(
                f"accuracy falls by {drop:.2f} points, over the {self.max_drop:g} allowed: mAP50-95 "
                f"{100 * (row.map50_95 or 0):.2f} instead of {100 * (best.map50_95 or 0):.2f} ({best.name})"
            )
        return found + [f"{row.name} does not find what the original finds: {problem}" for problem in row.problems]

    @property
    def is_too_inaccurate(self) -> bool:
        """More accuracy is lost than may be."""
        return self.drop_points is not None and self.drop_points > self.max_drop

    @property
    def is_refused(self) -> bool:
        """The new form should not be used."""
        return bool(self.refusals)

    def with_files(self, files: Sequence[object]) -> Report:
        """The same, with what was written."""
        return replace(self, files=tuple(str(file) for file in files))


def choose_int8(int8: Row, float_head: Row | None, best_map: float | None, max_drop: float) -> str:
    """Which of the two INT8 forms is kept: that with its head in float where that pays.

    Args:
        int8: Everything in INT8.
        float_head: With the head's last convolutions in float; None where there is no such form.
        best_map: mAP50-95 of the float32 model, 0 to 1; None without labels.
        max_drop: Points that may be lost.
    """
    if float_head is None:
        return int8.name
    if int8.map50_95 is None or float_head.map50_95 is None or best_map is None:
        # Without labels: what agrees, and then what is faster.
        if bool(int8.problems) != bool(float_head.problems):
            return float_head.name if int8.problems else int8.name
        return float_head.name if float_head.fps >= FLOAT_HEAD_SPEED * int8.fps else int8.name
    if (best_map - int8.map50_95) * 100 > max_drop:
        return float_head.name if float_head.map50_95 > int8.map50_95 else int8.name
    gain = (float_head.map50_95 - int8.map50_95) * 100
    pays = gain >= FLOAT_HEAD_POINTS and float_head.fps >= FLOAT_HEAD_SPEED * int8.fps
    return float_head.name if pays or (float_head.fps > int8.fps and gain >= 0) else int8.name


def to_dict(report: Report) -> dict[str, Any]:
    """Everything, ready for JSON."""
    speed_up, base = report.speed_up, report.fastest_original
    return {
        "chosen": report.chosen,
        "is_refused": report.is_refused,
        "refusals": report.refusals,
        "speed_up": {"over": base.name, **asdict(speed_up)},
        "drop_points": report.drop_points,
        "max_drop_points": report.max_drop,
        "rows": [_row_to_dict(row, base) for row in report.rows],
        "notes": list(report.notes),
        "files": list(report.files),
        "settings": report.settings,
    }


def _row_to_dict(row: Row, base: Row) -> dict[str, Any]:
    return {**asdict(row), "fps": row.fps, "ratio": _ratio(row, base).median if row.rounds_fps else None}


def _ratio(row: Row, base: Row) -> Ratio:
    return ratio(row.rounds_fps, base.rounds_fps)


def spread_of(row: Row, base: Row) -> str:
    """A row's speed as a multiple of another's, with its interval: `1.32 (1.29 to 1.36)`."""
    if not row.rounds_fps:
        return "–"
    found = _ratio(row, base)
    interval = f" ({found.low:.2f} to {found.high:.2f})" if found.low is not None and row is not base else ""
    return f"{found.median:.2f}{interval}"
