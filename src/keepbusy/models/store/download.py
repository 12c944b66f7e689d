"""One file over HTTP(S), resumable.

The bytes grow in `FILE.part`; `FILE.part.json` beside it says what they are a part of (address, ETag, Last-Modified,
length). A later download goes on from there only if the server confirms that its file is still that one (`If-Range`,
RFC 9110 section 13.1.5, and the total in `Content-Range`); if not, it starts over. Nothing is lost by an interruption
at any point: both files stay.

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
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from keepbusy import __version__
from keepbusy.errors import KeepbusyError, ModelError
from keepbusy.parsing import parse_json

OnProgress = Callable[[int, "int | None"], None]
"""Called with the bytes that are here, and the file's length in bytes where it is known."""

CHUNK_BYTES = 1 << 18
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


class FetchError(KeepbusyError):
    """A file could not be fetched; `message` is the reason alone."""


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


def fetch_part(url: str, target: Path, *, timeout_s: float, on_progress: OnProgress | None = None) -> tuple[Path, bool]:
    """Bring a file's partial download to its end.

    Args:
        url: An http or https address.
        target: What the file will be; its `.part` is written, not the file itself.
        timeout_s: Seconds of silence after which a server counts as dead.
        on_progress: Called for each piece that was written.

    Returns:
        The whole file, still under its `.part` name, and whether it was put together from several connections.

    Raises:
        FetchError: The server cannot be reached, refuses, or keeps breaking off.
        ModelError: The disk is full, or the folder cannot be written.
    """
    opener = _opener()
    best = _size(part_path(target))
    for attempt in range(MAX_ATTEMPTS):
        try:
            is_joined = _attempt(opener, url, target, timeout_s, on_progress)
            return part_path(target), is_joined
        except (OSError, http.client.HTTPException) as error:
            size = _size(part_path(target))
            # A connection that broke while bytes came is no reason to give up: the next one goes on from there.
            if attempt + 1 == MAX_ATTEMPTS or size <= best:
                raise FetchError(_reason(error, timeout_s)) from error
            best = size
    raise AssertionError("unreachable")


def _attempt(
    opener: urllib.request.OpenerDirector, url: str, target: Path, timeout_s: float, on_progress: OnProgress | None
) -> bool:
    """One connection; True if it went on from bytes that were there."""
    known = _read_note(target)
    start = _size(part_path(target))
    if known is None or known.url != url or not known.validator:
        start = 0
    elif start and start == known.length:
        return True
    headers = {"User-Agent": f"keepbusy/{__version__}", "Accept-Encoding": "identity"}
    if start and known is not None:
        headers |= {"Range": f"bytes={start}-", "If-Range": cast(str, known.validator)}
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                raise FetchError(f"the server answers {error.code} {error.reason}") from error
        discard_part(target)
        return _attempt(opener, url, target, timeout_s, on_progress)
    with contextlib.closing(response):
        _check_kind(response)
        if start and known is not None and not _goes_on(response, known, start):
            start = 0
            if response.status == http.HTTPStatus.PARTIAL_CONTENT:
                discard_part(target)
                return _attempt(opener, url, target, timeout_s, on_progress)
        now = _describe(url, response, start)
        if start == 0:
            with disk(target):
                # First emptied, then described: a note never speaks of another file's bytes.
                part_path(target).write_bytes(b"")
                _note_path(target).write_text(json.dumps(dataclasses.asdict(now)), encoding="utf-8")
        _receive(response, part_path(target), start, now.length, on_progress)
    return start > 0


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, length: int | None, on_progress: OnProgress | None
) -> None:
    size = start
    with disk(part):
        # Unbuffered: what was received is on the disk when the process is interrupted.
        file = cast("IO[bytes]", part.open("ab", buffering=0))
    with file:
        if on_progress is not None:
            on_progress(size, length)
        while block := response.read1(CHUNK_BYTES):
            with disk(part):
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
            size += len(block)
            if on_progress is not None:
                on_progress(size, length)
    if length is not None and size != length:
        raise http.client.HTTPException(f"the server broke off after {size} of {length} bytes")


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


def _describe(url: str, response: http.client.HTTPResponse, start: int) -> PartOf:
    length = None if response.length is None else start + response.length
    if length is None and not response.chunked:
        raise FetchError("the server does not tell the file's length, so that a part could not be told from the whole")
    return PartOf(
        url=url,
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
        length=length,
    )


def _check_kind(response: http.client.HTTPResponse) -> None:
    """A log-in page of a hotel or proxy comes with status 200, and must not become a trusted model."""
    if response.headers.get_content_type() == "text/html":
        raise FetchError("a web page came in place of the file: a log-in page of the network, or a wrong address")


def _read_note(target: Path) -> PartOf | None:
    try:
        content = parse_json(_note_path(target).read_text(encoding="utf-8"))
        return PartOf(**{field.name: content[field.name] for field in dataclasses.fields(PartOf)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else, and never to another kind of address."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new != "https"):
            fp.close()
            raise FetchError(f"the server redirects from {old} to {new}, which is not safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # It also has handlers for ftp and the like; only a redirect could lead there, and those are checked.
    return urllib.request.build_opener(_SecureRedirects)


def _reason(error: Exception, timeout_s: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server was silent for {timeout_s:g} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause).strip() or type(cause).__name__


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
