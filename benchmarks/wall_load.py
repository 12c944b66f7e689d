"""A wall of cameras that is too much for the machine: how old results get, who loses, and whether anything grows.

    python -m benchmarks.wall_load [--cameras 16] [--load 2] [--weights 1,1,2,3] [--minutes 10] [--slow-sink]

First what the machine does is measured with frames that never run out. Then so many cameras of 1280x720 bring `--load`
times as many frames. Their pictures are made once: nothing is decoded, so that all time is the engine's. Each camera
has its own pace, and waits for nobody. `--slow-sink` adds one sink that takes 50 ms for each result.

Once a second it is checked, and at the end printed for each stream:

- the balance: arrived = results + dropped + in flight. What is in flight must be as many as the engine has places for,
  what arrived must be what the camera has counted, and results what was handed over;
- the age of results when they are handed over, from the moment at which their frame was due in the camera;
- its share of all results, against what its weight gives it: nobody gets more than comes, and the rest goes to others;
- the memory of the process, from the end of the warm-up on.

It exits with 1 where a limit is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

import keepbusy as kb
from keepbusy.embedded import embedded_model
from keepbusy.flow.counters import StreamStats
from keepbusy.flow.run import Run
from keepbusy.serve.supervise.ladder import rates_by_weight
from keepbusy.sinks.runner import SinkRunner
from keepbusy.sources import open_source
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result
from keepbusy.values.streams import DropCause

MIB = 1 << 20
NUM_PICTURES = 8
SLOW_SINK_S = 0.05
MEASURE_S = 8.0

PLACES = 4
"""Of one stream beside the slots: one frame that waits, one that is being handed on, one result that waits, one that is
being handed over."""


def pictures(size: str) -> list[Image]:
    """What the cameras see: made once."""
    source = open_source(f"synth:street?size={size}")
    found = [frame.image for frame in (source.read() for _ in range(NUM_PICTURES)) if frame is not None]
    source.close()
    return [image for image in found if image is not None]


class MemoryCamera(Source):
    """Pictures at their own pace, whoever reads; those that nobody reads in time are gone. Live.

    Args:
        name: What it is called.
        images: Its pictures, again and again.
        fps: Its pace; None for as many as are read, and not live.
        begin_s: When it begins, as a part of its period: cameras are not in step.

    Attributes:
        num_given: Frames that it has given, or given up.
    """

    def __init__(self, name: str, images: Sequence[Image], fps: float | None, begin_s: float = 0.0) -> None:
        self.info = SourceInfo(name, is_live=fps is not None, fps=fps)
        self.num_given = 0
        self._images = images
        self._fps = fps
        self._begin_ns = time.perf_counter_ns() + round(begin_s * 1e9)
        self._num_late = 0
        self._stopped = Gate()

    def read(self) -> Frame | None:
        if self._fps is None:
            return None if self._stopped.is_open else self._frame(0)
        period_ns = 1e9 / self._fps
        now_ns = time.perf_counter_ns()
        # A camera has one picture ready: those before it are gone.
        num_late = max(0, int((now_ns - self._begin_ns) / period_ns) - self.num_given)
        self.num_given += num_late
        self._num_late += num_late
        due_ns = self._begin_ns + round(self.num_given * period_ns)
        if due_ns > now_ns:
            self._stopped.wait((due_ns - now_ns) / 1e9)
        return None if self._stopped.is_open else self._frame(due_ns)

    def _frame(self, arrival_ns: int) -> Frame:
        index = self.num_given
        self.num_given += 1
        image = self._images[index % len(self._images)]
        return Frame(image, index, index / (self._fps or 30.0), 0, self.info.name, arrival_ns=arrival_ns)

    def take_dropped(self) -> dict[DropCause, int]:
        num_late, self._num_late = self._num_late, 0
        return {"overload": num_late} if num_late else {}

    def interrupt(self) -> None:
        self._stopped.open()


class SlowSink(kb.Sink):
    """Takes its time."""

    name = "slow"

    def __init__(self) -> None:
        self.num_written = 0

    def write(self, result: Result) -> None:
        time.sleep(SLOW_SINK_S)
        self.num_written += 1


@dataclass(slots=True)
class Watch:
    """What was seen of one stream."""

    camera: MemoryCamera
    weight: float
    stats: StreamStats | None = None
    first: StreamStats | None = None
    num_taken: int = 0
    ages_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """What was seen of all."""

    watches: dict[int, Watch]
    broken: list[str] = field(default_factory=list)
    num_checks: int = 0
    memory_mib: list[float] = field(default_factory=list)


def possible_fps(pipeline: kb.Pipeline, images: Sequence[Image]) -> float:
    """What the machine does where frames never run out."""
    with pipeline.start() as run:
        for number in range(2):
            run.add(MemoryCamera(f"endless {number}", images, None))
        begin_s, num_results = 0.0, 0
        for number, _ in enumerate(run):
            if number == 10:
                begin_s = time.perf_counter()
            num_results = max(0, number - 10)
            if begin_s and time.perf_counter() - begin_s >= MEASURE_S:
                break
        return num_results / (time.perf_counter() - begin_s)


def check(seen: Seen, run: Run, num_slots: int) -> None:
    """See that every frame is accounted for. In the thread that takes results: what it has taken is exact."""
    seen.num_checks += 1
    for stream_id, watch in seen.watches.items():
        given_before = watch.camera.num_given
        stats = watch.stats = run.streams[stream_id].stats
        given_after = watch.camera.num_given
        problems = []
        if stats.num_arrived != stats.num_results + stats.num_dropped + stats.num_in_flight:
            problems.append("arrived is not results + dropped + in flight")
        if not 0 <= stats.num_in_flight <= num_slots + PLACES:
            problems.append(f"{stats.num_in_flight} in flight")
        if not 0 <= stats.num_results - watch.num_taken <= PLACES:
            problems.append(f"{stats.num_results} results, {watch.num_taken} handed over")
        if stats.num_arrived > given_after:
            problems.append(f"{stats.num_arrived} arrived of {given_after} that were given")
        # Being handed on: one, and those that are told of with it.
        if watch.camera.info.fps and given_before - stats.num_arrived > watch.camera.info.fps + 2:
            problems.append(f"{stats.num_arrived} arrived of {given_before} that were given")
        seen.broken += [f"{stats.name}: {problem}" for problem in problems]


def watch_wall(
    pipeline: kb.Pipeline,
    cameras: Sequence[tuple[MemoryCamera, kb.StreamConfig]],
    seconds: float,
    warm_up_s: float,
    sinks: Sequence[kb.Sink],
) -> Seen:
    """Run the wall, and look at it once a second."""
    process = psutil.Process()
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(pipeline.start())
        runner = stack.enter_context(SinkRunner(sinks, run.stats, run)) if sinks else None
        seen = Seen({run.add(camera, config).id: Watch(camera, config.weight) for camera, config in cameras})
        begin_s = next_s = time.monotonic()
        is_warm = False
        for result in run:
            now_ns, now_s = time.perf_counter_ns(), time.monotonic()
            watch = seen.watches[result.frame.source_id]
            watch.num_taken += 1
            if is_warm:
                watch.ages_ms.append((now_ns - result.timings.arrival_ns) / 1e6)
            if runner is not None:
                runner.put(result)
            if now_s < next_s:
                continue
            next_s = max(next_s + 1.0, now_s)
            check(seen, run, pipeline.num_slots)
            if is_warm:
                seen.memory_mib.append(process.memory_info().rss / MIB)
            elif now_s - begin_s >= warm_up_s:
                is_warm = True
                for one in seen.watches.values():
                    one.first = one.stats
            if now_s - begin_s >= warm_up_s + seconds:
                break
        run.close()
        for stream_id, watch in seen.watches.items():
            stats = run.streams[stream_id].stats
            if stats.num_in_flight or stats.num_arrived != watch.camera.num_given:
                seen.broken.append(f"{stats.name}: at the end {stats}, of {watch.camera.num_given} that were given")
    return seen


def report(seen: Seen, seconds: float, p99_ms: float, growth_mib: float, share: float) -> list[str]:
    """Print what was seen; returns what breaks a limit."""
    broken = list(dict.fromkeys(seen.broken))
    spans = []
    for watch in seen.watches.values():
        assert watch.stats is not None
        spans.append(watch.stats.since(watch.first))
    total_fps = sum(one.num_results for one in spans) / seconds
    weights = [watch.weight for watch in seen.watches.values()]
    fair = rates_by_weight([one.num_arrived / seconds for one in spans], weights, total_fps, 0.0)
    print(f"{'stream':>10} weight arrived/s results/s  fair/s  off %  p50 ms  p99 ms  max ms  dropped")
    worst_p99_ms = worst_share = 0.0
    for watch, one, fair_fps in zip(seen.watches.values(), spans, fair, strict=True):
        fps = one.num_results / seconds
        off = fps / max(fair_fps, 1e-9) - 1
        p50, p99, most = np.percentile(watch.ages_ms, (50, 99, 100)) if watch.ages_ms else (0.0, 0.0, 0.0)
        worst_p99_ms, worst_share = max(worst_p99_ms, float(p99)), max(worst_share, abs(off))
        print(
            f"{one.name:>10} {watch.weight:6g} {one.num_arrived / seconds:9.2f} {fps:9.2f} {fair_fps:7.2f} "
            f"{100 * off:+6.1f} {p50:7.0f} {p99:7.0f} {most:7.0f}  {dict(one.dropped)}"
        )
        if not watch.ages_ms:
            broken.append(f"{one.name}: no results")
    grown = max(seen.memory_mib) - seen.memory_mib[0] if seen.memory_mib else 0.0
    last = seen.memory_mib[-1] - seen.memory_mib[0] if seen.memory_mib else 0.0
    arrived = sum(one.num_arrived for one in spans)
    dropped = sum(one.num_dropped for one in spans)
    print(
        f"{total_fps:.1f} results/s, {dropped / max(arrived, 1):.0%} dropped; worst p99 {worst_p99_ms:.0f} ms, "
        f"worst share {worst_share:.1%} off; memory {last:+.1f} MiB, at most {grown:+.1f}; "
        f"{seen.num_checks} checks of the balance"
    )
    broken += [f"p99 {worst_p99_ms:.0f} ms"] if worst_p99_ms > p99_ms else []
    broken += [f"memory grew by {grown:.1f} MiB"] if grown > growth_mib else []
    broken += [f"a share is {worst_share:.1%} off"] if worst_share > share else []
    return broken


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=embedded_model())
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--load", type=float, default=2.0, help="frames that come, of those that can be done")
    parser.add_argument("--weights", default="1,1,2,3", help="of the cameras, again and again")
    parser.add_argument("--max-age-ms", type=float, default=500.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warm-up-s", type=float, default=15.0)
    parser.add_argument("--slow-sink", action="store_true", help=f"one that takes {SLOW_SINK_S * 1e3:.0f} ms a result")
    parser.add_argument("--p99-ms", type=float, default=500.0, help="limit of the ages' p99 of each stream")
    parser.add_argument("--growth-mib", type=float, default=20.0, help="limit of the memory's growth")
    parser.add_argument("--share", type=float, default=0.05, help="limit of each stream's share, off what is fair")
    given = parser.parse_args()
    images = pictures(given.size)
    weights = [float(one) for one in given.weights.split(",")]
    options = {} if given.imgsz is None else {"imgsz": given.imgsz}
    with kb.Pipeline(given.model, given.device, on_error="skip", **options) as pipeline:
        can_fps = possible_fps(pipeline, images)
        fps = given.load * can_fps / given.cameras
        print(f"{can_fps:.1f} frames/s can be done; {given.cameras} cameras of {fps:.2f} frames/s each")
        cameras = [
            (
                MemoryCamera(f"camera-{number}", images, fps, number / given.cameras / fps),
                kb.StreamConfig(
                    name=f"camera-{number}",
                    weight=weights[number % len(weights)],
                    max_age_ms=given.max_age_ms,
                    on_error="skip",
                ),
            )
            for number in range(given.cameras)
        ]
        sinks = [SlowSink()] if given.slow_sink else []
        seconds = 60 * given.minutes
        seen = watch_wall(pipeline, cameras, seconds, given.warm_up_s, sinks)
    if sinks:
        print(f"the slow sink has written {sinks[0].num_written / (seconds + given.warm_up_s):.1f} results/s")
    broken = report(seen, seconds, given.p99_ms, given.growth_mib, given.share)
    for one in broken:
        print(f"broken: {one}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
