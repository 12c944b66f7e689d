"""Once a second: all numbers are looked at, and the page's state is put together, once for all pages."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from keepbusy.errors import first_line
from keepbusy.serve.http.report import engine_report, stream_report
from keepbusy.serve.supervise.signals import Signal
from keepbusy.serve.supervise.wall import Wall

log = logging.getLogger("keepbusy")

STEP_S = 1.0


class Ticker:
    """Used in one event loop.

    Args:
        wall: What is looked at.

    Attributes:
        number: Rises with each state.
        text: The state as JSON, of the last second while a page is there.
        signal: Told of each state.
    """

    def __init__(self, wall: Wall) -> None:
        self.number = 0
        self.text = ""
        self.signal = Signal()
        self._wall = wall
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {}
        self._with_timeline: tuple[int, str] = (0, "")

    async def go_on(self) -> None:
        """Look until it is cancelled."""
        while True:
            begin_s = time.monotonic()
            await self._do(self._look)
            self.signal.notify()
            await asyncio.sleep(max(0.1, STEP_S - (time.monotonic() - begin_s)))

    async def refresh(self) -> None:
        """Put the state together anew, for a page that has just come: while none was there, nobody did."""
        await self._do(self._put_together)

    async def _do(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except Exception as error:
            log.warning("the state cannot be put together: %s", first_line(error))
        self.number += 1

    def _look(self) -> None:
        self._wall.look()
        if self.signal.num_listeners:
            self._put_together()

    def _put_together(self) -> None:
        with self._lock:
            self._state = state_of(self._wall)
            self.text = _text(self._state)

    @property
    def with_timeline(self) -> str:
        """The state with the newest frames' timeline, which only the engine's view shows."""
        number, text = self._with_timeline
        if number != self.number:
            names = {one_id: served.name for one_id, served in self._wall.roster.numbered.items()}
            text = _text({**self._state, "timeline": self._wall.view.timeline(names)})
            self._with_timeline = (self.number, text)
        return text


def state_of(wall: Wall) -> dict[str, Any]:
    """What the page is told once a second."""
    return {
        "type": "state",
        "now_ms": round(time.perf_counter() * 1e3, 1),
        "streams": [stream_report(served, wall) for served in wall.streams],
        "engine": engine_report(wall),
    }


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
