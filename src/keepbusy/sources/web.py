"""One picture over http or https, bounded in size and in time.

The standard library's client is used: it honours `HTTPS_PROXY`, `NO_PROXY` and OpenSSL's `SSL_CERT_FILE`. Its own
timeout counts silence only; here every read of the connection gets no more than what is left of the whole time, so that
a server that drips cannot hold up a caller.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from email.message import Message
from functools import partial
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from keepbusy.errors import SourceError, reason_of
from keepbusy.texts import fit, told_by, without_secrets
from keepbusy.version import __version__

MAX_BYTES = 1 << 26
"""Of one picture: 64 MiB. The largest JPEGs of cameras have 50 MB."""

SILENCE_TIMEOUT_S = 10.0
"""A server that says nothing for so long is given up."""

WHOLE_TIMEOUT_S = 60.0
"""From the first request to the last byte, redirects included."""

MAX_REDIRECTS = 5

_CLOCK_STEP_S = 0.01
"""Waits for sockets end on a millisecond."""

_CHUNK_BYTES = 1 << 18
_SCHEMES = ("http", "https")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer(NamedTuple):
    """What a server has sent.

    Attributes:
        content: The body; empty where it was not wanted.
        content_type: What it says it is, in lower case: `image/jpeg`.
    """

    content: bytes
    content_type: str


def fetch_picture(
    url: str,
    *,
    max_bytes: int = MAX_BYTES,
    silence_s: float = SILENCE_TIMEOUT_S,
    whole_s: float = WHOLE_TIMEOUT_S,
) -> Answer:
    """Fetch a picture. Of an answer that has no end by its type (Motion JPEG), nothing is read.

    Args:
        url: An http or https address, with a name and a password where the server asks for them.
        max_bytes: The most that it may have.
        silence_s: How long the server may be silent.
        whole_s: How long all of it may take.

    Raises:
        SourceError: It cannot be fetched, or is too large; the message has no password in it.
    """
    clock = _Clock(silence_s, time.monotonic() + whole_s, whole_s)
    try:
        return _fetch(url, max_bytes, clock)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(
            f"{without_secrets(url)}: cannot be fetched: {_reason(error, clock)}",
            hint="open the address in a browser: it must lead to a picture",
        ) from error


class _Clock(NamedTuple):
    silence_s: float
    end_s: float
    whole_s: float

    def left_s(self) -> float:
        """How long the next step may take.

        Raises:
            TimeoutError: There is no time left.
        """
        left_s = self.end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(0, self.too_long)
        return min(self.silence_s, left_s)

    @property
    def too_long(self) -> str:
        """What is said when there is no time left."""
        return f"it takes longer than {self.whole_s:g} s"


def _fetch(url: str, max_bytes: int, clock: _Clock) -> Answer:
    for _ in range(MAX_REDIRECTS + 1):
        try:
            response = _open(url, clock)
        except urllib.error.HTTPError as error:
            with error:
                location = error.headers.get("Location")
                if error.code not in _REDIRECTS or location is None:
                    raise OSError(0, f"the server answers {error.code} {told_by(error.reason)}") from error
            url = _redirected(url, location)
            continue
        with closing(response):
            return _read(response, max_bytes, clock)
    raise OSError(0, f"the server redirects more than {MAX_REDIRECTS} times")


def _open(url: str, clock: _Clock) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    headers = {"User-Agent": f"keepbusy/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    request = urllib.request.Request(urlunsplit(parts), headers=headers)
    opener = urllib.request.build_opener(_NoRedirects, _Http(clock), _Https(clock))
    return cast(http.client.HTTPResponse, opener.open(request, timeout=clock.left_s()))


def _read(response: http.client.HTTPResponse, max_bytes: int, clock: _Clock) -> Answer:
    if response.status != http.HTTPStatus.OK:
        raise OSError(0, f"the server answers {response.status} {told_by(response.reason)}, and no picture")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise OSError(0, f"it comes compressed ({told_by(encoding)}), though it was asked for as it is")
    content_type = response.headers.get_content_type()
    if content_type.startswith(("multipart/", "video/")):
        return Answer(b"", content_type)
    if content_type == "text/html":
        raise OSError(0, "a web page came, and no picture")
    if response.length is not None and response.length > max_bytes:
        raise _too_large(max_bytes)
    content = bytearray()
    while block := response.read1(_CHUNK_BYTES):
        content += block
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
        clock.left_s()
    if response.length:
        raise OSError(0, f"the server broke off after {len(content)} bytes")
    if not content:
        raise OSError(0, "the answer is empty")
    return Answer(bytes(content), content_type)


def _too_large(max_bytes: int) -> OSError:
    return OSError(0, f"it has more than {max_bytes:,} bytes")


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads: never from https to anything else, and never to another kind of address.

    A name and a password go along to the same host only.
    """
    target = urlsplit(urljoin(url, location))
    old = urlsplit(url)
    if target.scheme not in _SCHEMES or not target.hostname or (old.scheme == "https" and target.scheme != "https"):
        raise OSError(0, "the server redirects to an address that is not safe")
    is_same = (old.hostname, old.port, old.scheme) == (target.hostname, target.port, target.scheme)
    if is_same and old.username is not None and target.username is None:
        target = target._replace(netloc=f"{old.netloc.rpartition('@')[0]}@{target.netloc}")
    return urlunsplit(target)


def _reason(error: Exception, clock: _Clock) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        # A wait that the end of the whole time has cut short was no silence.
        is_over = time.monotonic() >= clock.end_s - _CLOCK_STEP_S
        return clock.too_long if is_over else f"the server was silent for {clock.silence_s:g} s"
    return fit(reason_of(cause))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to us: urllib would fail at an odd address, and leave the connection open."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Message) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Timed(io.RawIOBase):
    """What a socket receives, each read within what is left of the time."""

    def __init__(self, connection: socket.socket, clock: _Clock) -> None:
        super().__init__()
        self._connection = connection
        self._clock = clock
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(self._clock.left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """A socket as the client uses it, with reads that are bounded."""

    def __init__(self, connection: socket.socket, clock: _Clock) -> None:
        self._connection = connection
        self._clock = clock

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._connection, self._clock))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, clock: _Clock, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _Socket(self.sock, self._clock)


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, clock: _Clock, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _Socket(self.sock, self._clock)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._connect: Callable[..., http.client.HTTPConnection] = partial(_HttpConnection, clock)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._connect: Callable[..., http.client.HTTPConnection] = partial(_HttpsConnection, clock)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect, req)
