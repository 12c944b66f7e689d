"""The benchmark: its measurements in interleaved rounds, and what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from keepbusy.api import Pipeline
from keepbusy.bench.cost import measuring_cost_s
from keepbusy.bench.exported import Exported
from keepbusy.bench.possible import EVERYTHING, Possible
from keepbusy.bench.report import NAMES, Measurement, Name, Report, StageRow, names_of
from keepbusy.bench.rounds import measure_rounds
from keepbusy.bench.samples import MAX_DRIFT, MAX_SPREAD, MIN_ROUNDS, Ratio, drift, latency, ratio
from keepbusy.bench.verdict import Profile, StageCost, judge
from keepbusy.bench.windows import StageWindow, Window, measure_end_to_end, measure_model_only
from keepbusy.config import Mode
from keepbusy.errors import STAGES, Stage
from keepbusy.sources import open_sources

MODEL_SHARE = 0.5
"""Of the time of an end-to-end measurement, for each of the model alone: nothing in it waits for anything else, so that
its rounds differ less."""

_MODES: tuple[Mode, ...] = ("sync", "async")
_WAITS_ON: dict[Stage, tuple[str, str]] = {
    "read": ("", "preprocess"),
    "preprocess": ("read", "a free slot"),
    "infer": ("preprocess", "postprocess"),
    "postprocess": ("infer", "the consumer"),
    "sink": ("postprocess", ""),
}


def benchmark(
    sync: Pipeline,
    asynchronous: Pipeline,
    exported: Mapping[Mode, Exported | None],
    sources: Sequence[str],
    environment: dict[str, Any],
    *,
    num_rounds: int = 5,
    seconds: float = 3.0,
    warnings: Sequence[str] = (),
    can: Possible = EVERYTHING,
    on_begin: Callable[[int, str], None] = lambda _index, _name: None,
) -> Report:
    """Measure, and judge.

    Args:
        sync: The pipeline of mode sync; not running.
        asynchronous: That of mode async; not running.
        exported: Mode → the model as exported; None where the pipeline runs just that, which is then measured once;
            missing where it is not to be measured.
        sources: Looped in every end-to-end measurement.
        environment: From `environment.describe`.
        num_rounds: How often each measurement is made.
        seconds: Length of each end-to-end measurement; one of the model alone has `MODEL_SHARE` of it.
        warnings: Known already.
        can: What model and machine can do, for the advice.
        on_begin: Told the round's index and the measurement's name before each measurement.

    Raises:
        KeepbusyError: A source, the model or the device failed.
        KeyboardInterrupt: Interrupted before the first round was finished.
    """
    of_sources, num_frames = _survey(sources)
    known = [*warnings, *of_sources]
    pipelines: dict[Mode, Pipeline] = {"sync": sync, "async": asynchronous}
    requests = {mode: pipeline.warm_requests() for mode, pipeline in pipelines.items()}
    model_seconds = seconds * MODEL_SHARE

    def end_to_end(pipeline: Pipeline) -> Window:
        return measure_end_to_end(pipeline.run(*sources, loop=True), seconds)

    contenders: dict[str, Callable[[], Window]] = {}
    num_requests: dict[str, int] = {}
    for mode, pipeline in pipelines.items():
        as_exported, as_run, whole = names_of(mode)
        if (plain := exported.get(mode)) is not None:
            contenders[as_exported] = partial(plain.measure, model_seconds)
            num_requests[as_exported] = plain.num_requests
        contenders[as_run] = partial(measure_model_only, requests[mode], model_seconds)
        contenders[whole] = partial(end_to_end, pipeline)
        num_requests[as_run] = num_requests[whole] = len(requests[mode])
    windows, is_interrupted = measure_rounds(contenders, num_rounds, on_begin)
    if is_interrupted:
        num_finished = len(windows["end-to-end async"])
        known.insert(0, f"interrupted: {num_finished} of {num_rounds} rounds were finished")
    return evaluate(
        windows,
        environment,
        seconds=seconds,
        num_requests=num_requests,
        num_servers=_num_servers(environment),
        one_measurement=[mode for mode, plain in exported.items() if plain is None],
        warnings=[*known, *_loop_warnings(num_frames, windows["end-to-end async"])],
        can=can,
    )


def evaluate(
    windows: dict[str, list[Window]],
    environment: dict[str, Any],
    *,
    seconds: float,
    num_requests: Mapping[str, int],
    num_servers: int,
    one_measurement: Sequence[Mode] = (),
    warnings: Sequence[str] = (),
    can: Possible = EVERYTHING,
) -> Report:
    """Rounds → report.

    Args:
        windows: Name of the measurement → its rounds; at least one. The model as exported may be missing.
        environment: From `environment.describe`.
        seconds: Length of each end-to-end measurement.
        num_requests: Name of the measurement → requests in flight.
        num_servers: Inferences that the device works on at once.
        one_measurement: Modes in which the measurement of the model as run is that of the model as exported, too.
        warnings: Known already.
        can: What model and machine can do, for the advice.
    """
    measurements = {name: _measurement(windows[name], num_requests[name]) for name in NAMES if name in windows}
    for mode in one_measurement:
        as_exported, as_run, _ = names_of(mode)
        measurements[as_exported] = measurements[as_run]
    stages = _stage_rows(windows["end-to-end sync"], windows["end-to-end async"])
    profile = _profile(stages, measurements, environment, num_servers)
    efficiency: dict[Mode, Ratio] = {}
    to_exported: dict[Mode, Ratio | None] = {}
    for mode in _MODES:
        as_exported, as_run, whole = names_of(mode)
        efficiency[mode] = _ratio(whole, as_run, measurements)
        to_exported[mode] = _ratio(whole, as_exported, measurements) if as_exported in measurements else None
    apart = to_exported["async"] if "async" not in one_measurement else None
    return Report(
        environment=environment,
        seconds=seconds,
        model_seconds=seconds * MODEL_SHARE,
        num_rounds=len(windows["end-to-end async"]),
        measurements=measurements,
        one_measurement=list(one_measurement),
        speed_up=_ratio("end-to-end async", "end-to-end sync", measurements),
        efficiency_sync=efficiency["sync"],
        efficiency_async=efficiency["async"],
        to_exported_sync=to_exported["sync"],
        to_exported_async=to_exported["async"],
        stages=stages,
        verdict=judge(
            profile,
            measurements["end-to-end async"].fps,
            to_exported=apart.median if apart is not None else None,
            can=can,
        ),
        warnings=[*warnings, *_warnings(measurements)],
        measuring_us=measuring_cost_s() * 1e6,
        timings={mode: windows[f"end-to-end {mode}"][-1].timings for mode in _MODES},
    )


def _ratio(top: Name, bottom: Name, measurements: Mapping[Name, Measurement]) -> Ratio:
    return ratio(measurements[top].rounds_fps, measurements[bottom].rounds_fps)


def _measurement(windows: Sequence[Window], num_requests: int) -> Measurement:
    num_frames = sum(window.num_frames for window in windows)
    wall_s = sum(window.wall_s for window in windows)
    return Measurement(
        rounds_fps=[window.fps for window in windows],
        num_requests=num_requests,
        latency=latency(ns for window in windows for ns in window.latencies_ns),
        device_busy_share=min(sum(window.device_busy_s for window in windows) / wall_s, 1.0),
        cpu_ms_per_frame=sum(window.cpu_s for window in windows) * 1e3 / num_frames,
        num_detections=sum(window.num_detections for window in windows),
    )


def _stage_rows(sync: Sequence[Window], asynchronous: Sequence[Window]) -> list[StageRow]:
    rows: list[StageRow] = []
    wall_s = sum(window.wall_s for window in asynchronous)
    for index, stage in enumerate(STAGES):
        of_sync = [window.stages[index] for window in sync]
        of_async = [window.stages[index] for window in asynchronous]
        num_frames = sum(part.num_frames for part in of_async)
        if num_frames == 0:
            continue
        num_threads = of_async[0].num_threads
        cpu_s = [part.cpu_s for part in of_async if part.cpu_s is not None]
        waits_on_input, waits_on_output = _WAITS_ON[stage]
        rows.append(
            StageRow(
                stage=stage,
                sync_ms=_ms_per_frame(of_sync),
                async_ms=_ms_per_frame(of_async) or 0.0,
                cpu_ms=sum(cpu_s) * 1e3 / num_frames if len(cpu_s) == len(of_async) else None,
                num_threads=num_threads,
                busy_share=sum(part.busy_s for part in of_async) / wall_s / num_threads,
                wait_input_share=sum(part.wait_input_s for part in of_async) / wall_s / num_threads,
                wait_output_share=sum(part.wait_output_s for part in of_async) / wall_s / num_threads,
                waits_on_input=waits_on_input,
                waits_on_output=waits_on_output,
            )
        )
    return rows


def _ms_per_frame(parts: Sequence[StageWindow]) -> float | None:
    num_frames = sum(part.num_frames for part in parts)
    return sum(part.busy_s for part in parts) * 1e3 / num_frames if num_frames else None


def _profile(
    stages: Sequence[StageRow],
    measurements: dict[Name, Measurement],
    environment: dict[str, Any],
    num_servers: int,
) -> Profile:
    """What the bounds depend on. The device's cost is that of the graph that runs: servers ÷ its throughput alone."""
    costs: dict[Stage, StageCost] = {
        row.stage: StageCost(row.async_ms / 1e3, row.num_threads, row.cpu_ms / 1e3 if row.cpu_ms is not None else None)
        for row in stages
        if row.stage != "infer"
    }
    cpu_ms = {row.stage: row.cpu_ms for row in stages}.get("infer")
    alone_fps = measurements["model as run async"].fps
    costs["infer"] = StageCost(num_servers / alone_fps, num_servers, cpu_ms / 1e3 if cpu_ms is not None else None)
    return Profile(
        {stage: costs[stage] for stage in STAGES if stage in costs},
        num_slots=measurements["end-to-end async"].num_requests,
        num_cores=environment.get("usable_cores"),
        cpu_s=measurements["end-to-end async"].cpu_ms_per_frame / 1e3,
    )


