"""Numbers from repeated rounds: medians, intervals, drift, latency percentiles. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from hdrh.histogram import HdrHistogram

from keepbusy.flow.percentiles import values_at

MIN_ROUNDS = 3
"""Fewer rounds say nothing of how much a ratio may vary, so no interval is given."""

MAX_DRIFT = 0.10
"""A device that loses or gains more than this from the first to the last third of the rounds is reported."""

MAX_SPREAD = 1.25
"""Rounds whose best is this many times their worst were not measured on a quiet machine."""

_BOOTSTRAP_SAMPLES = 10_000
_MAX_LATENCY_US = 3_600_000_000
_NUM_BINS = 48


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two throughputs, computed round by round.

    Attributes:
        median: Median of the rounds' ratios.
        low, high: 95 % percentile-bootstrap interval of that median; None with fewer than `MIN_ROUNDS` rounds.
    """

    median: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency percentiles, milliseconds; three significant digits are kept.

    Attributes:
        num_frames: How many latencies were recorded.
        bins: (from, to, count) of a histogram with logarithmic bins, milliseconds.
    """

    num_frames: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    bins: tuple[tuple[float, float, int], ...] = ()


def ratio(tops: Sequence[float], bottoms: Sequence[float], *, seed: int = 0) -> Ratio:
    """Median of the rounds' ratios with a percentile-bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    The rounds' ratios are resampled, not the two throughputs apart: what disturbs a round disturbs both.

    Args:
        tops: Throughput of each round.
        bottoms: The other one's of the same rounds.
        seed: Of the resampling: the same rounds always give the same interval.
    """
    ratios = np.array([a / b for a, b in zip(tops, bottoms, strict=True)], np.float64)
    if len(ratios) < MIN_ROUNDS:
        return Ratio(float(np.median(ratios)))
    picks = np.random.default_rng(seed).integers(0, len(ratios), (_BOOTSTRAP_SAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(ratios)), float(low), float(high))


def drift(values: Sequence[float]) -> float:
    """Change from the first to the last third of the rounds where it goes one way, as a share; 0 where it does not.

    One way: at least three of four pairs of rounds differ in that direction (Kendall's count).
    """
    if len(values) < MIN_ROUNDS:
        return 0.0
    third = max(1, len(values) // 3)
    change = statistics.median(values[-third:]) / statistics.median(values[:third]) - 1
    pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]
    num_along = sum((b - a) * change > 0 for a, b in pairs)
    return change if num_along >= 0.75 * len(pairs) else 0.0


def latency(latencies_ns: Iterable[int]) -> Latency:
    """Summarise latencies.

    Args:
        latencies_ns: Nanoseconds each.
    """
    histogram = HdrHistogram(1, _MAX_LATENCY_US, 3)
    for latency_ns in latencies_ns:
        histogram.record_value(min(max(latency_ns // 1000, 1), _MAX_LATENCY_US))
    num_frames = int(histogram.get_total_count())
    if num_frames == 0:
        return Latency(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    p50, p90, p99 = (value / 1e3 for value in values_at(histogram, (50.0, 90.0, 99.0)))
    low_ms, high_ms = histogram.get_min_value() / 1e3, histogram.get_max_value() / 1e3
    return Latency(num_frames, low_ms, p50, p90, p99, high_ms, _bins(histogram, low_ms, high_ms))


def _bins(histogram: HdrHistogram, low_ms: float, high_ms: float) -> tuple[tuple[float, float, int], ...]:
    low_ms, high_ms = low_ms * 0.999, high_ms * 1.001
    step = math.log(high_ms / low_ms) / _NUM_BINS
    counts = [0] * _NUM_BINS
    for item in histogram.get_recorded_iterator():
        value_ms = max(item.value_iterated_to / 1e3, low_ms)
        counts[min(int(math.log(value_ms / low_ms) / step), _NUM_BINS - 1)] += item.count_added_in_this_iter_step
    edges = [low_ms * math.exp(step * i) for i in range(_NUM_BINS + 1)]
    return tuple((round(a, 4), round(b, 4), n) for a, b, n in zip(edges, edges[1:], counts, strict=False))
