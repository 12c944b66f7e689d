"""What is counted of each stream: where every frame that arrived has gone."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

from keepbusy.flow.percentiles import Counts, counts_of, values_at
from keepbusy.values.streams import DropCause

_MAX_AGE_US = 3_600_000_000
"""An hour; older ones count as an hour old."""

_AGE_DIGITS = 2
"""To one per cent, in 30 kB per stream."""


_PERCENTILES = (50.0, 99.0)


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, _MAX_AGE_US, _AGE_DIGITS)


_AGES = _histogram()
"""An empty one, which knows which counts stand for which ages."""


@dataclass(frozen=True, slots=True)
class OutletStats:
    """What became of the results that were handed over to one sink.

    Attributes:
        name: What the sink is called.
        num_written: Results that it has taken.
        num_failed: Results that it could not take, where that does not end the run.
        num_retried: How often a result was tried again.
        dropped: Results that it was not given, by cause: `overload` (there was no room, or a newer one of a live stream
            took its place), `stale` (it waited longer than its stream's limit).
    """

    name: str
    num_written: int
    num_failed: int
    num_retried: int
    dropped: Mapping[DropCause, int]

    @property
    def num_dropped(self) -> int:
        """Results that it was not given, whatever the cause."""
        return sum(self.dropped.values())

    def since(self, earlier: OutletStats | None) -> OutletStats:
        """The numbers between an earlier moment and this one; of all the time where there is no earlier one."""
        if earlier is None:
            return self
        return OutletStats(
            self.name,
            self.num_written - earlier.num_written,
            self.num_failed - earlier.num_failed,
            self.num_retried - earlier.num_retried,
            _dropped_since(self.dropped, earlier.dropped),
        )


class OutletCounters:
    """The counters of one outlet, each written by one thread: `num_replaced` by who hands over, the others by its own.

    Args:
        name: What the sink is called.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.num_written = 0
        self.num_failed = 0
        self.num_retried = 0
        self.num_replaced = 0
        self.num_stale = 0

    def snapshot(self) -> OutletStats:
        """The numbers as they stand."""
        causes: dict[DropCause, int] = {"overload": self.num_replaced, "stale": self.num_stale}
        dropped = {cause: count for cause, count in causes.items() if count}
        return OutletStats(self.name, self.num_written, self.num_failed, self.num_retried, dropped)


@dataclass(frozen=True, slots=True)
class StreamStats:
    """One stream's numbers at one moment.

    At every moment `num_arrived` = `num_results` + the sum of `dropped` + `num_in_flight`.

    Attributes:
        stream_id: The stream's number in the run.
        name: What it is called.
        num_arrived: Frames that its source has given, or given up before they were decoded; unreadable ones included.
        num_results: Frames that have a result, those with an error included.
        num_errors: Results that carry an error.
        num_detections: Detections in its results.
        dropped: Frames that have no result, by cause.
        num_in_flight: Frames on their way.
        num_reopened: How often its source was opened again.
        age_p50_ms, age_p99_ms: Live streams: from the arrival of a frame to its result being handed over; 0 before the
            first.
    """

    stream_id: int
    name: str
    num_arrived: int
    num_results: int
    num_errors: int
    num_detections: int
    dropped: Mapping[DropCause, int]
    num_in_flight: int
    num_reopened: int
    age_p50_ms: float
    age_p99_ms: float

    _age_counts: Counts | None = field(default=None, compare=False, repr=False)

    def since(self, earlier: StreamStats | None) -> StreamStats:
        """The numbers between an earlier moment and this one; `num_in_flight` stays that of now.

        Args:
            earlier: The same stream's; None where it was not there yet.
        """
        if earlier is None:
            return self
        ages, ages_before = self._age_counts, earlier._age_counts
        if ages is not None and ages_before is not None:
            ages = ages - ages_before
        p50_us, p99_us = (0, 0) if ages is None else values_at(_AGES, _PERCENTILES, ages)
        return dataclasses.replace(
            self,
            num_arrived=self.num_arrived - earlier.num_arrived,
            num_results=self.num_results - earlier.num_results,
            num_errors=self.num_errors - earlier.num_errors,
            num_detections=self.num_detections - earlier.num_detections,
            dropped=_dropped_since(self.dropped, earlier.dropped),
            num_reopened=self.num_reopened - earlier.num_reopened,
            age_p50_ms=p50_us / 1e3,
            age_p99_ms=p99_us / 1e3,
            _age_counts=ages,
        )

    @property
    def num_dropped(self) -> int:
        """Frames that have no result, whatever the cause."""
        return sum(self.dropped.values())


class StreamCounters:
    """The counters of one stream. Thread-safe.

    Args:
        stream_id: The stream's number in the run.
        name: What it is called.
    """

    def __init__(self, stream_id: int, name: str) -> None:
        self.stream_id = stream_id
        self.name = name
        self._lock = threading.Lock()
        self._num_arrived = 0
        self._num_results = 0
        self._num_errors = 0
        self._num_detections = 0
        self._num_reopened = 0
        self._dropped: Counter[DropCause] = Counter()
        self._is_stopped = False
        self._ages_us: HdrHistogram | None = None

    def arrived(self) -> None:
        """A frame has come from the source. Behind `stop` it is given up at once."""
        with self._lock:
            self._num_arrived += 1
            if self._is_stopped:
                self._dropped["stopping"] += 1

    def shed(self, dropped: Mapping[DropCause, int]) -> None:
        """Frames have arrived that the source itself has given up."""
        with self._lock:
            self._num_arrived += sum(dropped.values())
            self._dropped.update({"stopping": sum(dropped.values())} if self._is_stopped else dropped)

    def done(self, num_detections: int, *, is_error: bool) -> None:
        """A frame has its result."""
        with self._lock:
            self._num_results += 1
            self._num_detections += num_detections
            self._num_errors += is_error

    def dropped(self, cause: DropCause, num_frames: int = 1) -> None:
        """Frames will have no result. Behind `stop` they have been counted."""
        with self._lock:
            if not self._is_stopped:
                self._dropped[cause] += num_frames

    def withdrawn(self, cause: DropCause, num_detections: int, *, is_error: bool) -> None:
        """A result that was counted will not be handed over."""
        with self._lock:
            self._num_results -= 1
            self._num_detections -= num_detections
            self._num_errors -= is_error
            self._dropped[cause] += 1

    def reopened(self) -> None:
        """The source has been opened again."""
        with self._lock:
            self._num_reopened += 1

    def aged(self, age_ns: int) -> None:
        """A live frame's result is handed over."""
        with self._lock:
            if self._ages_us is None:
                self._ages_us = _histogram()
            self._ages_us.record_value(min(max(age_ns // 1000, 1), _MAX_AGE_US))

    def stop(self) -> None:
        """Nothing is on its way any more: what was has been given up."""
        with self._lock:
            self._dropped["stopping"] += self._num_in_flight()
            self._is_stopped = True

    def snapshot(self) -> StreamStats:
        """The numbers as they stand."""
        with self._lock:
            ages = self._ages_us
            p50_us, p99_us = (0, 0) if ages is None else values_at(ages, _PERCENTILES)
            return StreamStats(
                stream_id=self.stream_id,
                name=self.name,
                num_arrived=self._num_arrived,
                num_results=self._num_results,
                num_errors=self._num_errors,
                num_detections=self._num_detections,
                dropped={cause: count for cause, count in self._dropped.items() if count},
                num_in_flight=self._num_in_flight(),
                num_reopened=self._num_reopened,
                age_p50_ms=p50_us / 1e3,
                age_p99_ms=p99_us / 1e3,
                _age_counts=None if ages is None else counts_of(ages),
            )

    def add(self, other: StreamStats) -> None:
        """Add an ended stream's numbers, but for its ages."""
        with self._lock:
            self._num_arrived += other.num_arrived
            self._num_results += other.num_results
            self._num_errors += other.num_errors
            self._num_detections += other.num_detections
            self._num_reopened += other.num_reopened
            self._dropped.update(other.dropped)

    def _num_in_flight(self) -> int:
        return self._num_arrived - self._num_results - self._dropped.total()


def _dropped_since(now: Mapping[DropCause, int], earlier: Mapping[DropCause, int]) -> dict[DropCause, int]:
    dropped = {cause: count - earlier.get(cause, 0) for cause, count in now.items()}
    return {cause: count for cause, count in dropped.items() if count}


def dropped_by_name(streams: Sequence[StreamStats]) -> dict[str, int]:
    """How many frames streams have dropped while they went on, by names of which no two are alike."""
    named: dict[str, int] = {}
    met: Counter[str] = Counter()
    for stream in streams:
        num_dropped = stream.num_dropped - stream.dropped.get("stopping", 0)
        if num_dropped:
            met[stream.name] += 1
            number = met[stream.name]
            named[stream.name if number == 1 else f"{stream.name} #{number}"] = num_dropped
    return named


def outlets_since(now: Sequence[OutletStats], earlier: Sequence[OutletStats]) -> tuple[OutletStats, ...]:
    """The numbers between two moments, in the same order; there may be more outlets now."""
    return tuple(one.since(earlier[number] if number < len(earlier) else None) for number, one in enumerate(now))
