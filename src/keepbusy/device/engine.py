"""Requests on a device: the only file that talks to an InferRequest.

A *device* makes *requests*; a request has an input tensor that the caller writes into, can be started without
waiting, waited for with a time limit, and cancelled. OpenVINO's are below; `keepbusy.testing` has scripted ones.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keepbusy.cache.compiled import BlobFolder, open_blobs
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.config import DeviceConfig, Mode
from keepbusy.device.names import SINGLE, check_device, full_device_name
from keepbusy.errors import DeviceError, DeviceTimeoutError, ModelError, first_line
from keepbusy.models.compile import compile_graph
from keepbusy.postprocess.candidates import Outputs

if TYPE_CHECKING:
    import openvino as ov

    from keepbusy.models.prepare import Prepared

log = logging.getLogger("keepbusy")

ANSWER_TIMEOUT_S = 60.0
"""How long one inference may take where nothing else is in flight."""

_DESCRIBED = {
    "hint": "PERFORMANCE_HINT",
    "streams": "NUM_STREAMS",
    "precision": "INFERENCE_PRECISION_HINT",
    "threads": "INFERENCE_NUM_THREADS",
    "optimal_requests": "OPTIMAL_NUMBER_OF_INFER_REQUESTS",
}


class Request(Protocol):
    """One inference that can be in flight. Not thread-safe, except for `cancel`."""

    @property
    def input(self) -> NDArray[np.uint8]:
        """The memory to write the picture into: uint8 (H, W, 3), BGR. The same for the request's whole life."""
        ...

    @property
    def outputs(self) -> Outputs:
        """What decoding needs, in place: valid until the next start."""
        ...

    @property
    def latency_ns(self) -> int:
        """How long the last inference took, from its start to its completion on the device."""
        ...

    def start(self) -> None:
        """Begin the inference and return."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for the inference; False if it is still going on. Raises what the inference failed with."""
        ...

    def cancel(self) -> None:
        """Ask the device to give up this inference; `wait` then returns or raises soon."""
        ...


class Device(Protocol):
    """Something that makes requests."""

    @property
    def name(self) -> str:
        """What it is, for messages."""
        ...

    @property
    def optimal_requests(self) -> int:
        """How many requests in flight keep it busy."""
        ...

    def create_request(self) -> Request:
        """A new request."""
        ...


class IdleRequests(Protocol):
    """Requests of which whichever is idle is started next. Not thread-safe."""

    def __len__(self) -> int:
        """How many."""
        ...

    def wait_idle(self) -> int:
        """Wait until one is idle: the index of the one that `start` will start."""
        ...

    def start(self) -> int:
        """Start one that is idle, and return its index."""
        ...

    def latency_ns(self, index: int) -> int:
        """How long the last inference of one took, from its start to its completion on the device."""
        ...

    def wait_all(self) -> None:
        """Wait until all are idle."""
        ...


def infer_once(request: Request, device_name: str, *, hint: str | None = None) -> None:
    """Start a request and wait for it.

    Raises:
        DeviceTimeoutError: The device does not answer.
    """
    request.start()
    if not request.wait(ANSWER_TIMEOUT_S):
        raise DeviceTimeoutError(f"device {device_name}: no answer for {ANSWER_TIMEOUT_S:g} s", hint=hint)


class OpenVINORequest:
    """A request on an OpenVINO device."""

    def __init__(self, request: ov.InferRequest, outputs: tuple[int, ...]) -> None:
        self._request = request
        self._outputs = outputs
        self._input: NDArray[np.uint8] = request.get_input_tensor().data[0]
        ports = [request.get_compiled_model().outputs[index] for index in outputs]
        # Outputs of one size lie in the same memory for as long as the request lives.
        self._views = None if any(port.get_partial_shape().is_dynamic for port in ports) else self._look()

    @property
    def input(self) -> NDArray[np.uint8]:
        return self._input

    @property
    def outputs(self) -> Outputs:
        return self._look() if self._views is None else self._views

    def _look(self) -> Outputs:
        return tuple(self._request.get_output_tensor(index).data for index in self._outputs)

    @property
    def latency_ns(self) -> int:
        return int(self._request.latency * 1e6)

    def start(self) -> None:
        self._request.start_async()

    def wait(self, timeout_s: float) -> bool:
        return bool(self._request.wait_for(int(timeout_s * 1000)))

    def layer_times(self) -> list[tuple[str, str, float]]:
        """(layer type, implementation, seconds) of every layer that the last inference executed.

        Empty unless the device was made with `with_layer_times`.
        """
        return [
            (str(layer.node_type), str(layer.exec_type), layer.real_time.total_seconds())
            for layer in self._request.profiling_info
            if str(layer.status).endswith("EXECUTED")
        ]

    def cancel(self) -> None:
        self._request.cancel()


