"""`keepbusy bench`: the model alone against end to end, sync against async, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from keepbusy.cli.guard import guard_inputs
from keepbusy.cli.options import (
    OUTPUT_PANEL,
    RUN_PANEL,
    CacheDirOption,
    DebugOption,
    DecoderOption,
    DeviceOption,
    FastDecodeOption,
    HeadOption,
    ImgszOption,
    MaxPixelsOption,
    ModelOption,
    PrecisionOption,
    QuantizedOption,
    ReduceJpegsOption,
    ShapeOption,
    conf_option,
    hint_option,
    nireq_option,
    nstreams_option,
    plot_option,
    rounds_option,
    seconds_option,
    trace_option,
)
from keepbusy.cli.parse import parse_cache_dir, parse_nireq, parse_pixels, parse_shape, parse_size
from keepbusy.config import Decoder, HeadChoice, Hint, Options, Precision, QuantizedChoice
from keepbusy.errors import ConfigError
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.bench.report import Report

EXIT_BELOW_BASELINE = 1
EXIT_INTERRUPTED = 130
_OUT, _CHECK = OUTPUT_PANEL, "Against an earlier measurement"


def bench(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Videos, pictures, folders; looped. By default the clip that the package carries.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    seconds: Annotated[
        float, seconds_option("Length of each measurement end to end; each of the model alone takes half of it.")
    ] = 3.0,
    rounds: Annotated[int, rounds_option("How often each is made; 3 or more for intervals.")] = 5,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="All numbers and the environment.", rich_help_panel=_OUT)
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One page that needs nothing else.", rich_help_panel=_OUT)
    ] = None,
    plot: Annotated[Path | None, plot_option("The timeline.")] = None,
    trace: Annotated[Path | None, trace_option("The timeline for Perfetto or chrome://tracing.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Compare two --json files and measure nothing.", rich_help_panel=_CHECK),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A --json file made under the same conditions.", rich_help_panel=_CHECK),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            min=0,
            help="Exit with 1 when end-to-end async is below this share of the baseline's.",
            rich_help_panel=_CHECK,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare with a baseline of other conditions.", rich_help_panel=_CHECK)
    ] = False,
    imgsz: ImgszOption = None,
    shape: ShapeOption = "auto",
    head: HeadOption = "auto",
    nireq: Annotated[str, nireq_option("Infer requests in flight, of async.")] = "auto",
    hint: Annotated[
        str | None, hint_option("For both modes; by default latency for sync and throughput for async.")
    ] = None,
    nstreams: Annotated[int | None, nstreams_option("Device streams, of async.")] = None,
    precision: PrecisionOption = None,
    quantized: QuantizedOption = "keep",
    conf: Annotated[float, conf_option(RUN_PANEL)] = 0.25,
    max_pixels: MaxPixelsOption = None,
    reduce_jpegs: ReduceJpegsOption = False,
    fast_decode: FastDecodeOption = False,
    decoder: DecoderOption = "auto",
    cache_dir: CacheDirOption = None,
    debug: DebugOption = False,
) -> None:
    """Measure what the device does alone, what it does end to end, and what holds it back.

    The model alone comes twice: as exported (benchmark_app's figure), and as keepbusy runs it.

    \b
    keepbusy bench
    keepbusy bench street.mp4 -m yolov5n.xml -d CPU --html report.html --plot timeline.png
    keepbusy bench street.mp4 -m yolov5n.xml --json here.json
    keepbusy bench street.mp4 -m yolov5n.xml --baseline here.json --fail-under 0.9
    keepbusy bench --compare before.json after.json
    """
    if compare is not None:
        _print_comparison(*compare)
        return
    if fail_under is not None and baseline is None:
        raise ConfigError("--fail-under: there is nothing to compare with", hint="name it: --baseline FILE")

    from keepbusy.bench.baseline import check_comparable
    from keepbusy.bench.drawing import check_suffix
    from keepbusy.bench.report import read_json
    from keepbusy.bench.run import bench_model, write_files

    if plot is not None:
        check_suffix(plot)
    guard_inputs(
        {"--json": json, "--html": html, "--plot": plot, "--trace": trace},
        models=[model],
        sources=sources or [],
        others=[baseline],
    )
    _check_files(json, html, plot, trace)
    earlier = read_json(baseline) if baseline is not None else None
    if model is None or not sources:
        default_source, default_model = default_source_and_model(
            is_source_wanted=not sources, is_model_wanted=model is None
        )
        model = model or default_model
        sources = sources or [str(default_source)]
    assert model is not None  # nosec B101 # for mypy: set above
    from keepbusy.cli.models import find_model_with_progress

    def check_environment(environment: Mapping[str, Any]) -> None:
        if earlier is not None and baseline is not None:
            check_comparable(environment, earlier, baseline, force=force)

    model = find_model_with_progress(model)
    options = Options(
        imgsz=parse_size(imgsz),
        shape=parse_shape(shape),
        head=cast(HeadChoice, head),
        hint=cast("Hint | None", hint),
        precision=cast("Precision | None", precision),
        quantized=cast("QuantizedChoice", quantized),
        conf=conf,
        max_pixels=parse_pixels(max_pixels),
        reduce_jpegs=reduce_jpegs,
        fast_decode=fast_decode,
        decoder=cast("Decoder", decoder),
        cache_dir=parse_cache_dir(cache_dir),
    )
    with _progress(rounds) as on_begin:
        report = bench_model(
            model,
            sources,
            device=device,
            options=options,
            options_async=Options(nireq=parse_nireq(nireq), nstreams=nstreams),
            num_rounds=rounds,
            seconds=seconds,
            on_environment=check_environment,
            on_begin=on_begin,
        )
    _show(report)
    written = write_files(report, json=json, html=html, plot=plot, trace=trace)
    console = open_console(stderr=True, highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if earlier is not None:
        _check_baseline(report, earlier, fail_under)
    if report.num_rounds < rounds:
        raise typer.Exit(EXIT_INTERRUPTED)


def default_source_and_model(*, is_source_wanted: bool, is_model_wanted: bool) -> tuple[Path | None, Path | None]:
    """The clip and the model that the package carries; None for what is not wanted, which is then not looked for."""
    from keepbusy.embedded import embedded_clip, embedded_model

    return embedded_clip() if is_source_wanted else None, embedded_model() if is_model_wanted else None


def _check_files(*paths: Path | None) -> None:
    from keepbusy.sinks.naming import check_file

    for path in paths:
        if path is not None:
            check_file(path)


@contextmanager
def _progress(num_rounds: int) -> Iterator[Callable[[int, str], None]]:
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield lambda _index, _name: None
        return
    status = console.status("")

    def show(index: int, name: str) -> None:
        status.start()  # Not before: what is said while the model is compiled has no line under it.
        status.update(f"round {index + 1} of {num_rounds}: {name}")

    try:
        yield show
    finally:
        status.stop()


def _show(report: Report) -> None:
    from keepbusy.bench.tables import render

    open_console(highlight=False).print(render(report))


def _check_baseline(report: Report, earlier: dict[str, Any], fail_under: float | None) -> None:
    from keepbusy.bench.baseline import MAIN, ratio_to_baseline

    ratio = ratio_to_baseline(report.measurements["end-to-end async"].fps, earlier)
    console = open_console(highlight=False)
    console.print(f"{MAIN}: {ratio:.3f} of the baseline")
    here, there = report.to_exported_async, earlier.get("to_exported_async")
    if here is not None and there is not None:
        console.print(f"{MAIN} ÷ model as exported: {here.median:.2f} here, {there['median']:.2f} in the baseline")
    if fail_under is not None and ratio < fail_under:
        open_console(stderr=True, highlight=False).print(
            f"[bold red]below[/] the wanted {fail_under:g} of the baseline"
        )
        raise typer.Exit(EXIT_BELOW_BASELINE)


def _print_comparison(first: Path, second: Path) -> None:
    from keepbusy.bench.environment import differences
    from keepbusy.bench.report import read_json
    from keepbusy.bench.tables import compare_table

    contents = read_json(first), read_json(second)
    console = open_console(highlight=False)
    console.print(compare_table(*contents, (first.name, second.name)))
    for line in differences(contents[0]["environment"], contents[1]["environment"]):
        console.print(f"not the same: {line}", style="yellow", markup=False)
