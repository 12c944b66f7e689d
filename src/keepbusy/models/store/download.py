"""One file over HTTP(S), resumable.

The bytes grow in `FILE.part`; `FILE.part.json` beside it says what they are a part of (address, ETag, Last-Modified,
length). A later download goes on from there only if the server confirms that its file is still that one (`If-Range`,
RFC 9110 section 13.1.5, and the total in `Content-Range`); if not, it starts over. Nothing is lost by an interruption
at any point: both files stay.

What comes is bounded (`limits.py`), also in time while nothing but headers comes (`watchdog.py`), and only a complete
answer counts: status 200, or 206 with the rest that was asked for. Links in place of the files are not followed
(`own_file.py`).

The standard library's client is used: one GET with two headers needs no more, and it honours `HTTPS_PROXY`,
`NO_PROXY` and OpenSSL's `SSL_CERT_FILE`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urljoin, urlsplit

from keepbusy.errors import ModelError, first_line
from keepbusy.files.parsing import parse_json
from keepbusy.files.whole import write_all
from keepbusy.models.store.limits import MB_VARIABLE, MEGABYTE, FetchError, Limits
from keepbusy.models.store.own_file import open_own, read_own, size_own, write_own
from keepbusy.models.store.watchdog import Watchdog, WatchedHttp, WatchedHttps
from keepbusy.texts import told_by
from keepbusy.threads.workers import to_the_end
from keepbusy.version import __version__

OnProgress = Callable[[int, "int | None"], None]
"""Called with the bytes that are here, and the file's length in bytes where it is known."""

CHUNK_BYTES = 1 << 18
MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

MAX_FIELD_CHARS = 1000
"""Of an entity tag or a date: what is longer is no such thing."""

_NO_MODEL_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml"})

