"""Results for asyncio programs."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from keepbusy.flow.run import Run
from keepbusy.flow.stats import Snapshot
from keepbusy.values.result import Result


class AsyncResults(AsyncIterator[Result]):
    """The results of one run for asyncio programs: `async for result in results`.

    `Pipeline.stream` makes one for a run over sources. Make one yourself for a run that was begun by `Pipeline.start`:

    ```python
    run = await asyncio.to_thread(pipeline.start)
    async with kb.AsyncResults(run) as results:
        run.add("rtsp://door/stream")
        async for result in results:
            ...
    ```

    The waiting and the closing are done in threads: the event loop is never blocked. The run is closed when the last
    result was taken, when it fails, when the task that awaits a result is cancelled, when the `async with` block is
    left, and by `close`. All of these wait until the run is over, as `Run.close` does: for 15 s at most where a camera
    does not answer. Being cancelled meanwhile ends only the waiting; the run is closed in any case. Where the results
    are dropped without any of these, by a `break` outside of `async with`, the run is closed in the background.

    Used by one event loop; not thread-safe.

    Args:
        run: The run, which is owned from now on, or what makes it: called in a thread when the first result is awaited.
        on_close: Called with what is done when the run is over, at the moment where closing begins.
    """

    def __init__(self, run: Run | Callable[[], Run], *, on_close: Callable[[Future[None]], Any] | None = None) -> None:
        self._taker = _Taker(run, on_close)
        self._if_dropped = weakref.finalize(self, self._taker.close)
        # When the program ends, the run sees to itself.
        self._if_dropped.atexit = False

    @property
    def stats(self) -> Snapshot | None:
        """The run's numbers as they stand; None before it has begun."""
        run = self._taker.opened
        return None if run is None else run.stats.snapshot()

    async def close(self) -> None:
        """Stop the run, and wait until it is over; further calls wait, too."""
        await asyncio.wrap_future(self._taker.close())

    def __aiter__(self) -> AsyncResults:
        return self

    async def __anext__(self) -> Result:
        try:
            taken = self._taker.take()
            result = None if taken is None else await asyncio.wrap_future(taken)
        except BaseException:
            await self.close()
            raise
        if result is None:
            await self.close()
            raise StopAsyncIteration
        return result

    async def __aenter__(self) -> AsyncResults:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class _Taker:
    """Opens, iterates and closes a run in threads. It does not know the `AsyncResults`, which may be dropped."""

    def __init__(self, run: Run | Callable[[], Run], on_close: Callable[[Future[None]], Any] | None) -> None:
        self._run = run
        self._on_close = on_close
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="keepbusy-stream")
        self._opening: Future[Run] | None = None
        self._lock = threading.RLock()
        self._closing: Future[None] | None = None

    @property
    def opened(self) -> Run | None:
        """The run, once there is one."""
        if isinstance(self._run, Run):
            return self._run
        opening = self._opening
        is_open = opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None
        return opening.result() if opening is not None and is_open else None

    def take(self) -> Future[Result | None] | None:
        """Have the next result taken, None behind the last one; None where the run is being closed."""
        with self._lock:
            if self._closing is not None:
                return None
            if self._opening is None:
                self._opening = self._executor.submit(self._open)
            return self._executor.submit(self._next, self._opening)

    def _open(self) -> Run:
        return self._run if isinstance(self._run, Run) else self._run()

    @staticmethod
    def _next(opening: Future[Run]) -> Result | None:
        return next(opening.result(), None)

    def close(self) -> Future[None]:
        """Have the run closed in a thread of its own: what takes the results may be waiting for one."""
        with self._lock:
            if self._closing is not None:
                return self._closing
            # Running from the start: whoever gives up waiting for it cannot cancel it.
            closing: Future[None] = Future()
            self._closing = closing
            closing.set_running_or_notify_cancel()
        if self._on_close is not None:
            self._on_close(closing)
        try:
            threading.Thread(target=self._close, args=(closing,), name="keepbusy-stream-close").start()
        except RuntimeError:  # The interpreter ends, and starts no threads any more.
            self._close(closing)
        return closing

    def _close(self, closing: Future[None]) -> None:
        failure: BaseException | None = None
        try:
            if (run := self._run_to_close()) is not None:
                run.close()
        except BaseException as error:
            failure = error
        self._executor.shutdown(wait=False)
        if failure is None:
            closing.set_result(None)
        else:
            closing.set_exception(failure)

    def _run_to_close(self) -> Run | None:
        """The run, which is waited for where it is being opened; None where there is none."""
        if isinstance(self._run, Run):
            return self._run
        opening = self._opening
        if opening is None or opening.cancel() or opening.exception() is not None:
            return None
        return opening.result()
