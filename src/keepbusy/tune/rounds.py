"""Successive halving over interleaved rounds: noise, and a machine that changes its speed, shall not choose.

In each rung all contenders that are left are measured in turn, in several rounds, each beginning with another one. The
*reference* is measured before and after each few of them, and a contender's *gain* is its throughput ÷ what the
reference had at that moment, between the two nearest measurements. A disturbance of the machine disturbs both. After a
rung the better half stays, and the next rung's measurements are longer (Jamieson & Talwalkar 2016: successive halving).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from keepbusy.bench.samples import Ratio, ratio

K = TypeVar("K", bound=Hashable)

BLOCK = 5
"""Contenders between two measurements of the reference: a sixth of the time buys what drift would otherwise cost."""

MIN_KEPT = 2
"""The last rung leaves two: to find the better one of them is the final's work."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Attributes:
        fps: End-to-end throughput, frames/s.
        latency_ms: The latency percentile that counts, milliseconds.
    """

    fps: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What all measurements of a contender say together.

    Attributes:
        gain: Its throughput ÷ the reference's, median of its rounds.
        latency_ms: Median of its rounds.
        num_rounds: How often it was measured.
    """

    gain: Ratio
    latency_ms: float
    num_rounds: int


@dataclass(slots=True)
class Book(Generic[K]):
    """What was measured. Filled while it goes on, so that an interruption leaves everything before it.

    Attributes:
        gains: Contender → its gain in each of its measurements.
        latencies_ms: Contender → its latencies.
        references: All measurements of the reference.
        failed: Contenders that could not be measured, and are out.
    """

    gains: dict[K, list[float]] = field(default_factory=dict)
    latencies_ms: dict[K, list[float]] = field(default_factory=dict)
    references: list[Sample] = field(default_factory=list)
    failed: set[K] = field(default_factory=set)

    def add(self, contender: K, sample: Sample, reference_fps: float) -> None:
        """Record a measurement beside what the reference had at that moment."""
        self.gains.setdefault(contender, []).append(sample.fps / reference_fps)
        self.latencies_ms.setdefault(contender, []).append(sample.latency_ms)

    def standing(self, contender: K) -> Standing:
        """A contender that was measured at least once."""
        gains = self.gains[contender]
        middle_ms = statistics.median(self.latencies_ms[contender])
        return Standing(ratio(gains, [1.0] * len(gains)), middle_ms, len(gains))

    @property
    def reference_fps(self) -> float:
        """The reference's median throughput, frames/s."""
        return statistics.median(sample.fps for sample in self.references)

    @property
    def reference_latency_ms(self) -> float:
        """The reference's median latency."""
        return statistics.median(sample.latency_ms for sample in self.references)


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the halving.

    Attributes:
        num_kept: How many contenders it leaves.
        num_rounds: How often each is measured in it.
        window_s: Length of each measurement.
    """

    num_kept: int
    num_rounds: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a measurement costs.

    Attributes:
        overhead_s: Opening and closing, whatever its length.
        stretch: Seconds for each second of the window, its warm-up included.
        min_window_s: Shorter ones say too little.
        max_window_s: Longer ones say nothing more.
        compile_s: For a contender's first measurement.
    """

    overhead_s: float = 0.1
    stretch: float = 1.5
    min_window_s: float = 0.2
    max_window_s: float = 3.0
    compile_s: float = 0.0

    def of(self, window_s: float) -> float:
        """Seconds that one measurement takes."""
        return self.overhead_s + self.stretch * window_s


def plan_rungs(num_contenders: int, time_s: float, cost: Cost, *, num_kept: int = MIN_KEPT) -> list[Rung]:
    """Divide a time among the rungs of a halving: to each the same, so that the better are measured longer.

    Args:
        num_contenders: How many there are at the beginning; the reference is not one of them.
        time_s: For all of it, first compilations included.
        cost: What a measurement costs.
        num_kept: How many shall be left.
    """
    sizes = [num_contenders]
    while sizes[-1] > num_kept:
        sizes.append(max(num_kept, math.ceil(sizes[-1] / 2)))
    steps = list(itertools.pairwise(sizes)) or [(num_contenders, num_contenders)]
    share_s = max(0.0, time_s - cost.compile_s * num_contenders) / len(steps)
    rungs: list[Rung] = []
    for size, kept in steps:
        for num_rounds in (3, 2, 1):
            window_s = (share_s / (num_rounds * num_measurements(size)) - cost.overhead_s) / cost.stretch
            if window_s >= cost.min_window_s:
                break
        rungs.append(Rung(kept, num_rounds, min(max(window_s, cost.min_window_s), cost.max_window_s)))
    return rungs


