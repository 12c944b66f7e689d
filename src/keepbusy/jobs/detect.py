"""Sources through a model into sinks: what `keepbusy detect` does."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keepbusy.api.load import check_model
from keepbusy.api.pipeline import Pipeline, SourceLike
from keepbusy.bench.trace import write_trace
from keepbusy.config import Mode, RunConfig, SelectConfig
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import ConfigError
from keepbusy.flow.run import Run
from keepbusy.flow.stats import Snapshot
from keepbusy.models.store import find_model
from keepbusy.sinks import Sink, SinkRunner
from keepbusy.sinks.given import close_all, list_sinks
from keepbusy.sinks.guard import guard_sinks
from keepbusy.sinks.open import open_sinks, spec_of
from keepbusy.sinks.spec import SinkSpec
from keepbusy.sources import Source, close_source
from keepbusy.sources.given import flatten, open_mixed
from keepbusy.sources.selection import num_selected
from keepbusy.texts import shortened
from keepbusy.threads.cores import usable_cores
from keepbusy.tune.profile import load_profile, merge_options, origin, warn_of_differences
from keepbusy.values.forms import QuantizedUse
from keepbusy.values.result import Result, Timings

if TYPE_CHECKING:
    from typing import Unpack

    from keepbusy.config import Options

TRACED_FRAMES = 10_000
"""The last frames of a run whose timeline is written: some minutes, and a file that viewers still open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What has become of a run.

    Attributes:
        numbers: The run's numbers: frames, throughput, latency, stages, streams, and what sinks have not got.
        mode: How it ran.
        device: Where.
        num_slots: Infer requests in flight.
        quantized: How an INT8 model was computed: `keep` as it was quantized, `drop` in floating point; None where the
            model is none.
    """

    numbers: Snapshot
    mode: Mode
    device: str
    num_slots: int
    quantized: QuantizedUse | None = None


class Watch(Protocol):
    """Who looks on while a run goes on. Called in the thread that called `detect_to`."""

    def begin(self, run: Run, total: int | None) -> None:
        """The run has begun.

        Args:
            run: The run.
            total: How many frames will be read; None where that is not known.
        """

    def result(self, result: Result) -> None:
        """There is a result, which the sinks do not have yet."""

    def end(self, report: RunReport, error: BaseException | None) -> None:
        """The run is over and the sinks are closed; called as well where `begin` was broken off.

        Args:
            report: The run's numbers.
            error: What broke it off, an interrupt included; None where nothing did.
        """


def detect_to(
    model: str | Path | None = None,
    sources: SourceLike = (),
    sinks: str | Path | SinkSpec | Sink | Sequence[str | Path | SinkSpec | Sink] = (),
    *,
    device: str = "CPU",
    names: tuple[str, ...] | str | Path | None = None,
    select: SelectConfig | None = None,
    loop: bool = False,
    limit: int | None = None,
    stride: int = 1,
    profile: str | Path | None = None,
    trace: str | Path | None = None,
    watch: Watch | None = None,
    **options: Unpack[Options],
) -> RunReport:
    """Run a model over sources, and write the results to sinks: `keepbusy detect`, as one call.

    ```python
    report = kb.detect_to("yolov5n.xml", "street.mp4", ["out.jsonl", "out.mp4?encoder=vp9"])
    print(report.numbers.throughput_fps)
    ```

    No output may be an input, and no two outputs may be one: that is checked before anything is opened.

    Args:
        model: A model's file, or its name; None for the embedded one.
        sources: What `Pipeline.run` takes; none for the embedded clip. Those that are open are closed, also where this
            fails.
        sinks: One sink or several: what `open_sink` takes, or sinks that are open. All are closed, also where this
            fails.
        device: OpenVINO's device name.
        names: Class names, or the file that has them; None takes the model's own.
        select: Which frames of each source are read, instead of `loop`, `limit` and `stride`; None for what these say.
        loop: Begin finite sources again when they end.
        limit: At most this many frames of each source; None for all.
        stride: Only every n-th frame of each source.
        profile: A file of `keepbusy tune`: its options count where `options` has none.
        trace: The last frames' timeline is written to this file, for Perfetto or chrome://tracing.
        watch: Who looks on.
        **options: Any attribute of `DetectConfig`, `DeviceConfig` and `RunConfig`, by its name.

    Raises:
        ConfigError: An option has a value that it cannot have, or an output is an input.
        SourceError: One of the sources cannot be opened.
        ModelError: The model cannot be read, or is not understood.
        SinkError: A sink cannot be made, has failed, or could not write all results.
        FrameError: A frame failed, and `on_error` is `raise`.
    """
    opened = _own_sources(sources)
    given: list[str | Path | SinkSpec | Sink] = []
    try:
        given = list_sinks(sinks)
        _check_arguments(model, select, profile, trace, watch)
        trace = None if trace is None else Path(trace)
        specs = [spec_of(one) for one in given if not isinstance(one, Sink)]
        inputs = flatten((sources,)) or [embedded_clip()]
        named = [os.fspath(one) for one in inputs if isinstance(one, (str, Path))]
        path = embedded_model() if model is None else find_model(model)
        select = _one_selection(select, SelectConfig(loop=loop, limit=limit, stride=stride))
        chosen = _with_profile(options, profile, path, device)
        others = [one for one in (names, profile) if isinstance(one, (str, Path))]
        guard_sinks(specs, trace, inputs, models=[path], others=others)
        opened = _open_sources(inputs, chosen)
        with Pipeline(path, device, names=names, **chosen) as pipeline:
            mode, total = chosen.get("mode", "async"), num_selected(opened, select)
            made = iter(open_sinks(specs, opened, named=named, is_looped=select.loop))
            given = [one if isinstance(one, Sink) else next(made) for one in given]
            run = pipeline.run(*opened, loop=select.loop, limit=select.limit, stride=select.stride)
            facts = _Facts(mode, device, pipeline.num_slots, pipeline.quantized, total)
            ready, given = [one for one in given if isinstance(one, Sink)], []
            return _follow(run, ready, facts, trace, watch)
    except BaseException:
        close_all(one for one in given if isinstance(one, Sink))
        raise
    finally:
        for source in opened:
            close_source(source)


def _check_arguments(model: Any, select: Any, profile: Any, trace: Any, watch: Any) -> None:
    """See that what is given to `detect_to` is what it takes, before anything is opened.

    Raises:
        ConfigError: Something is not.
    """
    if model is not None:
        check_model(model)
    if select is not None and not isinstance(select, SelectConfig):
        raise ConfigError(f"select: {shortened(repr(select))} is no SelectConfig", hint="give SelectConfig(limit=100)")
    for name, path in (("profile", profile), ("trace", trace)):
        is_path = isinstance(path, (str, os.PathLike)) and isinstance(os.fspath(path), str)
        if path is not None and not (is_path and os.fspath(path)):
            raise ConfigError(f"{name}: {shortened(repr(path))} is no file's path", hint=f'give a path, "{name}.json"')
    if watch is not None and not all(callable(getattr(watch, name, None)) for name in ("begin", "result", "end")):
        raise ConfigError(
            f"watch: {shortened(repr(watch))} cannot look on", hint="give an object with `begin`, `result` and `end`"
        )


def _one_selection(whole: SelectConfig | None, by_parts: SelectConfig) -> SelectConfig:
    """What is read of each source: said at once, or by its parts.

    Raises:
        ConfigError: It is said in both ways.
    """
    if whole is not None and by_parts != SelectConfig():
        raise ConfigError(
            "select: `loop`, `limit` and `stride` are given, too", hint="give these, or `select`, and not both"
        )
    return whole or by_parts


def _own_sources(given: Any) -> list[Source]:
    """The sources that are open in what was given, each once."""
    if isinstance(given, Source):
        return [given]
    several = given if isinstance(given, (list, tuple)) else ()
    return list({id(own): own for one in several for own in _own_sources(one)}.values())


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a run before it has gone on."""

    mode: Mode
    device: str
    num_slots: int
    quantized: QuantizedUse | None
    total: int | None


