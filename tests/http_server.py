"""Real HTTP on loopback, and a release page with the faults that downloads meet."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 60


@dataclass
class ReleasePage:
    """What the server has, does and saw.

    Attributes:
        files: Content by path.
        etag: Sent with every file; None for none.
        last_modified: The same.
        has_ranges: Whether `Range` is honoured.
        has_conditions: Whether `If-Range` is.
        has_length: Whether the length is told.
        content_type: Of every file.
        cuts: Body bytes after which successive answers break off; the answers after the last one are whole.
        pause_at: Body bytes after which an answer waits for `gate`; None for never.
        gate: Opened by the test; opened in any case when the server ends.
        redirects: Where paths lead.
        status: Sent in place of any file; 200 for the file.
        requests: Path and headers of each request.
        paused: Set when an answer waits.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    last_modified: str | None = "Sat, 01 Aug 2026 10:00:00 GMT"
    has_ranges: bool = True
    has_conditions: bool = True
    has_length: bool = True
    content_type: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    pause_at: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    redirects: dict[str, str] = field(default_factory=dict)
    status: int = 200
    requests: list[tuple[str, Message]] = field(default_factory=list)
    paused: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The `Range` header of each request."""
        return [headers.get("Range") for _, headers in self.requests]


class Server(ThreadingHTTPServer):
    """Its threads are waited for, and clients that go away are what some tests are about."""

    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the end of the block; the address, without a path."""
    with Server(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            # A certificate has a name.
            yield f"https://localhost:{server.server_port}" if tls else f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def release_page(page: ReleasePage, tls: ssl.SSLContext | None = None) -> Iterator[ReleasePage]:
    """Serve a page until the end of the block; `page.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.requests.append((self.path, self.headers))
            with contextlib.suppress(ConnectionError):
                _answer(self, page)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler, tls) as page.url:
        try:
            yield page
        finally:
            page.gate.set()


def _answer(handler: BaseHTTPRequestHandler, page: ReleasePage) -> None:
    if handler.path in page.redirects:
        handler.send_response(302)
        handler.send_header("Location", page.redirects[handler.path])
        handler.end_headers()
        return
    content = page.files.get(handler.path)
    if content is None or page.status != 200:
        handler.send_error(404 if content is None else page.status)
        return
    start = _start(handler.headers, page)
    if start >= len(content) > 0 and start:
        handler.send_error(416)
        return
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if page.etag:
        handler.send_header("ETag", page.etag)
    if page.last_modified:
        handler.send_header("Last-Modified", page.last_modified)
    if page.has_length:
        handler.send_header("Content-Length", str(len(content) - start))
    handler.send_header("Content-Type", page.content_type)
    handler.end_headers()
    body = content[start:]
    if page.cuts:
        body = body[: page.cuts.pop(0)]
    if page.pause_at is not None:
        handler.wfile.write(body[: page.pause_at])
        handler.wfile.flush()
        page.paused.set()
        page.gate.wait(WAIT_S)
        body = body[page.pause_at :]
    handler.wfile.write(body)


def _start(headers: Message, page: ReleasePage) -> int:
    """The first byte that is asked for, if the condition holds (RFC 9110, sections 13.1.5 and 14.2)."""
    wanted = headers.get("Range")
    is_same = headers.get("If-Range") in (None, page.etag, page.last_modified) or not page.has_conditions
    if not wanted or not page.has_ranges or not is_same:
        return 0
    return int(wanted.removeprefix("bytes=").removesuffix("-"))
