"""A model compiled in a thread of its own: a driver may hang in that, and nobody else is to hang with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from keepbusy.flow.run import Run
from keepbusy.serve.supervise.backend import Backend
from keepbusy.threads.channel import Gate


class Attempt:
    """Begins at once. Thread-safe.

    Its thread keeps no program from ending. What it has made when nobody wants it any more is closed.

    Args:
        make: Makes the model, not compiled yet.
        live_fps: See `Backend.start`.

    Attributes:
        thread: Its thread. A process that ends while a model is being compiled in it dies of that.
    """

    def __init__(self, make: Callable[[], Backend], live_fps: float | None) -> None:
        self._make = make
        self._live_fps = live_fps
        self._done = Gate()
        self._lock = threading.Lock()
        self._made: tuple[Backend, Run] | None = None
        self._error: Exception | None = None
        self._is_given_up = False
        self.thread = threading.Thread(target=self._work, name="keepbusy-compile", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        backend: Backend | None = None
        try:
            backend = self._make()
            made = backend, backend.start(self._live_fps)
            with self._lock:
                if not self._is_given_up:
                    self._made = made
            if self._made is None:
                _close(made)
        except Exception as error:
            self._error = error
            if backend is not None:
                backend.close()
        finally:
            self._done.open()

    def result(self, timeout_s: float) -> tuple[Backend, Run] | None:
        """The model and a run of it, which are the caller's from now on; None where that takes longer, or was given up.

        Raises:
            Exception: What it failed with.
        """
        self._done.wait(timeout_s)
        with self._lock:
            made, self._made = self._made, None
        if made is None and self._error is not None:
            raise self._error
        return made

    def give_up(self) -> None:
        """Nobody wants it any more: `result` returns at once."""
        with self._lock:
            self._is_given_up = True
            made, self._made = self._made, None
        self._done.open()
        if made is not None:
            _close(made)


def _close(made: tuple[Backend, Run]) -> None:
    backend, run = made
    run.close()
    backend.close()
