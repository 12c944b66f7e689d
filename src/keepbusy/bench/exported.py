"""The model as exported, alone on the device: what OpenVINO's `benchmark_app` measures of its file.

`benchmark_app -m MODEL -d DEVICE -api sync -hint latency` keeps one request going, `-api async -hint throughput` as
many as the device calls optimal, whichever is idle started next. Both give the pixels as random bytes, once, in the
layout of the model's input, and leave everything else to the device. Sync also copies what each inference gives, which
takes a tenth of the time of a YOLOv5n: `benchmark_app` calls `request.infer()`, and that copies. So does this.
"""

from __future__ import annotations

from functools import partial

from keepbusy.api import Pipeline
from keepbusy.bench.windows import Window, measure_first_idle, measure_model_only
from keepbusy.config import DetectConfig, DeviceConfig, Mode, Options
from keepbusy.device.compiler import Compiler
from keepbusy.device.names import usable_device
from keepbusy.models.load import Model
from keepbusy.models.prepare import as_exported
from keepbusy.telemetry import import_openvino
from keepbusy.threads.cores import whole_cores

_HINTS = {"sync": "latency", "async": "throughput"}
_CHANGING = ("nireq", "nstreams", "threads")
"""Options of a run that `benchmark_app` is not given."""


class Exported:
    """A model's graph as exported, compiled for one device as `benchmark_app` compiles it.

    Args:
        model: As loaded.
        device: OpenVINO's device name.
        mode: Which of its measurements: sync or async.
        options: Those of the run. Only the number type (`-infer_precision`) and the cache's folder are taken.

    Attributes:
        num_requests: Requests in flight.

    Raises:
        DeviceError: There is no such device.
        ModelError: The graph does not compile for it.
    """

    def __init__(self, model: Model, device: str, mode: Mode, options: Options) -> None:
        core = import_openvino().Core()
        config = DeviceConfig(
            device=usable_device(device, core),
            precision=options.get("precision"),
            cache_dir=options.get("cache_dir"),
        )
        compiled = Compiler(model, config, DetectConfig(), None, core).compile(as_exported(model), mode)
        if mode == "sync":
            self.num_requests = 1
            self._measure = partial(measure_model_only, [compiled.create_request()], copies_results=True)
        else:
            queue = compiled.create_queue()
            self.num_requests = len(queue)
            self._measure = partial(measure_first_idle, queue)

    def measure(self, seconds: float) -> Window:
        """Measure for some seconds, after a warm-up that does not count.

        Raises:
            DeviceError: An inference failed, or the device does not answer.
        """
        return self._measure(seconds)


def runs_as_exported(pipeline: Pipeline, mode: Mode, options: Options) -> bool:
    """Whether a pipeline runs the graph as exported, as `benchmark_app` would: then one measurement is enough.

    The head is the exported one, the shape the model's own, and no option changes how the device works. keepbusy's
    preprocessing stands before the graph nevertheless, and its number of requests is its own.

    Args:
        pipeline: Planned for the frames to come.
        mode: Its mode.
        options: Its options.
    """
    if pipeline.head != "stock" or pipeline.shapes != [pipeline.model.input_hw]:
        return False
    if options.get("hint") not in (None, _HINTS[mode]) or any(options.get(name) is not None for name in _CHANGING):
        return False
    num_threads = pipeline.device.describe().get("threads", "")
    # In sync no cores are left to other stages.
    return mode == "sync" or num_threads in ("", "0", str(whole_cores()))
