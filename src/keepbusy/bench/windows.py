"""One measurement: some seconds of the model alone or of all stages, after a warm-up that does not count."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from keepbusy.device.engine import IdleRequests, Request
from keepbusy.errors import STAGES, DeviceTimeoutError, SourceError, Stage
from keepbusy.flow.run import Run
from keepbusy.flow.stats import DeviceTime, Snapshot
from keepbusy.values.result import Result, Timings

WARM_UP_S = 0.5
"""Long enough for buffers to fill and for a sleeping core to wake; never more than half of the measurement."""

KEPT_TIMINGS = 96
"""The last frames of a measurement, kept for the timeline."""

_TIMEOUT_S = 60.0
_LANE_OF_THREAD: tuple[tuple[str, Stage], ...] = (
    ("keepbusy-read", "read"),
    ("keepbusy-preprocess", "preprocess"),
    ("keepbusy-postprocess", "postprocess"),
)


@dataclass(frozen=True, slots=True)
class StageWindow:
    """One stage's share of a measurement: seconds, added over its threads.

    Attributes:
        num_threads: Its threads; the device counts as one.
        cpu_s: CPU time of its threads; None where the system does not tell, or where stages share a thread.
    """

    stage: Stage
    num_frames: int
    num_threads: int
    busy_s: float
    wait_input_s: float
    wait_output_s: float
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What a measurement saw.

    Attributes:
        num_frames: Frames completed in it.
        wall_s: Its length.
        cpu_s: CPU time of the whole process, the device's threads included where the device is the CPU.
        device_busy_s: Seconds with at least one frame on the device.
        latencies_ns: Start to completion on the device (the model alone); frame read to result (end-to-end).
        num_detections: 0 for the model alone.
        stages: End-to-end only.
        timings: The last frames' times; end-to-end only.
    """

    num_frames: int
    wall_s: float
    cpu_s: float
    device_busy_s: float
    latencies_ns: list[int] = field(repr=False)
    num_detections: int = 0
    stages: tuple[StageWindow, ...] = ()
    timings: list[Timings] = field(default_factory=list, repr=False)

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.num_frames / self.wall_s


@contextmanager
def noise_in(requests: Sequence[Request], *, seed: int = 0) -> Iterator[None]:
    """Random pixels in the inputs for a while; then what was there before.

    The grey bars of a letterbox are painted once and must outlive a measurement: noise in them would be detected.
    """
    random = np.random.default_rng(seed)
    kept = [request.input.copy() for request in requests]
    for request in requests:
        request.input[...] = random.integers(0, 256, request.input.shape, np.uint8)
    try:
        yield
    finally:
        for request, before in zip(requests, kept, strict=True):
            request.input[...] = before


def measure_model_only(
    requests: Sequence[Request],
    seconds: float,
    *,
    copies_results: bool = False,
    now_ns: Callable[[], int] = time.perf_counter_ns,
) -> Window:
    """Keep the requests in flight and do nothing else: no reading, no preprocessing, no postprocessing.

    Each is restarted as soon as it is collected, the oldest first, as in a run.

    Args:
        requests: Warm, not in flight. Their inputs are noise meanwhile, as with `benchmark_app` where it is given no
            pictures; afterwards what was in them is there again.
        seconds: Length of the measurement, without the warm-up.
        copies_results: Copy all that each inference gives, as `benchmark_app -api sync` does.
        now_ns: The clock.

    Raises:
        DeviceTimeoutError: The device does not answer.
    """
    with noise_in(requests):
        return _keep_in_flight(_Ring(requests, copies_results, now_ns), seconds, now_ns)


def measure_first_idle(
    queue: IdleRequests, seconds: float, *, now_ns: Callable[[], int] = time.perf_counter_ns
) -> Window:
    """The same with whichever request is idle started next, as `benchmark_app -api async` does it.

    Args:
        queue: Not in flight. Its inputs stay as they are.
        seconds: Length of the measurement, without the warm-up.
        now_ns: The clock.

    Raises:
        DeviceError: An inference failed.
    """
    return _keep_in_flight(_FirstIdle(queue, now_ns), seconds, now_ns)


