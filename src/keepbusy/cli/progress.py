"""What a person sees of a run: a line while it goes on, a summary when it is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit
from keepbusy.values.forms import QUANTIZED_WORDS

if TYPE_CHECKING:
    from keepbusy.flow.counters import OutletStats
    from keepbusy.flow.run import Run
    from keepbusy.flow.stats import Snapshot
    from keepbusy.jobs.detect import RunReport
    from keepbusy.values.result import Result

UPDATES_PER_S = 4
"""Drawing the line takes about a millisecond of the interpreter's time, which the pipeline needs."""


class ProgressLine:
    """The line of one run; `update` is cheap enough to be called for each result."""

    def __init__(self, progress: Bars | None, run: Run, total: int | None) -> None:
        self._progress = progress
        self._run = run
        self._due_s = 0.0
        if progress is not None:
            self._task = progress.add_task("", total=total, fps=0.0, latency_ms=0.0, extra="")

    def update(self) -> None:
        """Show the run's numbers if it is time to."""
        if self._progress is None or time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + 1 / UPDATES_PER_S
        numbers = self._run.stats.snapshot()
        self._progress.update(
            self._task,
            completed=numbers.num_frames,
            fps=numbers.throughput_fps,
            latency_ms=numbers.latency_p50_ms,
            extra=_extra(numbers),
        )


@contextmanager
def progress_line(console: Console, run: Run, total: int | None, *, is_wanted: bool) -> Iterator[ProgressLine]:
    """A progress line on a terminal; nothing where the console is no terminal or it is not wanted."""
    if not (is_wanted and console.is_terminal):
        yield ProgressLine(None, run, total)
        return
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("frames  [bold]{task.fields[fps]:.1f}[/] frames/s  {task.fields[latency_ms]:.1f} ms"),
        TextColumn("{task.fields[extra]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, refresh_per_second=UPDATES_PER_S, transient=True) as progress:
        line = ProgressLine(progress, run, total)
        yield line


class Progress:
    """Shows a run that goes on, and sums it up at its end.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ExitStack()
        self._line: ProgressLine | None = None

    def begin(self, run: Run, total: int | None) -> None:
        """The run has begun; `total` frames will be read."""
        self._line = self._shown.enter_context(progress_line(self._console, run, total, is_wanted=True))

    def result(self, result: Result) -> None:
        """There is a result."""
        if self._line is not None:
            self._line.update()

    def end(self, report: RunReport, error: BaseException | None) -> None:
        """The run is over."""
        self._shown.close()
        if error is not None and not isinstance(error, Exception):
            print_interrupted(self._console, report.numbers)
        print_summary(self._console, report)


def _extra(numbers: Snapshot) -> str:
    parts = []
    if numbers.num_dropped:
        parts.append(f"{numbers.num_dropped} dropped")
    if numbers.num_errors:
        parts.append(f"{numbers.num_errors} failed")
    return "  ".join(parts)


def print_interrupted(console: Console, numbers: Snapshot) -> None:
    """That a run was broken off, and how many of its frames the outputs have: others were on their way."""
    num_written = next((stage.num_frames for stage in numbers.stages if stage.stage == "sink"), 0)
    written = f": the outputs have {num_written} frames" if num_written else ""
    console.print(f"interrupted{written}", highlight=False)


def print_summary(console: Console, report: RunReport) -> None:
    """The run in numbers, and where its time went."""
    numbers, num_slots = report.numbers, report.num_slots
    how = [report.mode, report.device, f"{num_slots} request{'s' if num_slots > 1 else ''}"]
    if report.quantized is not None:
        how.append(QUANTIZED_WORDS[report.quantized])
    console.print(
        f"[bold]{numbers.num_frames}[/] frames in {numbers.wall_s:.2f} s: "
        f"[bold]{numbers.throughput_fps:.1f} frames/s[/], {numbers.num_detections} detections "
        f"({', '.join(how)})",
        highlight=False,
    )
    console.print(
        f"latency p50 {numbers.latency_p50_ms:.1f} ms, p90 {numbers.latency_p90_ms:.1f} ms, "
        f"p99 {numbers.latency_p99_ms:.1f} ms; device busy {numbers.device_busy_share:.1%}",
        highlight=False,
    )
    for source, count in numbers.dropped.items():
        told = fit(f"{count} frames of {source} dropped: newer ones were waiting")
        console.print(told, highlight=False, markup=False)
    for outlet in numbers.outlets:
        for told in _missing(outlet):
            console.print(fit(told), highlight=False, markup=False)
    if numbers.num_errors:
        console.print(f"[yellow]{numbers.num_errors} frames failed[/]", highlight=False)
    console.print(stage_table(numbers))


def _missing(outlet: OutletStats) -> Iterator[str]:
    """What a sink has not got, a line for each cause."""
    why = {"overload": "newer ones were waiting", "stale": "they were too old"}
    for cause, count in outlet.dropped.items():
        yield f"{count} results not written to {outlet.name}: {why.get(cause, cause)}"
    if outlet.num_failed:
        yield f"{outlet.num_failed} results could not be written to {outlet.name}"


def stage_table(numbers: Snapshot) -> FigureTable:
    """Busy and waiting time of the five stages."""
    table = FigureTable("stage")
    table.add_figures("frames", "ms per frame", "busy", "waiting for input", "waiting for output")
    for stage in numbers.stages:
        if stage.num_frames == 0:
            continue
        table.add_row(
            stage.stage,
            str(stage.num_frames),
            f"{stage.busy_per_frame_ms:.2f}",
            f"{stage.busy_share:.1%}",
            f"{stage.wait_input_s:.2f} s",
            f"{stage.wait_output_s:.2f} s",
        )
    return table