MAX_ATTEMPTS = 20
"""A connection that broke is taken up again as long as each one brings new bytes, and at most so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOf:
    """What a partial file is a part of.

    Attributes:
        url: The address that was asked for, before redirects.
        etag: The server's entity tag, if it gave one.
        last_modified: The server's date of the file, as it wrote it.
        length: Bytes of the whole file, if the server told.
    """

    url: str
    etag: str | None
    last_modified: str | None
    length: int | None

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong entity tag, else the date; None if there is neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


def part_path(target: Path) -> Path:
    """Where the bytes of a file grow until it is whole."""
    return target.with_name(f"{target.name}.part")


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def discard_part(target: Path) -> None:
    """Forget what is there of a file."""
    with disk(target):
        part_path(target).unlink(missing_ok=True)
        _note_path(target).unlink(missing_ok=True)


def fetch_part(
    url: str, target: Path, *, limits: Limits | None = None, on_progress: OnProgress | None = None
) -> tuple[Path, bool]:
    """Bring a file's partial download to its end.

    Args:
        url: An http or https address.
        target: What the file will be; its `.part` is written, not the file itself.
        limits: Of bytes, time and speed.
        on_progress: Called for each piece that was written.

    Returns:
        The whole file, still under its `.part` name, and whether it was put together from several connections.

    Raises:
        FetchError: The server cannot be reached, refuses, keeps breaking off, or brings too much or too slowly.
        ModelError: The disk is full, or the folder cannot be written.
    """
    limits = limits or Limits()
    watchdog = Watchdog(limits)
    try:
        watchdog.start()
        return part_path(target), _attempt_all(_Download(url, target, limits, on_progress, watchdog), target)
    finally:
        to_the_end(watchdog.close)


def _attempt_all(download: _Download, target: Path) -> bool:
    """One connection after the other, as long as each brings something; True if there were several.

    Raises:
        FetchError: As for `fetch_part`.
    """
    best = size_own(part_path(target))
    for attempt in range(MAX_ATTEMPTS):
        try:
            return download.attempt()
        except (ValueError, OverflowError, http.client.InvalidURL) as error:
            raise FetchError(f"the server's answer cannot be understood: {told_by(first_line(error))}") from error
        except (OSError, http.client.HTTPException) as error:
            size = size_own(part_path(target))
            # A connection that broke while bytes came is no reason to give up: the next one goes on from there.
            if attempt + 1 == MAX_ATTEMPTS or size <= best:
                raise FetchError(_reason(error, download.limits.timeout_s)) from error
            best = size
    raise FetchError(f"the connection broke {MAX_ATTEMPTS} times")


class _Download:
    """One file from one address, over one connection after the other.

    Args:
        url: The address.
        target: What the file will be.
        limits: Of all connections together.
        on_progress: Called for each piece that was written.
        watchdog: Watches the connections.
    """

    def __init__(
        self, url: str, target: Path, limits: Limits, on_progress: OnProgress | None, watchdog: Watchdog
    ) -> None:
        self.limits = limits
        self._url = url
        self._target = target
        self._on_progress = on_progress
        self._watchdog = watchdog
        self._opener = _opener(watchdog)
        self._end_s = time.monotonic() + limits.max_s

    def attempt(self) -> bool:
        """One connection; True if it went on from bytes that were there."""
        known = _read_note(self._target, self.limits)
        start = size_own(part_path(self._target))
        if known is None or known.url != self._url or not known.validator:
            start = 0
        elif start and start == known.length:
            return True
        headers = {"User-Agent": f"keepbusy/{__version__}", "Accept-Encoding": "identity"}
        if start and known is not None:
            headers |= {"Range": f"bytes={start}-", "If-Range": cast(str, known.validator)}
        try:
            response = self._open(headers)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                    raise FetchError(f"the server answers {error.code} {told_by(error.reason)}") from error
            return self._begin_anew()
        with contextlib.closing(response):
            if start and known is not None and not _goes_on(response, known, start):
                if response.status == http.HTTPStatus.PARTIAL_CONTENT:
                    return self._begin_anew()
                start = 0
            _check_answer(response, start)
            now = self._describe(response, start)
            if start == 0:
                with disk(self._target):
                    # First emptied, then described: a note never speaks of another file's bytes.
                    write_own(part_path(self._target), b"")
                    write_own(_note_path(self._target), json.dumps(dataclasses.asdict(now)).encode())
            self._receive(response, start, now.length)
        return start > 0

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        """An answer to a request, redirects followed; what a redirect has for a body is not read."""
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            request = urllib.request.Request(url, headers=headers)
            try:
                return self._request(request)
            except urllib.error.HTTPError as error:
                location = error.headers.get("Location")
                if error.code not in _REDIRECTS or location is None:
                    raise
                error.close()
                url = _redirected(url, location)
        raise FetchError(f"the server redirects more than {MAX_REDIRECTS} times")

    def _request(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        answer: urllib.error.HTTPError | http.client.HTTPResponse | None = None
        try:
            with self._watchdog.within(self.limits.max_s, self.limits.too_long):
                try:
                    # The address is the catalogue's or a mirror's, http or https; redirects are checked.
                    answer = cast(http.client.HTTPResponse, self._opener.open(request, timeout=self.limits.timeout_s))
                except urllib.error.HTTPError as error:
                    answer = error
                    raise
        except FetchError:
            # Headers that were cut off look like complete ones to the client.
            if answer is not None:
                answer.close()
            raise
        return answer

    def _begin_anew(self) -> bool:
        discard_part(self._target)
        return self.attempt()

    def _receive(self, response: http.client.HTTPResponse, start: int, length: int | None) -> None:
        size = start
        part = part_path(self._target)
        with disk(part):
            # Unbuffered: what was received is on the disk when the process is interrupted.
            file = open_own(part, append=True)
        with file:
            self._tell(size, length)
            window = (time.monotonic(), size)
            while block := self._next_block(response):
                size += len(block)
                if size > self.limits.max_bytes:
                    discard_part(self._target)
                    raise self._too_large(size)
                with disk(part):
                    write_all(file, block)
                self._tell(size, length)
                window = self._check_speed(window, size)
        if size == 0:
            raise FetchError("the answer is empty")
        if length is not None and size != length:
            raise http.client.HTTPException(f"the server broke off after {size} of {length} bytes")

    def _next_block(self, response: http.client.HTTPResponse) -> bytes:
        with self._watchdog.within(self.limits.speed_window_s, self.limits.too_slow):
            return response.read1(CHUNK_BYTES)

    def _tell(self, size: int, length: int | None) -> None:
        if self._on_progress is not None:
            self._on_progress(size, length)

    def _check_speed(self, window: tuple[float, int], size: int) -> tuple[float, int]:
        """The moment and size from which the speed is counted on.

        Raises:
            FetchError: It takes too long, or is too slow.
        """
        now_s, limits = time.monotonic(), self.limits
        if now_s > self._end_s:
            raise FetchError(limits.too_long)
        begin_s, begin_size = window
        span_s = now_s - begin_s
        if span_s < limits.speed_window_s:
            return window
        if size - begin_size < limits.min_bytes_per_s * span_s:
            raise FetchError(limits.too_slow)
        return now_s, size

    def _describe(self, response: http.client.HTTPResponse, start: int) -> PartOf:
        length = None if response.length is None else start + response.length
        if length is None and not response.chunked:
            raise FetchError(
                "the server does not tell the file's length, so that a part could not be told from the whole"
            )
        if length is not None and length > self.limits.max_bytes:
            raise self._too_large(length)
        return PartOf(
            url=self._url,
            etag=_field(response.headers.get("ETag")),
            last_modified=_field(response.headers.get("Last-Modified")),
            length=length,
        )

    def _too_large(self, num_bytes: int) -> FetchError:
        allowed_mb = self.limits.max_bytes / MEGABYTE
        return FetchError(
            f"the server brings {num_bytes / MEGABYTE:.6g} MB or more, and {allowed_mb:g} MB are allowed "
            f"({MB_VARIABLE} allows more)"
        )


def _goes_on(response: http.client.HTTPResponse, known: PartOf, start: int) -> bool:
    """Whether an answer continues the bytes that are there, and of the same file."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return False
    first, total = _content_range(response)
    etag = response.headers.get("ETag")
    same = known.etag is None or etag is None or etag == known.etag
    return same and first == start and total == known.length


