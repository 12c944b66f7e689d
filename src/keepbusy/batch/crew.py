"""Worker processes as the supervisor sees them: started, spoken to, watched, ended."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess  # nosec B404 # It starts this program's own workers, with this interpreter.
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from keepbusy.batch.job import Job
from keepbusy.batch.process import read_message, write_message
from keepbusy.batch.units import Unit
from keepbusy.texts import fit, shortened

log = logging.getLogger("keepbusy")

END_TIMEOUT_S = 20.0
"""How long a worker that was told to stop may take to free its device."""

Message = tuple["Member", tuple[Any, ...]]
"""Who says something, and what: the word first, then what belongs to it. `gone` is said when a worker has ended, with
whether what it was doing may be to blame."""


_TEXTS_KEPT = 1000


class WorkersLog:
    """Shows what workers log, each text once: every pipeline says the same of the model."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, level: int, text: str) -> None:
        """A worker has logged something."""
        if text not in self._shown:
            if len(self._shown) < _TEXTS_KEPT:
                self._shown.add(text)
            log.log(level, "%s", text)


class Member(ABC):
    """A worker process, wherever it is. It begins with `start`: whoever has it by then can end it, whatever happens.

    Attributes:
        units: What it has been given and has not finished, the oldest first.
        is_ready: Whether it takes units.
        heard_s: When it last said that it gets on, on the monotonic clock.
        num_frames: Frames done of the units that it has.
    """

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.is_ready = False
        self.heard_s = time.monotonic()
        self.num_frames: dict[int, int] = {}

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def say(self, message: Any) -> None:
        """Tell it something; nothing happens where it is gone, which it will be reported as."""

    @abstractmethod
    def reason(self) -> str:
        """How it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """End it now."""

    @abstractmethod
    def close(self) -> None:
        """End it, in an orderly way where it can, and let go of it."""

    def give(self, unit: Unit) -> None:
        """Give it a unit."""
        if not self.units:
            self.heard_s = time.monotonic()
        self.units.append(unit)
        self.say(("unit", unit))

    def finished(self, unit_id: int) -> None:
        """It has one unit less."""
        self.units = [unit for unit in self.units if unit.id != unit_id]
        self.num_frames.pop(unit_id, None)
        self.heard_s = time.monotonic()


Hire: TypeAlias = "Callable[[Job, queue.SimpleQueue[Message]], Member]"
"""Makes a worker process that is still to be started: of what it is told, and where what it says goes."""


class LocalMember(Member):
    """A worker process on this machine.

    Args:
        job: What it is told.
        messages: Where what it says goes.
    """

    def __init__(self, job: Job, messages: queue.SimpleQueue[Message]) -> None:
        super().__init__()
        self._job = job
        self._messages = messages
        self._process: subprocess.Popen[bytes] | None = None
        self._listener = threading.Thread(target=self._listen, name="keepbusy-batch-worker")

    def start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - for the worker's whole life
        # `keepbusy` is found where this process has found it.
        paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # nosec B603 # See above.
            [sys.executable, "-c", "from keepbusy.batch.process import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        self._listener.start()
        self.say(self._job)

    def say(self, message: Any) -> None:
        assert self._process is not None and self._process.stdin is not None  # nosec B101 # for mypy
        with suppress(OSError, ValueError):
            write_message(self._process.stdin, message)  # type: ignore[arg-type]

    def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # nosec B101 # for mypy
        try:
            while True:
                self._messages.put((self, read_message(self._process.stdout)))  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError):
            self._messages.put((self, ("gone", True)))

    def reason(self) -> str:
        assert self._process is not None  # nosec B101 # for mypy: it was started
        code = self._process.wait()
        name = ""
        if code < 0:
            with suppress(ValueError):
                name = f" ({signal.Signals(-code).name})"
        how = f"signal {-code}{name}" if code < 0 else f"exit code {code}"
        with suppress(OSError, ValueError):
            self._errors.seek(0)
            lines = self._errors.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
            if lines:
                how += f": {fit(shortened(lines[-1].strip()))}"
        return how

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        if self._process is None:
            return
        self.say(("stop",))
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT_S)
        finally:
            self._process.kill()
            self._process.wait()
            if self._listener.ident is not None:
                self._listener.join()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._errors.close()
