"""What happens, as it happens: server-sent events and a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from keepbusy.serve.http.bodies import BadRequestError
from keepbusy.serve.http.guard import Guard
from keepbusy.serve.supervise.signals import Log
from keepbusy.serve.supervise.wall import Wall
from keepbusy.texts import shortened

KINDS = ("stream", "state", "device", "overload", "config", "result")

SEND_TIMEOUT_S = 20.0
"""A client that reads nothing for so long is left."""


def routes(wall: Wall, guard: list[Guard]) -> APIRouter:
    """The addresses of events.

    Args:
        wall: What they are of.
        guard: Who counts viewers: the one that stands before the application, once that is put together.
    """
    router = APIRouter(prefix="/api", tags=["events"])

    @router.get(
        "/events",
        summary="Events as they happen (SSE)",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "Events, each with its id."}},
    )
    async def events(
        request: Request,
        kinds: Annotated[str, Query(max_length=200, description="With commas; `result` for what is found.")] = "",
        last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    ) -> StreamingResponse:
        wanted = _kinds(kinds)
        log = _log(wall, wanted)
        after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else log.last_id
        one = guard[0]
        if one.num_viewers >= wall.settings.limits.viewers:
            raise BadRequestError(503, f"{one.num_viewers} viewers are here already")
        return StreamingResponse(_sent(log, after, wanted, one), media_type="text/event-stream")

    @router.websocket("/events/ws")
    async def events_ws(websocket: WebSocket, kinds: str = "") -> None:
        await websocket.accept()
        try:
            wanted = _kinds(kinds)
        except BadRequestError as error:
            await websocket.close(1008, error.message[:100])
            return
        log = _log(wall, wanted)
        sending = asyncio.create_task(_send(websocket, log, wanted))
        try:
            while True:
                await websocket.receive_text()  # What clients say is not heard, but that they leave is.
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    return router


def _kinds(text: str) -> frozenset[str]:
    wanted = frozenset(one.strip() for one in text.split(",") if one.strip())
    unknown = sorted(wanted - set(KINDS))
    if unknown:
        told = shortened(", ".join(map(repr, unknown)), 100)
        raise BadRequestError(422, f"kinds: there is no {told}: they are {', '.join(KINDS)}")
    if "result" in wanted and len(wanted) > 1:
        raise BadRequestError(422, "kinds: results come by themselves, not mixed with others")
    return wanted


def _log(wall: Wall, wanted: frozenset[str]) -> Log:
    return wall.results if "result" in wanted else wall.events


async def _sent(log: Log, after: int, wanted: frozenset[str], guard: Guard) -> AsyncIterator[str]:
    guard.num_viewers += 1
    try:
        yield "retry: 2000\n\n"
        async for event in log.follow(after, lambda one: not wanted or one["kind"] in wanted):
            if event is None:
                yield ": still here\n\n"
            else:
                number = f"id: {event['id']}\n" if "id" in event else ""
                yield f"{number}event: {event['kind']}\ndata: {_text(event)}\n\n"
    finally:
        guard.num_viewers -= 1


async def _send(websocket: WebSocket, log: Log, wanted: frozenset[str]) -> None:
    try:
        async for event in log.follow(log.last_id, lambda one: not wanted or one["kind"] in wanted):
            if event is not None:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await websocket.send_text(_text(event))
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        with contextlib.suppress(Exception):
            await websocket.close(1013)


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
