"""Pictures one after the other through a detector, several at once, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from keepbusy.values.detections import Detections


class InOrder(Iterator[Detections]):
    """The detections of pictures in their order, as `Detector.stream` gives them. Not thread-safe.

    Pictures are taken from the iterable as they are needed, by the thread that iterates; at most `num_ahead` of them
    are held. A picture that fails raises its error in its place, and the next call goes on behind it. What the iterable
    itself fails with is raised behind the last of the pictures before.

    Args:
        pictures: The pictures.
        submit: Has one detected in another thread; its second argument is the picture's number.
        num_ahead: How many may be on their way.
    """

    def __init__(
        self, pictures: Iterable[Any], submit: Callable[[Any, int], Future[Detections]], num_ahead: int
    ) -> None:
        self._pictures: Iterator[Any] | None = iter(pictures)
        self._submit = submit
        self._num_ahead = num_ahead
        self._num_taken = 0
        self._failure: Exception | None = None
        self._on_their_way: deque[Future[Detections]] = deque()

    def __next__(self) -> Detections:
        self._take()
        if not self._on_their_way:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            raise StopIteration
        # Waited for before it is taken off, so that an interrupt loses nothing.
        first = self._on_their_way[0]
        first.exception()
        return self._on_their_way.popleft().result()

    def _take(self) -> None:
        while self._pictures is not None and len(self._on_their_way) < self._num_ahead:
            try:
                picture = next(self._pictures)
            except StopIteration:
                self._pictures = None
                return
            except Exception as error:
                self._pictures, self._failure = None, error
                return
            self._on_their_way.append(self._submit(picture, self._num_taken))
            self._num_taken += 1

    def close(self) -> None:
        """Take no more pictures, and forget those that are on their way. Can be called again."""
        pictures, self._pictures = self._pictures, None
        for future in self._on_their_way:
            future.cancel()
        self._on_their_way.clear()
        if pictures is not None and hasattr(pictures, "close"):
            pictures.close()

    def __enter__(self) -> InOrder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
