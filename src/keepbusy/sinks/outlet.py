"""A sink with a thread and a bounded queue of its own: slow or failed, it takes nothing from the others."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from keepbusy.errors import SinkError, first_line
from keepbusy.flow.stats import Lane
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.parts import Parts, StreamEnd
from keepbusy.threads.channel import Channel, Latest
from keepbusy.values.result import Result

if TYPE_CHECKING:
    from keepbusy.flow.stream import Stream

MAX_WAITING = 8
"""Results that may wait for a sink: a burst of slow writes is ridden out, memory stays bounded."""


class Outlet:
    """One sink. All that is done to it is done by the thread that runs `work`, which no interrupt reaches.

    Args:
        sink: Where the results go; closed by this.
        lane: Its time.
        streams: The run's streams by their numbers; empty where results come from elsewhere.
        end_rest: Called when nothing more comes: tells which streams are over that have not ended by then.

    Attributes:
        error: What the sink failed with; None where it has not.
        has_stopped: Whether it takes no more results: it has failed, or its consumer has had enough.
        results: What it is to write, and the ends of streams; when there are no more it finishes the sink.
    """

    def __init__(
        self, sink: Sink, lane: Lane, streams: Mapping[int, Stream], end_rest: Callable[[Parts], None]
    ) -> None:
        self.error: SinkError | None = None
        self.has_stopped = False
        self._sink: Sink | None = sink
        self._name = type(sink).__name__
        self._lane = lane
        self._parts = Parts(sink, streams)
        self._end_rest = end_rest
        self.results: Channel[Result | StreamEnd] = Channel(MAX_WAITING)
        self._places: weakref.WeakValueDictionary[int, Latest[Result | StreamEnd]] = weakref.WeakValueDictionary()

    def put_live(self, result: Result) -> None:
        """Have a live stream's result written, in place of the one before if that still waits. Waits for nothing."""
        stream_id = result.frame.source_id
        place = self._places.get(stream_id)
        if place is None:
            # Nobody keeps it when it is empty: streams come and go.
            place = self._places[stream_id] = Latest()
        self.results.put_latest(place, result)

    def put_end(self, end: StreamEnd) -> None:
        """Have a live stream's end told, behind what waits. Waits for nothing."""
        self.results.put_latest(Latest(), end)

    def work(self) -> None:
        """Write results until the end, and finish the sink; the body of its thread."""
        lane = self._lane
        while (item := self.results.get()) is not None:
            begin_ns = lane.waited_for_input()
            if isinstance(item, StreamEnd):
                self._try(partial(self._parts.end, item))
                lane.was_busy()
            elif not item.timings.has_expired(begin_ns):
                self._try(partial(self._write, item))
                end_ns = lane.was_busy()
                lane.num_frames += 1
                timings = item.timings
                # Of several sinks: from the first one's begin to the last one's end.
                timings.sink_start_ns = min(begin_ns, timings.sink_start_ns or begin_ns)
                timings.sink_end_ns = max(end_ns, timings.sink_end_ns)
        if not self.has_stopped:
            self._try(partial(self._end_rest, self._parts))
        self.finish()

    def _write(self, result: Result) -> None:
        sink = self._sink
        assert sink is not None  # nosec B101 # for mypy: it is given up only when its thread is over
        self._parts.begin_with(result)
        sink.write(result)
        self._parts.wrote(result)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except StopRun:
            self._stop()
        except BaseException as error:
            self._fail(error)
            self._stop()

    def finish(self) -> None:
        """Close the sink, if that has not been done; by its thread, or where there is none."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except BaseException as error:
            self._fail(error)

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
