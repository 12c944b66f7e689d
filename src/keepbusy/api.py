"""The public classes: `Pipeline` for sources, `Detector` for single pictures."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from keepbusy import steps
from keepbusy.config import DetectConfig, DeviceConfig, RunConfig, SelectConfig, split_options
from keepbusy.decode import Outputs, decode
from keepbusy.engine import EXTRA_REQUESTS, OpenVINODevice, Request, Slot, create_slots
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.models import load_model, load_names
from keepbusy.models.load import Model
from keepbusy.pipeline import start_run
from keepbusy.run import Run
from keepbusy.sources import Selection, Source, open_sources
from keepbusy.sources.images import read_image
from keepbusy.types import Detections, Frame, Image, Result, Timings

if TYPE_CHECKING:
    import openvino as ov
    from typing_extensions import Unpack

    from keepbusy.config import Options
    from keepbusy.letterbox import Letterbox


class Pipeline:
    """A detector on a device, ready to run over sources.

    ```python
    import keepbusy as kb
    with kb.Pipeline("yolov5n.xml", device="CPU") as pipeline:
        for result in pipeline.run("street.mp4"):
            print(result.frame.index, result.detections.boxes_xyxy)
    ```

    One run at a time; a second one may follow when the first is exhausted or closed. Not thread-safe.

    Args:
        model: OpenVINO IR (`.xml`) or ONNX file of a YOLO model.
        device: OpenVINO's device name: CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...
        names: Class names, or the file that has them (text or YOLO YAML); None takes the model's own.
        **options: Any attribute of `DetectConfig`, `DeviceConfig` and `RunConfig`, by its name.

    Attributes:
        names: The class names.
        input_hw: The model input's (height, width), pixels.
        num_slots: How many frames can be in flight.
        device: What the model was compiled for.

    Raises:
        ModelError: The model cannot be read, is not understood, or does not compile.
        DeviceError: There is no such device, or its first inference fails.
        ConfigError: An option has a value that it cannot have.
    """

    def __init__(
        self,
        model: str | Path,
        device: str = "CPU",
        *,
        names: tuple[str, ...] | str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        device_config, self._detect, self._config = split_options({"device": device, **options})
        loaded, openvino_device = _load(model, names, device_config, self._config)
        self._model = loaded
        self._device_name = device_config.device
        self._lock = threading.Lock()
        self._active: weakref.ref[Run] | None = None
        self._is_busy = False
        if self._config.mode == "sync":
            num_slots = 1
        else:
            num_slots = self._config.nireq or openvino_device.optimal_requests + EXTRA_REQUESTS
        self.names = loaded.names
        self.input_hw = loaded.input_hw
        self.num_slots = num_slots
        self.device = openvino_device
        self._slots = _create_slots(openvino_device, num_slots, loaded)
        _check_classes(self._detect, loaded.names)

    def run(
        self,
        *sources: str | int | Path | Source,
        loop: bool = False,
        limit: int | None = None,
        stride: int = 1,
    ) -> Run:
        """Run over sources; iterate over what is returned for the results, in order for each source.

        Args:
            *sources: What `open_source` takes, or opened sources of your own; a run closes all of them.
            loop: Begin finite sources again when they end.
            limit: At most this many frames of each source.
            stride: Only every n-th frame of each source.

        Raises:
            SourceError: One of the sources cannot be opened.
            KeepbusyError: The pipeline is closed, or its last run is neither exhausted nor closed.
        """
        select = SelectConfig(loop=loop, limit=limit, stride=stride)
        if not sources:
            raise ConfigError("run: no source given", hint="name at least one video, picture or camera")
        with self._lock:
            if self._is_busy:
                raise KeepbusyError(
                    "the pipeline is still running",
                    hint="iterate the last run to its end or close() it, or make a second Pipeline",
                )
            if not self._slots:
                raise KeepbusyError("the pipeline is closed", hint="make a new Pipeline")
            self._is_busy = True
        try:
            opened = _open_mixed(sources, read_ahead=self._config.mode == "async")
            run = start_run(
                [Selection(source, select) for source in opened],
                self._slots,
                partial(_decode, model=self._model, config=self._detect),
                self._config,
                device_name=self._device_name,
                on_close=self._run_closed,
            )
        except BaseException:
            self._is_busy = False
            raise
        self._active = weakref.ref(run)
        return run

    async def stream(
        self,
        *sources: str | int | Path | Source,
        loop: bool = False,
        limit: int | None = None,
        stride: int = 1,
    ) -> AsyncIterator[Result]:
        """The same as `run`, for asyncio programs: `async for result in pipeline.stream(source)`.

        The waiting is done in a thread; the event loop is never blocked while frames are awaited. Cancelling the
        task, or leaving the loop and closing the generator, stops the run.
        """
        event_loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="keepbusy-stream") as executor:
            opening = executor.submit(self.run, *sources, loop=loop, limit=limit, stride=stride)
            try:
                run = await asyncio.wrap_future(opening, loop=event_loop)
                while (result := await event_loop.run_in_executor(executor, next, run, None)) is not None:
                    yield result
            finally:
                if not opening.cancelled() and opening.exception() is None:
                    opening.result().close()

    def set_classes(self, classes: tuple[int, ...] | None) -> None:
        """From the next run on, detect only these class ids; None for all.

        Raises:
            ConfigError: The model has no such class.
        """
        detect = dataclasses.replace(self._detect, classes=classes)
        _check_classes(detect, self.names)
        self._detect = detect

    @property
    def requests(self) -> list[Request]:
        """The slots' warm requests, for measuring the device alone. Not to be touched while a run goes on."""
        return [slot.request for slot in self._slots]

    def close(self) -> None:
        """Stop a run that is going on, and free the device; further calls do nothing."""
        run = self._active() if self._active is not None else None
        if run is not None:
            run.close()
        self._slots = []

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run_closed(self) -> None:
        self._is_busy = False