def _warnings(measurements: dict[Name, Measurement]) -> list[str]:
    lines: list[str] = []
    num_rounds = len(measurements["end-to-end async"].rounds_fps)
    if num_rounds < MIN_ROUNDS:
        lines.append(
            f"{num_rounds} round{'s' if num_rounds > 1 else ''}: too few for an interval, which is missing; "
            f"use --rounds {MIN_ROUNDS} or more"
        )
    alone: tuple[Name, ...] = ("model as run sync", "model as run async")
    for name in alone:
        change = drift(measurements[name].rounds_fps)
        if abs(change) > MAX_DRIFT:
            lines.append(
                f"the device {'slowed down' if change < 0 else 'sped up'} by {abs(change):.0%} from the first to the "
                f"last rounds ({name}): it may throttle, or share the machine; ratios are of the same rounds and "
                "hold better than throughputs"
            )
    if not any("the device s" in line for line in lines):
        unsteady = max(measurements, key=lambda name: _spread(measurements[name].rounds_fps))
        if (spread := _spread(measurements[unsteady].rounds_fps)) > MAX_SPREAD:
            lines.append(
                f"the machine is not quiet: the best round of {unsteady} is {spread:.2f} times its worst; "
                "mind the intervals, and stop other programs"
            )
    if measurements["end-to-end async"].num_detections == 0:
        lines.append("no detections at all: postprocessing costs less than it would with something in view")
    return lines


