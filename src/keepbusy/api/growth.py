"""What is made in the background, once, when it turns out to be needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from keepbusy.errors import KeepbusyError, first_line
from keepbusy.threads.workers import Workers

log = logging.getLogger("keepbusy")


class Growth:
    """Does something once, in a thread of its own. Thread-safe.

    Args:
        grow: What it does. Where it fails, that is logged, and what there was before goes on being used.
    """

    def __init__(self, grow: Callable[[], None]) -> None:
        self._workers = Workers([("keepbusy-grow", partial(_try, grow))])
        self._lock = threading.RLock()
        self._has_begun = False

    def start(self) -> None:
        """Begin, where it has not begun. Returns at once."""
        with self._lock:
            has_begun, self._has_begun = self._has_begun, True
            if has_begun:
                return
            try:
                self._workers.start()
            except KeepbusyError as error:
                log.warning("calls that come at once share one request: %s", first_line(error))

    def close(self, timeout_s: float) -> None:
        """Wait for it, some seconds at most; it does not begin any more. Can be called again."""
        self._has_begun = True
        if not self._workers.join(timeout_s) and not self._workers.is_one_of_them():
            log.warning("a model is still being compiled in the background: its thread is left behind, and ends then")


def _try(grow: Callable[[], None]) -> None:
    try:
        grow()
    except Exception as error:
        log.warning("calls that come at once share fewer requests than they could: %s", first_line(error))
