"""Bounded hand-overs between threads. Every wait in them can be woken, and none of them polls.

A channel ends in one of two ways: `end` lets the consumer take what is still inside and then tells it that there
is no more; `close` throws what is inside away and wakes everybody at once.

The locks are re-entrant because `close` may be called by the garbage collector, in whichever thread it runs, also
one that is inside a channel at that moment.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded first-in, first-out hand-over. Thread-safe.

    Args:
        capacity: Items that may wait inside.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._is_ended = False
        self._is_closed = False
        lock = threading.RLock()
        self._not_empty = threading.Condition(lock)
        self._not_full = threading.Condition(lock)

    def put(self, item: T) -> bool:
        """Add an item, waiting for room; False if the channel was closed or ended instead."""
        with self._not_full:
            while len(self._items) >= self._capacity and not (self._is_closed or self._is_ended):
                self._not_full.wait()
            if self._is_closed or self._is_ended:
                return False
            self._items.append(item)
            self._not_empty.notify()
            return True

    def get(self) -> T | None:
        """Take the oldest item, waiting for one; None if the channel was closed, or has ended and is empty."""
        with self._not_empty:
            while not self._items and not (self._is_closed or self._is_ended):
                self._not_empty.wait()
            if not self._items:
                return None
            item = self._items.popleft()
            self._not_full.notify()
            return item

    def end(self) -> None:
        """No more items will come; those inside can still be taken."""
        with self._not_empty:
            self._is_ended = True
            self._not_empty.notify_all()
            self._not_full.notify_all()

    def close(self) -> None:
        """Throw away what is inside and wake everybody."""
        with self._not_empty:
            self._is_closed = True
            self._items.clear()
            self._not_empty.notify_all()
            self._not_full.notify_all()


class FairChannel(Generic[T]):
    """One bounded queue for each of several producers; the consumer takes from them in turn. Thread-safe.

    A producer that is slow, stalled or done never holds up another: an empty queue is passed over.

    Args:
        capacities: Items that may wait in each producer's queue.
    """

    def __init__(self, capacities: Sequence[int]) -> None:
        num_producers = len(capacities)
        self._capacities = list(capacities)
        self._queues: list[deque[T]] = [deque() for _ in range(num_producers)]
        self._num_open = num_producers
        self._next = 0
        self._is_closed = False
        lock = threading.RLock()
        self._not_empty = threading.Condition(lock)
        self._not_full = [threading.Condition(lock) for _ in range(num_producers)]

    def put(self, producer: int, item: T) -> bool:
        """Add an item to a producer's queue, waiting for room; False if the channel was closed instead."""
        queue = self._queues[producer]
        with self._not_full[producer]:
            while len(queue) >= self._capacities[producer] and not self._is_closed:
                self._not_full[producer].wait()
            if self._is_closed:
                return False
            queue.append(item)
            self._not_empty.notify()
            return True

    def put_freshest(self, producer: int, item: T) -> int:
        """Add an item without waiting: a full queue loses its oldest first.

        Returns:
            How many items were dropped; -1 if the channel was closed and the item not taken.
        """
        queue = self._queues[producer]
        with self._not_empty:
            if self._is_closed:
                return -1
            num_dropped = 0
            while len(queue) >= self._capacities[producer]:
                queue.popleft()
                num_dropped += 1
            queue.append(item)
            self._not_empty.notify()
            return num_dropped

    def get(self) -> T | None:
        """Take the oldest item of the next producer that has one, waiting for one; None at the end."""
        with self._not_empty:
            while True:
                if self._is_closed:
                    return None
                for offset in range(len(self._queues)):
                    producer = (self._next + offset) % len(self._queues)
                    if self._queues[producer]:
                        self._next = producer + 1
                        item = self._queues[producer].popleft()
                        self._not_full[producer].notify()
                        return item
                if self._num_open == 0:
                    return None
                self._not_empty.wait()

    def end(self) -> None:
        """One producer is done; to be called once by each."""
        with self._not_empty:
            self._num_open -= 1
            self._not_empty.notify_all()

    def close(self) -> None:
        """Throw away what is inside and wake everybody."""
        with self._not_empty:
            self._is_closed = True
            for queue in self._queues:
                queue.clear()
            self._not_empty.notify_all()
            for not_full in self._not_full:
                not_full.notify_all()
