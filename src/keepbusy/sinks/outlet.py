"""A sink with a thread and a bounded queue of its own: slow or failed, it takes nothing from the others."""

from __future__ import annotations

import logging
import random
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING

from keepbusy.errors import KeepbusyError, SinkError, first_line
from keepbusy.flow.stats import RunStats
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.parts import Parts, StreamEnd, StreamStep
from keepbusy.threads.channel import Channel, Gate, Latest
from keepbusy.values.result import Result

if TYPE_CHECKING:
    from keepbusy.flow.stream import Stream

MAX_WAITING = 8
"""Results that may wait for a sink: a burst of slow writes is ridden out, memory stays bounded."""

CLOSE_RETRY_S = 10.0
"""How long a failing sink is still tried again from the moment on at which nothing more comes for it."""

log = logging.getLogger("keepbusy")

_random = random.Random()  # nosec B311 # Spreads attempts in time; nothing is to be kept secret.


class Outlet:
    """One sink. All that is done to it is done by the thread that runs `work`, which no interrupt reaches.

    Args:
        sink: Where the results go; closed by this. How it is treated stands in its `outlet`.
        stats: The run's counters.
        streams: The run's streams by their numbers; empty where results come from elsewhere.
        rest_of: Asked when nothing more comes: the steps that tell which streams are over that have not ended by then.
        told: Streams that had ended before: the sink is not told of them.

    Attributes:
        config: How results get to the sink.
        error: What the sink failed with; None where it has not.
        has_stopped: Whether it takes no more results: it has failed, or its consumer has had enough.
        results: What it is to write, and the ends of streams; when there are no more it finishes the sink.
    """

    def __init__(
        self,
        sink: Sink,
        stats: RunStats,
        streams: Mapping[int, Stream],
        rest_of: Callable[[Parts], list[Callable[[], None]]],
        told: Set[int] = frozenset(),
    ) -> None:
        self.config = sink.outlet
        self.error: SinkError | None = None
        self.has_stopped = False
        self.results: Channel[Result | StreamEnd] = Channel(MAX_WAITING)
        self._sink: Sink | None = sink
        self._name = sink.name or type(sink).__name__
        self._lane = stats.lane("sink")
        self._counters = stats.outlet(self._name)
        self._parts = Parts(sink, streams, told)
        self._rest_of = rest_of
        self._places: weakref.WeakValueDictionary[int, Latest[Result | StreamEnd]] = weakref.WeakValueDictionary()
        self._waiting: deque[Latest[Result | StreamEnd]] = deque()
        self._counted: SinkError | None = None
        self._num_not: Counter[StreamStep] = Counter()
        self._is_ending = Gate()
        self._last_try_s = 0.0

    def put_live(self, result: Result) -> None:
        """Have a live stream's result written, in place of the one before if that still waits. Waits for nothing."""
        stream_id = result.frame.source_id
        place = self._places.get(stream_id)
        if place is None:
            # Nobody keeps it when it is empty: streams come and go.
            place = self._places[stream_id] = Latest()
        _, replaced = self.results.put_latest(place, result)
        self._counters.num_replaced += replaced is not None

    def put_freshest(self, result: Result) -> None:
        """Have a result written; where there is no room, the one that has waited the longest is dropped for it."""
        if len(self._waiting) >= MAX_WAITING:
            # Its place is empty already where it has been taken: then there is room.
            self._counters.num_replaced += self._waiting.popleft().swap(None) is not None
        place: Latest[Result | StreamEnd] = Latest()
        self._waiting.append(place)
        self.results.put_latest(place, result)

    def put_end(self, end: StreamEnd) -> None:
        """Have a stream's end told, behind what waits. Waits for nothing."""
        self.results.put_latest(Latest(), end)

    def end(self) -> None:
        """Nothing more comes. What waits is still written, and what fails is tried again for some seconds at most."""
        if not self._is_ending.is_open:
            self._last_try_s = time.monotonic() + CLOSE_RETRY_S
            self._is_ending.open()
        self.results.end()

    def work(self) -> None:
        """Write results until the end, and finish the sink; the body of its thread."""
        lane = self._lane
        while (item := self.results.get()) is not None:
            begin_ns = lane.waited_for_input()
            if isinstance(item, StreamEnd):
                self._try(partial(self._parts.end, item), is_result=False)
                self._parts.forget(item.stream.id)
                lane.was_busy()
            elif item.timings.has_expired(begin_ns):
                self._counters.num_stale += 1
            else:
                self._try(partial(self._write, item))
                end_ns = lane.was_busy()
                lane.num_frames += 1
                timings = item.timings
                # Of several sinks: from the first one's begin to the last one's end.
                timings.sink_start_ns = min(begin_ns, timings.sink_start_ns or begin_ns)
                timings.sink_end_ns = max(end_ns, timings.sink_end_ns)
        for step in self._rest_of(self._parts):
            if not self.has_stopped:
                self._try(step, is_result=False)
        self.finish()

    def finish(self) -> None:
        """Close the sink, if that has not been done; by its thread, or where there is none."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except BaseException as error:
            self._fail(error)
        if self._counted is not None:
            self._fail(self._counted_failures(self._counted))

    def _write(self, result: Result) -> None:
        sink = self._sink
        assert sink is not None  # nosec B101 # for mypy: it is given up only when its thread is over
        self._parts.begin_with(result)
        sink.write(result)
        self._parts.wrote(result)
        self._counters.num_written += 1

    def _try(self, step: Callable[[], None], *, is_result: bool = True) -> None:
        """Do something to the sink, and what is to be done where that fails.

        Args:
            step: What is done.
            is_result: Whether it writes a result; otherwise it tells of a stream.
        """
        num_failures = 0
        while True:
            try:
                return step()
            except StopRun:
                return self._stop()
            except Exception as error:
                num_failures += 1
                if self.config.on_error == "count":
                    if is_result:
                        self._counters.num_failed += 1
                    else:
                        self._num_not[self._parts.last_step] += 1
                    self._counted = self._counted or _as_sink_error(self._name, error)
                    return
                if not self._waits_to_try_again(error, num_failures):
                    self._fail(error)
                    return self._stop()
            except BaseException as error:
                self._fail(error)
                return self._stop()

    def _waits_to_try_again(self, error: Exception, num_failures: int) -> bool:
        retry = self.config.retry
        if self.config.on_error != "retry" or num_failures > (retry.max_attempts or 0):
            return False
        wait_s = retry.wait_s(num_failures) * _random.uniform(0.5, 1.0)
        reason = error.message if isinstance(error, KeepbusyError) else f"{self._name}: {first_line(error)}"
        log.warning("%s; trying it again in %.1f s", reason, wait_s)
        if self._is_ending.wait(wait_s):
            left_s = self._last_try_s - time.monotonic()
            if left_s <= 0:
                return False
            Gate().wait(min(wait_s, left_s))
        self._counters.num_retried += 1
        return True

    def _counted_failures(self, first: SinkError) -> SinkError:
        counters = self._counters
        failures = []
        if counters.num_failed:
            num_given = counters.num_written + counters.num_failed
            failures.append(f"{counters.num_failed} of {num_given} results could not be written")
        for step, num in sorted(self._num_not.items()):
            failures.append(f"{num} stream{'s' if num > 1 else ''} could not be {step}")
        error = SinkError(f"{self._name}: {', '.join(failures)}; the first: {first.message}", hint=first.hint)
        error.__cause__ = first
        return error

    def _stop(self) -> None:
        self.has_stopped = True
        self.results.close()

    def _fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = _as_sink_error(self._name, error)


def _as_sink_error(name: str, error: BaseException) -> SinkError:
    if isinstance(error, SinkError):
        return error
    wrapped = SinkError(f"{name}: {first_line(error)}")
    wrapped.__cause__ = error
    return wrapped
