"""A TCP proxy that does to a connection what networks and cameras do: it cuts, stalls, slows and garbles."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 1 << 14


@dataclass
class Proxy:
    """What it does from now on; the attributes may be set by any thread, at any time.

    Attributes:
        target_port: Where connections lead to, on loopback.
        is_absent: Nobody listens: connections are reset at once.
        is_silent: Connections are accepted, and nothing is answered.
        is_stalled: What the camera sends is kept back; the connection stays open.
        garbled_share: This share of the bytes that the camera sends is replaced.
        bytes_per_s: At most so many go to the client; None for no limit.
        num_connections: How many have been made.
        num_bytes: How many the camera has sent through it without a limit.
        lasted_s: For how long it has done so.
    """

    target_port: int
    is_absent: bool = False
    is_silent: bool = False
    is_stalled: bool = False
    garbled_share: float = 0.0
    bytes_per_s: float | None = None
    num_connections: int = 0
    num_bytes: int = 0
    lasted_s: float = 0.0
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def url(self) -> str:
        """The camera's address through the proxy."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def cut(self) -> None:
        """End all connections, as a camera does that loses its power and comes back."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        self._writers.add(writer)
        # Where the proxy ends, it is cancelled, which asyncio's server would report.
        with suppress(OSError, asyncio.CancelledError):
            if self.is_silent:
                await reader.read(-1)
            elif not self.is_absent:
                await self._connect(reader, writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        camera_reader, camera_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        tasks = [
            asyncio.ensure_future(self._forward(reader, camera_writer, is_from_camera=False)),
            asyncio.ensure_future(self._forward(camera_reader, writer, is_from_camera=True)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            camera_writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_from_camera: bool
    ) -> None:
        begin_s = time.monotonic()
        with suppress(OSError):
            while content := await reader.read(
                round(max(64, self.bytes_per_s / 10)) if self.bytes_per_s else _CHUNK_BYTES
            ):
                if is_from_camera:
                    if not (self.is_stalled or self.bytes_per_s):
                        now_s = time.monotonic()
                        self.num_bytes += len(content)
                        self.lasted_s, begin_s = self.lasted_s + now_s - begin_s, now_s
                    while self.is_stalled:
                        await asyncio.sleep(0.01)
                    if self.bytes_per_s:
                        await asyncio.sleep(len(content) / self.bytes_per_s)
                    content = self._garbled(content)
                writer.write(content)
                await writer.drain()

    def _garbled(self, content: bytes) -> bytes:
        if not self.garbled_share:
            return content
        changed = bytearray(content)
        for place in range(len(changed)):
            if self._random.random() < self.garbled_share:
                changed[place] = self._random.randrange(256)
        return bytes(changed)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A proxy in front of a port on loopback."""
    proxy = Proxy(port)
    loop = proxy._loop
    server = loop.run_until_complete(asyncio.start_server(proxy._serve, "127.0.0.1", 0))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:

        async def end() -> None:
            server.close()
            tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
