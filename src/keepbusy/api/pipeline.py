"""A detector on a device, ready to run over sources."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from keepbusy.api.async_results import AsyncResults
from keepbusy.api.classes import class_ids
from keepbusy.api.foreign_words import OF_PIPELINE, of_run
from keepbusy.api.load import check_process, load, postprocess
from keepbusy.api.shown import told
from keepbusy.api.slots import Slots
from keepbusy.checks import check_range
from keepbusy.config import SelectConfig, StreamConfig
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.engine import OpenVINODevice, Request
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.flow.create import begin, create_run
from keepbusy.flow.run import Engine, Run, Turn
from keepbusy.flow.stats import RunStats
from keepbusy.sources import Source, close_source, frame_sizes
from keepbusy.sources.given import flatten, is_generator, open_mixed
from keepbusy.sources.selection import live_rate, num_selected
from keepbusy.sources.spec import SourceSpec
from keepbusy.values.foreign_words import no_attribute
from keepbusy.values.frame import Image
from keepbusy.values.misuse import explained

if TYPE_CHECKING:
    from typing import Unpack

    from PIL.Image import Image as PillowImage

    from keepbusy.config import Classes, Options
    from keepbusy.values.forms import HeadStrategy, QuantizedUse


SourceLike: TypeAlias = (
    "str | int | Path | Image | PillowImage | bytes | bytearray | memoryview | IO[bytes] | Source | "
    "Sequence[SourceLike] | Iterator[Any]"
)
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
        model: OpenVINO IR (`.xml`) or ONNX file of a YOLO model, the folder that it was exported to, or the name of one
            that `keepbusy models` lists.
        device: OpenVINO's device name: CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...; `cpu` and `gpu:1` are understood.
        names: Class names, or the file that has them (text or YOLO YAML); None takes the model's own.
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
        self._compiled, self._detect, self._config = load(model, names, {"device": device, **options})
        self._reading = self._config.reading
        self._device_name = self._compiled.device_name
        self._process_id = os.getpid()
        self._turns: dict[str, Turn] = {}
        self._active: weakref.ref[Run] | None = None
        self._is_closed = False
        self._closings: set[Future[None]] = set()
        self._slots = Slots(self._compiled)
        self.model = self._compiled.model
        self.names = self.model.names

    @explained(of_run)
    def run(self, *sources: SourceLike, loop: bool = False, limit: int | None = None, stride: int = 1) -> Run:
        """Run over sources; iterate over what is returned for the results, in order for each source.

        Args:
            *sources: What `open_source` takes; arrays (uint8, BGR, BGRA or grey), pictures of Pillow, and bytes or
                open files of encoded pictures; lists and generators of these; or opened sources of your own. A run
                closes all sources. Pictures in memory that follow each other are one source. A generator is a source of
                its own, which is asked for its next picture when there is room for it; `plan` with one of its pictures
                before spares compiling the model for its own shape first.
            loop: Begin finite sources again when they end.
            limit: At most this many frames of each source.
            stride: Only every n-th frame of each source.

        Raises:
            SourceError: One of the sources cannot be opened.
            ConfigError: Something is no source, or an option has a value that it cannot have.
            KeepbusyError: The pipeline is closed, or its last run is neither exhausted nor closed.
        """
        return self._run_behind(tuple(self._closings), sources, loop=loop, limit=limit, stride=stride)

    def _run_behind(self, closings: Collection[Future[None]], sources: tuple[Any, ...], **selected: Any) -> Run:
        """Run when some runs whose results were dropped in an asyncio program have been closed."""
        wait(closings)
        select = SelectConfig(**selected)
        given = flatten(sources)
        if not given:
            raise ConfigError("run: no source given", hint="name at least one video, picture or camera")
        return self._begin(given, select)

    def start(self, *, live_fps: float | None = None) -> Run:
        """Begin a run without streams: they come by `Run.add` and go by `Run.remove` while it goes on.

        Iterate over it as over what `run` returns. It is over behind `Run.end`, when the last stream has ended.

        ```python
        with kb.Pipeline("yolov5n.xml") as pipeline, pipeline.start() as run:
            run.add("rtsp://door/stream", kb.StreamConfig(name="door", max_age_ms=500, retry=kb.Retry()))
            for result in run:
                print(run.streams[result.frame.source_id].name, len(result.detections))
        ```

        The model is compiled before it returns, in its own shape unless it was for another before, and its head
        measured where it was not before; for frames of other sizes, when the first of them comes.

        Args:
            live_fps: Frames per second of all cameras to come: where the device does so many one by one, it will.

        Raises:
            KeepbusyError: The pipeline is closed, or its last run is neither exhausted nor closed.
        """
        check_range("live_fps", live_fps or 0.0, 0.0, None)
        wait(tuple(self._closings))
        return self._begin(None, SelectConfig(), live_fps)

    def _begin(self, sources: list[Any] | None, select: SelectConfig, live_fps: float | None = None) -> Run:
        """Begin a run over some sources; None for one that streams are added to."""
        self._check_open()
        turn = Turn(self._turns)
        opened: list[Source] | None = None
        try:
            turn.take()
            if sources is not None:
                opened = open_mixed(sources, channels=self._config.channels, **self._reading)
            num_frames = None if opened is None else num_selected(opened, select)
            self._slots.plan(frame_sizes(opened or ()), num_frames, live_fps or live_rate(opened or (), select.stride))
            if self._config.reduce_jpegs:
                _allow_reduced(opened or (), self._compiled)
            return begin(self._create_run(turn), opened, StreamConfig(select=select))
        except BaseException:
            for source in opened or ():
                close_source(source)
            turn.give_back()
            raise

    def _create_run(self, turn: Turn) -> Run:
        run = create_run(
            Engine(
                self._slots.all,
                partial(postprocess, self._compiled, self._detect),
                self._config,
                self._device_name,
                self._slots.own_cores,
                RunStats(),
                turn.give_back,
                partial(SourceSpec, **self._reading),
                self._compiled.ready_slots(self._slots.all).make_ready,
                self._compiled.fallbacks_to_make(),
            )
        )
        self._active = weakref.ref(run)
        return run

    def plan(self, *sources: SourceLike) -> None:
        """Choose the head and compile the model for the frames of some sources, without reading them.

        `run` does it by itself. Called before, all that such a run may come to need is compiled when it begins.

        Raises:
            SourceError: One of the sources cannot be opened.
            ModelError: The model does not compile.
        """
        self._check_open()
        given = [one for one in flatten(sources) if not is_generator(one)]  # They tell nothing without being read.
        opened = open_mixed(given, read_ahead=False, read_threads=1, max_pixels=self._config.max_pixels)
        try:
            self._slots.plan(frame_sizes(opened))
            self._compiled.make_fallbacks()
        finally:
            for source in opened:
                if all(source is not one for one in given):
                    close_source(source)

    def _check_open(self) -> None:
        check_process(self._process_id)
        if self._is_closed:
            raise KeepbusyError("the pipeline is closed", hint="make a new Pipeline")

    @property
    def device(self) -> OpenVINODevice:
        """What the model was compiled for, in its main shape.

        Raises:
            KeepbusyError: It has not been compiled yet: `plan` and `run` do that.
        """
        return self._compiled.device

    @property
    def head(self) -> HeadStrategy:
        """How the detection head is computed; known when the model has been compiled."""
        return self._compiled.strategy

    @property
    def quantized(self) -> QuantizedUse | None:
        """How an INT8 model is computed: `keep` as quantized, `drop` in floating point; None where it is no INT8."""
        return self._compiled.quantized

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
        """How many frames can be in flight; 0 before the model has been compiled."""
        return len(self._slots.all)

    @explained(of_run)
    def stream(
        self, *sources: SourceLike, loop: bool = False, limit: int | None = None, stride: int = 1
    ) -> AsyncResults:
        """The same as `run`, for asyncio programs: `async for result in pipeline.stream(source)`.

        Nothing happens before the first result is awaited, which also raises what `run` raises. For streams that are
        added while a run goes on, see `AsyncResults`.
        """
        # Its own closing, which may begin while it opens, is none of those that it waits for.
        open_run = partial(self._run_behind, tuple(self._closings), sources, loop=loop, limit=limit, stride=stride)
        return AsyncResults(open_run, on_close=partial(_note, self._closings))

    def set_classes(self, classes: Classes | None) -> None:
        """From the next run on, detect only these classes, by their names or ids; None for all.

        Raises:
            ConfigError: The model has no such class.
        """
        self._detect = dataclasses.replace(self._detect, classes=class_ids(classes, self.names))

    def warm_requests(self) -> list[Request]:
        """The slots' warm requests in the main shape, to measure the device alone while no run goes on; may compile."""
        return self._slots.warm_requests()

    def close(self) -> None:
        """Stop a run that is going on, and free the device; further calls do nothing."""
        wait(tuple(self._closings))
        run = self._active() if self._active is not None else None
        if run is not None:
            run.close()
        self._slots.free()
        self._is_closed = True

    if not TYPE_CHECKING:  # A type checker is to find what is not there.

        def __getattr__(self, name: str) -> Any:
            no_attribute(self, name, OF_PIPELINE)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "idle" if self.num_slots else "not compiled yet"
        return told(self, self._device_name, "running" if self._turns and not self._is_closed else state)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _allow_reduced(sources: Iterable[Source], compiled: CompiledModel) -> None:
    """Let sources give pictures at a part of their size that is large enough for the model."""
    # The longer side of what a crop is cut from may be twice the input's.
    min_side_px = max(compiled.input_hw) * (2 if compiled.model.input.fit == "crop" else 1)
    for source in sources:
        source.allow_reduced(min_side_px)


def _note(closings: set[Future[None]], closing: Future[None]) -> None:
    """Keep a closing as long as it goes on."""
    closings.add(closing)
    closing.add_done_callback(closings.discard)