class _Flight(Protocol):
    """Requests that are kept in flight."""

    def begin(self) -> None:
        """Start all."""
        ...

    def collect(self) -> tuple[int, int]:
        """Wait for one that is done: when it was started, and how long it took on the device, nanoseconds."""
        ...

    def restart(self) -> None:
        """Start the one that was collected."""
        ...

    def end(self) -> None:
        """Wait for all that are still going on."""
        ...


class _Ring:
    """Requests collected in the order of their starts."""

    def __init__(self, requests: Sequence[Request], copies_results: bool, now_ns: Callable[[], int]) -> None:
        self._requests = requests
        self._copies_results = copies_results
        self._now_ns = now_ns
        self._started_ns: deque[tuple[Request, int]] = deque()
        self._collected: Request | None = None

    def begin(self) -> None:
        for request in self._requests:
            self._start(request)

    def collect(self) -> tuple[int, int]:
        request, start_ns = self._started_ns[0]
        if not request.wait(_TIMEOUT_S):
            raise DeviceTimeoutError(
                f"the model alone: the device has not answered for {_TIMEOUT_S:g} s",
                hint="the driver may hang: check the system's log, and try another device",
            )
        if self._copies_results:
            for output in request.outputs:
                output.copy()
        self._started_ns.popleft()
        self._collected = request
        return start_ns, request.latency_ns

    def restart(self) -> None:
        assert self._collected is not None  # nosec B101 # for mypy: called after `collect`
        self._start(self._collected)

    def end(self) -> None:
        for request, _ in self._started_ns:
            request.wait(_TIMEOUT_S)

    def _start(self, request: Request) -> None:
        start_ns = self._now_ns()
        request.start()
        self._started_ns.append((request, start_ns))


class _FirstIdle:
    """Requests collected in the order in which they are done."""

    def __init__(self, queue: IdleRequests, now_ns: Callable[[], int]) -> None:
        self._queue = queue
        self._now_ns = now_ns
        self._started_ns: dict[int, int] = {}

    def begin(self) -> None:
        for _ in range(len(self._queue)):
            self._queue.wait_idle()
            self.restart()

    def collect(self) -> tuple[int, int]:
        index = self._queue.wait_idle()
        return self._started_ns[index], self._queue.latency_ns(index)

    def restart(self) -> None:
        start_ns = self._now_ns()
        self._started_ns[self._queue.start()] = start_ns

    def end(self) -> None:
        self._queue.wait_all()


def _keep_in_flight(flight: _Flight, seconds: float, now_ns: Callable[[], int]) -> Window:
    spans_ns: list[tuple[int, int]] = []
    begin_ns = end_ns = now_ns() + _warm_up_ns(seconds)
    is_warm = False
    cpu_begin_ns = 0
    try:
        flight.begin()
        while True:
            start_ns, latency_ns = flight.collect()
            time_ns = now_ns()
            if is_warm:
                spans_ns.append((start_ns, start_ns + latency_ns))
                end_ns = time_ns
                if time_ns - begin_ns >= seconds * 1e9:
                    break
            elif time_ns >= begin_ns:
                is_warm, begin_ns, cpu_begin_ns = True, time_ns, time.process_time_ns()
            flight.restart()
        cpu_s = (time.process_time_ns() - cpu_begin_ns) / 1e9
    finally:
        flight.end()
    device = DeviceTime(begin_ns)
    for start_ns, done_ns in spans_ns:
        device.add(Timings(infer_start_ns=start_ns, infer_end_ns=min(done_ns, end_ns)))
    latencies_ns = [done_ns - start_ns for start_ns, done_ns in spans_ns]
    return Window(len(spans_ns), (end_ns - begin_ns) / 1e9, cpu_s, device.busy_ns / 1e9, latencies_ns)


