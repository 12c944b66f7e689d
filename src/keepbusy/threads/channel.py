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


class Latest(Generic[T]):
    """One place in a channel, for the newest item of one producer: what it replaces is older than anybody wants it."""

    __slots__ = ("__weakref__", "_item", "_lock")

    def __init__(self) -> None:
        self._item: T | None = None
        self._lock = threading.Lock()

    def swap(self, item: T | None) -> T | None:
        """Put an item into the place, or None to empty it; returns what was there."""
        with self._lock:
            old, self._item = self._item, item
        return old


class Channel(Generic[T]):
    """A bounded first-in, first-out hand-over. Thread-safe.

    Args:
        capacity: Items that may wait inside, beside those that were put by `put_latest`.
    """

    def __init__(self, capacity: int) -> None:
        self._room = _tokens(capacity)
        self._items: SimpleQueue[T | Latest[T] | None] = SimpleQueue()  # None comes last, and stays there.
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

    def put_latest(self, place: Latest[T], item: T) -> tuple[bool, T | None]:
        """Add an item without waiting for room, in place of the one of this place that still waits, if there is one.

        Returns:
            Whether it was taken, which it is not where the channel was closed or ended; and the item that it replaces.
        """
        if self._is_over:
            return False, None
        replaced = place.swap(item)
        if replaced is None:
            self._items.put(place)
        return True, replaced

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; None if the channel was closed, or has ended and is empty."""
        item = self._take()
        if item is None or self._is_closed:
            self._items.put(None)
            return None
        return item

    def _take(self) -> T | None:
        while isinstance(item := self._items.get(), Latest):
            newest = None if self._is_closed else item.swap(None)
            if newest is not None or self._is_closed:
                return newest
            # Its item was taken back.
        if item is not None:
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
    going_on: list[SimpleQueue[T | Latest[T] | None]] = [channel._items for channel in channels if not channel._is_over]
    deque(map(SimpleQueue.put, going_on, repeat(item)), maxlen=0)
    for channel in channels:
        if channel._is_over:
            channel._room.put(True)


def take_within(queue: SimpleQueue[T], timeout_s: float | None) -> T:
    """The queue's next item, waiting for it some seconds at most; None for as long as it takes.

    First without waiting: CPython's `get` takes the queue's own lock then, and computes what is left of the time anew.
    Where that is over by then, it is below zero, and `get` would wait for ever.

    Raises:
        Empty: None came.
    """
    with contextlib.suppress(Empty):
        return queue.get_nowait()
    return queue.get(timeout=timeout_s)


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
            take_within(opened, timeout_s)
        except Empty:
            return False
        opened.put(True)
        return True


def _tokens(number: int) -> _Tokens:
    tokens: _Tokens = SimpleQueue()
    for _ in range(number):
        tokens.put(True)
    return tokens
