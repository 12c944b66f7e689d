"""A worker process, started by the supervisor and spoken to through pipes.

What travels is pickled, in both directions, between a program and the processes that it has started itself. When the
supervisor is gone, so is this process, at once: what it was doing is done again by the next run.
"""

from __future__ import annotations

import logging
import os
import pickle  # nosec B403 # Only what the supervisor, which started this process, has pickled is read.
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from keepbusy.batch.job import Job
from keepbusy.batch.units import Unit
from keepbusy.threads.cores import has_many, stay_on, usable_cores

_LENGTH_BYTES = 8


def write_message(file: BinaryIO, message: Any) -> None:
    """Send one message through a pipe.

    Raises:
        OSError: Nobody reads it any more.
    """
    content = pickle.dumps(message)
    file.write(len(content).to_bytes(_LENGTH_BYTES, "little") + content)
    file.flush()


def read_message(file: BinaryIO) -> Any:
    """The next message from a pipe.

    Raises:
        EOFError: Nobody writes any more.
    """
    head = file.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "little")
    content = file.read(length) if len(head) == _LENGTH_BYTES else b""
    if len(head) < _LENGTH_BYTES or len(content) < length:
        raise EOFError
    return pickle.loads(content)  # nosec B301 # See above.


class _Told(logging.Handler):
    """Hands what is logged to the supervisor, which shows it."""

    def __init__(self, send: Any) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("log", record.levelno, record.getMessage())


class _Process:
    """This process's end of the pipes."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        # What libraries print is no message.
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._inbox: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def send(self, *message: Any) -> None:
        """Tell the supervisor; where that is gone the process ends."""
        try:
            with self._lock:
                write_message(self._out, message)
        except OSError:
            os._exit(1)

    def fail(self, error: BaseException) -> None:
        """End the process with an error that no other unit would escape."""
        logging.getLogger("keepbusy").debug("the worker fails", exc_info=error)
        try:
            pickle.dumps(error)
            self.send("fatal", error)
        except Exception:
            self.send("fatal", RuntimeError(f"{type(error).__name__}: {error}"))
        os._exit(1)

    def run(self) -> None:
        """Do what the supervisor says."""
        job: Job = read_message(self._in)
        stay_on(job.cores)
        if has_many(usable_cores()):
            os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
        log = logging.getLogger("keepbusy")
        log.addHandler(_Told(self.send))
        log.setLevel(logging.INFO)
        log.propagate = False
        from keepbusy.batch.worker import Worker

        worker = Worker(job, self.send, self._inbox, self.fail)
        threading.Thread(target=self._hear, name="keepbusy-orders", daemon=True).start()
        while True:
            what, *rest = self._orders.get()
            if what == "begin":
                self.send("ready", worker.begin(rest[0]))
            elif what == "measure":
                self.send("measured", worker.measure(*rest))
            elif what == "work":
                worker.work(rest[0])
                return

    def _hear(self) -> None:
        """Take what the supervisor says; the process ends with it."""
        try:
            while True:
                message = read_message(self._in)
                if message[0] == "unit":
                    self._inbox.put(message[1])
                elif message[0] == "stop":
                    self._inbox.put(None)
                else:
                    self._orders.put(message)
        except (EOFError, OSError):
            os._exit(1)


def main() -> None:
    """Be a worker process."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            # The supervisor is told, and says what becomes of this process.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    process = _Process()
    try:
        process.run()
    except BaseException as error:
        process.fail(error)
    sys.stdout.flush()
    os._exit(0)
