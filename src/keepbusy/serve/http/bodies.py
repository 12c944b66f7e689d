"""What clients send, read within limits: sizes before and after unpacking, and time."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from keepbusy.files.parsing import TextError, parse_json

MAX_DIGITS = 18
"""Of lengths in headers: more bytes than these can say are in no body."""

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class BadRequestError(Exception):
    """A request that is not answered as it wishes.

    Args:
        status: HTTP's status.
        message: Why, in one line.
        hint: What can be done about it.
    """

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


class Budget:
    """Bytes that the bodies of all requests may have together. Used in one event loop.

    Args:
        max_bytes: The sum.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    def take(self, num_bytes: int) -> None:
        """Count some more.

        Raises:
            BadRequestError: That would be too many.
        """
        if num_bytes > self._left:
            raise BadRequestError(503, "the server holds as many bytes of requests as it may", "try it again later")
        self._left -= num_bytes

    def give(self, num_bytes: int) -> None:
        """They are not held any more."""
        self._left += num_bytes


class Held:
    """What one request holds of the budget.

    Args:
        budget: Of all requests.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._num_bytes = 0

    def take(self, num_bytes: int) -> None:
        """Hold some more. See `Budget.take`."""
        self._budget.take(num_bytes)
        self._num_bytes += num_bytes

    def give_all(self) -> None:
        """The request is over."""
        self._budget.give(self._num_bytes)
        self._num_bytes = 0


def length_of(text: str) -> int | None:
    """The length that a header says, bytes; None where it says none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


def json_of(body: bytes) -> Any:
    """The value of a client's JSON: every text in it can be sent and stored, and every number is a finite float, too.

    Raises:
        BadRequestError: It is no JSON, or has a text or a number that is none.
    """
    try:
        content = parse_json(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequestError(400, f"the body is no JSON: byte {error.start} is no UTF-8") from None
    except TextError as error:
        raise BadRequestError(400, f"the body is no JSON: {error}") from None
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            _check_text(one)
        elif isinstance(one, (int, float)):
            _check_number(one)
    return content


def _check_text(text: str) -> None:
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        found = ord(text[error.start])
        raise BadRequestError(400, f"the body has a text with half a character: \\u{found:04x}") from None


def _check_number(number: float) -> None:
    try:
        is_finite = math.isfinite(number)
    except OverflowError:
        is_finite = False
    if not is_finite:
        raise BadRequestError(400, "the body has a number that is not finite, or has more than 308 digits")


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """A request's body, unpacked.

    Args:
        request: Whose body has not been read.
        max_bytes: What it may have, packed and unpacked.
        timeout_s: How long it may take to arrive.

    Raises:
        BadRequestError: It is too large, too slow, or cannot be unpacked.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", *_WINDOW):
        raise BadRequestError(415, f"bodies with the encoding {encoding!r} are not read", "use gzip, deflate or none")
    length = length_of(request.headers.get("content-length", "0"))
    if length is None or length > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            packed = await _collected(request.stream(), max_bytes, request.state.held)
    except TimeoutError:
        raise BadRequestError(408, f"the body did not arrive within {timeout_s:g} s") from None
    except ClientDisconnect:
        raise BadRequestError(400, "the client went away") from None
    if encoding not in _WINDOW:
        return packed
    content = await asyncio.to_thread(_unpacked, packed, encoding, max_bytes)
    request.state.held.take(len(content))
    return content


async def _collected(parts: AsyncIterator[bytes], max_bytes: int, held: Held) -> bytes:
    content = bytearray()
    async for part in parts:
        held.take(len(part))
        content += part
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(content)


def _unpacked(packed: bytes, encoding: str, max_bytes: int) -> bytes:
    for window in dict.fromkeys((_WINDOW[encoding], -zlib.MAX_WBITS if encoding == "deflate" else _WINDOW[encoding])):
        unpacker = zlib.decompressobj(window)
        try:
            content = unpacker.decompress(packed, max_bytes + 1)
        except zlib.error:
            continue
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
        if not unpacker.eof:
            raise BadRequestError(400, f"the body's {encoding} ends too early")
        return content
    raise BadRequestError(400, f"the body is no {encoding}")


def _too_large(max_bytes: int) -> BadRequestError:
    return BadRequestError(
        413,
        f"the body has more than {max_bytes / (1 << 20):.4g} MiB",
        "`limits.upload_bytes` says how many it may have",
    )
