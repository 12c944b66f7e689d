"""A sink with a thread and a bounded queue of its own: slow or failed, it takes nothing from the others."""

from __future__ import annotations

import weakref

from keepbusy.errors import SinkError, first_line
from keepbusy.flow.stats import Lane
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.threads.channel import Channel, Latest
from keepbusy.values.result import Result

MAX_WAITING = 8
"""Results that may wait for a sink: a burst of slow writes is ridden out, memory stays bounded."""


class Outlet:
    """One sink. All that is done to it is done by the thread that runs `work`, which no interrupt reaches.

    Args:
        sink: Where the results go; closed by this.
        lane: Its time.

    Attributes:
        error: What the sink failed with; None where it has not.
        has_stopped: Whether it takes no more results: it has failed, or its consumer has had enough.
        results: What it is to write; at their end it finishes the sink.
    """

    def __init__(self, sink: Sink, lane: Lane) -> None:
        self.error: SinkError | None = None
        self.has_stopped = False
        self._sink: Sink | None = sink
        self._lane = lane
        self.results: Channel[Result] = Channel(MAX_WAITING)
        self._places: weakref.WeakValueDictionary[int, Latest[Result]] = weakref.WeakValueDictionary()

    def put_live(self, result: Result) -> None:
        """Have a live stream's result written, in place of the one before if that still waits. Waits for nothing."""
        stream_id = result.frame.source_id
        place = self._places.get(stream_id)
        if place is None:
            # Nobody keeps it when it is empty: streams come and go.
            place = self._places[stream_id] = Latest()
        self.results.put_latest(place, result)

    def work(self) -> None:
        """Write results until the end, and finish the sink; the body of its thread."""
        lane, sink = self._lane, self._sink
        assert sink is not None  # nosec B101 # for mypy: it is given up only when its thread is over
        while (result := self.results.get()) is not None:
            begin_ns = lane.waited_for_input()
            if result.timings.has_expired(begin_ns):
                continue
            try:
                sink.write(result)
            except StopRun:
                self._stop()
            except BaseException as error:
                self._fail(sink, error)
                self._stop()
            end_ns = lane.was_busy()
            lane.num_frames += 1
            timings = result.timings
            # Of several sinks: from the first one's begin to the last one's end.
            timings.sink_start_ns = min(begin_ns, timings.sink_start_ns or begin_ns)
            timings.sink_end_ns = max(end_ns, timings.sink_end_ns)
        self.finish()

    def finish(self) -> None:
        """Close the sink, if that has not been done; by its thread, or where there is none."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except BaseException as error:
            self._fail(sink, error)

    def _stop(self) -> None:
        self.has_stopped = True
        self.results.close()

    def _fail(self, sink: Sink, error: BaseException) -> None:
        if self.error is None:
            self.error = _as_sink_error(sink, error)


def _as_sink_error(sink: Sink, error: BaseException) -> SinkError:
    if isinstance(error, SinkError):
        return error
    wrapped = SinkError(f"{type(sink).__name__}: {first_line(error)}")
    wrapped.__cause__ = error
    return wrapped
