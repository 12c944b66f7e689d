"""The API: pictures, streams, snapshots, the engine."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from keepbusy.errors import ConfigError, FrameError, KeepbusyError
from keepbusy.records import record
from keepbusy.serve.configuration.load import SettingsError, check_stream
from keepbusy.serve.configuration.settings import StreamSettings
from keepbusy.serve.configuration.sources_allowed import NotAllowedError, check_allowed
from keepbusy.serve.http.answers import PROBLEMS
from keepbusy.serve.http.bodies import BadRequestError, json_of, read_body
from keepbusy.serve.http.inferring import chosen, infer
from keepbusy.serve.http.pictures import Pictures
from keepbusy.serve.http.report import engine_report, server_report, stream_report
from keepbusy.serve.supervise.served import Latest, Served
from keepbusy.serve.supervise.wall import Wall
from keepbusy.sources.realtime import split_pace

MAX_JSON_BYTES = 1 << 20

Name = Annotated[str, Path(description="The stream's name.", max_length=64)]

STREAM = StreamSettings.model_json_schema(ref_template="#/components/schemas/{model}")
"""What a stream may say, with what it refers to in `$defs`."""

_STREAM_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StreamSettings"}}},
    }
}


def routes(wall: Wall, pictures: Pictures) -> APIRouter:
    """The addresses below /api."""
    router = APIRouter(prefix="/api", responses=PROBLEMS)
    _add_detection(router, wall, pictures)
    _add_streams(router, wall)
    _add_pictures(router, wall, pictures)

    @router.get("/engine", tags=["engine"], summary="What the engine does, and what holds it back")
    async def engine() -> dict[str, Any]:
        return engine_report(wall)

    @router.get("/server", tags=["engine"], summary="What the server is")
    async def server() -> dict[str, Any]:
        return server_report(wall)

    return router


def _find(wall: Wall, name: str) -> Served:
    served = wall.find(name)
    if served is None:
        raise BadRequestError(404, f"there is no stream {name!r}")
    return served


def _newest(wall: Wall, name: str) -> tuple[Served, Latest]:
    served = _find(wall, name)
    latest = served.latest
    if latest is None or latest.result.frame.picture is None:
        raise BadRequestError(503, f"stream {name!r} has no picture yet", "see its state")
    return served, latest


def _add_detection(router: APIRouter, wall: Wall, pictures: Pictures) -> None:
    @router.post(
        "/detect",
        tags=["pictures"],
        summary="Detect in a picture",
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "One encoded picture: JPEG, PNG, WebP, ...",
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def detect(
        request: Request,
        conf: Annotated[float | None, Query(ge=0, le=1, description="Lowest confidence.")] = None,
        max_det: Annotated[int | None, Query(ge=1, le=100_000, description="At most so many.")] = None,
        classes: Annotated[str | None, Query(max_length=4096, description="Names or ids, with commas.")] = None,
    ) -> dict[str, Any]:
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise BadRequestError(415, "a form is not read", "send the picture's bytes alone")
        limits = wall.settings.limits
        content = await read_body(request, limits.upload_bytes, limits.request_timeout_s)
        result = await infer(wall, pictures, content)
        given = {"conf": conf, "max_det": max_det, "classes": classes}
        found = chosen(wall, result.detections, {key: value for key, value in given.items() if value is not None})
        frame = result.frame
        return {"width": frame.width, "height": frame.height, **found.to_dict()}


def _add_streams(router: APIRouter, wall: Wall) -> None:
    @router.get("/streams", tags=["streams"], summary="All streams")
    async def streams() -> list[dict[str, Any]]:
        return [stream_report(served, wall) for served in wall.streams]

    @router.post("/streams", tags=["streams"], summary="Add a stream", status_code=201, openapi_extra=_STREAM_BODY)
    async def add(request: Request) -> JSONResponse:
        content = await _json(request)
        stream = _checked(content)
        if not stream.name:
            raise BadRequestError(422, "name: is missing")
        _check_allowed(stream, wall)
        served = _done(lambda: wall.add(stream))
        return JSONResponse(stream_report(served, wall), 201)

    @router.get("/streams/{name}", tags=["streams"], summary="One stream")
    async def one(name: Name) -> dict[str, Any]:
        return stream_report(_find(wall, name), wall)

    @router.patch("/streams/{name}", tags=["streams"], summary="Change a stream", openapi_extra=_STREAM_BODY)
    async def change(name: Name, request: Request) -> dict[str, Any]:
        content = await _json(request)
        before = _find(wall, name).settings
        merged = {**before.model_dump(exclude_unset=True), "source": before.source, **content, "name": name}
        if content.get("name", name) != name:
            raise BadRequestError(422, "name: cannot be changed", "remove the stream, and add another")
        stream = _checked(merged)
        if "source" in content or "sinks" in content:
            _check_allowed(_checked({"source": stream.source, **content}), wall)
        return stream_report(_done(lambda: wall.change(name, stream)), wall)

    @router.delete("/streams/{name}", tags=["streams"], summary="Remove a stream", status_code=204)
    async def remove(name: Name) -> Response:
        _find(wall, name)
        _done(lambda: wall.remove(name))
        return Response(status_code=204)


def _add_pictures(router: APIRouter, wall: Wall, pictures: Pictures) -> None:
    @router.get("/streams/{name}/latest", tags=["streams"], summary="The newest result as a record")
    async def latest(name: Name) -> dict[str, Any]:
        served, newest_one = _newest(wall, name)
        return {**record(newest_one.result, served.name), "age_ms": round(served.age_s() * 1e3, 1)}

    @router.get(
        "/streams/{name}/snapshot.jpg",
        tags=["streams"],
        summary="The newest picture",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}, "description": "A JPEG; X-Age-Ms says how old it is."}},
    )
    async def snapshot(
        name: Name,
        width: Annotated[int | None, Query(ge=16, le=4096, description="Pixels; the frame's own without it.")] = None,
        boxes: Annotated[bool, Query(description="Draw what was found.")] = True,
    ) -> Response:
        served, newest_one = _newest(wall, name)
        age_ms = round(served.age_s() * 1e3)
        try:
            if boxes:
                content = await pictures.drawn(newest_one, width)
            else:
                content = await pictures.jpeg(served, newest_one, width or 4096)
        except FrameError as error:
            raise BadRequestError(503, wall.secrets.hidden(error.reason)) from None
        return Response(content, media_type="image/jpeg", headers={"x-age-ms": str(age_ms)})


async def _json(request: Request) -> dict[str, Any]:
    content = json_of(await read_body(request, MAX_JSON_BYTES, 10.0))
    if not isinstance(content, dict):
        raise BadRequestError(422, "the body is no JSON object")
    return content


def _checked(content: dict[str, Any]) -> StreamSettings:
    try:
        return check_stream(content)
    except SettingsError as error:
        is_in_pixels = any(
            "region" in one.place and one.reason.startswith("must be 1 or less") for one in error.mistakes
        )
        hint = "region: corners are shares of the frame, 0 to 1, and not pixels" if is_in_pixels else ""
        raise BadRequestError(422, "; ".join(error.lines), hint) from None


def _check_allowed(stream: StreamSettings, wall: Wall) -> None:
    allowed = wall.settings.server.allow_sources
    try:
        check_allowed(stream, allowed)
    except NotAllowedError:
        # Of what is in no allowed folder it is not even told whether it is there.
        if not stream.sinks and any(_is_missing(stream.source, one) for one in allowed):
            raise BadRequestError(422, "source: there is no such file") from None
        raise


def _is_missing(source: str, allowed: str) -> bool:
    """Whether a source would be a file in an allowed folder, links followed, and is not there."""
    source, _ = split_pace(source)
    if any("://" in one or one.startswith("synth:") or one.isdecimal() or one == "-" for one in (source, allowed)):
        return False
    folder, path = (os.path.realpath(os.path.expanduser(one)) for one in (allowed, source))
    return path.startswith(folder.rstrip(os.sep) + os.sep) and not os.path.exists(path)


def _done(work: Any) -> Any:
    """Have something done to the wall, and its errors told."""
    try:
        return work()
    except KeyError:
        raise BadRequestError(404, "there is no such stream") from None
    except ConfigError as error:
        status = 409 if " already" in error.message else 422
        raise BadRequestError(status, error.message, error.hint or "") from None
    except KeepbusyError as error:
        raise BadRequestError(503, error.message, error.hint or "") from None
