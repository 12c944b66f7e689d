"""What a run is, and how any run ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from keepbusy.config import RunConfig
from keepbusy.device.engine import Slot
from keepbusy.errors import FrameError, KeepbusyError
from keepbusy.flow import steps
from keepbusy.flow.stats import RunStats
from keepbusy.sources.base import Source, close_source
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings

CANCEL_TIMEOUT_S = 5.0
"""How long closing waits for a device to give up what it was doing; after that the slot is not used again."""

Read = tuple[Frame | FrameError, int, Timings]
"""A frame, or the error in its place; its source's number; its times."""


@dataclass(slots=True, eq=False)
class Job:
    """All that a run works with, and owns from its making on.

    Attributes:
        sources: Where frames come from; the run closes them when no thread reads them any more.
        slots: Warm, free slots; `sync` uses the first.
        decode: Output of the model → detections in the frame's pixels. Called by one thread at a time.
        config: Mode, limits, error policy.
        device_name: For messages.
        own_cores: Cores that inference leaves alone, for the threads that start and collect frames; may be none.
        stats: The run's counters.
        on_close: Called when the run no longer uses the slots; may be called again.
        is_over: Whether the slots are free and the sources closed. The slots may be another run's then.
    """

    sources: tuple[Source, ...]
    slots: tuple[Slot, ...]
    decode: steps.Decode
    config: RunConfig
    device_name: str
    own_cores: frozenset[int]
    stats: RunStats
    on_close: Callable[[], None]
    is_over: bool = False

    def close(self) -> None:
        """End the run: its slots are free, its sources are closed, its counters stand still.

        To be called when no thread works for the run any more. Further calls change nothing.
        """
        if not self.is_over:
            for slot in self.slots:
                if slot.frame is not None:
                    give_up(slot)
            for source in self.sources:
                close_source(source)
            self.stats.finish()
            self.is_over = True
        self.on_close()


class Run(Iterator[Result]):
    """One run over some sources: iterate for the results, `close` to stop early.

    A run owns its sources from its making on, and begins with `start`. One that is dropped is closed.

    Not thread-safe, except for `stats` and `close`.

    Attributes:
        stats: The run's counters; `stats.snapshot()` at any time, also afterwards.
    """

    stats: RunStats

    def __next__(self) -> Result:
        raise NotImplementedError

    def start(self) -> None:
        """Begin to read; to be called once."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop: nothing more is read, what is in flight is given up, all threads are joined.

        An interrupt does not break it off: it is raised when the run is closed. Further calls do nothing.
        """
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


class Turn:
    """A run's turn at a pipeline's slots. It knows neither of them: threads of a run keep no pipeline alive.

    Args:
        turns: The pipeline's; holds the turn that is taken, if any.
    """

    def __init__(self, turns: dict[str, Turn]) -> None:
        self._turns = turns

    def take(self) -> None:
        """Take the slots.

        Raises:
            KeepbusyError: Another run has them.
        """
        if self._turns.setdefault("taken", self) is not self:
            raise KeepbusyError(
                "the pipeline is still running",
                hint="iterate the last run to its end or close() it, or make a second Pipeline",
            )

    def give_back(self) -> None:
        """Leave the slots to the next run; does nothing where this one does not have them."""
        if self._turns.get("taken") is self:
            del self._turns["taken"]


def index_of(item: Frame | FrameError) -> int:
    """The index of a frame, or of the one that could not be read."""
    return item.frame_index if isinstance(item, FrameError) else item.index


_LOST: list[Slot] = []
"""Slots that no device gave back. They are kept: freeing a request waits for the device, for ever."""


def give_up(slot: Slot) -> None:
    """Cancel a slot that is in flight and wait until the device has let go of it; if it does not, the slot is lost."""
    is_free = True
    with contextlib.suppress(Exception):  # An inference that was cancelled, or failed, is over.
        slot.request.cancel()
        is_free = slot.request.wait(CANCEL_TIMEOUT_S)
    if not is_free:
        slot.is_lost = True
        _LOST.append(slot)
    steps.release(slot)
