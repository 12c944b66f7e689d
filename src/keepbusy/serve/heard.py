"""The signals of the process: none of them does what it does by default, from the first sink to the last."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

_ENDS = ("SIGINT", "SIGTERM")
_RELOAD = "SIGHUP"


def _nothing() -> None:
    pass


class Heard:
    """To be entered in the main thread. What is heard before the server listens is remembered.

    Attributes:
        ended_s: When the first signal came that ends the server, of `time.monotonic`; None where none has come.
        wants_reload: Whether a configuration is to be read again, and nobody was told yet.
    """

    def __init__(self) -> None:
        self.ended_s: float | None = None
        self.wants_reload = False
        self._on_end: Callable[[], object] = _nothing
        self._on_reload: Callable[[], object] | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def is_ended(self) -> bool:
        """Whether the server is to end."""
        return self.ended_s is not None

    def __enter__(self) -> Heard:
        for name, does in (*((one, self._end) for one in _ENDS), (_RELOAD, self._reload)):
            if (number := getattr(signal, name, None)) is not None:
                self._before[number] = signal.signal(number, does)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ended_s = time.monotonic() if self.ended_s is None else self.ended_s
        self._on_end()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        if self._on_reload is None:
            self.wants_reload = True
        else:
            self._on_reload()

    @contextlib.contextmanager
    def told(self, on_end: Callable[[], None], on_reload: Callable[[], None]) -> Iterator[None]:
        """Have functions called in the running loop at each signal, and at once for what was heard before.

        The loop's own handlers would leave the signals to their defaults when it is closed, with the sinks still open.

        Args:
            on_end: The server is to end.
            on_reload: The configuration is to be read again.
        """
        loop = asyncio.get_running_loop()
        # Whichever thread the system gives a signal to, this wakes the loop.
        hears, tells = socket.socketpair()
        with hears, tells:
            for one in (hears, tells):
                one.setblocking(False)
            loop.add_reader(hears, lambda: _drained(hears))
            earlier = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
            self._on_end = lambda: loop.call_soon_threadsafe(on_end)
            self._on_reload = lambda: loop.call_soon_threadsafe(on_reload)
            try:
                if self.is_ended:
                    on_end()
                elif self.wants_reload:
                    self.wants_reload = False
                    on_reload()
                yield
            finally:
                self._on_end, self._on_reload = _nothing, None
                signal.set_wakeup_fd(earlier)
                loop.remove_reader(hears)


def _drained(hears: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        hears.recv(4096)
