"""A model on a device over sources → the report of a benchmark, and its files.

```python
report = bench_model(Path("yolov5n.xml"), ["street.mp4"], device="CPU")
print(report.measurements["end-to-end async"].fps, report.verdict)
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from keepbusy.api import Pipeline
from keepbusy.bench.drawing import write_drawing
from keepbusy.bench.environment import describe
from keepbusy.bench.exported import Exported, runs_as_exported
from keepbusy.bench.measure import benchmark
from keepbusy.bench.page import write_page
from keepbusy.bench.possible import possible
from keepbusy.bench.report import Report, write_json
from keepbusy.bench.timeline import draw_report
from keepbusy.bench.trace import write_trace
from keepbusy.config import DetectConfig, Mode, Options
from keepbusy.device.names import available_devices
from keepbusy.errors import ModelError
from keepbusy.telemetry import import_openvino

NUM_ROUNDS = 5
SECONDS = 3.0


def bench_model(
    model: Path,
    sources: Sequence[str],
    *,
    device: str = "CPU",
    options: Options | None = None,
    options_async: Options | None = None,
    num_rounds: int = NUM_ROUNDS,
    seconds: float = SECONDS,
    on_environment: Callable[[Mapping[str, Any]], None] = lambda _environment: None,
    on_begin: Callable[[int, str], None] = lambda _index, _name: None,
) -> Report:
    """Measure a model alone, as exported and as run, and end to end, in mode sync and in mode async.

    Args:
        model: Its file.
        sources: Looped in every end-to-end measurement.
        device: OpenVINO's device name.
        options: Options of both pipelines.
        options_async: Those of the async pipeline only, such as `nireq` and `nstreams`.
        num_rounds: How often each measurement is made.
        seconds: Length of each end-to-end measurement; one of the model alone takes half of it.
        on_environment: Told, before anything is measured, where it is: see `environment.describe`.
        on_begin: Told the round's index and the measurement's name before each measurement.

    Raises:
        KeepbusyError: A source, the model, the device or an option failed.
        KeyboardInterrupt: Interrupted before the first round was finished. Later, the report is of the rounds that
            were.
    """
    of_sync: Options = {**(options or Options()), "mode": "sync"}
    of_async: Options = {**(options or Options()), **(options_async or Options()), "mode": "async"}
    with ExitStack() as stack:
        sync = stack.enter_context(Pipeline(model, device, **of_sync))
        asynchronous = stack.enter_context(Pipeline(model, device, **of_async))
        for pipeline in (sync, asynchronous):
            pipeline.plan(*sources)
        environment = describe(
            model,
            sources,
            device=device,
            head=asynchronous.head,
            quantized=asynchronous.quantized,
            decoding=_decoding(of_async),
            input_hw=asynchronous.input_hw,
            exported_hw=asynchronous.model.input_hw,
            nireq=asynchronous.num_slots,
            properties=asynchronous.device.describe(),
        )
        on_environment(environment)
        exported: dict[Mode, Exported | None] = {}
        warnings: list[str] = []
        for pipeline, of_mode in ((sync, of_sync), (asynchronous, of_async)):
            mode = of_mode["mode"]
            try:
                is_the_same = runs_as_exported(pipeline, mode, of_mode)
                exported[mode] = None if is_the_same else Exported(pipeline.model, device, mode, of_mode)
            except ModelError as error:
                warnings.append(f"the model as exported is not measured, {mode}: {error.message}")
        return benchmark(
            sync,
            asynchronous,
            exported,
            sources,
            environment,
            num_rounds=num_rounds,
            seconds=seconds,
            warnings=warnings,
            can=possible(
                asynchronous.model,
                device,
                available_devices(import_openvino().Core()),
                sources,
                conf=of_async.get("conf", DetectConfig().conf),
                decoding=environment["decoding"],
                num_cores=environment["usable_cores"],
            ),
            on_begin=on_begin,
        )


def _decoding(options: Options) -> list[str]:
    """What is asked for, so that decoding is cheaper."""
    names = [name for name in ("fast_decode", "reduce_jpegs") if options.get(name)]
    decoder = options.get("decoder", "auto")
    return names if decoder in ("auto", "software") else [*names, decoder]


def write_files(
    report: Report,
    *,
    json: Path | None = None,
    html: Path | None = None,
    plot: Path | None = None,
    trace: Path | None = None,
) -> list[Path]:
    """Write a report in its forms.

    Args:
        report: From `bench_model`.
        json: All numbers and the environment.
        html: One page that needs nothing else.
        plot: The timeline, SVG or PNG.
        trace: The timeline for Perfetto or chrome://tracing.

    Returns:
        The files that were written.

    Raises:
        SinkError: One cannot be written.
    """
    if json is not None:
        write_json(report, json)
    if html is not None:
        write_page(report, html)
    if plot is not None:
        write_drawing(draw_report(report), plot)
    if trace is not None:
        write_trace(trace, report.timings)
    return [path for path in (json, html, plot, trace) if path is not None]