def _content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None]:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if not found:
        return None, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _check_answer(response: http.client.HTTPResponse, start: int) -> None:
    """See that an answer is a file, or the rest of one that was asked for.

    A log-in page of a hotel or proxy comes with status 200, and must not become a trusted model.
    """
    wanted = http.HTTPStatus.PARTIAL_CONTENT if start else http.HTTPStatus.OK
    if response.status != wanted:
        raise FetchError(
            f"the server answers {response.status} {told_by(response.reason)}, and {int(wanted)} is expected"
        )
    kind = response.headers.get_content_type()
    if kind == "text/html":
        raise FetchError("a web page came in place of the file: a log-in page of the network, or a wrong address")
    if kind in _NO_MODEL_TYPES:
        raise FetchError(f"{kind} came in place of the file")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError("the file came compressed, though it was asked for as it is")


def _field(text: str | None) -> str | None:
    """An entity tag or a date that can be sent back as it is; None where there is no such thing."""
    return text if text and len(text) <= MAX_FIELD_CHARS and text.isascii() and text.isprintable() else None


def _read_note(target: Path, limits: Limits) -> PartOf | None:
    """What a part is a part of; None where the note is not as we write it."""
    try:
        content = parse_json(read_own(_note_path(target)))
        note = PartOf(**{field.name: content[field.name] for field in dataclasses.fields(PartOf)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    texts = (note.etag, note.last_modified)
    is_length = note.length is None or (_is_number(note.length) and 0 < note.length <= limits.max_bytes)
    if not (isinstance(note.url, str) and all(_is_text(text) for text in texts) and is_length):
        return None
    return note


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _field(value) == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads: never from https to anything else, and never to another kind of address.

    Raises:
        FetchError: It leads to where it must not, or nowhere.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        is_usable = _is_text(location) and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise FetchError("the server redirects to an address that cannot be used")
    old, new = urlsplit(url).scheme, parts.scheme
    if new not in ("http", "https") or (old == "https" and new != "https"):
        raise FetchError(f"the server redirects from {old} to {new}, which is not safe")
    return target


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to us: urllib would read their bodies, of any length."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(watchdog: Watchdog) -> urllib.request.OpenerDirector:
    # It also has handlers for ftp and the like; only a redirect could lead there, and those are checked.
    return urllib.request.build_opener(_NoRedirects, WatchedHttp(watchdog), WatchedHttps(watchdog))


def _reason(error: Exception, timeout_s: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {timeout_s:g} s"
    if isinstance(cause, OSError) and cause.strerror:
        return told_by(cause.strerror)
    return told_by(cause) or type(cause).__name__


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Map failures of the disk to errors that name the place and what to do.

    Raises:
        ModelError: What is inside failed to read or write.
    """
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise ModelError(
            f"{os.fspath(path)}: cannot be written: {what}",
            hint="make room or give write permission there, or set KEEPBUSY_CACHE to another folder",
        ) from error
