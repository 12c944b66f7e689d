"""Sinks on threads of their own, so that drawing and writing never hold up the device while they can keep up."""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from keepbusy.errors import SinkError
from keepbusy.flow.stats import RunStats
from keepbusy.sinks.base import Sink
from keepbusy.sinks.given import close_all, list_open_sinks
from keepbusy.sinks.outlet import Outlet
from keepbusy.sinks.parts import Parts, StreamEnd
from keepbusy.threads.channel import put_all
from keepbusy.threads.workers import Workers, close_at_exit, to_the_end
from keepbusy.values.result import Result
from keepbusy.values.streams import EndState

if TYPE_CHECKING:
    from keepbusy.flow.run import Run
    from keepbusy.flow.stream import Stream


class OfStreams(Protocol):
    """What results come from, as far as sinks are told of it: a `Run`."""

    @property
    def streams(self) -> Mapping[int, Stream]:
        """The streams by their numbers."""
        ...

    def watch(self, on_end: Callable[[Stream], None]) -> None:
        """Have somebody told of the ends of streams: see `Run.watch`."""
        ...


class SinkRunner:
    """Hands results to sinks, each in a thread of its own.

    ```python
    with SinkRunner(sinks, run.stats, run) as runner:
        for result in run:
            if not runner.put(result):
                break
    ```

    A sink that fails takes no more results: `put` returns False from then on. The others still write every result
    that was taken, and `close` finishes all of them and raises the first failure. Results of live streams are never
    waited for: a sink that is behind gets the freshest one of each stream. A sink's `outlet` may say otherwise of
    failures and of what happens where there is no room. The threads start with the `with`
    block; leaving it closes. A runner that is dropped closes its sinks, too.

    Sinks are told of the end of each stream behind its last result. When the runner is closed, the streams that have
    not ended are over for the sinks: as `removed`, or as `failed` where their source has. Streams whose last results
    were taken before the runner was made are not told of.

    Args:
        sinks: Where the results go, one open sink or several; closed by this, also where it cannot be made.
        stats: The run's counters, for the sink stage.
        run: The run that the results come from. Without it, streams are known by their results alone: they end when
            the runner is closed, as `ended`, or as `removed` where an error left the `with` block.

    Raises:
        ConfigError: Something is no open sink, or one is given twice.
    """

    def __init__(self, sinks: Sink | Sequence[Sink], stats: RunStats, run: OfStreams | None = None) -> None:
        opened = list_open_sinks(sinks)
        try:
            streams = {} if run is None else run.streams
            told = {stream.id for stream in list(streams.values()) if stream.is_told}
            self._outlets = _Outlets(opened, stats, streams, told)
            if run is not None:
                run.watch(self._outlets.put_end)
        except BaseException:
            close_all(opened)
            raise
        self._if_dropped = weakref.finalize(self, to_the_end, self._outlets.close)
        close_at_exit(self)

    def put(self, result: Result) -> bool:
        """Hand over a result, waiting while a sink is behind; False if one has stopped."""
        return self._outlets.put(result)

    def close(self) -> None:
        """Write what is waiting, finish every sink.

        An interrupt does not break it off: it is raised when the sinks are finished. Further calls do nothing.

        Raises:
            SinkError: The first failure of any of them.
        """
        self._outlets.rest_state = "ended"
        self._close()

    def _close(self) -> None:
        to_the_end(self._outlets.close)
        self._if_dropped.detach()
        self._outlets.raise_first()

    def __enter__(self) -> SinkRunner:
        try:
            self._outlets.start()
        except BaseException:
            to_the_end(self._outlets.close)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(SinkError):
                self._close()


class _Outlets:
    """The outlets of a runner and their threads, which never know the runner itself: it may be dropped.

    Attributes:
        rest_state: How streams end that are no streams of a run.
    """

    def __init__(self, sinks: Sequence[Sink], stats: RunStats, streams: Mapping[int, Stream], told: Set[int]) -> None:
        self.rest_state: EndState = "removed"
        self._handed_over: Counter[int] = Counter()
        self._all = [Outlet(sink, stats, streams, self._rest_of, told) for sink in sinks]
        self._patient = [outlet for outlet in self._all if outlet.config.on_full == "wait"]
        self._others = [outlet for outlet in self._all if outlet.config.on_full != "wait"]
        bodies = [(f"keepbusy-sink-{number}", outlet.work) for number, outlet in enumerate(self._all)]
        self._workers = Workers(bodies)

    def start(self) -> None:
        self._workers.start()

    def put(self, result: Result) -> bool:
        if any(outlet.has_stopped for outlet in self._all):
            return False
        self._handed_over[result.frame.source_id] += 1
        if result.frame.is_live:
            for outlet in self._all:
                outlet.put_live(result)
        else:
            # To all of them or none: what one sink has written of an interrupted run, the others have, too.
            put_all([outlet.results for outlet in self._patient], result)
            for outlet in self._others:
                outlet.put_freshest(result)
        return not any(outlet.has_stopped for outlet in self._all)

    def put_end(self, stream: Stream) -> None:
        """Tell all sinks of a stream's end, behind its last result."""
        end = StreamEnd(stream, self._handed_over[stream.id])
        if not stream.is_live:
            put_all([outlet.results for outlet in self._patient], end)
        for outlet in self._all if stream.is_live else self._others:
            outlet.put_end(end)
        del self._handed_over[stream.id]

    def _rest_of(self, parts: Parts) -> list[Callable[[], None]]:
        return parts.rest(self._handed_over, self.rest_state)

    def close(self) -> None:
        """Let the threads come to their end. Safe to call again, and where they were never started."""
        if self._workers.is_forked:
            return
        for outlet in self._all:
            outlet.end()
        if self._workers.join():
            for outlet in self._all:
                outlet.finish()

    def raise_first(self) -> None:
        errors = [outlet.error for outlet in self._all if outlet.error is not None]
        for outlet in self._all:
            outlet.error = None
        if errors:
            raise errors[0]


def drain(run: Run, sinks: Sink | Sequence[Sink], on_result: Callable[[Result], None] = lambda _: None) -> None:
    """Hand all results of a run to sinks; closes the run and the sinks.

    Args:
        run: Where the results come from.
        sinks: Where they go: one open sink or several.
        on_result: Told of each result, before the sinks have it.

    Raises:
        ConfigError: Something is no open sink, or one is given twice.
        SinkError: A sink failed.
        KeepbusyError: The run failed.
    """
    with run, SinkRunner(sinks, run.stats, run) as runner:
        for result in run:
            on_result(result)
            if not runner.put(result):
                break