class Detector:
    """Detections in one picture at a time. Thread-safe: calls queue up.

    ```python
    detections = kb.Detector("yolov5n.xml")("bus.jpg")
    ```

    Args:
        model: OpenVINO IR (`.xml`) or ONNX file of a YOLO model.
        device: OpenVINO's device name.
        names: Class names, or the file that has them; None takes the model's own.
        **options: Any attribute of `DetectConfig` and `DeviceConfig`, by its name.

    Raises:
        ModelError, DeviceError, ConfigError: As for `Pipeline`.
    """

    def __init__(
        self,
        model: str | Path,
        device: str = "CPU",
        *,
        names: tuple[str, ...] | str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        device_config, self._detect, self._config = split_options({"device": device, "mode": "sync", **options})
        loaded, openvino_device = _load(model, names, device_config, self._config)
        self._model = loaded
        _check_classes(self._detect, loaded.names)
        self._device_name = device_config.device
        self._lock = threading.Lock()
        self.names = loaded.names
        self.input_hw = loaded.input_hw
        self._slot: Slot = _create_slots(openvino_device, 1, loaded)[0]

    def __call__(self, image: Image | str | Path) -> Detections:
        """Detect.

        Args:
            image: uint8 (H, W, 3), BGR, or the path of a picture.

        Raises:
            FrameError: The picture cannot be read or is not of that form, or its inference failed.
            DeviceTimeoutError: The device does not answer.
        """
        source = "image"
        if isinstance(image, (str, Path)):
            source = str(image)
            image = read_image(Path(image))
        frame = Frame(image, 0, 0.0, 0, source)
        with self._lock:
            slot = self._slot
            error = steps.start(slot, frame, Timings(), _no_clock)
            if error is None:
                error = steps.wait(slot, self._config.device_timeout_s, self._device_name, _no_clock)
            if error is not None:
                raise error
            result = steps.decode(slot, partial(_decode, model=self._model, config=self._detect), _no_clock)
            steps.release(slot)
        if result.error is not None:
            raise result.error
        return result.detections


def _load(
    path: str | Path,
    names: tuple[str, ...] | str | Path | None,
    device_config: DeviceConfig,
    config: RunConfig,
) -> tuple[Model, OpenVINODevice]:
    core = _core()
    if isinstance(names, (str, Path)):
        names = load_names(Path(names))
    model = load_model(
        path,
        imgsz=device_config.imgsz,
        names=names,
        family=device_config.family,
        task=device_config.task,
        core=core,
    )
    return model, OpenVINODevice(model, device_config, config.mode, core)


def _create_slots(device: OpenVINODevice, num_slots: int, model: Model) -> list[Slot]:
    return create_slots(device, num_slots, fit=model.input.fit, pad_value=model.input.pad_value)


def _core() -> ov.Core:
    import openvino

    return openvino.Core()


def _decode(outputs: Outputs, letterbox: Letterbox, *, model: Model, config: DetectConfig) -> Detections:
    return decode(outputs, letterbox, model.output, config, model.names)


def _open_mixed(sources: tuple[str | int | Path | Source, ...], *, read_ahead: bool) -> list[Source]:
    """Open what is named and keep what is open already, in the order given."""
    opened: list[Source] = []
    named: list[str | int | Path] = []
    try:
        for source in sources:
            if isinstance(source, (str, int, Path)):
                named.append(source)
                continue
            opened += [*open_sources(named, read_ahead=read_ahead), source]
            named = []
        return opened + open_sources(named, read_ahead=read_ahead)
    except BaseException:
        for one in opened:
            one.close()
        raise


def _check_classes(config: DetectConfig, names: tuple[str, ...]) -> None:
    for class_id in config.classes or ():
        if class_id >= len(names):
            raise ConfigError(
                f"classes: {class_id} is beyond the model's last class, {len(names) - 1}",
                hint=f"the model has {len(names)} classes, numbered from 0",
            )


def _no_clock() -> int:
    return 0
