"""Results for asyncio programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from keepbusy.flow.run import Run
from keepbusy.flow.stats import Snapshot
from keepbusy.values.result import Result


class AsyncResults:
    """The results of one run: `async for result in results`. Made by `Pipeline.stream`.

    ```python
    async with pipeline.stream("street.mp4") as results:
        async for result in results:
            ...
        print(results.stats)
    ```

    The waiting is done in a thread; the event loop is never blocked while frames are awaited. Cancelling the task,
    leaving the `async with` block, or `close` stops the run.

    Args:
        open_run: Makes the run, in that thread.
    """

    def __init__(self, open_run: Callable[[], Run]) -> None:
        self._opened: list[Run] = []
        self._results = _iterate(open_run, self._opened)

    @property
    def stats(self) -> Snapshot | None:
        """The run's numbers as they stand; None before it has begun."""
        return self._opened[0].stats.snapshot() if self._opened else None

    async def close(self) -> None:
        """Stop the run, and wait until it is over; further calls do nothing."""
        await self._results.aclose()

    def __aiter__(self) -> AsyncIterator[Result]:
        return self._results

    async def __aenter__(self) -> AsyncResults:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def _iterate(open_run: Callable[[], Run], opened: list[Run]) -> AsyncGenerator[Result, None]:
    """The results; knows what it was made for only by `opened`, so that it ends when that is dropped."""
    event_loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="keepbusy-stream") as executor:
        opening = executor.submit(open_run)
        try:
            run = await asyncio.wrap_future(opening, loop=event_loop)
            opened.append(run)
            while (result := await event_loop.run_in_executor(executor, next, run, None)) is not None:
                yield result
        finally:
            if not opening.cancelled() and opening.exception() is None:
                opening.result().close()
