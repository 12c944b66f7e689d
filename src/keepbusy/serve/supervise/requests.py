"""Pictures that come by HTTP: one more stream of the run, whose weight is their share of the device."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from keepbusy.errors import KeepbusyError
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result

NAME = "http requests"


class BusyError(KeepbusyError):
    """So many pictures wait already that no more are taken."""


class GivenUpError(KeepbusyError):
    """A picture was on the device when that failed, or the server ends."""


@dataclass(slots=True, eq=False)
class _Asked:
    image: Image
    answer: Future[Result]
    until_s: float


class Requests:
    """The pictures that wait, and those on their way. Thread-safe. It outlives runs: `open` gives each its source.

    Args:
        max_waiting: So many may wait.
    """

    name = NAME

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._waiting: deque[_Asked] = deque()
        self._on_their_way: dict[int, _Asked] = {}
        self._next_index = 0
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._is_over = False

    @property
    def num_waiting(self) -> int:
        """How many wait or are on their way."""
        return len(self._waiting) + len(self._on_their_way)

    def ask(self, image: Image, timeout_s: float) -> Future[Result]:
        """Have a picture inferred.

        Args:
            image: uint8 (H, W, 3), BGR.
            timeout_s: Then nobody waits for it any more: where it has not been begun, it is not.

        Raises:
            BusyError: Too many wait.
            GivenUpError: The server ends.
        """
        asked = _Asked(image, Future(), time.monotonic() + timeout_s)
        with self._lock:
            if self._is_over:
                raise GivenUpError("the server ends")
            if len(self._waiting) >= self.max_waiting:
                raise BusyError(f"{len(self._waiting)} pictures wait for the device", hint="try it again in a moment")
            self._waiting.append(asked)
            self._news.notify()
        return asked.answer

    def open(self) -> Source:
        """The source of one run."""
        return _Incoming(self)

    def take(self, result: Result) -> None:
        """A result: it is given to whoever waits for it."""
        with self._lock:
            asked = self._on_their_way.pop(result.frame.index, None)
        if asked is not None and asked.answer.set_running_or_notify_cancel():
            asked.answer.set_result(result)

    def give_up(self, why: str) -> None:
        """The run is over: what was on its way has no result. What waits stays for the next run."""
        with self._lock:
            lost, self._on_their_way = list(self._on_their_way.values()), {}
        for asked in lost:
            if asked.answer.set_running_or_notify_cancel():
                asked.answer.set_exception(GivenUpError(why, hint="try it again"))

    def close(self) -> None:
        """Take no more, and give up what waits."""
        with self._lock:
            self._is_over = True
            self._on_their_way |= {-1 - number: asked for number, asked in enumerate(self._waiting)}
            self._waiting.clear()
            self._news.notify_all()
        self.give_up("the server ends")

    def next(self, stopped: Gate) -> Frame | None:
        """The next picture; None at the end."""
        with self._lock:
            while not stopped.is_open and not self._is_over:
                while self._waiting:
                    asked = self._waiting.popleft()
                    if asked.answer.cancelled() or time.monotonic() > asked.until_s:
                        asked.answer.cancel()
                        continue
                    index = self._next_index
                    self._next_index += 1
                    self._on_their_way[index] = asked
                    return Frame(asked.image, index, float(index), 0, NAME)
                self._news.wait()
        return None

    def wake(self) -> None:
        """Have whoever waits look whether it is to go on waiting."""
        with self._lock:
            self._news.notify_all()


class _Incoming(Source):
    def __init__(self, requests: Requests) -> None:
        self.info = SourceInfo(NAME)
        self._requests = requests
        self._stopped = Gate()

    def read(self) -> Frame | None:
        return self._requests.next(self._stopped)

    def interrupt(self) -> None:
        self._stopped.open()
        self._requests.wake()

    def close(self) -> None:
        self.interrupt()
