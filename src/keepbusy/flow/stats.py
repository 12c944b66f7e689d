"""Clocks and counters: where the time of a run went, measured from inside.

Each lane (a stage in one thread) owns its counters and is their only writer; a snapshot reads them from any
thread at any time. A reading may therefore be a few microseconds younger in one lane than in another, and is
never torn: CPython reads and writes an int in one step.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hdrh.histogram import HdrHistogram

from keepbusy.errors import STAGES, Stage
from keepbusy.flow.counters import (
    OutletCounters,
    OutletStats,
    StreamCounters,
    StreamStats,
    dropped_by_name,
    outlets_since,
)
from keepbusy.flow.percentiles import Counts, Recorder, values_at
from keepbusy.values.result import Timings

MAX_ENDED = 1000
"""Streams that are over and still have numbers of their own; those of earlier ones are added up."""

MAX_ENDED_LANES = 64
"""The same for the lanes of threads that have ended."""

_EARLIER_ID, _EARLIER = -1, "earlier streams"

_MAX_LATENCY_US = 3_600_000_000
"""An hour; longer latencies count as an hour."""


_PERCENTILES = (50.0, 90.0, 99.0, 100.0)


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, _MAX_LATENCY_US, 3)


_LATENCIES = _histogram()
"""An empty one, which knows which counts stand for which latencies."""


class Clock(Protocol):
    """A monotonic clock."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment; never runs backwards."""
        ...


class MonotonicClock:
    """The machine's own monotonic clock."""

    now_ns = staticmethod(time.perf_counter_ns)  # Not a function around it: it is called a dozen times a frame.


class Lane:
    """Time of one stage in one thread, split into three kinds. Written by that thread only.

    The three kinds add up to the time between `begin` and the last mark: a lane is always either at work,
    waiting for something to work on, or waiting for somebody to take its work.
    """

    __slots__ = ("_mark_ns", "_now_ns", "begin_ns", "busy_ns", "num_frames", "stage", "wait_input_ns", "wait_output_ns")

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self.stage: Stage = stage
        self.busy_ns = 0
        self.wait_input_ns = 0
        self.wait_output_ns = 0
        self.num_frames = 0
        self._now_ns = clock.now_ns
        self.begin_ns = self._mark_ns = clock.now_ns()

    def begin(self) -> int:
        """Start counting from now, forgetting the time since the last mark."""
        self._mark_ns = self._now_ns()
        return self._mark_ns

    def was_busy(self) -> int:
        """The time since the last mark was work; returns now."""
        now = self._now_ns()
        self.busy_ns += now - self._mark_ns
        self._mark_ns = now
        return now

    def waited_for_input(self) -> int:
        """The time since the last mark was spent waiting for something to work on; returns now."""
        now = self._now_ns()
        self.wait_input_ns += now - self._mark_ns
        self._mark_ns = now
        return now

    def waited_for_output(self) -> int:
        """The time since the last mark was spent waiting for somebody to take the work; returns now."""
        now = self._now_ns()
        self.wait_output_ns += now - self._mark_ns
        self._mark_ns = now
        return now


