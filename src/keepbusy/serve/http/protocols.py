"""Connections that do not wait for ever: for a request that does not come, or for a client that does not read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STALL_S = 30.0
"""A client that reads nothing for so long, while there is something for it, is cut off."""

REQUEST_S = 20.0
"""How long a request may take to come, headers included, on a new connection and on one that has had others."""


class _CutsOff:
    """Timers of a protocol of asyncio. What is cut off loses what was not sent yet."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stall: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().connection_lost(exc)  # type: ignore[misc]


class PatientWebSocket(_CutsOff, WebSocketsSansIOProtocol):
    """A WebSocket."""


class PatientHttp(_CutsOff, H11Protocol):
    """HTTP/1.1."""

    _coming: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_a_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: Any = self.cycle
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if cycle is None or cycle.response_complete:
            self._wait_for_a_request()  # A part of one, or what is left of a body that nobody reads.
        else:
            self._has_come()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._has_come()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_come()
        super().connection_lost(exc)

    def _wait_for_a_request(self) -> None:
        if self._coming is None:
            self._coming = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _has_come(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