class OpenVINOQueue:
    """As many requests as the device calls optimal in OpenVINO's `AsyncInferQueue`, filled with random pixels.

    Only for measuring what `benchmark_app` measures, which does the same: no wait has a time limit, and results come
    in no order. Runs have requests of their own.

    Args:
        queue: Its requests.
        device: The device's name, for messages.
    """

    def __init__(self, queue: ov.AsyncInferQueue, device: str) -> None:
        self._queue = queue
        self._device = device
        random = np.random.default_rng(0)
        for request in queue:
            pixels = request.get_input_tensor().data
            pixels[...] = random.integers(0, 256, pixels.shape, np.uint8)

    def __len__(self) -> int:
        return len(self._queue)

    def wait_idle(self) -> int:
        try:
            return int(self._queue.get_idle_request_id())
        except RuntimeError as error:
            raise self._failure(error) from error

    def start(self) -> int:
        index = self.wait_idle()
        self._queue.start_async()
        return index

    def latency_ns(self, index: int) -> int:
        return int(self._queue[index].latency * 1e6)

    def wait_all(self) -> None:
        try:
            self._queue.wait_all()
        except RuntimeError as error:
            raise self._failure(error) from error

    def _failure(self, error: RuntimeError) -> DeviceError:
        return DeviceError(f"device {self._device}: an inference failed: {first_line(error)}", hint="try `device` CPU")


class OpenVINODevice:
    """A model compiled for an OpenVINO device.

    Args:
        model: The graph, ready to compile.
        config: Device name, hint, streams, cache.
        mode: Chooses the hint where none is given: throughput for async, latency for sync.
        core: The OpenVINO core to compile with.
        with_layer_times: Count the time of each layer, which costs some; see `OpenVINORequest.layer_times`.

    Raises:
        DeviceError: There is no such device.
        ModelError: The model does not compile for it.
        ConfigError: The cache folder cannot be used.
    """

    def __init__(
        self,
        model: Prepared,
        config: DeviceConfig,
        mode: Mode,
        core: ov.Core,
        *,
        with_layer_times: bool = False,
    ) -> None:
        self.name = config.device
        self._core = core
        self._outputs = model.output.outputs
        hint = config.hint or ("throughput" if mode == "async" else "latency")
        properties: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
        if config.nstreams is not None:
            properties["NUM_STREAMS"] = str(config.nstreams)
        if config.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = str(config.threads)
        precision = config.precision or model.precision
        if precision is not None:
            properties["INFERENCE_PRECISION_HINT"] = precision
        if with_layer_times:
            properties["PERF_COUNT"] = "YES"
        check_device(config.device, core)
        kept = open_blobs(config.cache_dir, lambda: _key(model, config.device, properties, core))
        try:
            self._compiled = _compile(core, model.graph, config.device, properties, kept)
        except RuntimeError as error:
            raise ModelError(
                f"{model.path}: does not compile for device {config.device}: {first_line(error)}",
                hint="export it as OpenVINO IR instead of ONNX"
                if config.device == "CPU" and model.path.suffix.lower() == ".onnx"
                else "export the model anew; `keepbusy model-info` shows what is in it"
                if config.device == "CPU"
                else "try `device` CPU, which runs nearly every model that OpenVINO reads",
            ) from error
        if kept is not None and config.device.split(".")[0] in SINGLE:
            kept.finish()
        elif kept is not None:
            # AUTO and its like go on compiling in the background.
            weakref.finalize(self, kept.finish)

    @property
    def optimal_requests(self) -> int:
        return int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def describe(self) -> dict[str, str]:
        """What the compiled model says of itself; a key is missing where the device does not say it."""
        found: dict[str, str] = {}
        for key, name in _DESCRIBED.items():
            with contextlib.suppress(RuntimeError):
                value = self._compiled.get_property(name)
                found[key] = value.get_type_name() if hasattr(value, "get_type_name") else str(value)
        with contextlib.suppress(RuntimeError):
            devices = self._compiled.get_property("EXECUTION_DEVICES")
            first = str(devices[0] if isinstance(devices, (list, tuple)) else devices).strip("()")
            found["device_name"] = str(self._core.get_property(first, "FULL_DEVICE_NAME"))
        return found

    def create_request(self) -> OpenVINORequest:
        return OpenVINORequest(self._compiled.create_infer_request(), self._outputs)

    def create_queue(self) -> OpenVINOQueue:
        """As many requests as it calls optimal, for measuring only."""
        from openvino import AsyncInferQueue

        return OpenVINOQueue(AsyncInferQueue(self._compiled), self.name)


def _compile(
    core: ov.Core, graph: ov.Model, device: str, properties: dict[str, Any], kept: BlobFolder | None
) -> ov.CompiledModel:
    """Compile, if need be without the cache: one that is full or damaged must not keep a model from running."""
    if kept is not None:
        try:
            return compile_graph(core, graph, device, {**properties, "CACHE_DIR": str(kept.path)})
        except RuntimeError as error:
            log.info("%s: the model does not compile with this cache: %s", kept.path, first_line(error))
            kept.discard()
    return compile_graph(core, graph, device, properties)


def _key(model: Prepared, device: str, properties: dict[str, Any], core: ov.Core) -> dict[str, Any]:
    """What a compiled model depends on. OpenVINO itself compares the graph."""
    import openvino

    from keepbusy.version import __version__

    return {
        "model": model_fingerprint(model.path),
        "input_hw": list(model.input_hw),
        "is_exported": model.is_exported,
        "forms": [repr(model.input), repr(model.output)],
        "outputs": [str(port.get_partial_shape()) for port in model.graph.outputs],
        "device": device,
        "device_name": full_device_name(device, core),
        "properties": properties,
        "openvino": openvino.__version__,
        "keepbusy": __version__,
    }