def num_affordable(num_contenders: int, time_s: float, cost: Cost) -> int:
    """How many contenders a time suffices for, at least two."""
    for num in range(num_contenders, 2, -1):
        rungs = plan_rungs(num, time_s, cost)
        sizes = [num, *(rung.num_kept for rung in rungs[:-1])]
        taken_s = num * cost.compile_s + sum(
            rung.num_rounds * num_measurements(size) * cost.of(rung.window_s)
            for size, rung in zip(sizes, rungs, strict=True)
        )
        if taken_s <= time_s * 1.05:
            return num
    return min(num_contenders, 2)


def num_measurements(num_contenders: int) -> int:
    """Measurements of one round, those of the reference included."""
    return num_contenders + math.ceil(num_contenders / BLOCK) + 1


def halve(
    contenders: Sequence[K],
    reference: K,
    measure: Callable[[K, float], Sample | None],
    *,
    rungs: Sequence[Rung],
    score: Callable[[Standing], float],
    book: Book[K],
    is_over: Callable[[], bool] = lambda: False,
) -> list[K]:
    """Find the best.

    Args:
        contenders: Who takes part, the likeliest first: where the time runs out, the last go unmeasured.
        reference: What they are compared with; measured whether or not it is a contender.
        measure: Measures one for a number of seconds; None if it cannot be run, and it is out.
        rungs: From `plan_rungs`.
        score: How good a standing is; more is better.
        book: Where everything measured is recorded, also when an exception ends it.
        is_over: Asked before each round and before each contender; the halving ends when it says so.

    Returns:
        All that were measured and did not fail, the best first: those who came further before those who fell out.
    """
    left = list(contenders)
    fallen: list[K] = []
    for rung in rungs:
        is_finished = all(
            _measure_round(_rotated(left, index), reference, measure, rung.window_s, book, is_over)
            for index in range(rung.num_rounds)
            if left
        )
        measured = [one for one in left if one in book.gains and one not in book.failed]
        ranking = sorted(measured, key=lambda one: -score(book.standing(one)))
        if not is_finished:
            return ranking + fallen
        left, fallen = ranking[: rung.num_kept], ranking[rung.num_kept :] + fallen
    return left + fallen


def _rotated(contenders: Sequence[K], round_index: int) -> list[K]:
    """Who goes when: each round begins with another one, far from the last one's."""
    first = round_index * (len(contenders) // 3 + 1) % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def _measure_round(
    order: Sequence[K],
    reference: K,
    measure: Callable[[K, float], Sample | None],
    window_s: float,
    book: Book[K],
    is_over: Callable[[], bool],
) -> bool:
    """Measure all of them once; False if the time ran out."""
    going = [one for one in order if one not in book.failed]
    before = _measure_reference(reference, measure, window_s, book) if not is_over() else None
    if before is None:
        return False
    for start in range(0, len(going), BLOCK):
        waiting: list[tuple[K, Sample]] = []
        is_cut = False
        after = before
        try:
            for contender in going[start : start + BLOCK]:
                if is_over():
                    is_cut = True
                    break
                sample = measure(contender, window_s)
                if sample is None:
                    book.failed.add(contender)
                else:
                    waiting.append((contender, sample))
            if not is_cut:
                after = _measure_reference(reference, measure, window_s, book)
        finally:
            # Also when it is interrupted: then with the reference before it only.
            for index, (contender, sample) in enumerate(waiting):
                share = (index + 1) / (len(waiting) + 1)
                book.add(contender, sample, before.fps + (after.fps - before.fps) * share)
        if is_cut:
            return False
        before = after
    return True


def _measure_reference(
    reference: K, measure: Callable[[K, float], Sample | None], window_s: float, book: Book[K]
) -> Sample:
    sample = measure(reference, window_s)
    if sample is None:
        raise RuntimeError("the reference cannot be measured any more")
    book.references.append(sample)
    return sample
