"""The public classes: `Pipeline` for sources, `Detector` for single pictures."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keepbusy.config import ClassConf, DetectConfig, RunConfig, SelectConfig, split_options
from keepbusy.device.compiled import CompiledModel, Decoder
from keepbusy.device.engine import OpenVINODevice, Request, Slot
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.flow import steps
from keepbusy.flow.pipeline import create_run
from keepbusy.flow.run import Run, Turn, give_up
from keepbusy.models import load_model, load_names
from keepbusy.models.names import first_names
from keepbusy.sources import Selection, Source, allow_reduced, close_source, frame_sizes, open_sources
from keepbusy.sources.picture import read_image
from keepbusy.sources.pixels import Pixels, flatten, is_odd_array, is_pixels, to_image
from keepbusy.telemetry import import_openvino
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result, Timings

if TYPE_CHECKING:
    from typing import Unpack

    import openvino as ov
    from PIL.Image import Image as PillowImage

    from keepbusy.config import Options
    from keepbusy.values.forms import HeadStrategy

SourceLike: TypeAlias = "str | int | Path | Image | PillowImage | Source | Sequence[SourceLike]"
"""What `Pipeline.run` takes for a source."""


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
        model: The model's input, outputs and family.
        names: The class names.

    Raises:
        ModelError: The model cannot be read, or is not understood.
        DeviceError: There is no such device.
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
        self._compiled, self._detect, self._config = _load(model, names, {"device": device, **options})
        self._device_name = device
        self._process_id = os.getpid()
        self._turns: dict[str, Turn] = {}
        self._active: weakref.ref[Run] | None = None
        self._is_closed = False
        self._slots: list[Slot] = []
        self._own_cores: frozenset[int] = frozenset()
        self.model = self._compiled.model
        self.names = self.model.names

    def run(
        self,
        *sources: SourceLike,
        loop: bool = False,
        limit: int | None = None,
        stride: int = 1,
    ) -> Run:
        """Run over sources; iterate over what is returned for the results, in order for each source.

        Args:
            *sources: What `open_source` takes, arrays, pictures of Pillow, lists of these, or opened sources of your
                own; a run closes all of them.
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
        self._check_open()
        turn = Turn(self._turns)
        opened: list[Source] = []
        run: Run | None = None
        try:
            turn.take()
            opened = self._open(sources)
            self._plan(opened)
            if self._config.reduce_jpegs:
                # The longer side of what a crop is cut from may be twice the input's.
                side_px = max(self.input_hw) * (2 if self.model.input.fit == "crop" else 1)
                allow_reduced(opened, side_px)
            run = create_run(
                [Selection(source, select) for source in opened],
                self._slots,
                Decoder(self._compiled, self._detect),
                self._config,
                device_name=self._device_name,
                own_cores=self._own_cores,
                on_close=turn.give_back,
            )
            self._active = weakref.ref(run)
            run.start()
        except BaseException:
            if run is not None:
                run.close()
            else:
                for source in opened:
                    close_source(source)
            turn.give_back()
            raise
        return run

    def plan(self, *sources: SourceLike) -> None:
        """Choose the head and compile the model for the frames of some sources, without reading them.

        `run` does it by itself. Called before, the model is compiled when the run begins.

        Raises:
            SourceError: One of the sources cannot be opened.
            ModelError: The model does not compile.
        """
        self._check_open()
        given = flatten(sources)
        opened = _open_mixed(given, read_ahead=False, read_threads=1, max_pixels=self._config.max_pixels)
        try:
            self._plan(opened)
        finally:
            for source in opened:
                if all(source is not one for one in given):
                    close_source(source)

    def _open(self, sources: tuple[SourceLike, ...]) -> list[Source]:
        config = self._config
        return _open_mixed(
            flatten(sources),
            read_ahead=config.mode == "async",
            read_threads=config.read_threads,
            max_pixels=config.max_pixels,
        )

    def _plan(self, opened: Sequence[Source]) -> None:
        self._compiled.plan(frame_sizes(opened))
        if not self._slots:
            self._slots = self._compiled.create_slots()
            self._own_cores = self._compiled.cores_beside(self._slots)
        kept = [slot for slot in self._slots if not slot.is_lost]
        if num_lost := len(self._slots) - len(kept):
            self._slots = kept + self._compiled.create_slots(num_lost)
        self._compiled.warm(self._slots)

    def _check_open(self) -> None:
        _check_process(self._process_id)
        if self._is_closed:
            raise KeepbusyError("the pipeline is closed", hint="make a new Pipeline")

    @property
    def device(self) -> OpenVINODevice:
        """What the model was compiled for, in its main shape."""
        return self._compiled.device

    @property
    def head(self) -> HeadStrategy:
        """How the detection head is computed; known when the model has been compiled."""
        return self._compiled.strategy

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The input shapes in use: (height, width), pixels."""
        return self._compiled.shapes

    @property
    def input_hw(self) -> tuple[int, int]:
        """The input's (height, width) for most frames, pixels; the model's own until sources are known."""
        return self._compiled.input_hw

    @property
    def num_slots(self) -> int:
        """How many frames can be in flight."""
        return len(self._slots) or self._compiled.num_slots

    async def stream(
        self,
        *sources: SourceLike,
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
        """The slots' warm requests in the main shape, for measuring the device alone.

        Not to be touched while a run goes on.
        """
        if not self._slots:
            self._plan([])
        return [slot.request_for(self.input_hw) for slot in self._slots]

    def close(self) -> None:
        """Stop a run that is going on, and free the device; further calls do nothing."""
        run = self._active() if self._active is not None else None
        if run is not None:
            run.close()
        self._slots = []
        self._is_closed = True

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


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
        self._compiled, self._detect, self._config = _load(model, names, {"device": device, "mode": "sync", **options})
        self._device_name = device
        self._process_id = os.getpid()
        self._lock = threading.Lock()
        self._slot: Slot | None = None
        self.names = self._compiled.model.names

    def __call__(self, image: Image | str | Path | PillowImage) -> Detections:
        """Detect.

        Args:
            image: uint8 (H, W, 3), BGR; (H, W), grey; (H, W, 4), BGRA; a picture of Pillow; or the path of a picture.

        Raises:
            ConfigError: It is none of these.
            FrameError: The picture cannot be read or is not of that form, or its inference failed.
            DeviceTimeoutError: The device does not answer.
        """
        _check_process(self._process_id)
        if isinstance(image, (str, Path)):
            source, picture = str(image), read_image(Path(image), max_pixels=self._config.max_pixels)
        elif isinstance(image, np.ndarray) and image.ndim > 1 and is_odd_array(image):
            # It fails as frames do, in the stage that lays it out.
            source, picture = "image", image
        else:
            source, picture = "image", to_image(image)
        frame = Frame(picture, 0, 0.0, 0, source)
        with self._lock:
            slot = self._slot if self._slot is not None and not self._slot.is_lost else self._plan(picture)
            try:
                result = self._infer(slot, frame)
            finally:
                if slot.frame is not None:
                    give_up(slot)
        if result.error is not None:
            raise result.error
        return result.detections

    @property
    def input_hw(self) -> tuple[int, int]:
        """The input's (height, width), pixels; the model's own until the first picture."""
        return self._compiled.input_hw

    def _infer(self, slot: Slot, frame: Frame) -> Result:
        error = steps.start(slot, frame, Timings(), _no_clock)
        if error is None:
            error = steps.wait(slot, self._config.device_timeout_s, self._device_name, _no_clock)
        if error is not None:
            raise error
        result = steps.decode(slot, Decoder(self._compiled, self._detect), _no_clock)
        steps.release(slot)
        return result

    def _plan(self, image: Image) -> Slot:
        height, width = image.shape[:2] if image.ndim >= 2 else (0, 0)
        self._compiled.plan({(height, width): 1} if height and width else {})
        self._slot = self._compiled.create_slots()[0]
        return self._slot


def _load(
    path: str | Path, names: tuple[str, ...] | str | Path | None, options: dict[str, Any]
) -> tuple[CompiledModel, DetectConfig, RunConfig]:
    """Check the options, read the model, and see that they fit each other; nothing is compiled yet."""
    class_conf = options.get("class_conf")
    device, detect, config = split_options({**options, "class_conf": None} if callable(class_conf) else options)
    core = _core()
    if isinstance(names, (str, Path)):
        names = load_names(Path(names))
    model = load_model(path, imgsz=device.imgsz, names=names, family=device.family, task=device.task, core=core)
    if callable(class_conf):
        detect = dataclasses.replace(detect, class_conf=class_conf(model.names))
    _check_classes(detect, model.names)
    return CompiledModel(model, device, detect, config.mode, config.nireq, core), detect, config


def _core() -> ov.Core:
    return import_openvino().Core()


def _open_mixed(sources: Sequence[Any], **how: Any) -> list[Source]:
    """Open what is named, as `open_sources` takes it, and keep what is open already, in the order given."""
    opened: list[Source] = []
    named: list[str | int | Path] = []
    try:
        for source in sources:
            if isinstance(source, (str, int, Path)):
                named.append(source)
                continue
            own = Pixels([to_image(source)]) if is_pixels(source) else source
            opened += [*open_sources(named, **how), own]
            named = []
        return opened + open_sources(named, **how)
    except BaseException:
        for one in opened:
            close_source(one)
        raise


def _check_classes(config: DetectConfig, names: tuple[str, ...]) -> None:
    thresholds = config.class_conf.by_id if isinstance(config.class_conf, ClassConf) else ()
    for option, class_ids in (("classes", config.classes or ()), ("class_conf", [one for one, _ in thresholds])):
        for class_id in class_ids:
            if class_id >= len(names):
                raise ConfigError(
                    f"{option}: {class_id} is beyond the model's last class, {len(names) - 1}",
                    hint=f"the model has {len(names)} classes, numbered from 0: {first_names(names)}",
                )


def _check_process(process_id: int) -> None:
    """See that this is the process that the model was compiled in: a forked child has none of OpenVINO's threads."""
    if os.getpid() != process_id:
        raise KeepbusyError(
            "the model was compiled in another process, and cannot be used after a fork",
            hint="make the Pipeline or Detector in the child process, or start processes with spawn",
        )


def _no_clock() -> int:
    return 0
