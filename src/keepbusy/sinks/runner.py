"""Sinks on a thread of their own, so that drawing and writing never hold up the device while they can keep up."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from keepbusy.channel import Channel
from keepbusy.errors import SinkError, first_line
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.stats import RunStats
from keepbusy.types import Result
from keepbusy.workers import Workers, close_at_exit, to_the_end

if TYPE_CHECKING:
    from keepbusy.run import Run

MAX_WAITING = 8
"""Results that may wait for the sinks: a burst of slow writes is ridden out, memory stays bounded."""


class SinkRunner:
    """Hands results to sinks in another thread.

    ```python
    with SinkRunner(sinks, run.stats) as runner:
        for result in run:
            if not runner.put(result):
                break
    ```

    A sink that fails stops them all: `put` returns False from then on, and `close` finishes every sink and raises
    the first failure. The thread starts with the `with` block; leaving it closes. A runner that is dropped closes
    its sinks, too.

    Args:
        sinks: Where the results go; closed by this.
        stats: The run's counters, for the emit stage.
    """

    def __init__(self, sinks: Sequence[Sink], stats: RunStats) -> None:
        self._shared = _Shared(sinks, stats)
        self._if_dropped = weakref.finalize(self, to_the_end, self._shared.close)
        close_at_exit(self)

    def put(self, result: Result) -> bool:
        """Hand over a result, waiting while the sinks are behind; False if they have stopped."""
        return self._shared.results.put(result)

    def close(self) -> None:
        """Write what is waiting, finish every sink.

        An interrupt does not break it off: it is raised when the sinks are finished. Further calls do nothing.

        Raises:
            SinkError: The first failure of any of them.
        """
        to_the_end(self._shared.close)
        self._if_dropped.detach()
        error, self._shared.error = self._shared.error, None
        if error is not None:
            raise error

    def __enter__(self) -> SinkRunner:
        try:
            self._shared.workers.start()
        except BaseException:
            to_the_end(self._shared.close)
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
                self.close()


class _Shared:
    """What a runner shares with its thread, which does all that is done to the sinks: no interrupt reaches it."""

    def __init__(self, sinks: Sequence[Sink], stats: RunStats) -> None:
        self.results: Channel[Result] = Channel(MAX_WAITING)
        self.error: SinkError | None = None
        self._sinks = list(sinks)
        self._lane = stats.lane("emit")
        self.workers = Workers([("keepbusy-emit", self._work)], self._finish)

    def close(self) -> None:
        """Let the thread come to its end. Safe to call again, and where it was never started."""
        self.results.end()
        if self.workers.join():
            self._finish()

    def _work(self) -> None:
        lane = self._lane
        while (result := self.results.get()) is not None:
            result.timings.emit_start_ns = lane.waited_for_input()
            for sink in self._sinks:
                try:
                    sink.write(result)
                except StopRun:
                    self.results.close()
                except BaseException as error:
                    self._fail(sink, error)
                    self.results.close()
            result.timings.emit_end_ns = lane.was_busy()
            lane.num_frames += 1

    def _finish(self) -> None:
        """Close the sinks: by the thread, or where there was none."""
        while self._sinks:
            sink = self._sinks.pop(0)
            try:
                sink.close()
            except BaseException as error:
                self._fail(sink, error)

    def _fail(self, sink: Sink, error: BaseException) -> None:
        self.error = self.error or _as_sink_error(sink, error)


def drain(run: Run, sinks: Sequence[Sink], on_result: Callable[[Result], None]) -> None:
    """Hand all results of a run to sinks; closes the run and the sinks.

    Args:
        run: Where the results come from.
        sinks: Where they go.
        on_result: Told of each result, before the sinks have it.

    Raises:
        SinkError: A sink failed.
        KeepbusyError: The run failed.
    """
    with run, SinkRunner(sinks, run.stats) as runner:
        for result in run:
            on_result(result)
            if not runner.put(result):
                break


def _as_sink_error(sink: Sink, error: BaseException) -> SinkError:
    if isinstance(error, SinkError):
        return error
    wrapped = SinkError(f"{type(sink).__name__}: {first_line(error)}")
    wrapped.__cause__ = error
    return wrapped