def _follow(run: Run, sinks: Sequence[Sink], facts: _Facts, trace: Path | None, watch: Watch | None) -> RunReport:
    """See a run to its end, and tell of it."""
    timings: deque[Timings] = deque(maxlen=TRACED_FRAMES)
    try:
        with run, SinkRunner(sinks, run.stats, run) as runner:
            if watch is not None:
                watch.begin(run, facts.total)
            for result in run:
                if trace is not None:
                    timings.append(result.timings)
                if watch is not None:
                    watch.result(result)
                if not runner.put(result):
                    break
    except BaseException as error:
        with suppress(BaseException):  # What broke the run off is what counts.
            _conclude(run, facts, timings, trace, watch, error)
        raise
    return _conclude(run, facts, timings, trace, watch, None)


def _conclude(
    run: Run,
    facts: _Facts,
    timings: Sequence[Timings],
    trace: Path | None,
    watch: Watch | None,
    broken: BaseException | None,
) -> RunReport:
    """Write the trace of a run that is over, and tell who looks on; the first failure is what is raised."""
    report = RunReport(
        numbers=run.stats.snapshot(),
        mode=facts.mode,
        device=facts.device,
        num_slots=facts.num_slots,
        quantized=facts.quantized,
    )
    try:
        if trace is not None:
            write_trace(trace, {facts.mode: timings})
    except BaseException:
        if watch is not None:
            with suppress(BaseException):
                watch.end(report, broken)
        raise
    if watch is not None:
        watch.end(report, broken)
    return report


def _open_sources(given: Iterable[Any], options: Mapping[str, Any]) -> list[Source]:
    config = RunConfig(**{one.name: options[one.name] for one in dataclasses.fields(RunConfig) if one.name in options})
    return open_mixed(list(given), channels=config.channels, **config.reading)


def _with_profile(options: Options, profile: str | Path | None, model: Path, device: str) -> Options:
    """The options of a run: those given, then the profile's, then the defaults."""
    if profile is None:
        return options
    loaded = load_profile(profile)
    warn_of_differences(loaded, profile, origin(model, device, usable_cores=usable_cores()))
    merged = merge_options(loaded, options)
    if merged.get("mode") == "sync" and "nireq" not in options:
        merged["nireq"] = None
    return merged
