"""`keepbusy tune`: which options make this model, on this source and device, the fastest."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from keepbusy.cli.guard import guard_inputs
from keepbusy.cli.options import (
    OUTPUT_PANEL,
    RUN_PANEL,
    CacheDirOption,
    DebugOption,
    DeviceOption,
    ImgszOption,
    MaxPixelsOption,
    ModelOption,
    NumbersOption,
    PrecisionOption,
    conf_option,
    plot_option,
    quiet_option,
)
from keepbusy.cli.parse import parse_cache_dir, parse_pixels, parse_size
from keepbusy.config import Options, Precision
from keepbusy.errors import KeepbusyError
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.tune.report import TuneReport
    from keepbusy.tune.search import Events, StageReport
    from keepbusy.tune.space import Candidate

EXIT_INTERRUPTED = 130
DEFAULT_PROFILE = Path("keepbusy-profile.yaml")
_OUT, _GOAL = OUTPUT_PANEL, "What it searches for"


def tune(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Videos, pictures, folders like those that it will run on; looped. By default the clip that the "
            "package carries.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    max_latency_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            min=0.1,
            help="The highest throughput with the latency within this; by default the highest of all.",
            rich_help_panel=_GOAL,
            show_default=False,
        ),
    ] = None,
    percentile: Annotated[
        float,
        typer.Option(
            min=1,
            max=100,
            metavar="PERCENT",
            help="Which latency: that of so many frames in 100.",
            rich_help_panel=_GOAL,
        ),
    ] = 90.0,
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long it may search.", rich_help_panel=_GOAL)
    ] = 120.0,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The profile.", rich_help_panel=_OUT)
    ] = DEFAULT_PROFILE,
    plot: Annotated[Path | None, plot_option("The frontier.")] = None,
    json: NumbersOption = None,
    quiet: Annotated[bool, quiet_option("No progress.")] = False,
    imgsz: ImgszOption = None,
    precision: PrecisionOption = None,
    conf: Annotated[float, conf_option(RUN_PANEL, low=0.01)] = 0.25,
    max_pixels: MaxPixelsOption = None,
    cache_dir: CacheDirOption = None,
    debug: DebugOption = False,
) -> None:
    """Find the options that are fastest here, end to end, and write them as a profile for `keepbusy detect`.

    Streams, requests, threads, hint, number type, head, shape and the host's threads, within the cores that quotas and
    affinity leave. What would change detections is checked first. Ctrl-C keeps what was found until then.

    \b
    keepbusy tune street.mp4 -m yolov5n.xml -d CPU
    keepbusy tune street.mp4 -m yolov5n.xml -d GPU --max-latency-ms 30 --plot frontier.svg
    keepbusy detect street.mp4 -m yolov5n.xml --profile keepbusy-profile.yaml
    """
    from keepbusy.bench.drawing import check_suffix
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.embedded import embedded_clip, embedded_model
    from keepbusy.sinks.naming import check_file
    from keepbusy.tune.profile import save_profile
    from keepbusy.tune.report import report_of, to_profile
    from keepbusy.tune.search import Search
    from keepbusy.tune.trials import RealTrials, check_sources

    guard_inputs({"--output": output, "--plot": plot, "--json": json}, models=[model], sources=sources or [])
    check_file(output)
    if plot is not None:
        check_suffix(plot)
        check_file(plot)
    if json is not None and json != "-":
        check_file(Path(json))
    console = open_console(stderr=True, highlight=False, soft_wrap=True)
    chosen_model = embedded_model() if model is None else find_model_with_progress(model, is_quiet=quiet)
    chosen_sources = sources or [str(embedded_clip())]
    check_sources(chosen_sources)
    pinned = _without_none(imgsz=parse_size(imgsz), precision=cast("Precision | None", precision))
    unpinned = _without_none(cache_dir=parse_cache_dir(cache_dir), max_pixels=parse_pixels(max_pixels))
    fixed = cast("Options", {**pinned, **unpinned})
    stopped_by: BaseException | None = None
    with RealTrials(chosen_model, device, chosen_sources, fixed=fixed, conf=conf, percentile=percentile) as trials:
        machine, origin = trials.machine(), trials.environment()
        search = Search(trials, machine, budget_s=budget, max_latency_ms=max_latency_ms)
        try:
            with _progress(console, search.events, budget, is_wanted=not quiet):
                search.run()
        except BaseException as error:
            # Whatever ended it, Ctrl-C or a device that failed: what was measured before is worth keeping.
            if not search.found.has_any:
                if isinstance(error, KeyboardInterrupt):
                    console.print("interrupted before anything was compared: nothing was written")
                    raise typer.Exit(EXIT_INTERRUPTED) from None
                raise
            stopped_by = error
        report = report_of(search, origin, trials.reasons, percentile=percentile)
    if report.chosen is not None:
        save_profile(to_profile(report, pinned), output)
    _write(report, plot=plot, json=json)
    _show(report, is_json_on_stdout=json == "-")
    for path in (output if report.chosen is not None else None, plot, json if json != "-" else None):
        if path is not None:
            console.print(f"wrote {path}", markup=False)
    if stopped_by is not None:
        if isinstance(stopped_by, KeyboardInterrupt):
            kept = f"the best until then is in {output}" if report.chosen is not None else "nothing was good enough"
            console.print(f"interrupted after {report.elapsed_s:.0f} s: {kept}", markup=False)
            raise typer.Exit(EXIT_INTERRUPTED)
        raise stopped_by
    if report.chosen is None:
        _fail(report)


def _fail(report: TuneReport) -> None:
    lowest_ms = min(point.latency_ms for point in [*report.points, report.default])
    raise KeepbusyError(
        f"--max-latency-ms: nothing that was tried keeps {report.max_latency_ms:g} ms; "
        f"the lowest p{report.percentile:g} is {lowest_ms:.1f} ms: no profile was written",
        hint="allow more, or take a smaller model, a smaller --imgsz or another device",
    )


def _without_none(**options: Any) -> Options:
    return cast("Options", {name: value for name, value in options.items() if value is not None})


@contextmanager
def _progress(console: Console, events: Events, budget_s: float, *, is_wanted: bool) -> Iterator[None]:
    """A bar of the budget on a terminal; elsewhere a line for each stage."""
    if not is_wanted:
        yield
        return

    def say(report: StageReport) -> None:
        console.print(
            f"{report.name}: best of {report.num_candidates}: {report.best}, {report.gain:.2f} times the default",
            markup=False,
        )

    events.on_stage = say
    if not console.is_terminal:
        yield
        return

    import time

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, refresh_per_second=4, transient=True) as progress:
        task = progress.add_task("", total=budget_s)
        begin_s = time.monotonic()

        def step(stage: str, candidate: Candidate) -> None:
            done_s = min(time.monotonic() - begin_s, budget_s)
            progress.update(task, completed=done_s, description=f"{stage}: {candidate}")

        events.on_step = step
        yield


def _show(report: TuneReport, *, is_json_on_stdout: bool) -> None:
    from keepbusy.tune.report import render

    open_console(stderr=is_json_on_stdout, highlight=False).print(render(report))


def _write(report: TuneReport, *, plot: Path | None, json: str | None) -> None:
    from keepbusy.files.whole import write_report

    if plot is not None:
        from keepbusy.bench.drawing import write_drawing
        from keepbusy.tune.plot import draw_frontier

        write_drawing(draw_frontier(report), plot)
    if json is not None:
        from keepbusy.tune.report import to_dict

        write_report(json_module.dumps(to_dict(report), indent=1) + "\n", json)
