"""KServe's protocol, version 2: pictures in, objects out. `tritonclient` and other clients work unchanged."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from keepbusy.serve.http.answers import PROBLEMS
from keepbusy.serve.http.bodies import BadRequestError, read_body
from keepbusy.serve.http.inferring import chosen, infer
from keepbusy.serve.http.kserve_wire import HEADER, INPUT, OUTPUTS, make_response, packed, parse_request, tables_of
from keepbusy.serve.http.pictures import Pictures
from keepbusy.serve.supervise.wall import Wall
from keepbusy.version import __version__

_CONFIG_TYPES = {"INT32": "TYPE_INT32", "FP32": "TYPE_FP32", "BYTES": "TYPE_STRING"}


class ModelStatistics:
    """What `stats` tells: how many requests, and how long they took."""

    def __init__(self) -> None:
        self.num_requests = self.num_pictures = self.num_failed = 0
        self.success_ns = self.fail_ns = self.infer_ns = self.queue_ns = 0
        self.last_ms = 0

    def told(self, name: str) -> dict[str, Any]:
        """In Triton's form."""

        def duration(count: int, total_ns: int) -> dict[str, int]:
            return {"count": count, "ns": total_ns}

        return {
            "name": name,
            "version": "1",
            "last_inference": self.last_ms,
            "inference_count": self.num_pictures,
            "execution_count": self.num_pictures,
            "inference_stats": {
                "success": duration(self.num_requests, self.success_ns),
                "fail": duration(self.num_failed, self.fail_ns),
                "queue": duration(self.num_pictures, self.queue_ns),
                "compute_input": duration(0, 0),
                "compute_infer": duration(self.num_pictures, self.infer_ns),
                "compute_output": duration(0, 0),
            },
            "batch_stats": [],
        }


def routes(wall: Wall, pictures: Pictures) -> APIRouter:
    """The protocol's addresses below /v2."""
    router = APIRouter(prefix="/v2", tags=["KServe v2"])
    model = _Model(wall, pictures)

    @router.get("", summary="What the server is")
    async def server() -> dict[str, Any]:
        extensions = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
        return {"name": "keepbusy", "version": __version__, "extensions": extensions}

    @router.get("/health/live", summary="Whether the server is there")
    async def live() -> Response:
        return Response()

    @router.get("/health/ready", summary="Whether it infers", responses={503: {"description": "Not now"}})
    async def ready() -> Response:
        return Response(status_code=200 if wall.engine.state == "running" else 503)

    @router.post("/repository/index", summary="The models")
    async def index() -> list[dict[str, str]]:
        facts = wall.engine.facts
        state = "READY" if wall.engine.state == "running" else "UNAVAILABLE"
        return [] if facts is None else [{"name": facts.model, "version": "1", "state": state, "reason": ""}]

    @router.post("/repository/models/{model}/load", include_in_schema=False)
    @router.post("/repository/models/{model}/unload", include_in_schema=False)
    async def fixed(model: str) -> JSONResponse:
        raise BadRequestError(400, "models are named by the configuration: change it, and send SIGHUP")

    # Before the pattern that takes any word for a model.
    router.add_api_route("/models/stats", model.all_stats, methods=["GET"], include_in_schema=False)
    for path in ("/models/{model}", "/models/{model}/versions/{version}"):
        is_main = "version" not in path
        add = partial(router.add_api_route, include_in_schema=is_main, responses=PROBLEMS)
        add(path, model.metadata, methods=["GET"], summary="What goes in and out")
        add(f"{path}/ready", model.ready, methods=["GET"], summary="Whether it infers")
        add(f"{path}/config", model.config, methods=["GET"], summary="Its configuration")
        add(f"{path}/stats", model.stats, methods=["GET"], summary="What it has done")
        add(f"{path}/infer", model.infer, methods=["POST"], summary="Detect in pictures", openapi_extra=_REQUEST)
    return router