def measure_end_to_end(run: Run, seconds: float) -> Window:
    """Take results as fast as they come, and close the run.

    Args:
        run: A run that does not end by itself within the time.
        seconds: Length of the measurement, without the warm-up.

    Raises:
        SourceError: The run ended before its time.
        KeepbusyError: What the run failed with.
    """
    now_ns = run.stats.clock.now_ns
    latencies_ns: list[int] = []
    timings: deque[Timings] = deque(maxlen=KEPT_TIMINGS)
    num_detections = 0
    with run:
        warm_ns = now_ns() + _warm_up_ns(seconds)
        while True:
            _next(run)
            begin_ns = now_ns()
            if begin_ns >= warm_ns:
                break
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("keepbusy-")]
        cpu_ns, lanes_ns, before = time.process_time_ns(), _lane_cpu_ns(threads), run.stats.snapshot()
        while True:
            result = _next(run)
            end_ns = now_ns()
            latencies_ns.append(result.timings.latency_ns)
            num_detections += len(result.detections)
            timings.append(result.timings)
            if end_ns - begin_ns >= seconds * 1e9:
                break
        cpu_s = (time.process_time_ns() - cpu_ns) / 1e9
        lanes_s = {stage: (ns - lanes_ns[stage]) / 1e9 for stage, ns in _lane_cpu_ns(threads).items()}
        after = run.stats.snapshot()
    stages = _stages(before, after, lanes_s, cpu_s, threads)
    wall_s = (end_ns - begin_ns) / 1e9
    busy_s = next(stage.busy_s for stage in stages if stage.stage == "infer")
    return Window(
        len(latencies_ns), wall_s, cpu_s, min(busy_s, wall_s), latencies_ns, num_detections, stages, list(timings)
    )


def _next(run: Run) -> Result:
    try:
        return next(run)
    except StopIteration:
        raise SourceError(
            "the source ended while it was being measured",
            hint="give a file (it is looped), or a stream that lasts for all rounds",
        ) from None


def _warm_up_ns(seconds: float) -> int:
    return round(min(WARM_UP_S, seconds / 2) * 1e9)


def _lane_cpu_ns(threads: Sequence[threading.Thread]) -> dict[Stage, int]:
    """CPU time of each stage's threads, read from outside: it costs the threads themselves nothing."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return {}
    found: dict[Stage, int] = {}
    for thread in threads:
        for prefix, stage in _LANE_OF_THREAD:
            if thread.name.startswith(prefix) and thread.is_alive() and thread.ident is not None:
                clock_id = time.pthread_getcpuclockid(thread.ident)
                found[stage] = found.get(stage, 0) + time.clock_gettime_ns(clock_id)
    return found


def _stages(
    before: Snapshot,
    after: Snapshot,
    lanes_s: dict[Stage, float],
    cpu_s: float,
    threads: Sequence[threading.Thread],
) -> tuple[StageWindow, ...]:
    rows: list[StageWindow] = []
    for stage, old, new in zip(STAGES, before.stages, after.stages, strict=True):
        prefixes = [prefix for prefix, name in _LANE_OF_THREAD if name == stage]
        num_threads = sum(thread.name.startswith(tuple(prefixes)) for thread in threads) if prefixes else 1
        stage_cpu_s = lanes_s.get(stage)
        if stage == "infer" and lanes_s:
            stage_cpu_s = max(cpu_s - sum(lanes_s.values()), 0.0)
        rows.append(
            StageWindow(
                stage=stage,
                num_frames=new.num_frames - old.num_frames,
                num_threads=max(num_threads, 1),
                busy_s=new.busy_s - old.busy_s,
                wait_input_s=new.wait_input_s - old.wait_input_s,
                wait_output_s=new.wait_output_s - old.wait_output_s,
                cpu_s=stage_cpu_s,
            )
        )
    return tuple(rows)