@dataclass(frozen=True, slots=True)
class StageStats:
    """One row of the stage table.

    Attributes:
        stage: Which stage.
        num_frames: Frames that it has finished.
        busy_s: Seconds at work, added over its threads; for `infer`, seconds with at least one frame in flight; for
            `sink`, of the sink that was at work the longest: they work side by side.
        wait_input_s: Seconds with nothing to work on.
        wait_output_s: Seconds with finished work that nobody took.
        busy_share: Busy seconds ÷ (wall seconds × threads): 0 = idle all the time, 1 = the bottleneck.
        busy_per_frame_ms: Busy milliseconds ÷ frames.
        lasted_s: Seconds that its threads have lasted, added.
    """

    stage: Stage
    num_frames: int
    busy_s: float
    wait_input_s: float
    wait_output_s: float
    busy_share: float
    busy_per_frame_ms: float
    lasted_s: float

    def since(self, earlier: StageStats) -> StageStats:
        """The numbers between an earlier moment of the same run and this one."""
        num_frames, busy_s = self.num_frames - earlier.num_frames, self.busy_s - earlier.busy_s
        lasted_s = self.lasted_s - earlier.lasted_s
        return StageStats(
            stage=self.stage,
            num_frames=num_frames,
            busy_s=busy_s,
            wait_input_s=self.wait_input_s - earlier.wait_input_s,
            wait_output_s=self.wait_output_s - earlier.wait_output_s,
            busy_share=busy_s / lasted_s if lasted_s > 0 else 0.0,
            busy_per_frame_ms=busy_s * 1e3 / num_frames if num_frames else 0.0,
            lasted_s=lasted_s,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run's numbers at one moment.

    Attributes:
        num_frames: Results so far, those with an error included.
        num_errors: Results that carry an error.
        num_detections: Detections so far.
        dropped: Frames of live streams that were dropped because newer ones came or because they were too old, per
            stream name; of several streams with one name, each has its number behind it: `camera`, `camera #2`.
        streams: What became of each stream's frames, by the streams' numbers. Of those that have ended the last
            `MAX_ENDED` are here.
        outlets: What became of the results of each sink.
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
    streams: tuple[StreamStats, ...]
    is_finished: bool
    outlets: tuple[OutletStats, ...] = ()
    _latency_counts: Counts | None = field(default=None, compare=False, repr=False)

    @property
    def num_dropped(self) -> int:
        """Frames dropped by all sources together."""
        return sum(self.dropped.values())

    def since(self, earlier: Snapshot) -> Snapshot:
        """The numbers of the time between an earlier moment of the same run and this one.

        Percentiles and shares are of that time alone; frames in flight are those of now.
        """
        wall_s = max(self.wall_s - earlier.wall_s, 1e-9)
        num_frames = self.num_frames - earlier.num_frames
        counts = self._latency_counts
        if counts is not None and earlier._latency_counts is not None:
            counts = counts - earlier._latency_counts
        p50, p90, p99, highest = (value / 1e3 for value in values_at(_LATENCIES, _PERCENTILES, counts))
        before = {one.stream_id: one for one in earlier.streams}
        streams = tuple(one.since(before.get(one.stream_id)) for one in self.streams)
        stages = tuple(now.since(then) for now, then in zip(self.stages, earlier.stages, strict=True))
        return Snapshot(
            num_frames=num_frames,
            num_errors=self.num_errors - earlier.num_errors,
            num_detections=self.num_detections - earlier.num_detections,
            dropped=dropped_by_name(streams),
            wall_s=wall_s,
            throughput_fps=num_frames / wall_s,
            latency_p50_ms=p50,
            latency_p90_ms=p90,
            latency_p99_ms=p99,
            latency_max_ms=highest,
            device_busy_share=next(min(one.busy_s / wall_s, 1.0) for one in stages if one.stage == "infer"),
            stages=stages,
            streams=streams,
            is_finished=self.is_finished,
            outlets=outlets_since(self.outlets, earlier.outlets),
            _latency_counts=counts,
        )


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
        idle_from_ns = self._end_ns
        if start_ns > idle_from_ns:
            self.wait_input_ns += start_ns - idle_from_ns
            if timings.slot_free_ns > idle_from_ns:
                waited_from_ns = max(timings.slot_wanted_ns, idle_from_ns)
                waited_ns = max(0, min(timings.slot_free_ns, start_ns) - waited_from_ns)
                self.wait_output_ns += waited_ns
                self.wait_input_ns -= waited_ns
            idle_from_ns = start_ns
        if end_ns > self._end_ns:
            self.busy_ns += end_ns - idle_from_ns
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
        self._latencies_us = Recorder(_histogram())
        self._streams: dict[int, StreamCounters] = {}
        self._ended: deque[int] = deque()
        self._outlets: list[OutletCounters] = []
        self._ended_lanes: dict[Stage, deque[Lane]] = {}
        self._folded: dict[Stage, _Folded] = {}
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
        latency_us = timings.latency_ns // 1000
        if not 1 <= latency_us <= _MAX_LATENCY_US:
            latency_us = min(max(latency_us, 1), _MAX_LATENCY_US)
        self._latencies_us.add(latency_us)

    def frame_withdrawn(self, num_detections: int, *, is_error: bool) -> None:
        """A result that was counted will not be handed over; by the thread that makes results."""
        self._num_frames -= 1
        self._num_detections -= num_detections
        self._num_errors -= is_error

    def outlet(self, name: str) -> OutletCounters:
        """New counters for one sink."""
        self._outlets.append(OutletCounters(name))
        return self._outlets[-1]

    def stream(self, stream_id: int, name: str) -> StreamCounters:
        """New counters for one stream."""
        counters = StreamCounters(stream_id, name)
        with self._lanes_lock:
            self._streams[stream_id] = counters
        return counters

    def stream_ended(self, stream_id: int) -> int | None:
        """A stream is over: its numbers stay until there are many of them.

        Returns:
            The number of the stream that is forgotten for it, if any.
        """
        with self._lanes_lock:
            if stream_id not in self._streams or stream_id in self._ended:
                return None
            self._ended.append(stream_id)
            if len(self._ended) <= MAX_ENDED:
                return None
            forgotten = self._ended.popleft()
            oldest = self._streams.pop(forgotten).snapshot()
            self._streams.setdefault(_EARLIER_ID, StreamCounters(_EARLIER_ID, _EARLIER)).add(oldest)
            return forgotten

    def lane_ended(self, lane: Lane) -> None:
        """A thread is over: its lane stays until there are many of them. May be called again."""
        with self._lanes_lock:
            ended = self._ended_lanes.setdefault(lane.stage, deque())
            if lane not in self._lanes or lane in ended:
                return
            ended.append(lane)
            if len(ended) > MAX_ENDED_LANES:
                oldest = ended.popleft()
                self._lanes.remove(oldest)
                self._folded.setdefault(lane.stage, _Folded()).add(oldest, self.clock.now_ns())

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
            streams = tuple(counters.snapshot() for _, counters in sorted(self._streams.items()))
            folded = dict(self._folded)
        latencies_us, latency_counts = self._latencies_us.values_at(_PERCENTILES)
        percentiles = [value / 1e3 for value in latencies_us]
        if self._num_frames == self._num_errors:
            percentiles = [0.0] * 4
        return Snapshot(
            num_frames=self._num_frames,
            num_errors=self._num_errors,
            num_detections=self._num_detections,
            dropped=dropped_by_name(streams),
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
                    folded.get(stage),
                )
                for stage in STAGES
            ),
            streams=streams,
            is_finished=self._end_ns is not None,
            outlets=tuple(one.snapshot() for one in list(self._outlets)),
            _latency_counts=latency_counts,
        )


