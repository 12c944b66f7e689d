"""Where frames of all streams come together: one bounded queue per stream, served in weighted turns.

Streams come and go while the run goes on. The intake is over when its holder has let go of it (`end`) and the last
inlet has ended and is empty.

Turns are those of start-time fair queueing (Goyal, Vin and Cheng, 1996): each inlet has a virtual time, which a frame
moves on by 1 / weight; the inlet with the lowest one is served. An inlet that was empty catches up on a few turns, and
no more: it neither loses its share nor saves it up. An item that is worth nothing any more costs no turn. A stream that
is slow or stalled holds up nobody.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_LAG_TURNS = 4.0
"""An inlet that was empty catches up on so many turns at most. With none, a live stream that is to have nearly all of
its frames loses a third of them, because the one that waits comes a little behind its turn: `tests/test_shares.py`."""


class Intake(Generic[T]):
    """The consumer's side. Thread-safe.

    Args:
        is_worthless: Whether an item is not to be handed out any more when its turn has come; called once for each,
            quickly. Whoever waits gets the next one instead.
    """

    def __init__(self, is_worthless: Callable[[T], bool] = lambda item: False) -> None:
        self._is_worthless = is_worthless
        self._lock = threading.RLock()
        # A token for each item in any queue, or more where items were thrown away; None comes last, and stays.
        self._tokens: SimpleQueue[bool | None] = SimpleQueue()
        self._inlets: set[Inlet[T]] = set()
        self._ready: list[tuple[float, int, Inlet[T]]] = []
        self._now = 0.0
        self._order = count()
        self._is_held = True
        self._is_closed = False

    def open(self, capacity: int, weight: float = 1.0) -> Inlet[T]:
        """A new inlet. It is over at once where the intake has been ended or closed.

        Args:
            capacity: Items that may wait in it.
            weight: Its share of the turns, relative to that of the other inlets; above 0.
        """
        inlet = Inlet(self, capacity, weight)
        with self._lock:
            if self._is_held and not self._is_closed:
                self._inlets.add(inlet)
            else:
                inlet.is_over = True
        return inlet

    def get(self) -> T | None:
        """Take the oldest item of the inlet whose turn it is, waiting for one; None at the end."""
        while True:
            if self._tokens.get() is None or self._is_closed:
                self._tokens.put(None)
                return None
            with self._lock:
                inlet = self._turn()
                if inlet is None:
                    continue
                item, has_room = inlet.items.popleft()
                if is_handed_out := not self._is_worthless(item):
                    inlet.virtual_time += inlet.step
                if inlet.items:
                    self._add_ready(inlet)
                num_free = inlet.freed() if has_room else 0
            for _ in range(num_free):
                inlet.room.put(True)
            if is_handed_out:
                return item

    def end(self) -> None:
        """No inlet will be opened any more. May be called again."""
        with self._lock:
            self._is_held = False
            self._tell_if_over()

    def close(self) -> None:
        """Throw away what is inside and wake everybody. May be called again."""
        self._is_closed = True
        self._tokens.put(None)
        with self._lock:
            # They stay among the inlets: where this is broken off, the next call wakes those that still wait.
            for inlet in self._inlets:
                inlet.is_over = True
                inlet.items.clear()
                inlet.room.put(True)
            self._ready.clear()

    def _turn(self) -> Inlet[T] | None:
        while self._ready:
            virtual_time, _, inlet = heapq.heappop(self._ready)
            inlet.is_ready = False
            if inlet.items:
                self._now = virtual_time
                return inlet
        return None

    def _add(self, inlet: Inlet[T], item: T, *, has_room: bool) -> None:
        inlet.items.append((item, has_room))
        if not inlet.is_ready:
            inlet.virtual_time = max(inlet.virtual_time, self._now - MAX_LAG_TURNS * inlet.step)
            self._add_ready(inlet)

    def _add_ready(self, inlet: Inlet[T]) -> None:
        inlet.is_ready = True
        heapq.heappush(self._ready, (inlet.virtual_time, next(self._order), inlet))

    def _drop(self, inlet: Inlet[T]) -> None:
        inlet.is_over = True
        self._inlets.discard(inlet)
        self._tell_if_over()

    def _tell_if_over(self) -> None:
        if not self._is_held and not self._inlets:
            self._tokens.put(None)


class Inlet(Generic[T]):
    """One stream's side, made by `Intake.open`. Used by one thread at a time, except for `discard`.

    Attributes:
        step: What a frame moves its virtual time on by: 1 / weight.
        items: What waits in it, and whether each holds a place for which `put` has waited.
        room: A token for each item that may still come by `put`.
        virtual_time: When its next turn is due.
        is_ready: Whether it is among those that have something.
        is_over: Whether nothing is taken any more.
    """

    def __init__(self, intake: Intake[T], capacity: int, weight: float) -> None:
        self.step = 1 / weight
        self.items: deque[tuple[T, bool]] = deque()
        self.room: SimpleQueue[bool] = SimpleQueue()
        self.virtual_time = 0.0
        self.is_ready = False
        self.is_over = False
        self._intake = intake
        self._capacity = capacity
        self._num_freed = 0
        self._has_last = False
        for _ in range(capacity):
            self.room.put(True)

    def freed(self) -> int:
        """A place has become free; how many are to be handed out for it, none or several.

        A thread that waits for room is woken when only one item is left: with many streams it would otherwise be woken
        for each frame, and waking a thread takes longer than handing over a frame.
        """
        self._num_freed += 1
        if self._num_freed < self._capacity - 1:
            return 0
        num_freed, self._num_freed = self._num_freed, 0
        return num_freed

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if the inlet is over instead."""
        self.room.get()
        with self._intake._lock:
            is_over = self.is_over
            if not is_over:
                self._intake._add(self, item, has_room=True)
        if is_over:
            self.room.put(True)
            return False
        self._intake._tokens.put(True)
        return True

    def put_freshest(self, item: T) -> tuple[bool, list[T]]:
        """Add an item without waiting, in place of those that wait.

        Returns:
            Whether the item was taken, which it is not where the inlet is over; and what was thrown away for it.
        """
        with self._intake._lock:
            if self.is_over:
                return False, []
            lost = [item for item, _ in self.items]
            self.items.clear()
            self._intake._add(self, item, has_room=False)
        if not lost:
            self._intake._tokens.put(True)
        return True, lost

    def end(self, last: T | None = None) -> None:
        """Nothing more comes; what is inside can still be taken. May be called again.

        Args:
            last: What comes behind everything else, without waiting for room, also where the rest was thrown away.
        """
        with self._intake._lock:
            self._add_last(last)
            self._intake._drop(self)

    def discard(self, last: T | None = None) -> list[T]:
        """Nothing more comes, and what is inside is thrown away and returned. Wakes a `put` that waits.

        Args:
            last: As for `end`.
        """
        with self._intake._lock:
            kept = [self.items.pop()] if self._has_last and self.items else []
            thrown_away = [item for item, _ in self.items]
            self.items.clear()
            self.items.extend(kept)
            self._add_last(last)
            self._intake._drop(self)
        self.room.put(True)
        return thrown_away

    def _add_last(self, last: T | None) -> None:
        if last is not None and not self._has_last and not self._intake._is_closed:
            self._has_last = True
            self._intake._add(self, last, has_room=False)
            self._intake._tokens.put(True)
