"""Slots handed out to calls that come from many threads, first come, first served.

What a call holds is written in one place only, in the call itself (`Call.slot`): a slot is free where no call that has
come and not left names it. So an interrupt at any step leaves no slot behind, and leaving can be done again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from keepbusy.device.slots import Slot
from keepbusy.errors import KeepbusyError
from keepbusy.threads.channel import Gate

MANY = 2
"""Calls at once from which the slots for many are used, at least."""


class Call:
    """One call that wants a slot.

    Attributes:
        slot: The slot that it has; None where it waits.
        told: Has something in it once the call need not wait any longer.
        is_told: Whether that has happened.
    """

    __slots__ = ("is_told", "slot", "told")

    def __init__(self) -> None:
        self.slot: Slot | None = None
        self.told: SimpleQueue[None] = SimpleQueue()
        self.is_told = False


class Places:
    """The slots of one detector, and the calls that have or want them. Thread-safe.

    There are two groups of slots: those for few calls, whose model was compiled to be quick with one frame, and those
    for many calls, whose model was compiled for throughput. Only one group is handed out at a time, by the number of
    calls that are there: two models that work at once take the cores from each other.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: dict[Call, None] = {}
        self._for_few: tuple[Slot, ...] = ()
        self._for_many: tuple[Slot, ...] = ()
        self._many = MANY
        self._num_pauses = 0
        self._waits_for_all: list[Gate] = []
        self._is_closed = False

    @property
    def num_calls(self) -> int:
        """How many calls have come and not left."""
        return len(self._calls)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slots that can be used."""
        return tuple(slot for slot in (*self._for_few, *self._for_many) if not slot.is_lost)

    @property
    def is_closed(self) -> bool:
        """Whether no call is taken any more."""
        return self._is_closed

    @property
    def is_empty(self) -> bool:
        """Whether there are no slots for few calls: none were added, or the device gave none of them back."""
        return all(slot.is_lost for slot in self._for_few)

    def has(self, call: Call) -> bool:
        """Whether a call has come and not left."""
        return call in self._calls

    def add(self, slot: Slot) -> None:
        """Have one more slot for few calls; it must be free. Does nothing behind `close`."""
        with self._lock:
            if self._is_closed:
                return
            self._for_few = (*(one for one in self._for_few if not one.is_lost), slot)
            self._hand_out()

    def add_for_many(self, slots: Sequence[Slot], many: int) -> None:
        """Have slots for many calls. Does nothing behind `close`.

        Args:
            slots: They must be free.
            many: How many calls at once are many; `MANY` at least.
        """
        with self._lock:
            if self._is_closed:
                return
            self._many, self._for_many = max(MANY, many), tuple(slots)
            self._hand_out()

    def take(self, call: Call) -> Slot | None:
        """Wait for a slot. Calls get theirs in the order in which they come here. `leave` is to follow in any case.

        Returns:
            None where there is no slot that could ever become free, because the device gave none of them back: `add`
            one, and call this again, which does not cost the call its turn.

        Raises:
            KeepbusyError: It was closed.
        """
        with self._lock:
            self._calls[call] = None
            call.is_told = False
            self._hand_out()
        call.told.get()
        if call.slot is None and self._is_closed:
            raise KeepbusyError(
                "the detector was closed while a call was waiting", hint="close it behind the last call"
            )
        return call.slot

    def leave(self, call: Call) -> None:
        """Let go of a call's slot, which must not be in flight. Can be called again, and for a call that never came."""
        with self._lock:
            self._calls.pop(call, None)
            self._hand_out()

    def _hand_out(self) -> None:
        """Give free slots to the calls that wait, the oldest first, and tell those that need not wait any longer."""
        free = self._free()
        is_hopeless = self._is_closed or not self.slots
        for call in self._calls:
            if call.slot is None and free:
                call.slot = free.pop()
            if (call.slot is not None or is_hopeless) and not call.is_told:
                call.told.put(None)
                call.is_told = True
        if self._waits_for_all and all(call.slot is None for call in self._calls):
            for gate in self._waits_for_all:
                gate.open()

    def _free(self) -> list[Slot]:
        if self._is_closed or self._num_pauses:
            return []
        few = [slot for slot in self._for_few if not slot.is_lost]
        many = [slot for slot in self._for_many if not slot.is_lost]
        held = {id(call.slot) for call in self._calls}
        group = many if many and (len(self._calls) >= self._many or not few) else few
        # They are taken from the end, the first slot first: a single caller uses the same one again and again.
        return [slot for slot in reversed(group) if id(slot) not in held]

    @contextlib.contextmanager
    def paused(self, timeout_s: float) -> Iterator[bool]:
        """Hand out no slots while the block goes on, and begin it when all are back.

        Args:
            timeout_s: How long to wait for them.

        Yields:
            Whether all are back.
        """
        with self._lock:
            self._num_pauses += 1
            self._hand_out()
        try:
            yield self._wait_for_all(timeout_s)
        finally:
            with self._lock:
                self._num_pauses -= 1
                self._hand_out()

    def close(self, timeout_s: float) -> bool:
        """Take no more calls, end those that wait, and wait for those that have a slot. Can be called again.

        Args:
            timeout_s: How long to wait for them.

        Returns:
            Whether all slots are back.
        """
        with self._lock:
            self._is_closed = True
            self._hand_out()
        is_done = self._wait_for_all(timeout_s)
        with self._lock:
            self._for_few = self._for_many = ()
        return is_done

    def _wait_for_all(self, timeout_s: float) -> bool:
        all_back = Gate()
        try:
            with self._lock:
                self._waits_for_all.append(all_back)
                self._hand_out()
            return all_back.wait(timeout_s)
        finally:
            with self._lock:
                self._waits_for_all = [gate for gate in self._waits_for_all if gate is not all_back]
