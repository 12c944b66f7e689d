"""Sinks on a thread of their own, so that drawing and writing never hold up the device while they can keep up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from keepbusy.channel import Channel
from keepbusy.errors import SinkError, first_line
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.stats import RunStats
from keepbusy.types import Result

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
    the first failure. Leaving the `with` block closes.

    Args:
        sinks: Where the results go; closed by this.
        stats: The run's counters, for the emit stage.
    """

    def __init__(self, sinks: Sequence[Sink], stats: RunStats) -> None:
        self._sinks = list(sinks)
        self._lane = stats.lane("emit")
        self._results: Channel[Result] = Channel(MAX_WAITING)
        self._error: SinkError | None = None
        self._thread = threading.Thread(target=self._work, name="keepbusy-emit")
        self._thread.start()

    def put(self, result: Result) -> bool:
        """Hand over a result, waiting while the sinks are behind; False if they have stopped."""
        return self._results.put(result)

    def close(self) -> None:
        """Write what is waiting, finish every sink.

        Raises:
            SinkError: The first failure of any of them.
        """
        self._results.end()
        self._thread.join()
        sinks, self._sinks = self._sinks, []
        for sink in sinks:
            try:
                sink.close()
            except Exception as error:
                self._error = self._error or _as_sink_error(sink, error)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> SinkRunner:
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

    def _work(self) -> None:
        lane = self._lane
        while (result := self._results.get()) is not None:
            result.timings.emit_start_ns = lane.waited_for_input()
            for sink in self._sinks:
                try:
                    sink.write(result)
                except StopRun:
                    self._results.close()
                except Exception as error:
                    self._error = self._error or _as_sink_error(sink, error)
                    self._results.close()
            result.timings.emit_end_ns = lane.was_busy()
            lane.num_frames += 1


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


def _as_sink_error(sink: Sink, error: Exception) -> SinkError:
    if isinstance(error, SinkError):
        return error
    wrapped = SinkError(f"{type(sink).__name__}: {first_line(error)}")
    wrapped.__cause__ = error
    return wrapped
