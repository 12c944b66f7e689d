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
from keepbusy.errors import ConfigError, Stage, first_line
from keepbusy.files.parsing import parse_json
from keepbusy.files.paths import read_text
from keepbusy.files.whole import write_whole
from keepbusy.values.result import Timings

FORMAT = "keepbusy-bench"
VERSION = 1

Name = Literal["model-only sync", "model-only async", "end-to-end sync", "end-to-end async"]
"""The four measurements."""

NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One of the four, over all rounds.

    Attributes:
        rounds_fps: Throughput of each round, frames/s.
        num_requests: Requests in flight.
        latency: Of all rounds' frames together; model-only: start to completion on the device; end-to-end: frame
            read to result.
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
        seconds: Of each measurement in each round.
        num_rounds: Finished rounds.
        measurements: Name → measurement.
        speed_up: End-to-end async ÷ sync.
        efficiency_sync, efficiency_async: End-to-end ÷ model-only of the same mode.
        stages: Of end-to-end async.
        verdict: On end-to-end async.
        warnings: What a reader should know before believing the numbers; one line each.
        measuring_us: What a run's own counters cost, microseconds a frame.
        timings: Mode → the last frames' times, for the timeline.
    """

    environment: dict[str, Any]
    seconds: float
    num_rounds: int
    measurements: dict[Name, Measurement]
    speed_up: Ratio
    efficiency_sync: Ratio
    efficiency_async: Ratio
    stages: list[StageRow]
    verdict: Verdict
    warnings: list[str]
    measuring_us: float
    timings: dict[str, list[Timings]] = field(repr=False, default_factory=dict)

    @property
    def measuring_share(self) -> float:
        """What a run's own counters cost, as a share of its throughput."""
        return self.measuring_us * 1e-6 * self.measurements["end-to-end async"].fps


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
        The content as plain JSON values; the four measurements and the environment are there.

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
    if content.get("version") != VERSION:
        raise ConfigError(
            f"{path}: has version {content.get('version')} of the format, not {VERSION}",
            hint="measure again with this version of keepbusy",
        )
    try:
        for name in NAMES:
            fps = content["measurements"][name]["fps"]
            if not fps > 0:
                raise ValueError(name)
        _ = content["environment"]["cpu_model"]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: the report is incomplete: {first_line(error)}", hint="measure again") from error
    return content
