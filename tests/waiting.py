"""Waiting for what another thread or process does, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], bool], what: str = "", *, timeout_s: float = 60) -> None:
    """Look again and again, a thousand times a second, whether something is so.

    Raises:
        AssertionError: It is not so in time; says `what`.
    """
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s, what
        time.sleep(0.001)
