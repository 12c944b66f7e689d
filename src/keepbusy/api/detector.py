"""Detections in single pictures, for one caller or many."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast, overload

import numpy as np

from keepbusy.api.calls import Calls
from keepbusy.api.foreign_words import OF_DETECTOR, of_call
from keepbusy.api.in_order import InOrder
from keepbusy.api.load import check_process, load
from keepbusy.api.places import Places
from keepbusy.api.shown import told
from keepbusy.checks import check_count
from keepbusy.config import MAX_COUNT
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.slots import EXTRA_REQUESTS, Slot, num_requests
from keepbusy.errors import ConfigError, FrameError, KeepbusyError
from keepbusy.sources.pixels import is_odd_array, is_pixels
from keepbusy.sources.refusals import how_else
from keepbusy.sources.single import read_single
from keepbusy.threads.cores import usable_cores
from keepbusy.threads.workers import to_the_end
from keepbusy.values.detections import Detections
from keepbusy.values.foreign_words import no_attribute
from keepbusy.values.frame import Frame, Image
from keepbusy.values.misuse import explained

if TYPE_CHECKING:
    from typing import Unpack

    from PIL.Image import Image as PillowImage

    from keepbusy.config import Options
    from keepbusy.models.load import Model
    from keepbusy.values.forms import HeadStrategy

PictureLike: TypeAlias = "str | os.PathLike[str] | Image | PillowImage | bytes | bytearray | memoryview | IO[bytes]"
"""What `Detector` takes for a picture."""

FEW_PICTURES = 8
"""A shorter list is detected one by one: more requests, made for it, would come when it is done."""

MORE_THREADS = 4
"""Threads above the number of cores that read and detect for `stream`, `detect` and long lists: while some wait for
files, the others keep the device at work."""

PAUSE_TIMEOUT_S = 60.0
"""How long the thread that makes more requests waits for a moment without calls in flight; then it does without."""


class Detector:
    """Detections in single pictures. Thread-safe: calls of several threads are worked on at once.

    ```python
    with kb.Detector("yolov5n.xml", classes=["person"]) as detector:
        detections = detector("bus.jpg")
    ```

    One caller has the model compiled for the shortest time for one picture. When a second call comes while one goes on,
    more requests are made in the background, and the model is compiled for throughput, too; calls use that as long as
    many of them come at once. Calls get their turn in the order in which they come. To decide
    it yourself, give `hint` or `nstreams`, or `mode`: "async" compiles for throughput from the beginning, "sync" keeps
    to one request.

    Args:
        model: OpenVINO IR (`.xml`) or ONNX file of a YOLO model, the folder that it was exported to, or the name of one
            that `keepbusy models` lists.
        device: OpenVINO's device name: CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...; `cpu` and `gpu:1` are understood.
        names: Class names, or the file that has them; None takes the model's own.
        **options: Any attribute of `DetectConfig`, `DeviceConfig` and `RunConfig`, by its name. `classes` and
            `class_conf` take class names, `imgsz` one side, too; `channels="rgb"` takes arrays as RGB.

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
        names: Sequence[str] | str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        given = cast("dict[str, Any]", options)
        mode, nireq = given.get("mode", "sync"), given.get("nireq")
        if nireq is not None:
            check_count("nireq", nireq, 1, MAX_COUNT)
        if mode == "sync" and "mode" not in given:
            given = {**given, "nireq": None}
        compiled, detect, config = load(model, names, {"mode": "sync", **given, "device": device})
        self._compiled, self._config = compiled, config
        self._process_id = os.getpid()
        self.model: Model = compiled.model
        self.names = self.model.names
        # Where the user has said how to compile, there is one graph, which all calls share.
        is_one_graph = "mode" in given or given.get("hint") is not None or given.get("nstreams") is not None
        is_alone = nireq == 1 or given.get("mode") == "sync"
        grow = partial(_grow, compiled, nireq, is_one_graph=is_one_graph)
        postprocess = compiled.postprocessor(detect)
        self._calls = Calls(
            partial(_make_first, compiled),
            None if is_alone else grow,
            postprocess,
            config.device_timeout_s,
            compiled.device_name,
        )
        self._num_threads = max(int(usable_cores()) + MORE_THREADS, nireq or 0)
        self._executor: ThreadPoolExecutor | None = None
        self._making = threading.RLock()

    @overload
    def __call__(self, image: PictureLike) -> Detections: ...  # type: ignore[overload-overlap] # A text is a path.

    @overload
    def __call__(self, image: Sequence[PictureLike]) -> list[Detections]: ...

    @explained(of_call)
    def __call__(self, image: Any) -> Detections | list[Detections]:
        """Detect.

        Args:
            image: One picture, or a sequence of pictures, such as a list. A picture is a path; an http or https
                address; an array, uint8, (H, W, 3) in BGR, (H, W, 4) in BGRA (RGB and RGBA with `channels="rgb"`), or
                (H, W) in grey; a picture of Pillow; or an encoded picture, its bytes or its file, open for them, which
                is read from where it stands. An address is fetched by the machine that this program runs on, wherever
                it leads: do not pass on addresses of strangers.

        Returns:
            The detections in a picture; for a list, a list of the same length and order.

        Raises:
            ConfigError: It is none of these.
            FrameError: A picture cannot be read or is not of that form, or its inference failed.
            DeviceTimeoutError: The device does not answer.
            KeepbusyError: The detector is closed.
        """
        self._check_open()
        if not _are_several(image):
            return self._detect_one(image, 0)
        if len(image) < FEW_PICTURES:
            return [self._detect_one(one, index) for index, one in enumerate(image)]
        with self.stream(image) as found:
            return list(found)

    @explained(of_call)
    def stream(self, images: Iterable[PictureLike]) -> InOrder:
        """Detect in many pictures, several at once: an iterator over their detections, in order.

        Pictures are taken from the iterable, such as a generator, as they are needed: some more than requests are in
        flight are held, however many there are. A picture that fails raises its error in its place; iterating on goes
        on behind it. For videos and cameras, and where frames are to be had together with their detections, take
        `Pipeline.run`.

        Args:
            images: What a call takes, one by one.

        Raises:
            ConfigError: It gives no pictures one by one.
            KeepbusyError: The detector is closed.
        """
        self._check_open()
        if isinstance(images, (str, os.PathLike)) or is_pixels(images) or not isinstance(images, Iterable):
            raise ConfigError(
                f"stream: {type(images).__name__} does not give pictures one by one",
                hint="give a list or a generator of pictures; videos, folders and cameras go to Pipeline.run",
            )
        return InOrder(images, self._submit, self._num_threads)

    @overload
    async def detect(self, image: PictureLike) -> Detections: ...  # type: ignore[overload-overlap] # A text is a path.

    @overload
    async def detect(self, image: Sequence[PictureLike]) -> list[Detections]: ...

    @explained(of_call)
    async def detect(self, image: Any) -> Detections | list[Detections]:
        """The same as a call, for asyncio programs: the event loop goes on meanwhile.

        Where the task that awaits it is cancelled, a picture whose turn has not come is not detected; one that is being
        detected comes to its end in its thread, and nobody waits for it.

        Args:
            image: As for a call.

        Raises:
            ConfigError, FrameError, DeviceTimeoutError, KeepbusyError: As for a call.
        """
        self._check_open()
        if _are_several(image):
            return list(await asyncio.gather(*map(self._detect_soon, image, range(len(image)))))
        return await self._detect_soon(image, 0)

    async def _detect_soon(self, image: Any, index: int) -> Detections:
        return await asyncio.wrap_future(self._submit(image, index))

    def _submit(self, image: Any, index: int) -> Future[Detections]:
        self._check_open()
        with self._making:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._num_threads, thread_name_prefix="keepbusy-detect")
        try:
            return self._executor.submit(self._detect_one, image, index)
        except RuntimeError:  # It was shut down meanwhile.
            self._check_open()
            raise

    def _detect_one(self, image: Any, index: int) -> Detections:
        self._check_open()
        name, pixels = self._read(image, index)
        result = self._calls(Frame(pixels, index, float(index), 0, name))
        if result.error is not None:
            raise result.error
        return result.detections

    def _read(self, image: Any, index: int) -> tuple[str, Image]:
        if is_odd_array(image):
            # It fails as frames of sources do, in the stage that lays it out.
            message = f"the picture must be uint8 (H, W, 3), and is {image.dtype} {image.shape}"
            raise FrameError(message, stage="preprocess", source="image", frame_index=index, hint=how_else(image))
        return read_single(image, index, channels=self._config.channels, max_pixels=self._config.max_pixels)

    def _check_open(self) -> None:
        check_process(self._process_id)
        if self._calls.is_closed:
            raise KeepbusyError("the detector is closed", hint="make a new Detector, or call it inside of its `with`")

    @property
    def device(self) -> str:
        """OpenVINO's name of the device."""
        return self._compiled.device_name

    @property
    def head(self) -> HeadStrategy:
        """How the detection head is computed; known when the model has been compiled."""
        return self._compiled.strategy

    @property
    def input_hw(self) -> tuple[int, int]:
        """The input's (height, width), pixels; the model's own until the first picture."""
        return self._compiled.input_hw

    @property
    def num_slots(self) -> int:
        """How many pictures can be in flight at once; 0 before the first, more once several calls have come at once."""
        return self._calls.num_slots

    def close(self) -> None:
        """End the calls that wait with an error, wait for those that are being worked on, and free the device.

        Can be called again, and by any thread. A detector that is closed takes no more pictures.
        """
        if os.getpid() == self._process_id:
            to_the_end(self._close)

    def _close(self) -> None:
        self._calls.close()
        with self._making:
            executor = self._executor
        if executor is not None:
            # Pictures whose turn has not come begin, and fail at once.
            executor.shutdown()

    if not TYPE_CHECKING:  # A type checker is to find what is not there.

        def __getattr__(self, name: str) -> Any:
            no_attribute(self, name, OF_DETECTOR)

    def __repr__(self) -> str:
        num_calls = self._calls.num_now
        state = f"{num_calls} call{'' if num_calls == 1 else 's'} at work" if num_calls else "idle"
        if self._calls.is_closed:
            state = "closed"
        elif not self.num_slots:
            state = "not compiled yet"
        return told(self, self.device, state)

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _are_several(image: Any) -> TypeGuard[Sequence[Any]]:
    is_one = isinstance(image, (str, bytes, bytearray, memoryview, np.ndarray))
    return isinstance(image, Sequence) and not is_one


def _make_first(compiled: CompiledModel, frame_hw: tuple[int, int]) -> Slot:
    compiled.plan({frame_hw: 1} if all(frame_hw) else {})
    return compiled.create_slots(1)[0]


def _grow(compiled: CompiledModel, nireq: int | None, places: Places, *, is_one_graph: bool) -> None:
    """Make more slots for the calls that come at once: first of the graph that is there, then of one for throughput."""
    num_slots = nireq or num_requests(compiled.device.optimal_requests)
    for _ in range(num_slots - 1 if is_one_graph else min(EXTRA_REQUESTS, num_slots - 1)):
        if places.is_closed:
            return
        (slot,) = compiled.create_slots(1)
        compiled.warm([slot])
        places.add(slot)
    if is_one_graph:
        return
    with places.paused(PAUSE_TIMEOUT_S) as is_idle:
        for_many = compiled.in_mode("async", nireq) if is_idle else None
    if for_many is None or places.is_closed:
        return
    slots = for_many.create_slots()
    for_many.warm(slots)
    # With fewer calls than half of what keeps the device at work, the graph for single frames does more: it has all
    # cores for each.
    places.add_for_many(slots, -(-for_many.device.optimal_requests // 2))
