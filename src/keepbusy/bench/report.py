"""What a benchmark found, and its JSON form."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from keepbusy.bench.samples import Latency, Ratio
from keepbusy.bench.verdict import Verdict
from keepbusy.config import Mode
from keepbusy.errors import ConfigError, Stage, first_line
from keepbusy.files.parsing import parse_json
from keepbusy.files.paths import read_text
from keepbusy.files.whole import write_whole
from keepbusy.values.result import Timings

FORMAT = "keepbusy-bench"
VERSION = 2
READ_VERSIONS = (1, 2)
"""Version 1 has no measurements of the model as exported, and calls those of the model as run `model-only`."""

Name = Literal[
    "model as exported sync",
    "model as exported async",
    "model as run sync",
    "model as run async",
    "end-to-end sync",
    "end-to-end async",
]
"""The measurements: of the model alone, as `benchmark_app` runs its file and as keepbusy runs it, and of all stages."""

NAMES: tuple[Name, ...] = get_args(Name)

NEEDED: tuple[Name, ...] = ("model as run sync", "model as run async", "end-to-end sync", "end-to-end async")
"""Those that every report has: an exported graph that does not compile is not measured."""

RATIOS = {
    "speed_up": "end-to-end async ÷ sync",
    "to_exported_async": "end-to-end async ÷ model as exported",
    "to_exported_sync": "end-to-end sync ÷ model as exported",
    "efficiency_async": "end-to-end async ÷ model as run",
    "efficiency_sync": "end-to-end sync ÷ model as run",
}
"""A report's ratios: key → what it is. Those to the model as exported are missing where that was not measured."""

_EXPORTED: dict[Mode, Name] = {"sync": "model as exported sync", "async": "model as exported async"}
_RUN: dict[Mode, Name] = {"sync": "model as run sync", "async": "model as run async"}
_END_TO_END: dict[Mode, Name] = {"sync": "end-to-end sync", "async": "end-to-end async"}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One of them, over all rounds.

    Attributes:
        rounds_fps: Throughput of each round, frames/s.
        num_requests: Requests in flight.
        latency: Of all rounds' frames together; the model alone: start to completion on the device; end-to-end:
            frame read to result.
        device_busy_share: Share of the time with at least one frame on the device.
        cpu_ms_per_frame: CPU time of the whole process.
        num_detections: Of all rounds.
    """

    rounds_fps: list[float]
    num_requests: int
    latency: Latency
    device_busy_share: float
    cpu_ms_per_frame: float
    num_detections: int = 0

    @property
    def fps(self) -> float:
        """Median throughput of the rounds, frames/s."""
        return statistics.median(self.rounds_fps)


@dataclass(frozen=True, slots=True)
class StageRow:
    """One row of the stage table.

    Attributes:
        sync_ms: Wall milliseconds a frame when nothing else goes on; None where sync was not measured.
        async_ms: Wall milliseconds a frame, of one thread, while everything goes on; for `infer`, the time with at
            least one frame on the device ÷ frames.
        cpu_ms: CPU milliseconds a frame of the stage's threads; for `infer`, of all threads that belong to no other
            stage: the device's where it is the CPU, the codec's, the interpreter's main thread.
        num_threads: Threads of the stage.
        busy_share, wait_input_share, wait_output_share: Shares of the wall time, per thread.
        waits_on_input, waits_on_output: Whom it waits for.
    """

    stage: Stage
    sync_ms: float | None
    async_ms: float
    cpu_ms: float | None
    num_threads: int
    busy_share: float
    wait_input_share: float
    wait_output_share: float
    waits_on_input: str
    waits_on_output: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of one benchmark.

    Attributes:
        environment: See `environment.describe`.
        seconds: Of each end-to-end measurement in each round.
        model_seconds: Of each measurement of the model alone in each round.
        num_rounds: Finished rounds.
        measurements: Name → measurement; as exported only where that graph compiles.
        one_measurement: Modes in which the graph runs as exported, so that the model as exported and as run are one
            measurement under two names.
        speed_up: End-to-end async ÷ sync.
        efficiency_sync, efficiency_async: End-to-end ÷ the model as run, of the same mode.
        to_exported_sync, to_exported_async: End-to-end ÷ the model as exported, of the same mode: how the whole program
            compares with what `benchmark_app` says of the model's file; None where that was not measured.
        stages: Of end-to-end async.
        verdict: On end-to-end async.
        warnings: What a reader should know before believing the numbers; one line each.
        measuring_us: What a run's own counters cost, microseconds a frame.
        timings: Mode → the last frames' times, for the timeline.
    """

    environment: dict[str, Any]
    seconds: float
    model_seconds: float
    num_rounds: int
    measurements: dict[Name, Measurement]
    one_measurement: list[Mode]
    speed_up: Ratio
    efficiency_sync: Ratio
    efficiency_async: Ratio
    to_exported_sync: Ratio | None
    to_exported_async: Ratio | None
    stages: list[StageRow]
    verdict: Verdict
    warnings: list[str]
    measuring_us: float
    timings: dict[str, list[Timings]] = field(repr=False, default_factory=dict)

    @property
    def names(self) -> list[Name]:
        """The measurements that there are, in the order of tables."""
        return [name for name in NAMES if name in self.measurements]

    def is_the_same(self, name: Name) -> bool:
        """Whether a measurement of the model as run is the one of the model as exported."""
        return any(name == _RUN[mode] for mode in self.one_measurement)

    @property
    def measuring_share(self) -> float:
        """What a run's own counters cost, as a share of its throughput."""
        return self.measuring_us * 1e-6 * self.measurements["end-to-end async"].fps


def names_of(mode: Mode) -> tuple[Name, Name, Name]:
    """The model as exported, the model as run, and end to end."""
    return _EXPORTED[mode], _RUN[mode], _END_TO_END[mode]


def write_json(report: Report, path: Path) -> None:
    """Write a report.

    Raises:
        SinkError: The file cannot be written.
    """
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(report)}
    for name, measurement in report.measurements.items():
        content["measurements"][name]["fps"] = measurement.fps
    content["verdict"]["margin"] = min(report.verdict.margin, 1e6)  # JSON has no infinity.
    write_whole(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Returns:
        The content as plain JSON values, in the form of the newest version; the measurements in `NEEDED` and the
        environment are there. A report of version 1 has none of the model as exported.

    Raises:
        ConfigError: The file cannot be read, or is no report.
    """
    try:
        content = parse_json(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint="give a file written by --json") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {first_line(error)}", hint="give a file written by --json") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"{path}: is not a report of keepbusy bench", hint="give a file written by --json")
    if content.get("version") not in READ_VERSIONS:
        raise ConfigError(
            f"{path}: has version {content.get('version')} of the format, not {VERSION}",
            hint="measure again with this version of keepbusy",
        )
    try:
        if content["version"] == 1:
            content["measurements"] = {_renamed(name): one for name, one in content["measurements"].items()}
        for name in (*NEEDED, *(name for name in NAMES if name in content["measurements"])):
            fps = content["measurements"][name]["fps"]
            if not fps > 0:
                raise ValueError(name)
        _ = content["environment"]["cpu_model"]
        for ratio in RATIOS:
            if (found := content.get(ratio)) is not None:
                _ = found["median"] / 1
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: the report is incomplete: {first_line(error)}", hint="measure again") from error
    return content


def _renamed(name: str) -> str:
    """A measurement's name in version 1 → its name now."""
    return name.replace("model-only", "model as run")
