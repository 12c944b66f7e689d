"""The process: its port, its signals, its configuration read again, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from keepbusy.errors import ConfigError, KeepbusyError, reason_of
from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import SettingsError
from keepbusy.serve.configuration.secrets import HideSecrets
from keepbusy.serve.configuration.settings import ServerSettings, ServeSettings
from keepbusy.serve.http.app import Application
from keepbusy.serve.http.metrics import Reloads
from keepbusy.serve.http.protocols import PatientHttp, PatientWebSocket
from keepbusy.serve.supervise.backend import MakeBackend, PipelineBackend
from keepbusy.serve.supervise.wall import Wall

log = logging.getLogger("keepbusy")

MAX_HEADER_BYTES = 64 << 10
MAX_SAID_BYTES = 64 << 10
"""Of one message that a page sends."""


_CHANGES_AT_ONCE = frozenset({"allow_sources", "drain_s"})


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
    with _listening(settings.server) as listener:
        wall = Wall(settings, make)
        with _hidden_in_logs(wall):
            wall.start()
            is_clean = False
            try:
                process = _Process(wall, load, file)
                address = _address_of(settings.server, listener)
                log.info("listening at %s", address)
                (told or Told()).listening(address)
                asyncio.run(process.go_on(listener))
            finally:
                is_clean = wall.close(settings.server.drain_s)
            if not is_clean:
                log.warning("not everything was finished within %g s", settings.server.drain_s)
            return is_clean


class _Process:
    def __init__(self, wall: Wall, load: Callable[[], ServeSettings] | None, file: str) -> None:
        self._wall = wall
        self._file = file
        self._load = load
        self._reloads = Reloads()
        self._app = Application(wall, self._reloads)
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

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
        loop = asyncio.get_running_loop()

        def end() -> None:
            if server.should_exit:
                server.force_exit = True
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            _answer(loop, number, end)
        if hasattr(signal, "SIGHUP"):
            _answer(loop, signal.SIGHUP, self._hear_reload)
        await server.serve(sockets=[listener])
        for task in list(self._tasks):
            await task

    def _hear_reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._reloading:
            await asyncio.to_thread(self.reload)

    def reload(self) -> None:
        """Read the configuration again. One with mistakes changes nothing."""
        wall = self._wall
        if self._load is None:
            wall.told("config", "there is no file to read again")
            return
        before = wall.settings
        try:
            settings = self._load()
            names = wall.names if before.engine == settings.engine and wall.names else None
            check_all(settings, names=names, file=self._file)
            _check_server(before.server, settings.server)
        except SettingsError as error:
            self._reloads.num_bad += 1
            for line in error.lines:
                log.error("%s", wall.secrets.hidden(line))
            wall.told("config", f"the configuration has mistakes, the one before stays in force: {error.lines[0]}")
            return
        except KeepbusyError as error:
            self._reloads.num_bad += 1
            wall.told("config", f"the configuration cannot be used, the one before stays in force: {error.message}")
            return
        try:
            wall.apply(settings)
        except KeepbusyError as error:
            self._reloads.num_bad += 1
            wall.told("config", f"a part of the configuration is not in force: {error.message}")
        else:
            self._reloads.num_good += 1
            wall.told("config", "the configuration was read again")
        self._app.change()


def _answer(loop: asyncio.AbstractEventLoop, number: signal.Signals, answer: Callable[[], None]) -> None:
    """Have a signal answered in the event loop."""
    try:
        loop.add_signal_handler(number, answer)
    except NotImplementedError:  # On Windows.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(answer) and None)


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


def _check_server(before: ServerSettings, after: ServerSettings) -> None:
    """See that nothing is changed that needs a new start.

    Raises:
        ConfigError: Something is.
    """
    for name in ServerSettings.model_fields:
        if name not in _CHANGES_AT_ONCE and getattr(before, name) != getattr(after, name):
            raise ConfigError(f"server.{name}: is changed by starting the server anew only")


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