class _Folded:
    """The lanes of threads that ended long ago, added up."""

    def __init__(self) -> None:
        self.busy_ns = 0
        self.wait_input_ns = 0
        self.wait_output_ns = 0
        self.num_frames = 0
        self.lasted_ns = 0

    def add(self, lane: Lane, now_ns: int) -> None:
        """Add one that will not change any more."""
        self.busy_ns += lane.busy_ns
        self.wait_input_ns += lane.wait_input_ns
        self.wait_output_ns += lane.wait_output_ns
        self.num_frames += lane.num_frames
        self.lasted_ns += now_ns - lane.begin_ns


def _stage_stats(
    stage: Stage, lanes: Sequence[Lane | DeviceTime], wall_s: float, folded: _Folded | None = None
) -> StageStats:
    if stage == "sink" and lanes:
        # Sinks work side by side on the same frames, and go on when the run is over: the slowest one counts.
        lanes = [max(lanes, key=lambda lane: lane.busy_ns)]
        wall_s = max(wall_s, sum((lanes[0].busy_ns, lanes[0].wait_input_ns, lanes[0].wait_output_ns)) / 1e9)
    every: list[Lane | DeviceTime | _Folded] = [*lanes, *([folded] if folded is not None else [])]
    num_frames = sum(lane.num_frames for lane in every)
    busy_s = sum(lane.busy_ns for lane in every) / 1e9
    lasted_s = wall_s * len(lanes) + (folded.lasted_ns / 1e9 if folded is not None else 0.0)
    return StageStats(
        stage=stage,
        num_frames=num_frames,
        busy_s=busy_s,
        wait_input_s=sum(lane.wait_input_ns for lane in every) / 1e9,
        wait_output_s=sum(lane.wait_output_ns for lane in every) / 1e9,
        busy_share=busy_s / (lasted_s or wall_s),
        busy_per_frame_ms=busy_s * 1e3 / num_frames if num_frames else 0.0,
        lasted_s=lasted_s or wall_s,
    )
