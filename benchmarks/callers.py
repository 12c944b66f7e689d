"""Many callers of one Detector against the pipeline: throughput and latency, on frames from memory.

    python -m benchmarks.callers [--video VIDEO] [--model MODEL.xml] [--device CPU] [--rounds N] [--seconds S]

Each round measures the pipeline and then 1, 2, 8 and 32 callers, each for some seconds; the order turns from round to
round. Callers are threads that call `detector(image)` again and again, with the same frames. `asyncio` is as many tasks
that await `detector.detect(image)`, and `list` one call with all frames. Nothing is read and nothing is written: the
share is the callers' throughput divided by the pipeline's of the same round. What is printed is medians with their
ranges. Before the first round the detector has met several callers, so that both of its graphs are compiled.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeVar

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.values.frame import Image

CALLERS = (1, 2, 8, 32)
PIPELINE = "pipeline"

Measured = TypeVar("Measured")
MAX_FRAMES = 64
"""Frames that are held, so that not all of them lie in the caches."""

SETTLE_S = 60.0
"""How long the second graph may take to compile."""


class Span(NamedTuple):
    """What was measured over some time.

    Attributes:
        fps: Pictures a second.
        latency_ms: Median milliseconds from a call to its return; 0 where there is none to measure.
        p99_ms: The latency that one call in a hundred exceeds.
    """

    fps: float
    latency_ms: float = 0.0
    p99_ms: float = 0.0


def span_of(latencies_s: Sequence[float], seconds: float) -> Span:
    """Throughput and latency of some calls."""
    ordered = sorted(latencies_s)
    p99_s = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return Span(len(ordered) / seconds, statistics.median(ordered) * 1e3, p99_s * 1e3)


def threads(detector: kb.Detector, frames: Sequence[Image], num_callers: int, seconds: float) -> Span:
    """So many threads, each calling again and again."""
    latencies_s: list[list[float]] = [[] for _ in range(num_callers)]
    failures: list[BaseException] = []
    begin_s = time.perf_counter()

    def call_on(number: int) -> None:
        own = latencies_s[number]
        try:
            for turn in count(number):
                call_s = time.perf_counter()
                if call_s - begin_s >= seconds:
                    return
                detector(frames[turn % len(frames)])
                own.append(time.perf_counter() - call_s)
        except BaseException as error:
            failures.append(error)
            raise

    callers = [threading.Thread(target=call_on, args=(number,)) for number in range(num_callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failures:
        raise failures[0]
    return span_of([one for own in latencies_s for one in own], time.perf_counter() - begin_s)


def tasks(detector: kb.Detector, frames: Sequence[Image], num_callers: int, seconds: float) -> Span:
    """So many tasks of one event loop, each awaiting again and again."""
    latencies_s: list[float] = []

    async def call_on(number: int, begin_s: float) -> None:
        for turn in count(number):
            call_s = time.perf_counter()
            if call_s - begin_s >= seconds:
                return
            await detector.detect(frames[turn % len(frames)])
            latencies_s.append(time.perf_counter() - call_s)

    async def call_all(begin_s: float) -> None:
        await asyncio.gather(*(call_on(number, begin_s) for number in range(num_callers)))

    begin_s = time.perf_counter()
    asyncio.run(call_all(begin_s))
    return span_of(latencies_s, time.perf_counter() - begin_s)


def one_list(detector: kb.Detector, frames: Sequence[Image], seconds: float) -> Span:
    """Calls with a list of all frames."""
    num_done, begin_s = 0, time.perf_counter()
    while time.perf_counter() - begin_s < seconds:
        num_done += len(detector(list(frames)))
    return Span(num_done / (time.perf_counter() - begin_s))


class Memory(kb.Source):
    """Frames that are there already, for some seconds."""

    def __init__(self, frames: Sequence[Image], seconds: float) -> None:
        self.info = kb.SourceInfo("memory")
        self._frames = frames
        self._end_s = time.perf_counter() + seconds
        self._next = 0

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        height, width = self._frames[0].shape[:2]
        return {(height, width): 1000}

    def read(self) -> kb.Frame | None:
        if time.perf_counter() >= self._end_s:
            return None
        index, self._next = self._next, self._next + 1
        return kb.Frame(self._frames[index % len(self._frames)], index, 0.0, 0, "memory")


def pipeline_alone(pipeline: kb.Pipeline, frames: Sequence[Image], seconds: float) -> Span:
    """The pipeline over the same frames, without reading."""
    begin_s = time.perf_counter()
    num_done = sum(1 for _ in pipeline.run(Memory(frames, seconds)))
    return Span(num_done / (time.perf_counter() - begin_s))


def frames_of(video: Path) -> list[Image]:
    """The first frames of a video: uint8 (H, W, 3), BGR."""
    source = kb.open_source(video)
    found: list[Image] = []
    while len(found) < MAX_FRAMES and (frame := source.read()) is not None:
        if frame.image is not None:
            found.append(frame.image)
    source.close()
    return found


def settle(detector: kb.Detector, frames: Sequence[Image]) -> None:
    """Have several callers until no more requests are added."""
    end_s, before = time.perf_counter() + SETTLE_S, -1
    while detector.num_slots != before and time.perf_counter() < end_s:
        before = detector.num_slots
        threads(detector, frames, 4, 2.0)


def rounds_of(measures: dict[str, Callable[[], Measured]], num_rounds: int) -> Iterator[dict[str, Measured]]:
    """What each gives, round by round; the order turns."""
    names = list(measures)
    for number in range(num_rounds):
        turned = [*names[number % len(names) :], *names[: number % len(names)]]
        yield {name: measures[name]() for name in turned}


def told(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="default: the clip that the package carries")
    parser.add_argument("--model", type=Path, help="default: the model that the package carries")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    frames = frames_of(options.video or embedded_clip())
    model, seconds = options.model or embedded_model(), options.seconds
    with kb.Detector(model, options.device) as detector, kb.Pipeline(model, options.device) as pipeline:
        measures: dict[str, Callable[[], Span]] = {PIPELINE: partial(pipeline_alone, pipeline, frames, seconds)}
        for number in CALLERS:
            name = f"{number} caller{'' if number == 1 else 's'}"
            measures[name] = partial(threads, detector, frames, number, seconds)
        measures["8 tasks, asyncio"] = partial(tasks, detector, frames, 8, seconds)
        measures["1 caller, list"] = partial(one_list, detector, frames, seconds)
        settle(detector, frames)
        pipeline_alone(pipeline, frames, min(1.0, seconds))
        print(detector, pipeline, sep="\n")
        rounds = list(rounds_of(measures, options.rounds))
    for name in measures:
        spans = [one[name] for one in rounds]
        line = f"{name:18} {told([one.fps for one in spans])} pictures/s"
        if name != PIPELINE:
            line += f", share {told([one[name].fps / one[PIPELINE].fps for one in rounds], 2)}"
        if spans[0].latency_ms:
            line += f", latency {told([one.latency_ms for one in spans])} ms"
            line += f", p99 {told([one.p99_ms for one in spans])} ms"
        print(line)


if __name__ == "__main__":
    main()