def _spread(values: Sequence[float]) -> float:
    return max(values) / min(values)


def _survey(sources: Sequence[str]) -> tuple[list[str], int | None]:
    """Open the sources once: what to warn of, and how many frames they have together, where that is known."""
    opened = open_sources(sources, read_ahead=False)
    try:
        warnings = [
            f"{source.info.name} is live: end-to-end throughput cannot exceed what it delivers"
            for source in opened
            if source.info.is_live
        ]
        counts = [source.info.num_frames for source in opened]
    finally:
        for source in opened:
            source.close()
    return warnings, None if None in counts else sum(count or 0 for count in counts)


def _loop_warnings(num_frames: int | None, windows: Sequence[Window]) -> list[str]:
    """Say it where the sources were begun again within a measurement."""
    num_taken = statistics.median(window.num_frames for window in windows)
    if num_frames is None or num_taken <= num_frames:
        return []
    return [
        f"the source has {num_frames} frames and a measurement took {num_taken:.0f}: it was looped, "
        "and beginning again is part of the reading cost"
    ]


def _num_servers(environment: dict[str, Any]) -> int:
    """Inferences that the device works on at once: its streams, or what it calls optimal; 1 if it says neither."""
    for key in ("streams", "optimal_requests"):
        text = str(environment.get(key, ""))
        if text.isdecimal() and int(text) > 0:
            return int(text)
    return 1
