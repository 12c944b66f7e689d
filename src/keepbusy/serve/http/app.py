"""The HTTP server put together: routes, the page, and what stands before them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from keepbusy.errors import first_line
from keepbusy.serve.configuration.load import SettingsError, check_stream
from keepbusy.serve.configuration.settings import Thresholds
from keepbusy.serve.configuration.sources_allowed import NotAllowedError
from keepbusy.serve.http import kserve, live, routes_events, routes_streams
from keepbusy.serve.http.access import COOKIE, Access
from keepbusy.serve.http.answers import problem
from keepbusy.serve.http.bodies import BadRequestError, read_body
from keepbusy.serve.http.guard import Guard
from keepbusy.serve.http.metrics import CONTENT_TYPE, HttpCounts, Metrics, Reloads
from keepbusy.serve.http.pictures import Pictures
from keepbusy.serve.http.ticker import Ticker
from keepbusy.serve.supervise.wall import Wall
from keepbusy.version import __version__

log = logging.getLogger("keepbusy")

PAGE = Path(__file__).parents[1] / "page"

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

_TOKEN_BYTES = 1024

PICTURES = 4
"""Uploaded pictures of the largest size that may be decoded and wait at once, or more smaller ones."""

DESCRIPTION = """Detect in pictures, and watch streams. Everything needs a token where the server has one: the header
`Authorization: Bearer TOKEN`. A viewer's token reads, and changes nothing."""


class Application:
    """The ASGI application.

    Args:
        wall: The streams.
        reloads: The configurations that were read again.

    Attributes:
        asgi: What a server serves.
        guard: What stands before every request.
    """

    def __init__(self, wall: Wall, reloads: Reloads) -> None:
        self._wall = wall
        self._pictures = Pictures(wall.settings.page.quality, PICTURES * wall.settings.limits.picture_pixels)
        self._ticker = Ticker(wall)
        http = HttpCounts()
        guards: list[Guard] = []
        access = Access(wall.settings.server)
        metrics = Metrics(wall, http, reloads, lambda: guards[0].num_viewers)
        app = FastAPI(
            title="keepbusy",
            version=__version__,
            description=DESCRIPTION,
            docs_url=None,  # Its page takes scripts from another host.
            redoc_url=None,
            openapi_url="/openapi.json",
            lifespan=self._lifespan,
        )
        app.include_router(kserve.routes(wall, self._pictures))
        app.include_router(routes_streams.routes(wall, self._pictures))
        app.include_router(routes_events.routes(wall, guards))
        app.include_router(live.routes(wall, self._pictures, self._ticker))
        _add_basics(app, wall, access, metrics)
        _add_page(app)
        _add_errors(app, wall)
        self.guard = Guard(app, access, wall.settings.limits, http.add, wall.secrets.hidden)
        guards.append(self.guard)
        self.asgi = self.guard
        _describe(app)
        self._app = app

    @property
    def paths(self) -> frozenset[str]:
        """The addresses that the description of the API has."""
        return frozenset(self._app.openapi()["paths"])

    def change(self) -> None:
        """Have the limits and the page of the configuration that is in force now."""
        self.guard.change(self._wall.settings.limits)
        self._pictures.quality = self._wall.settings.page.quality

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        ticking = asyncio.create_task(self._ticker.go_on())
        try:
            yield
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            self._pictures.close()


def _describe(app: FastAPI) -> None:
    """Put what requests refer to into the description of the API, and tokens."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        schema = describe()
        components = schema.setdefault("components", {})
        parts = dict(routes_streams.STREAM)
        components.setdefault("schemas", {}).update({**parts.pop("$defs", {}), "StreamSettings": parts})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        return schema

    app.openapi = described  # type: ignore[method-assign]


def _add_basics(app: FastAPI, wall: Wall, access: Access, metrics: Metrics) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["health"], summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", tags=["health"], summary="Whether it infers", responses={503: {"description": "Not now"}})
    async def readyz() -> JSONResponse:
        is_ready = wall.engine.state == "running"
        return JSONResponse({"status": wall.engine.state}, 200 if is_ready else 503)

    @app.get(
        "/metrics",
        tags=["health"],
        summary="Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus's text format."}},
    )
    async def prometheus() -> Response:
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE)

    @app.post("/api/login", tags=["health"], summary="A token for a cookie", include_in_schema=False)
    async def login(request: Request) -> JSONResponse:
        token = (await read_body(request, _TOKEN_BYTES, 10.0)).decode("utf-8", "replace").strip()
        if access.is_open:
            return JSONResponse({"role": "admin"})
        role, cookie = access.cookie_for(token)
        if role == "none":
            await asyncio.sleep(0.5)
            raise BadRequestError(401, "this is not the token")
        response = JSONResponse({"role": role})
        is_tls = request.url.scheme == "https"
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=is_tls, max_age=30 * 86_400)
        return response


def _add_page(app: FastAPI) -> None:
    # Only what is there when the server starts has an address: no path of a client is ever opened.
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in _TYPES}

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(files["index.html"], media_type="text/html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(files["icon.svg"], media_type="image/svg+xml")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(name: str) -> FileResponse:
        if name not in files:
            raise BadRequestError(404, "there is no such file")
        path = files[name]
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={"cache-control": "no-cache"})


def _words_of(error: Any) -> str:
    """A mistake in a query or a header; where a stream has such a key, in the words of the same mistake there."""
    name, value = str(error["loc"][-1]), error["input"]
    if name in Thresholds.model_fields:
        with contextlib.suppress(TypeError, ValueError):
            value = float(value) if "." in value else int(value)  # As JSON would say it: 4, and not '4'.
        try:
            check_stream({"source": "synth:", name: value})
        except SettingsError as found:
            return "; ".join(found.lines)
    return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _add_errors(app: FastAPI, wall: Wall) -> None:
    hidden = wall.secrets.hidden

    @app.exception_handler(BadRequestError)
    async def refused(request: Request, error: BadRequestError) -> JSONResponse:
        headers = {"retry-after": "1"} if error.status == 503 else {}
        if error.status in (408, 413, 415):
            headers["connection"] = "close"  # What it still sends is not read.
        return JSONResponse(problem(hidden(error.message), hidden(error.hint)), error.status, headers)

    @app.exception_handler(NotAllowedError)
    async def not_allowed(request: Request, error: NotAllowedError) -> JSONResponse:
        return JSONResponse(problem(hidden(error.message), hidden(error.hint or "")), 403)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(problem(hidden(str(error.detail))), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        told = [_words_of(one) for one in error.errors()]
        return JSONResponse(problem(hidden("; ".join(told))), 422)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed: %s", request.method, request.url.path, hidden(first_line(error)))
        return JSONResponse(problem("the server has made a mistake; its log says more"), 500)
