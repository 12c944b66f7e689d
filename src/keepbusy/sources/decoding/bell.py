"""Wakes a thread that waits for files."""

from __future__ import annotations

import contextlib
import os
import threading


class Bell:
    """Something a thread can wait for together with pipes. Thread-safe; it may be rung when it is closed.

    Attributes:
        fd: What is readable when it was rung; -1 when it is closed.
    """

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake who waits, or will."""
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def hush(self) -> None:
        """Let the next wait be one."""
        with self._lock:
            if self.fd >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self.fd)

    def close(self) -> None:
        """Release it."""
        with self._lock:
            if self.fd >= 0:
                os.close(self.fd)
            self.fd = -1
