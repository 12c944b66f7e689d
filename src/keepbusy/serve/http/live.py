"""The page's one WebSocket: pictures of all its tiles, and the state once a second.

A picture is a JPEG that was made once for its stream and size, with a head of JSON before it that has the boxes of that
very frame. A tile has no queue: when there is room, its newest frame is sent. There is room while the client has drawn
all but a few of what it was sent; a slow one thus gets fewer pictures, not older ones, and costs no more memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from keepbusy.errors import FrameError
from keepbusy.files.parsing import TextError, parse_json
from keepbusy.serve.http.pictures import Pictures
from keepbusy.serve.http.report import server_report
from keepbusy.serve.http.ticker import Ticker
from keepbusy.serve.supervise.served import Latest, Served
from keepbusy.serve.supervise.wall import Wall

MAX_TILES = 64
MAX_AHEAD = 4
"""Pictures that may be on their way to one client, or one for every two tiles where that is more."""

SEND_TIMEOUT_S = 20.0
ACK_TIMEOUT_S = 20.0
"""A client that has drawn nothing for so long gets a picture again: its acknowledgement may have been lost with a tab
that slept."""


_ODD = (TextError, LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What comes of a message that is not as the page's: it is not heard."""


class Viewer:
    """One page.

    Args:
        wall: The streams.
        pictures: Makes JPEGs.
        ticker: Has the state.
        websocket: Accepted.
        role: What the page may do.
    """

    def __init__(self, wall: Wall, pictures: Pictures, ticker: Ticker, websocket: WebSocket, role: str) -> None:
        self._wall = wall
        self._pictures = pictures
        self._ticker = ticker
        self._websocket = websocket
        self._role = role
        self._tiles: dict[str, int] = {}
        self._wants_engine = False
        self._seen: dict[str, tuple[int, int]] = {}
        self._sent_s: dict[str, float] = {}
        self._num_sent = self._num_drawn = 0
        self._last_ack_s = 0.0
        self._state_number = 0
        self._turn = 0

    async def go_on(self) -> None:
        """Serve it until it leaves."""
        with self._wall.news.listen() as news, self._ticker.signal.listen() as ticks:
            await self._send_text({"type": "hello", "role": self._role, **server_report(self._wall)})
            tasks = [
                asyncio.create_task(work)
                for work in (self._hear(news), self._send_pictures(news), self._send_states(ticks))
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, news: asyncio.Event) -> None:
        while True:
            text = await self._websocket.receive_text()
            with contextlib.suppress(*_ODD):
                self._heard(parse_json(text))
                news.set()

    def _heard(self, said: Any) -> None:
        if said["type"] == "ack":
            self._num_drawn = max(self._num_drawn, min(int(said["n"]), self._num_sent))
            self._last_ack_s = time.monotonic()
        elif said["type"] == "view":
            tiles = {str(name): int(width) for name, width in list(said["tiles"].items())[:MAX_TILES]}
            self._tiles = {name: min(max(width, 16), 4096) for name, width in tiles.items()}
            self._wants_engine = said.get("engine") is True
            self._seen = {name: seen for name, seen in self._seen.items() if name in tiles}

    async def _send_states(self, ticks: asyncio.Event) -> None:
        await self._ticker.refresh()
        while True:
            ticks.clear()
            if self._ticker.number != self._state_number:
                self._state_number = self._ticker.number
                await self._send(self._ticker.with_timeline if self._wants_engine else self._ticker.text)
            await ticks.wait()

    async def _send_pictures(self, news: asyncio.Event) -> None:
        step_s = 1 / self._wall.settings.page.max_fps
        while True:
            news.clear()
            wait_s = 1.0
            names = list(self._tiles)
            for position in range(len(names)):
                name = names[(self._turn + position) % len(names)]
                served = self._wall.find(name)
                latest = None if served is None else served.latest
                if served is None or latest is None or self._seen.get(name) == (served.number, latest.number):
                    continue
                if not self._has_room():
                    break
                early_s = self._sent_s.get(name, 0.0) + step_s - time.monotonic()
                if early_s > 0:
                    wait_s = min(wait_s, early_s)
                    continue
                self._seen[name] = (served.number, latest.number)
                await self._send_picture(served, latest, self._tiles.get(name, 320))
                wait_s = 0.0
            self._turn += 1
            if wait_s:
                # Frames come more often than pictures are sent: not each of them is worth waking up.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), wait_s)
                    if names:
                        await asyncio.sleep(0.01)

    def _has_room(self) -> bool:
        if time.monotonic() - self._last_ack_s > ACK_TIMEOUT_S:
            self._num_drawn, self._last_ack_s = self._num_sent, time.monotonic()
        return self._num_sent - self._num_drawn < max(MAX_AHEAD, len(self._tiles) // 2)

    async def _send_picture(self, served: Served, latest: Latest, width: int) -> None:
        try:
            jpeg = await self._pictures.jpeg(served, latest, width)
        except FrameError:
            return
        if not jpeg:
            return
        self._num_sent += 1
        now_s = time.monotonic()
        # Kept to the step, so that a tile has its rate however the turns fall.
        step_s = 1 / self._wall.settings.page.max_fps
        self._sent_s[served.name] = max(self._sent_s.get(served.name, 0.0) + step_s, now_s - step_s)
        head = {
            "stream": served.name,
            "n": self._num_sent,
            "captured_ms": round(latest.arrived_ns / 1e6, 1),
            "sent_ms": round(time.perf_counter() * 1e3, 1),
            **found_in(latest),
        }
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
        await self._send(struct.pack("<I", len(text)) + text + jpeg)

    async def _send_text(self, content: dict[str, Any]) -> None:
        await self._send(json.dumps(content, ensure_ascii=False, separators=(",", ":")))

    async def _send(self, content: str | bytes) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            if isinstance(content, str):
                await self._websocket.send_text(content)
            else:
                await self._websocket.send_bytes(content)


def found_in(latest: Latest) -> dict[str, Any]:
    """What was found in a frame, as the page draws it: boxes in the frame's pixels, and the frame's size."""
    frame, found = latest.result.frame, latest.result.detections
    told: dict[str, Any] = {
        "index": frame.index,
        "width": frame.width,
        "height": frame.height,
        "boxes": found.boxes_xyxy.round().astype(int).tolist(),
        "scores": [round(float(one), 3) for one in found.confidence],
        "classes": found.class_id.tolist(),
    }
    if found.track_id is not None:
        told["tracks"] = found.track_id.tolist()
    return told


def routes(wall: Wall, pictures: Pictures, ticker: Ticker) -> APIRouter:
    """The WebSocket's address."""
    router = APIRouter(prefix="/api")

    @router.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        viewer = Viewer(wall, pictures, ticker, websocket, websocket.state.role)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            await viewer.go_on()
        with contextlib.suppress(Exception):
            await websocket.close()

    return router
