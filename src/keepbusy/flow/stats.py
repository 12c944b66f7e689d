"""Clocks and counters: where the time of a run went, measured from inside.

Each lane (a stage in one thread) owns its counters and is their only writer; a snapshot reads them from any
thread at any time. A reading may therefore be a few microseconds younger in one lane than in another, and is
never torn: CPython reads and writes an int in one step.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hdrh.histogram import HdrHistogram

from keepbusy.errors import STAGES, Stage
from keepbusy.values.result import Timings

_MAX_LATENCY_US = 3_600_000_000
"""An hour; longer latencies count as an hour."""


class Clock(Protocol):
    """A monotonic clock."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never runs backwards."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now_ns(self) -> int:
        return time.perf_counter_ns()


class Lane:
    """Time of one stage in one thread, split into three kinds. Written by that thread only.

    The three kinds add up to the time between `begin` and the last mark: a lane is always either at work,
    waiting for something to work on, or waiting for somebody to take its work.
    """

    __slots__ = ("_clock", "_mark_ns", "busy_ns", "num_frames", "stage", "wait_input_ns", "wait_output_ns")

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self.stage: Stage = stage
        self.busy_ns = 0
        self.wait_input_ns = 0
        self.wait_output_ns = 0
        self.num_frames = 0
        self._clock = clock
        self._mark_ns = clock.now_ns()

    def begin(self) -> int:
        """Start counting from now, forgetting the time since the last mark."""
        self._mark_ns = self._clock.now_ns()
        return self._mark_ns

    def was_busy(self) -> int:
        """The time since the last mark was work; returns now."""
        now = self._clock.now_ns()
        self.busy_ns += now - self._mark_ns
        self._mark_ns = now
        return now

    def waited_for_input(self) -> int:
        """The time since the last mark was spent waiting for something to work on; returns now."""
        now = self._clock.now_ns()
        self.wait_input_ns += now - self._mark_ns
        self._mark_ns = now
        return now

    def waited_for_output(self) -> int:
        """The time since the last mark was spent waiting for somebody to take the work; returns now."""
        now = self._clock.now_ns()
        self.wait_output_ns += now - self._mark_ns
        self._mark_ns = now
        return now


@dataclass(frozen=True, slots=True)
class StageStats:
    """One row of the stage table.

    Attributes:
        stage: Which stage.
        num_frames: Frames that it has finished.
        busy_s: Seconds at work, added over its threads; for `infer`, seconds with at least one frame in flight.
        wait_input_s: Seconds with nothing to work on.
        wait_output_s: Seconds with finished work that nobody took.
        busy_share: Busy seconds ÷ (wall seconds × threads): 0 = idle all the time, 1 = the bottleneck.
        busy_per_frame_ms: Busy milliseconds ÷ frames.
    """

    stage: Stage
    num_frames: int
    busy_s: float
    wait_input_s: float
    wait_output_s: float
    busy_share: float
    busy_per_frame_ms: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run's numbers at one moment.

    Attributes:
        num_frames: Results so far, those with an error included.
        num_errors: Results that carry an error.
        num_detections: Detections so far.
        dropped: Frames dropped by live sources, per source name; of several sources with one name, each has its number
            behind it: `camera`, `camera #2`.
        wall_s: Seconds from the start of the run to now, or to its end.
        throughput_fps: `num_frames` ÷ `wall_s`.
        latency_p50_ms, latency_p90_ms, latency_p99_ms, latency_max_ms: From a frame having been read to its
            result being ready; frames with an error are not counted. 0 before the first.
        device_busy_share: Share of the wall time with at least one frame on the device: 0 = it never worked,
            1 = it never waited.
        stages: One row for each of the five stages.
        is_finished: False while the run goes on.
    """

    num_frames: int
    num_errors: int
    num_detections: int
    dropped: dict[str, int]
    wall_s: float
    throughput_fps: float
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    device_busy_share: float
    stages: tuple[StageStats, ...]
    is_finished: bool

    @property
    def num_dropped(self) -> int:
        """Frames dropped by all sources together."""
        return sum(self.dropped.values())


class DeviceTime:
    """Time with at least one frame on the device, and why there was none.

    The frames' spans arrive in order of their starts and may overlap. An idle gap ends with the start of a
    frame: the part of the gap in which no slot was free is blamed on the output (results were not collected), the
    rest on the input (there was no frame).
    """

    __slots__ = ("_end_ns", "busy_ns", "num_frames", "wait_input_ns", "wait_output_ns")

    def __init__(self, start_ns: int) -> None:
        self.busy_ns = 0
        self.wait_input_ns = 0
        self.wait_output_ns = 0
        self.num_frames = 0
        self._end_ns = start_ns

    def add(self, timings: Timings) -> None:
        """Add one frame's span on the device."""
        start_ns, end_ns = timings.infer_start_ns, timings.infer_end_ns
        if start_ns > self._end_ns:
            waited_from_ns = max(timings.slot_wanted_ns, self._end_ns)
            waited_to_ns = min(timings.slot_free_ns, start_ns)
            wait_output_ns = max(0, waited_to_ns - waited_from_ns)
            self.wait_output_ns += wait_output_ns
            self.wait_input_ns += start_ns - self._end_ns - wait_output_ns
        if end_ns > self._end_ns:
            self.busy_ns += end_ns - max(start_ns, self._end_ns)
            self._end_ns = end_ns
        self.num_frames += 1


