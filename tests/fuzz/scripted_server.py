"""A server on loopback that answers as a script says, byte for byte, and then like a good one."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GOOD_ETAG = '"good"'


@dataclass(frozen=True)
class Answer:
    """What one connection gets.

    Attributes:
        pieces: Sent one after the other; `{port}` in the first becomes the server's.
        ending: `close`, `reset` or `stall`: wait until the client goes.
    """

    pieces: tuple[bytes, ...]
    ending: str


class ScriptedServer:
    """One connection at a time; `script` is what the next ones get, then come good answers with `content`."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.script: list[Answer] = []
        self.num_requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5.0)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65536)
            if not received:
                return
            request += received
        self.num_requests += 1
        answer = self.script.pop(0) if self.script else good_answer(request, self.content)
        for piece in answer.pieces:
            connection.sendall(piece.replace(b"{port}", str(self.port).encode()))
        if answer.ending == "stall":
            connection.recv(1)
        elif answer.ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def good_answer(request: bytes, content: bytes) -> Answer:
    """What a server says that keeps to RFC 9110."""
    asked = re.search(rb"\r\nRange: bytes=(\d+)-\r\n", request)
    start = int(asked[1]) if asked and GOOD_ETAG.encode() in request else 0
    if start >= len(content):
        return Answer((b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",), "close")
    lines = ["HTTP/1.1 206 Partial Content" if start else "HTTP/1.1 200 OK", f"Content-Length: {len(content) - start}"]
    lines += [f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}"] if start else []
    lines += [f"ETag: {GOOD_ETAG}", "Content-Type: application/octet-stream", "Connection: close"]
    return Answer(("\r\n".join(lines).encode() + b"\r\n\r\n", content[start:]), "close")


@contextlib.contextmanager
def scripted_server(content: bytes, script: Sequence[Answer]) -> Iterator[ScriptedServer]:
    """A server until the end of the block."""
    server = ScriptedServer(content)
    server.script = list(script)
    try:
        yield server
    finally:
        server.close()
