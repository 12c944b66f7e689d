"""The one place that reaches into a `Pipeline`: its slots and what its device says of itself."""

from __future__ import annotations

import contextlib
from typing import Any

from keepbusy.api import Pipeline
from keepbusy.engine import Request

_PROPERTIES = {
    "hint": "PERFORMANCE_HINT",
    "streams": "NUM_STREAMS",
    "precision": "INFERENCE_PRECISION_HINT",
    "threads": "INFERENCE_NUM_THREADS",
    "optimal_requests": "OPTIMAL_NUMBER_OF_INFER_REQUESTS",
}


def requests_of(pipeline: Pipeline) -> list[Request]:
    """The warm requests of a pipeline that is not running."""
    return [slot.request for slot in pipeline._slots]


def properties_of(pipeline: Pipeline) -> dict[str, str]:
    """What the compiled model says of itself; a key is missing where the device does not say it."""
    request: Any = requests_of(pipeline)[0]
    compiled = request._request.get_compiled_model()
    found: dict[str, str] = {}
    for key, name in _PROPERTIES.items():
        with contextlib.suppress(RuntimeError):
            value = compiled.get_property(name)
            found[key] = value.get_type_name() if hasattr(value, "get_type_name") else str(value)
    with contextlib.suppress(RuntimeError):
        import openvino

        devices = compiled.get_property("EXECUTION_DEVICES")
        name = devices[0] if isinstance(devices, (list, tuple)) else str(devices)
        found["device_name"] = str(openvino.Core().get_property(name.strip("()"), "FULL_DEVICE_NAME"))
    return found


def layer_times_of(request: Request) -> list[tuple[str, str, float]]:
    """(layer type, implementation, seconds) of every layer that the last inference executed.

    The model must have been compiled with PERF_COUNT.
    """
    inner: Any = request
    return [
        (str(layer.node_type), str(layer.exec_type), layer.real_time.total_seconds())
        for layer in inner._request.profiling_info
        if str(layer.status).endswith("EXECUTED")
    ]
