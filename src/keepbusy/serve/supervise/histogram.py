"""Counts of seconds in buckets, as Prometheus has them, and the newest values for percentiles of now."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence

AGE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

WINDOW_S = 10.0
"""How far back the percentiles of now look."""

_MAX_VALUES = 2048


class Seconds:
    """Thread-safe.

    Args:
        bounds_s: Upper ends of the buckets, rising.
        now_s: The monotonic clock, seconds.
    """

    def __init__(self, bounds_s: Sequence[float], now_s: Callable[[], float] = time.monotonic) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0
        self._newest: deque[tuple[float, float]] = deque(maxlen=_MAX_VALUES)
        self._now_s = now_s
        self._lock = threading.Lock()

    def add(self, value_s: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect_left(self._bounds_s, value_s)] += 1
            self._sum_s += value_s
            self._newest.append((self._now_s(), value_s))

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """(Upper end, how many values are not above it) of each bucket, the last one `+Inf`; and the values' sum."""
        with self._lock:
            counts, sum_s = list(self._counts), self._sum_s
        found: list[tuple[str, float]] = []
        total = 0
        for bound_s, count in zip((*self._bounds_s, float("inf")), counts, strict=True):
            total += count
            found.append(("+Inf" if bound_s == float("inf") else repr(bound_s), float(total)))
        return found, sum_s

    def now(self, *shares: float) -> list[float | None]:
        """The values of the last seconds at some shares of them (0.5 for the median), seconds; None where none came."""
        since_s = self._now_s() - WINDOW_S
        with self._lock:
            values = sorted(value_s for at_s, value_s in self._newest if at_s >= since_s)
        if not values:
            return [None] * len(shares)
        return [values[min(len(values) - 1, int(share * len(values)))] for share in shares]