class RunStats:
    """All counters of one run. Thread-safe to read; each writer method says whose it is."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or MonotonicClock()
        self.start_ns = self.clock.now_ns()
        self._end_ns: int | None = None
        self._lanes: list[Lane] = []
        self._lanes_lock = threading.Lock()
        self._device = DeviceTime(self.start_ns)
        self._latency_us = HdrHistogram(1, _MAX_LATENCY_US, 3)
        self._histogram_lock = threading.Lock()
        self._dropped: Counter[tuple[int, str]] = Counter()
        self._num_frames = 0
        self._num_errors = 0
        self._num_detections = 0

    def lane(self, stage: Stage) -> Lane:
        """A new lane for one thread of a stage."""
        lane = Lane(stage, self.clock)
        with self._lanes_lock:
            self._lanes.append(lane)
        return lane

    def frame_inferred(self, timings: Timings) -> None:
        """Count a frame's time on the device; by the collecting thread, in order of the starts."""
        self._device.add(timings)

    def frame_done(self, timings: Timings, num_detections: int, *, is_error: bool) -> None:
        """Count one result; by the thread that makes results."""
        self._num_frames += 1
        self._num_detections += num_detections
        if is_error:
            self._num_errors += 1
            return
        latency_us = min(max(timings.latency_ns // 1000, 1), _MAX_LATENCY_US)
        with self._histogram_lock:
            self._latency_us.record_value(latency_us)

    def frame_dropped(self, source_id: int, source: str) -> None:
        """Count a frame that a live source dropped; by that source's reader."""
        with self._lanes_lock:
            self._dropped[source_id, source] += 1

    def finish(self) -> None:
        """The run is over; later snapshots all end here."""
        if self._end_ns is None:
            self._end_ns = self.clock.now_ns()

    def snapshot(self) -> Snapshot:
        """The numbers as they stand."""
        end_ns = self._end_ns if self._end_ns is not None else self.clock.now_ns()
        wall_s = max(end_ns - self.start_ns, 1) / 1e9
        with self._lanes_lock:
            lanes = list(self._lanes)
            dropped = _by_name(self._dropped)
        with self._histogram_lock:
            percentiles = [self._latency_us.get_value_at_percentile(p) / 1e3 for p in (50.0, 90.0, 99.0, 100.0)]
        if self._num_frames == self._num_errors:
            percentiles = [0.0] * 4
        return Snapshot(
            num_frames=self._num_frames,
            num_errors=self._num_errors,
            num_detections=self._num_detections,
            dropped=dropped,
            wall_s=wall_s,
            throughput_fps=self._num_frames / wall_s,
            latency_p50_ms=percentiles[0],
            latency_p90_ms=percentiles[1],
            latency_p99_ms=percentiles[2],
            latency_max_ms=percentiles[3],
            device_busy_share=min(self._device.busy_ns / 1e9 / wall_s, 1.0),
            stages=tuple(
                _stage_stats(
                    stage,
                    [self._device] if stage == "infer" else [x for x in lanes if x.stage == stage],
                    wall_s,
                )
                for stage in STAGES
            ),
            is_finished=self._end_ns is not None,
        )


def _by_name(counts: Mapping[tuple[int, str], int]) -> dict[str, int]:
    """Counts by source number and name → by names of which no two are alike."""
    named: dict[str, int] = {}
    met: Counter[str] = Counter()
    for (_, name), count in sorted(counts.items()):
        met[name] += 1
        named[name if met[name] == 1 else f"{name} #{met[name]}"] = count
    return named


def _stage_stats(stage: Stage, lanes: Sequence[Lane | DeviceTime], wall_s: float) -> StageStats:
    num_frames = sum(lane.num_frames for lane in lanes)
    busy_s = sum(lane.busy_ns for lane in lanes) / 1e9
    return StageStats(
        stage=stage,
        num_frames=num_frames,
        busy_s=busy_s,
        wait_input_s=sum(lane.wait_input_ns for lane in lanes) / 1e9,
        wait_output_s=sum(lane.wait_output_ns for lane in lanes) / 1e9,
        busy_share=busy_s / (wall_s * max(len(lanes), 1)),
        busy_per_frame_ms=busy_s * 1e3 / num_frames if num_frames else 0.0,
    )
