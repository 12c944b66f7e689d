"""The process: its port, its signals, its configuration read again, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from keepbusy.errors import ConfigError, reason_of
from keepbusy.serve.configuration.secrets import HideSecrets
from keepbusy.serve.configuration.settings import ServerSettings, ServeSettings
from keepbusy.serve.heard import Heard
from keepbusy.serve.http.app import Application
from keepbusy.serve.http.metrics import Reloads
from keepbusy.serve.http.protocols import PatientHttp, PatientWebSocket
from keepbusy.serve.reload import OneMore, read_again
from keepbusy.serve.supervise.backend import MakeBackend, PipelineBackend
from keepbusy.serve.supervise.wall import Wall

log = logging.getLogger("keepbusy")

MAX_HEADER_BYTES = 64 << 10
MAX_SAID_BYTES = 64 << 10
"""Of one message that a page sends."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told when the server listens.

    Attributes:
        listening: Called with its address, as a browser takes it.
    """

    listening: Callable[[str], None] = lambda address: None


def serve(
    settings: ServeSettings,
    load: Callable[[], ServeSettings] | None = None,
    *,
    file: str = "",
    make: MakeBackend = PipelineBackend,
    told: Told | None = None,
) -> bool:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: The configuration, checked.
        load: Reads it again, at SIGHUP; None where there is no file.
        file: The file's name, for mistakes.
        make: Makes the model for a device.
        told: Who is told when it listens.

    Returns:
        Whether all was finished within `server.drain_s`; what a device or a disk holds up for longer is left behind.

    Raises:
        ConfigError: The address cannot be listened at.
        KeepbusyError: A sink cannot be made.
    """
    with Heard() as heard, _listening(settings.server) as listener:
        wall = Wall(settings, make)
        with _hidden_in_logs(wall):
            wall.start(lambda: heard.is_ended)
            is_clean = True
            try:
                if not heard.is_ended:
                    process = _Process(wall, load, file, heard)
                    address = _address_of(settings.server, listener)
                    log.debug("listening at %s", address)
                    (told or Told()).listening(address)
                    asyncio.run(process.go_on(listener))
                    is_clean = process.close()
            finally:
                # A reload may have changed it.
                is_clean = wall.close(_left_s(heard, wall.settings.server.drain_s)) and is_clean
            if not is_clean:
                log.warning("not everything was finished within %g s", wall.settings.server.drain_s)
            return is_clean


def _left_s(heard: Heard, drain_s: float) -> float:
    """What is left of the time that ending may take."""
    return drain_s if heard.ended_s is None else max(0.0, heard.ended_s + drain_s - time.monotonic())


class _Process:
    def __init__(self, wall: Wall, load: Callable[[], ServeSettings] | None, file: str, heard: Heard) -> None:
        self._wall = wall
        self._heard = heard
        self._reloads = Reloads()
        self._app = Application(wall, self._reloads)
        self._again = OneMore(lambda: read_again(wall, load, file, self._reloads, self._app.change))

    async def go_on(self, listener: socket.socket) -> None:
        """Serve until a signal says otherwise."""
        settings = self._wall.settings
        tls = settings.server.tls
        config = uvicorn.Config(
            self._app.asgi,
            http=PatientHttp,
            ws=PatientWebSocket,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.limits.connections,
            timeout_graceful_shutdown=max(1, round(settings.server.drain_s / 2)),
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            ws_max_size=MAX_SAID_BYTES,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
        server = _Server(config, self._wall.part)

        def end() -> None:
            if server.should_exit:
                server.force_exit = True
            server.should_exit = True

        with self._heard.told(end, self._again.ask):
            if not server.should_exit:
                await server.serve(sockets=[listener])

    def close(self) -> bool:
        """End the reload that goes on, and drop one that waits; returns whether it has ended in time."""
        return self._again.close(_left_s(self._heard, self._wall.settings.server.drain_s) / 2)


class _Server(uvicorn.Server):
    """Without signal handlers of its own: they would end the process, and the sinks with it.

    Args:
        config: Of uvicorn.
        before_end: Called before it waits for what is being answered.
    """

    def __init__(self, config: uvicorn.Config, before_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_end = before_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_end()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _listening(server: ServerSettings) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises:
        ConfigError: The address is in use, or is none of this machine.
    """
    host = server.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, server.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"server.host: {server.host}: {reason_of(error)}", hint="give an address") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"server.port: cannot listen at {server.host}:{server.port}: {reason_of(error)}",
            hint="another program may have the port; give another one with `port`",
        ) from error
    with listener:
        yield listener


def _address_of(server: ServerSettings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "http" if server.tls is None else "https"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/"


@contextlib.contextmanager
def _hidden_in_logs(wall: Wall) -> Iterator[None]:
    """No secret in what is logged while the server runs, by whichever library."""
    hides = HideSecrets(wall.secrets)
    logs = [log, *(logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access", "asyncio", "libav"))]
    for one in logs:
        one.addFilter(hides)
    try:
        yield
    finally:
        for one in logs:
            one.removeFilter(hides)
