"""Bounded hand-overs between threads. Every wait in them can be woken, and none of them polls.

A channel ends in one of two ways: `end` lets the consumer take what is still inside and then tells it that there
is no more; `close` throws what is inside away and wakes everybody at once.

Room is a queue, too: of tokens, one for each item that may still come in. All waiting is thus done inside
`SimpleQueue`, which is written in C: a wait or a wake-up in Python's own `Condition` takes several times as long, with
the interpreter's lock held, and there are a dozen of them a frame. It is also re-entrant, as `close` must be: the
garbage collector may call it in whichever thread it runs, also one that is inside a channel at that moment.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

_Tokens = SimpleQueue[bool]


class Channel(Generic[T]):
    """A bounded first-in, first-out hand-over. Thread-safe.

    Args:
        capacity: Items that may wait inside.
    """

    def __init__(self, capacity: int) -> None:
        self._room = _tokens(capacity)
        self._items: SimpleQueue[T | None] = SimpleQueue()  # None comes last, and stays there.
        self._is_over = False
        self._is_closed = False

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if the channel was closed or ended instead."""
        self._room.get()
        if self._is_over:
            self._room.put(True)
            return False
        self._items.put(item)
        return True

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; None if the channel was closed, or has ended and is empty."""
        item = self._items.get()
        if item is None or self._is_closed:
            self._items.put(None)
            return None
        self._room.put(True)
        return item

    def end(self) -> None:
        """No more items will come; those inside can still be taken."""
        self._is_over = True
        self._items.put(None)
        self._room.put(True)

    def close(self) -> None:
        """Throw away what is inside and wake everybody."""
        self._is_closed = True
        with contextlib.suppress(Empty):
            while True:
                self._items.get_nowait()
        self.end()


def put_all(channels: Sequence[Channel[T]], item: T) -> None:
    """Add an item to several channels: to each that has not ended, or, where an interrupt comes, to none.

    Waits for room in all of them first; what then hands the item over is C, between whose steps no interrupt comes.
    """
    waited: list[Channel[T]] = []
    try:
        for channel in channels:
            channel._room.get()
            waited.append(channel)
    except BaseException:
        for channel in waited:
            channel._room.put(True)
        raise
    deque(
        map(SimpleQueue.put, [channel._items for channel in channels if not channel._is_over], repeat(item)), maxlen=0
    )
    for channel in channels:
        if channel._is_over:
            channel._room.put(True)


class FairChannel(Generic[T]):
    """One bounded queue for each of several producers; the consumer takes from them in turn. Thread-safe.

    A producer that is slow, stalled or done never holds up another: an empty queue is passed over.

    Args:
        capacities: Items that may wait in each producer's queue.
    """

    def __init__(self, capacities: Sequence[int]) -> None:
        self._capacities = list(capacities)
        self._queues: list[deque[tuple[T, _Tokens | None]]] = [deque() for _ in capacities]
        self._rooms = [_tokens(capacity) for capacity in capacities]
        self._items: SimpleQueue[bool | None] = SimpleQueue()  # A token for each item in any queue; None comes last.
        self._num_open = len(self._queues)
        self._next = 0
        self._is_closed = False
        self._lock = threading.RLock()

    def put(self, producer: int, item: T) -> bool:
        """Add an item to a producer's queue, waiting for room; False if the channel was closed instead."""
        room = self._rooms[producer]
        room.get()
        with self._lock:
            if self._is_closed:
                room.put(True)
                return False
            self._queues[producer].append((item, room))
        self._items.put(True)
        return True

    def put_freshest(self, producer: int, item: T) -> int:
        """Add an item without waiting: a full queue loses its oldest first.

        Returns:
            How many items were dropped; -1 if the channel was closed and the item not taken.
        """
        queue = self._queues[producer]
        with self._lock:
            if self._is_closed:
                return -1
            is_full = len(queue) >= self._capacities[producer]
            if is_full:
                queue.popleft()
            queue.append((item, None))
        if not is_full:
            self._items.put(True)
        return int(is_full)

    def get(self) -> T | None:
        """Take the oldest item of the next producer that has one, waiting for one; None at the end."""
        if self._items.get() is None or self._is_closed:
            self._items.put(None)
            return None
        with self._lock:
            found = self._take()
        if found is None:
            return None
        item, room = found
        if room is not None:
            room.put(True)
        return item

    def end(self) -> None:
        """One producer is done; to be called once by each."""
        with self._lock:
            self._num_open -= 1
            if self._num_open == 0:
                self._items.put(None)

    def close(self) -> None:
        """Throw away what is inside and wake everybody."""
        with self._lock:
            self._is_closed = True
            for queue in self._queues:
                queue.clear()
        self._items.put(None)
        for room in self._rooms:
            room.put(True)

    def _take(self) -> tuple[T, _Tokens | None] | None:
        """The next producer's oldest item; None only where the channel was closed meanwhile."""
        for offset in range(len(self._queues)):
            producer = (self._next + offset) % len(self._queues)
            if self._queues[producer]:
                self._next = producer + 1
                return self._queues[producer].popleft()
        return None


class Gate:
    """Lets threads wait until something has been done. Thread-safe.

    Unlike `threading.Event`, whose lock an interrupt can leave taken for ever.
    """

    def __init__(self) -> None:
        self._opened = _tokens(0)
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether nobody has to wait."""
        return self._is_open

    def open(self) -> None:
        """Let all pass that wait, and those that come."""
        self._is_open = True
        self._opened.put(True)

    def shut(self) -> None:
        """From now on, whoever comes waits; to be called while nobody waits."""
        self._is_open = False
        self._opened = _tokens(0)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is open; False if that takes longer than some seconds."""
        if self._is_open:
            return True
        opened = self._opened
        try:
            opened.get(timeout=timeout_s)
        except Empty:
            return False
        opened.put(True)
        return True


def _tokens(number: int) -> _Tokens:
    tokens: _Tokens = SimpleQueue()
    for _ in range(number):
        tokens.put(True)
    return tokens
