"""How often something that happens again and again is told."""

from __future__ import annotations

import time
from collections.abc import Callable

ALL_S = 600.0
"""What has not happened for so long is new when it does."""

_NUM_TOLD = 4
"""The first ones are told each."""


class Repeats:
    """Counts the same text in a row. For one thread.

    Args:
        now_s: The monotonic clock, seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._text = ""
        self._num = 0
        self._last_s = 0.0

    def told(self, text: str) -> str | None:
        """What to tell: the text, with its number behind the first ones; None where it is to be passed over.

        The first four are told, then the 8th, the 16th, the 32nd, ...
        """
        now_s = self._now_s()
        is_same = text == self._text and now_s - self._last_s < ALL_S
        self._text, self._last_s = text, now_s
        self._num = self._num + 1 if is_same else 1
        if self._num <= _NUM_TOLD:
            return text
        return f"{text} ({self._num} times now)" if self._num & (self._num - 1) == 0 else None