class _Model:
    """What is asked of the one model that there is."""

    def __init__(self, wall: Wall, pictures: Pictures) -> None:
        self._wall = wall
        self._pictures = pictures
        self._statistics = ModelStatistics()

    def _check(self, model: str, version: str | None) -> None:
        facts = self._wall.engine.facts
        if facts is None:
            raise BadRequestError(503, "the model is being compiled", "try it again in a moment")
        if model != facts.model:
            raise BadRequestError(404, f"there is no model {model!r}: it is {facts.model!r}")
        if version not in (None, "1"):
            raise BadRequestError(404, f"model {model!r} has no version {version!r}: there is version 1")

    async def metadata(self, model: str, version: str | None = None) -> dict[str, Any]:
        self._check(model, version)
        outputs = [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in OUTPUTS.items()]
        inputs = [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}]
        return {"name": model, "versions": ["1"], "platform": "openvino", "inputs": inputs, "outputs": outputs}

    async def ready(self, model: str, version: str | None = None) -> Response:
        self._check(model, version)
        return Response(status_code=200 if self._wall.engine.state == "running" else 503)

    async def config(self, model: str, version: str | None = None) -> dict[str, Any]:
        self._check(model, version)
        outputs = [
            {"name": name, "data_type": _CONFIG_TYPES[kind], "dims": shape} for name, (kind, shape) in OUTPUTS.items()
        ]
        inputs = [{"name": INPUT, "data_type": "TYPE_STRING", "dims": [-1]}]
        head = {"name": model, "platform": "openvino", "backend": "openvino", "max_batch_size": 0}
        parameters = {"classes": {"string_value": ",".join(self._wall.names)}}
        return {**head, "input": inputs, "output": outputs, "parameters": parameters}

    async def stats(self, model: str, version: str | None = None) -> dict[str, Any]:
        self._check(model, version)
        return {"model_stats": [self._statistics.told(model)]}

    async def all_stats(self) -> dict[str, Any]:
        facts = self._wall.engine.facts
        return {"model_stats": [] if facts is None else [self._statistics.told(facts.model)]}

    async def infer(self, model: str, request: Request, version: str | None = None) -> Response:
        self._check(model, version)
        begin_ns = time.monotonic_ns()
        statistics = self._statistics
        try:
            response = await _infer(self._wall, self._pictures, request, model, statistics)
        except BaseException:
            statistics.num_failed += 1
            statistics.fail_ns += time.monotonic_ns() - begin_ns
            raise
        statistics.num_requests += 1
        statistics.success_ns += time.monotonic_ns() - begin_ns
        statistics.last_ms = round(time.time() * 1e3)
        return response


_REQUEST = {
    "requestBody": {
        "required": True,
        "description": "KServe's inference request: one input `image` of BYTES, encoded pictures; in JSON as base64, "
        "or binary behind the JSON, whose length the header Inference-Header-Content-Length has.",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}},
    }
}


async def _infer(wall: Wall, pictures: Pictures, request: Request, model: str, statistics: ModelStatistics) -> Response:
    limits = wall.settings.limits
    body = await read_body(request, limits.upload_bytes, limits.request_timeout_s)
    asked = parse_request(body, request.headers.get(HEADER), limits.pictures_per_request)
    chosen_of = {key: value for key, value in asked.parameters.items() if key in ("conf", "max_det", "classes")}
    results = await asyncio.gather(*(infer(wall, pictures, one) for one in asked.pictures), return_exceptions=True)
    for one in results:
        if isinstance(one, BaseException):
            raise one
    done = [one for one in results if not isinstance(one, BaseException)]
    for one in done:
        timings = one.timings
        statistics.num_pictures += 1
        statistics.infer_ns += max(0, timings.infer_end_ns - timings.infer_start_ns)
        statistics.queue_ns += max(0, timings.preprocess_start_ns - timings.read_end_ns)
    found = [chosen(wall, one.detections, dict(chosen_of)) for one in done]
    content, head_length = make_response(asked, tables_of(found), model)
    content, encoding = packed(content, request.headers.get("accept-encoding", ""))
    headers = {} if head_length is None else {HEADER: str(head_length)}
    headers |= {"content-encoding": encoding} if encoding else {}
    kind = "application/json" if head_length is None else "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)
