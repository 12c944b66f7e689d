"""News from threads to the event loop: told at once, and never more than once before it was heard."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


class Signal:
    """Wakes whoever listens in an event loop. `notify` is thread-safe and waits for nothing."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def num_listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def notify(self) -> None:
        """There is news."""
        for event, loop in list(self._listeners.items()):
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event that is set at news; whoever listens clears it."""
        event = asyncio.Event()
        self._listeners[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            del self._listeners[event]


class Log:
    """The last events, and those who wait for the next ones. Memory is bounded: who is slow misses some, and is told.

    Args:
        max_events: So many are kept.
    """

    def __init__(self, max_events: int) -> None:
        self.signal = Signal()
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=max_events)
        self._next_id = 1
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def last_id(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._next_id - 1

    def add(self, event: dict[str, Any]) -> None:
        """Have one more. Thread-safe."""
        with self._lock:
            self._events.append((self._next_id, {"id": self._next_id, **event}))
            self._next_id += 1
        self.signal.notify()

    def close(self) -> None:
        """Those who follow it are done with what is there. Thread-safe."""
        self._is_closed = True
        self.signal.notify()

    def after(self, last_id: int) -> tuple[list[dict[str, Any]], int]:
        """The events behind some number that are still kept, and how many are not."""
        with self._lock:
            found = [event for number, event in self._events if number > last_id]
            first = found[0]["id"] if found else self._next_id
        return found, max(0, first - last_id - 1)

    async def follow(
        self, last_id: int, is_wanted: Callable[[dict[str, Any]], bool] = lambda _: True, idle_s: float = 15.0
    ) -> AsyncIterator[dict[str, Any] | None]:
        """The events behind some number as they come, until it is closed; None where none came for some seconds."""
        with self.signal.listen() as news:
            while True:
                news.clear()
                found, num_missed = self.after(last_id)
                if num_missed:
                    last_id += num_missed
                    yield {"kind": "missed", "count": num_missed}
                for event in found:
                    last_id = event["id"]
                    if is_wanted(event):
                        yield event
                if self._is_closed:
                    return
                if not found:
                    try:
                        await asyncio.wait_for(news.wait(), idle_s)
                    except TimeoutError:
                        yield None
