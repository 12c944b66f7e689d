"""Percentiles of a histogram, fast enough to be asked for while a run goes on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

_MAX_WAITING = 256

Counts = NDArray[np.int64]
"""How often each value of a histogram was recorded."""


class Recorder:
    """Puts values into a histogram, many at a time: recording one takes ten calls in Python. Thread-safe.

    Args:
        histogram: Where they go; its range is theirs.
    """

    def __init__(self, histogram: HdrHistogram) -> None:
        self._histogram = histogram
        self._waiting: list[int] = []
        self._lock = threading.Lock()

    def add(self, value: int) -> None:
        """Record a value."""
        with self._lock:
            self._waiting.append(value)
            if len(self._waiting) >= _MAX_WAITING:
                self._record()

    def values_at(self, percentiles: Sequence[float]) -> tuple[list[int], Counts]:
        """The values at some percentiles, as `values_at` gives them, and a copy of the counts that they are from."""
        with self._lock:
            self._record()
            counts = counts_of(self._histogram)
        return values_at(self._histogram, percentiles, counts), counts

    def _record(self) -> None:
        for value, number in Counter(self._waiting).items():
            self._histogram.record_value(value, number)
        self._waiting.clear()


def counts_of(histogram: HdrHistogram) -> Counts:
    """A copy of what a histogram has counted, to be compared with a later one."""
    return np.array(histogram.counts, np.int64)


def values_at(histogram: HdrHistogram, percentiles: Sequence[float], counts: Counts | None = None) -> list[int]:
    """The values at some percentiles, as `get_value_at_percentile` gives them; 0 where nothing was recorded.

    That one walks through all counts in Python for each percentile, with the interpreter's lock held: 6 ms for an
    hour in microseconds.

    Args:
        histogram: What was recorded.
        percentiles: Above 0, up to 100.
        counts: Counts of a histogram of the same kind to look at in place of this one's own.
    """
    up_to = np.cumsum(np.ctypeslib.as_array(histogram.counts) if counts is None else counts)
    total = int(up_to[-1])
    if not total:
        return [0] * len(percentiles)
    targets = [max(int(min(one, 100.0) * total / 100 + 0.5), 1) for one in percentiles]
    indices = np.searchsorted(up_to, targets)
    return [histogram.get_highest_equivalent_value(histogram.get_value_from_index(int(index))) for index in indices]
