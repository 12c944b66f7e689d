"""What stands before every request: hosts, origins, tokens, rates, numbers of viewers, and headers for browsers."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepbusy.serve.configuration.settings import LimitSettings
from keepbusy.serve.http.access import Access, Role
from keepbusy.serve.http.answers import problem
from keepbusy.serve.http.bodies import Budget, Held

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/", "/favicon.ico", "/api/login")
_OPEN_BELOW = ("/page/",)
_READING_POSTS = ("/v2/repository/index",)
_UNCOUNTED = ("/healthz", "/readyz", "/metrics", "/", "/favicon.ico", "/v2/health/live", "/v2/health/ready")

BODIES = 16
"""Bodies of the largest size that may be held at once, or more smaller ones."""

MAX_ADDRESSES = 4096
"""Of clients whose rates are known; the ones that were seen last."""

Count = Callable[[str, str, int, float], None]
"""Told of each request: its route, its method, the status, and how many seconds it took."""


class Rates:
    """How many requests each address may still make: a bucket of tokens that fills up again.

    Args:
        per_s: Requests per second.
        now_s: The monotonic clock, seconds.
    """

    def __init__(self, per_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(1.0, 2 * per_s)
        self._now_s = now_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Take one; 0 where there was one, else how long to wait for it, seconds."""
        now_s = self._now_s()
        left, seen_s = self._left.pop(address, (self._most, now_s))
        left = min(self._most, left + (now_s - seen_s) * self._per_s)
        is_there = left >= 1
        self._left[address] = (left - 1 if is_there else left, now_s)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if is_there else (1 - left) / self._per_s


class Guard:
    """An ASGI application around another one.

    Args:
        app: What it guards.
        access: Who may do what.
        limits: How much.
        count: Told of each request.
        hidden: A text without secrets.
    """

    def __init__(
        self, app: ASGIApp, access: Access, limits: LimitSettings, count: Count, hidden: Callable[[str], str]
    ) -> None:
        self._app = app
        self._access = access
        self._limits = limits
        self._count = count
        self._hidden = hidden
        self._rates = Rates(limits.requests_per_s)
        self._budget = Budget(BODIES * limits.upload_bytes)
        self.num_viewers = 0

    def change(self, limits: LimitSettings) -> None:
        """Have other limits."""
        self._limits, self._rates = limits, Rates(limits.requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin_s = time.monotonic()
        status = 500
        held = scope.setdefault("state", {})["held"] = Held(self._budget)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, send_with_headers)
            else:
                await _answer(scope, send_with_headers, *refusal)
        finally:
            held.give_all()
            route = getattr(scope.get("route"), "path", "other")
            self._count(route, scope["method"], status, time.monotonic() - begin_s)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None and self.num_viewers >= self._limits.viewers:
            refusal = (503, f"{self.num_viewers} viewers are here already", {})
        if refusal is not None:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1][:100]})
            return
        self.num_viewers += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.num_viewers -= 1

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        """Why a request is not let through, as status, text and headers; None where it is. Notes the role it has."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if not self._access.knows_host(host):
            return 421, "this server is not known by that name: see `server.allowed_hosts`", {}
        method = scope.get("method", "GET")
        is_reading = method in ("GET", "HEAD") or path in _READING_POSTS
        if (scope["type"] == "websocket" or not is_reading) and not self._access.is_own_origin(
            headers.get("origin"), host
        ):
            return 403, "a page of another server may not ask for this", {}
        if path not in _UNCOUNTED and not path.startswith(_OPEN_BELOW):
            wait_s = self._rates.wait_s((scope.get("client") or ("",))[0])
            if wait_s:
                return 429, "too many requests", {"retry-after": str(max(1, round(wait_s)))}
        cookies = cookie_parser(headers.get("cookie", ""))
        role: Role = self._access.role_of(headers, cookies)
        scope.setdefault("state", {})["role"] = role
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return None
        if role == "none":
            return 401, "a token is required: Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
        if role == "viewer" and not is_reading:
            return 403, "this token may look, and change nothing", {}
        return None


async def _answer(scope: Scope, send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    content = json.dumps(problem(text)).encode()
    sent: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    sent.append((b"content-length", str(len(content)).encode()))
    if scope["method"] not in ("GET", "HEAD"):
        sent.append((b"connection", b"close"))  # Its body is not read.
    sent += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
