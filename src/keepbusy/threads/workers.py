"""Threads that have one owner: started together, and joined before anything that they use is closed.

An interrupt (`KeyboardInterrupt`, in the main thread) may come between any two steps: between the starts of two
threads, while one is waited for, and while they are joined. Therefore:

- Threads are started by a thread, which nothing interrupts: an interrupt inside `Thread.start`, or in anything else
  that uses a `Condition` or an `Event`, can leave its lock taken for ever. Whatever the main thread waits for is a
  `SimpleQueue` or a plain lock.
- A thread signs on before it touches anything, and `start` returns when all have. From `join` on nobody is taken on: a
  thread that comes later ends at once. Only threads that have signed on are joined, and all of these were started.
- A thread holds a lock while it works, and whoever joins it waits for that: `Thread.join`, broken off by an interrupt,
  takes a thread that still works for ended, and would not wait for it the next time.
- Everything here can be called again, and goes on where it was broken off. `to_the_end` does that once.
- An owner closes itself also when it is dropped, through `weakref.finalize`, and when the interpreter exits, through
  `close_at_exit`: an interrupt between its construction and its `with` block leaves nothing behind. Its threads
  therefore hold what they share, never the owner.

- In a forked child none of the threads exists, and what they hold is the parent's: nothing is closed there.

All of it is re-entrant: the garbage collector may drop an owner in any thread, in one of its own, too.
"""

from __future__ import annotations

import _thread
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from keepbusy.errors import KeepbusyError, first_line


class _Lock(Protocol):
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class Closable(Protocol):
    """What owns threads."""

    def close(self) -> None:
        """Stop them and wait for them."""
        ...


class Workers:
    """Some threads of one owner.

    Args:
        bodies: What they do, by name.
        on_end: Called by the last one when all have done what they do; not where some were never started.
        is_daemon: Whether the interpreter ends without them: for what may wait for ever and cannot be woken.
    """

    def __init__(
        self,
        bodies: Sequence[tuple[str, Callable[[], None]]],
        on_end: Callable[[], None] = lambda: None,
        *,
        is_daemon: bool = False,
    ) -> None:
        self._process_id = os.getpid()
        self._on_end = on_end
        self._threads = [
            threading.Thread(target=self._work, args=(body,), name=name, daemon=is_daemon) for name, body in bodies
        ]
        self._signed_on: list[tuple[threading.Thread, _Lock]] = []
        self._arrivals: SimpleQueue[Exception | None] = SimpleQueue()
        self._takes_on = True
        self._others: SimpleQueue[None] = SimpleQueue()
        for _ in self._threads[1:]:
            self._others.put(None)

    def start(self) -> None:
        """Start all of them, and see them at work; to be called once.

        Raises:
            KeepbusyError: The system has no thread left. Some may have begun: they are to be joined.
        """
        try:
            _thread.start_new_thread(self._start_all, ())
            for _ in self._threads:
                error = self._arrivals.get()
                if error is not None:
                    raise error
        except (RuntimeError, MemoryError) as error:
            raise KeepbusyError(
                f"a thread cannot be started: {first_line(error)}",
                hint="the system's limit of threads (ulimit -u) or of memory is reached",
            ) from error

    def _start_all(self) -> None:
        try:
            for thread in self._threads:
                thread.start()
        except Exception as error:
            self._arrivals.put(error)

    def join(self, timeout_s: float = -1) -> bool:
        """Wait for all that are at work, which have been told to end; nobody else begins from now on.

        Args:
            timeout_s: How long to wait for each; without it, as long as it takes.

        Returns:
            False, without waiting, in one of these threads and in a forked child; and where one is still at work then.
        """
        self._takes_on = False
        if self.is_one_of_them() or self.is_forked:
            return False
        for thread, at_work in tuple(self._signed_on):
            if not at_work.acquire(timeout=timeout_s):
                return False
            at_work.release()
            thread.join()
        return True

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child of the process that they work in: there, they do not exist."""
        return os.getpid() != self._process_id

    def is_one_of_them(self) -> bool:
        """Whether it is one of these threads that asks."""
        return threading.current_thread() in (thread for thread, _ in tuple(self._signed_on))

    def _work(self, body: Callable[[], None]) -> None:
        at_work = threading.RLock()
        with at_work:
            self._signed_on.append((threading.current_thread(), at_work))
            is_taken_on = self._takes_on
            self._arrivals.put(None)
            if not is_taken_on:
                return
            try:
                body()
            finally:
                try:
                    self._others.get_nowait()
                except Empty:
                    self._on_end()


def to_the_end(close: Callable[[], object]) -> None:
    """Call what closes something. Where an interrupt breaks it off, it is called once more before that goes on.

    Args:
        close: Goes on where it was broken off.
    """
    try:
        close()
    except Exception:
        raise
    except BaseException:
        close()
        raise


_OPEN: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_at_exit(owner: Closable) -> None:
    """Have an owner of threads closed when the interpreter exits, if it is still there."""
    _OPEN.add(owner)


def _close_all() -> None:
    for owner in list(_OPEN):
        with suppress(Exception):
            owner.close()


# The interpreter joins all threads before `atexit` runs: one that waits for its owner would hang it. This hook, which
# concurrent.futures uses for the same reason, runs before the join.
getattr(threading, "_register_atexit", lambda _: None)(_close_all)
