"""What a run is, and how any run ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from keepbusy import steps
from keepbusy.engine import Slot
from keepbusy.errors import FrameError, KeepbusyError
from keepbusy.sources.base import Source
from keepbusy.stats import RunStats
from keepbusy.types import Frame, Result, Timings

CANCEL_TIMEOUT_S = 5.0
"""How long closing waits for a device to give up what it was doing; after that the slot is not used again."""

Read = tuple[Frame | FrameError, int, Timings]
"""A frame, or the error in its place; its source's number; its times."""


class Run(Iterator[Result]):
    """One run over some sources: iterate for the results, `close` to stop early.

    Not thread-safe, except for `stats` and `close`.

    Attributes:
        stats: The run's counters; `stats.snapshot()` at any time, also afterwards.
    """

    stats: RunStats

    def __next__(self) -> Result:
        raise NotImplementedError

    def close(self) -> None:
        """Stop: nothing more is read, what is in flight is given up, all threads are joined."""
        raise NotImplementedError

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def index_of(item: Frame | FrameError) -> int:
    """The index of a frame, or of the one that could not be read."""
    return item.frame_index if isinstance(item, FrameError) else item.index


def give_up(slot: Slot) -> None:
    """Cancel a slot that is in flight and wait until the device has let go of it."""
    with contextlib.suppress(Exception):
        slot.request.cancel()
        slot.request.wait(CANCEL_TIMEOUT_S)
    steps.release(slot)


def close_all(sources: Sequence[Source], stats: RunStats, on_close: Callable[[], None]) -> None:
    """End a run: its sources are closed, its counters stand still, its slots are free."""
    for source in sources:
        with contextlib.suppress(KeepbusyError, OSError):
            source.close()
    stats.finish()
    on_close()
