"""What a person sees of a batch: a line while it goes on, a summary at its end, and its state at any time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from keepbusy.texts import fit, shortened

if TYPE_CHECKING:
    from keepbusy.batch.progress import Progress

_FAILURES_SHOWN = 10
_LINE_EVERY_S = 30.0


class BatchProgress:
    """Shows a batch that goes on: a line that changes on a terminal, a line every half minute elsewhere.

    Args:
        console: Where.
        is_wanted: Whether anything is to be shown.

    Attributes:
        elapsed_s: How long it has gone on, seconds.
    """

    def __init__(self, console: Console, *, is_wanted: bool) -> None:
        self._console = console
        self._is_wanted = is_wanted
        self._shown = ExitStack()
        self._bars: Bars | None = None
        self._last: Progress | None = None
        self._begin_s = time.monotonic()
        self._due_s = _LINE_EVERY_S

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begin_s

    def __enter__(self) -> Self:
        if self._is_wanted and self._console.is_terminal:
            columns = (BarColumn(bar_width=24), TextColumn("{task.fields[told]}"))
            self._bars = self._shown.enter_context(Bars(*columns, console=self._console, transient=True))
            self._task = self._bars.add_task("", total=None, told="starting")
        return self

    def update(self, progress: Progress) -> None:
        """The job is so far now."""
        self._last = progress
        if self._bars is not None:
            total = None if progress.is_least else progress.num_expected
            self._bars.update(self._task, total=total, completed=progress.num_frames, told=line_of(progress))
        elif self._is_wanted and self.elapsed_s >= self._due_s:
            self._due_s = self.elapsed_s + _LINE_EVERY_S
            self._console.print(line_of(progress), highlight=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.close()
        last = self._last
        if self._is_wanted and error is not None and not isinstance(error, Exception):
            done = "nothing is done yet" if last is None else f"{last.num_done} of {last.num_units} units are done"
            self._console.print(f"interrupted: {done}; the same command goes on", highlight=False)


def line_of(progress: Progress) -> str:
    """A job at one moment in a line."""
    expected = progress.num_expected
    of = "" if expected is None else f" of {'at least ' if progress.is_least else ''}{expected}"
    parts = [f"{progress.num_frames}{of} frames", f"{progress.num_done} of {progress.num_units} units"]
    if progress.throughput_fps:
        parts.append(f"[bold]{progress.throughput_fps:.1f}[/] frames/s")
    if progress.left_s is not None:
        parts.append(f"{'at least ' if progress.is_least else 'about '}{time_text(progress.left_s)} left")
    problems = progress.num_failed + progress.num_aside
    if problems:
        parts.append(f"[yellow]{problems} failed[/]")
    return "  ".join(parts)


def time_text(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `4 days 3 h`: as exact as an estimate is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes // 10 * 10} min"
    return f"{hours // 24} days {hours % 24} h"


def print_batch(console: Console, progress: Progress, *, elapsed_s: float | None = None) -> None:
    """A job in numbers, and what has failed in it."""
    expected = progress.num_expected if progress.num_waiting else None
    of = "" if expected is None else f" of {'at least' if progress.is_least else 'about'} {expected}"
    frames = f"[bold]{progress.num_frames}[/]{of} frames of {progress.num_files} files"
    if elapsed_s is not None and progress.num_new == progress.num_frames:
        frames += f" in {elapsed_s:.2f} s"
    elif elapsed_s is not None:
        frames = f"[bold]{progress.num_new}[/] frames in {elapsed_s:.2f} s; in all {frames}"
    console.print(
        f"{frames}, {progress.num_detections} detections; {progress.num_done} of {progress.num_units} units done",
        highlight=False,
        soft_wrap=True,
    )
    for count, what in (
        (progress.num_waiting, "waiting"),
        (progress.num_failed, "failed"),
        (progress.num_aside, "set aside: each has ended two worker processes"),
    ):
        if count:
            console.print(f"{count} unit{'' if count == 1 else 's'} {what}", highlight=False)
    if progress.num_errors:
        told = "frame" if progress.num_errors == 1 else "frames"
        console.print(f"[yellow]{progress.num_errors} {told} failed[/]: the table `frames` has why", highlight=False)
    for failure in progress.failures[:_FAILURES_SHOWN]:
        reason = failure.reason if failure.name in failure.reason else f"{failure.name}: {failure.reason}"
        console.print(
            f"  {failure.state}: {fit(shortened(reason, 300))}", highlight=False, markup=False, soft_wrap=True
        )
    if len(progress.failures) > _FAILURES_SHOWN:
        console.print(f"  and {len(progress.failures) - _FAILURES_SHOWN} more: keepbusy batch status FOLDER --json")
