"""What a run can be told, checked once, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from keepbusy.checks import (
    check_choice,
    check_class_ids,
    check_count,
    check_device,
    check_flag,
    check_folder,
    check_polygon,
    check_range,
    check_size,
    is_whole,
)
from keepbusy.errors import ConfigError
from keepbusy.texts import shortened
from keepbusy.values.forms import Family, HeadStrategy, Task

if TYPE_CHECKING:
    from keepbusy.steps import StepFactory

Mode = Literal["async", "sync"]
Hint = Literal["latency", "throughput"]
Decoder = Literal["auto", "software", "vaapi", "qsv"]
OnError = Literal["raise", "skip"]
OnFull = Literal["wait", "drop_oldest"]
OnSinkError = Literal["stop", "retry", "count"]
OnStreamError = Literal["raise", "skip", "end"]
Channels = Literal["bgr", "rgb"]
Precision = Literal["f32", "f16", "bf16"]
QuantizedChoice = Literal["auto", "keep", "drop"]
HeadChoice = HeadStrategy | Literal["auto"]
ShapeChoice = Literal["auto", "square", "rect"] | tuple[int, int]

Classes: TypeAlias = Collection[int] | Collection[str] | Collection[int | str] | int | str
"""Class ids and names, as `Pipeline` and `Detector` take them."""

Thresholds: TypeAlias = Mapping[int, float] | Mapping[str, float] | Mapping[int | str, float]
"""Thresholds by class id or name."""

Point = tuple[float, float]
"""(x, y) as shares of a frame's width and height, 0 to 1."""

MAX_COUNT = 1024
"""Of threads, requests and waiting frames: no machine has a use for more, and a slip is not to take its memory."""

MIN_TIMEOUT_S, MAX_TIMEOUT_S = 0.001, 86_400.0

MIN_WEIGHT, MAX_WEIGHT = 0.001, 1000.0
"""Of streams."""

MAX_DETECTIONS = 100_000
"""A frame's; no model has so many cells."""

MAX_PIXELS = 1 << 29
"""Of one picture, where nobody asks for more: 537 million. The largest pictures that cameras make have 400 million,
put together from several exposures; single exposures have 150 million, and tiles of satellite pictures 268 million. A
file of a few bytes can promise any size, and decoding takes about 6 bytes of memory per pixel, of JPEG 2000 15."""

HIGHEST_PIXELS = 1 << 40
"""Of `max_pixels`: more than a machine's memory holds, so that it means no limit."""


@dataclass(frozen=True, slots=True)
class ClassConf:
    """Thresholds by class, as `DetectConfig` keeps them.

    Attributes:
        by_id: (class id, threshold) of the classes that have their own.
        others: The threshold of all other classes.
    """

    by_id: tuple[tuple[int, float], ...]
    others: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig:
    """How outputs of the model become detections.

    Attributes:
        conf: Detections below this confidence are dropped; 0 to 1. 0.25 is the field's default for looking
            at pictures (evaluations use 0.001). Where `class_conf` is given, `conf` is the threshold of the classes
            that it does not name, and becomes the lowest of all thresholds: what the model's outputs are searched by.
        class_conf: Thresholds of single classes, class id → 0 to 1, above or below `conf`; None for none. A box
            counts as its best class. One below the threshold of its class is dropped before boxes suppress each
            other. `Pipeline` and `Detector` also take names in place of ids, `{"person": 0.5}`, and a function of the
            model's class names that gives the mapping.
        iou: Boxes of one class that overlap a better one by more than this are dropped; 0 to 1.
        max_det: At most this many detections a frame, the most confident ones.
        classes: Only these class ids, `pipeline.names.index("person")` for one; None for all. `Pipeline` and `Detector`
            also take names, `["person", "bus"]`, and a function of the model's class names that gives ids or names.
        region: Corners of a polygon, (x, y) as shares of the frame's width and height: only boxes whose foot, the
            middle of the lower side, lies in it (of rotated boxes, the centre), before they suppress each other; two
            corners are those of a rectangle; None for the whole frame.
        agnostic_nms: Let boxes suppress each other across classes.
        multi_label: Every class of a box above the threshold is a detection, not only its best: how evaluations
            count.
    """

    conf: float = 0.25
    class_conf: Mapping[int, float] | ClassConf | None = None
    iou: float = 0.45
    max_det: int = 300
    classes: tuple[int, ...] | None = None
    region: tuple[Point, ...] | None = None
    agnostic_nms: bool = False
    multi_label: bool = False

    def __post_init__(self) -> None:
        check_range("conf", self.conf, 0.0, 1.0)
        check_range("iou", self.iou, 0.0, 1.0)
        check_count("max_det", self.max_det, 1, MAX_DETECTIONS)
        check_flag("agnostic_nms", self.agnostic_nms)
        check_flag("multi_label", self.multi_label)
        if self.classes is not None:
            object.__setattr__(self, "classes", check_class_ids(self.classes))
        if self.region is not None:
            object.__setattr__(self, "region", check_polygon(self.region))
        if self.class_conf is not None and not isinstance(self.class_conf, ClassConf):
            self._take_thresholds(self.class_conf)

    def _take_thresholds(self, by_id: Mapping[int, float]) -> None:
        hint = 'give ids: {pipeline.names.index("person"): 0.5}; Detector and Pipeline also take names: {"person": 0.5}'
        if not isinstance(by_id, Mapping):
            raise ConfigError(f"class_conf: {shortened(repr(by_id))} names no thresholds by class", hint=hint)
        for class_id, conf in by_id.items():
            if not is_whole(class_id):
                raise ConfigError(f"class_conf: {shortened(repr(class_id))} is not a class id", hint=hint)
            check_range("class_conf", class_id, 0, None)
            check_range(f"class_conf of class {class_id}", conf, 0.0, 1.0)
        # The dataclass is frozen, and a copy by `dataclasses.replace` comes here with what is set below.
        object.__setattr__(self, "class_conf", ClassConf(tuple(sorted(by_id.items())), self.conf))
        object.__setattr__(self, "conf", min([self.conf, *by_id.values()]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """Where and how the model runs.

    Attributes:
        device: OpenVINO's device name: CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...
        hint: OpenVINO's performance hint; None chooses `throughput` for async and `latency` for sync.
        nstreams: Number of device streams; None leaves it to the hint.
        threads: CPU threads for inference; None leaves it to the hint.
        precision: Number type that the device computes in; None leaves it to the device, which takes the fastest
            that it has (bf16 on CPUs with instructions for it).
        cache_dir: Folder for compiled models; None for the user's cache folder, False for no cache.
        imgsz: Input size (height, width) in pixels, or one side of a square; None for the model's own, or 640x640
            where it has none. Another than its own needs a dynamic input, or a head that keepbusy can take off.
        quantized: INT8 models: `keep` computes them as they were quantized; `drop` leaves the roundings of activations
            out, and computes the same weights in floating point; `auto` measures once whether that is faster on this
            device, and does it only where it finds the same.
        head: Where the detection head is computed; `auto` measures once for a model, device and shape, in
            the first run of 500 frames or more, or of unknown length, and remembers; shorter runs before take it as
            exported.
        shape: `square` takes `imgsz` as it is; `rect` the smallest input that holds the frames at the same scale,
            so that no grey bars are computed; `auto` is `rect` where the graph allows it; or (height, width).
        family: How the model's outputs are to be read; None to find out from the graph.
        task: What they say; None to find out.
    """

    device: str = "CPU"
    hint: Hint | None = None
    nstreams: int | None = None
    threads: int | None = None
    precision: Precision | None = None
    cache_dir: Path | Literal[False] | None = None
    imgsz: tuple[int, int] | None = None
    quantized: QuantizedChoice = "keep"
    head: HeadChoice = "auto"
    shape: ShapeChoice = "auto"
    family: Family | None = None
    task: Task | None = None

    def __post_init__(self) -> None:
        for name in ("hint", "precision", "quantized", "head", "family", "task"):
            check_choice(self, name)
        object.__setattr__(self, "device", check_device(self.device))
        if self.cache_dir is not None and self.cache_dir is not False:
            object.__setattr__(self, "cache_dir", check_folder("cache_dir", self.cache_dir))
        for name in ("nstreams", "threads"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1, MAX_COUNT)
        if self.imgsz is not None:
            object.__setattr__(self, "imgsz", check_size("imgsz", self.imgsz))
        if isinstance(self.shape, str):
            check_choice(self, "shape")
        else:
            object.__setattr__(self, "shape", check_size("shape", self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How frames travel through the pipeline.

    Attributes:
        mode: `async` overlaps reading, preprocessing, inferring and postprocessing; `sync` does one after the other.
        nireq: Number of slots (infer requests); None takes twice what the device calls optimal, or two more
            where that is one: they are filled, emptied or waiting their turn meanwhile. `sync` has one.
        on_error: `raise` stops the run at the first failed frame; `skip` yields it as a result with an error.
        device_timeout_s: A device that takes longer for one frame is reported as not answering. Half a minute
            is far above any frame and below a person's patience.
        read_threads: Threads that decode pictures or one video ahead; None for as many as pay.
        max_pixels: A picture, or a video's picture, that has more pixels by its header fails without being decoded,
            be it a file, an address, bytes, or a picture of Pillow. Arrays, and frames of a source of your own, are
            not limited: their memory is spent. Several are decoded at once where there are several `read_threads`.
        preprocess_threads: Threads that lay frames into their input; None for as many as pay.
        reduce_jpegs: Decode large JPEGs at a half, a quarter or an eighth of their size where the model's input is so
            much smaller: several times as fast, and boxes move a little. `frame.image` still is the whole picture: it
            reads the file again.
        fast_decode: Leave out the smoothing of block edges when H.264 and HEVC videos are decoded: a quarter less work
            for a decoder, and pictures that drift a little until the next key frame.
        decoder: What decodes H.264 and H.265: `software`; `vaapi` or `qsv`, by the installed ffmpeg program, and
            software where that is not possible, which is logged; `auto` measures, where there is such hardware, once
            for each size whether it is faster than software and costs less CPU time. Batches are decoded by software.
        channel_frames: Frames that may wait between a source and its preprocessing. Four evens out a decoder's
            bursts and is small enough for 4K frames (25 MB each).
        results_buffered: Finished results that may wait for the consumer.
        channels: The order of the colours of NumPy arrays that are given: `bgr`, as OpenCV has them, or `rgb`. With a
            fourth channel it is BGRA or RGBA. Files, encoded pictures and pictures of Pillow know their own.
    """

    mode: Mode = "async"
    nireq: int | None = None
    on_error: OnError = "raise"
    device_timeout_s: float = 30.0
    read_threads: int | None = None
    max_pixels: int = MAX_PIXELS
    preprocess_threads: int | None = None
    reduce_jpegs: bool = False
    fast_decode: bool = False
    decoder: Decoder = "auto"
    channel_frames: int = 4
    results_buffered: int = 4
    channels: Channels = "bgr"

    def __post_init__(self) -> None:
        check_choice(self, "mode")
        check_choice(self, "on_error")
        check_choice(self, "channels")
        check_choice(self, "decoder")
        for name in ("nireq", "read_threads", "preprocess_threads"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1, MAX_COUNT)
        for name in ("channel_frames", "results_buffered"):
            check_count(name, getattr(self, name), 1, MAX_COUNT)
        for name in ("reduce_jpegs", "fast_decode"):
            check_flag(name, getattr(self, name))
        check_count("max_pixels", self.max_pixels, 1, HIGHEST_PIXELS)
        check_range("device_timeout_s", self.device_timeout_s, MIN_TIMEOUT_S, MAX_TIMEOUT_S)
        if self.mode == "sync" and self.nireq not in (None, 1):
            raise ConfigError(
                f"nireq: mode sync has one request, not {self.nireq}",
                hint="use mode async for more than one request in flight",
            )

    @property
    def reading(self) -> dict[str, Any]:
        """How sources are opened: what `open_source` is given beside what the user has named."""
        return {
            "read_ahead": self.mode == "async",
            "read_threads": self.read_threads,
            "max_pixels": self.max_pixels,
            "fast_decode": self.fast_decode,
            "decoder": self.decoder,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """Which of a source's frames are read.

    Attributes:
        loop: Begin finite sources again when they end.
        limit: At most this many frames of each source.
        stride: Only every n-th frame of each source.
    """

    loop: bool = False
    limit: int | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        check_flag("loop", self.loop)
        check_count("stride", self.stride, 1, None)
        if self.limit is not None:
            check_count("limit", self.limit, 1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a stream whose source failed or ended too early is opened again.

    The first wait is `first_wait_s`, each next one twice as long up to `max_wait_s`, and each is shortened by a random
    part, at most a half: cameras that were lost together do not come back at the same moment. A frame that could be
    read makes the next wait the first one again.

    Attributes:
        first_wait_s: Seconds.
        max_wait_s: Seconds.
        max_attempts: Give up after so many failures in a row; None never gives up.
    """

    first_wait_s: float = 1.0
    max_wait_s: float = 60.0
    max_attempts: int | None = None

    def __post_init__(self) -> None:
        check_range("first_wait_s", self.first_wait_s, 0.0, MAX_TIMEOUT_S)
        check_range("max_wait_s", self.max_wait_s, self.first_wait_s, MAX_TIMEOUT_S)
        if self.max_attempts is not None:
            check_count("max_attempts", self.max_attempts, 1, None)

    def wait_s(self, num_failures: int) -> float:
        """Seconds to wait behind so many failures in a row, before they are shortened."""
        return min(self.max_wait_s, self.first_wait_s * 2.0 ** min(num_failures - 1, 62))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletConfig:
    """How results get to one sink.

    Attributes:
        on_full: What happens when so many results of files wait for the sink that there is no room for another: `wait`
            holds up the run, `drop_oldest` drops the one that has waited the longest. Of a live stream only the newest
            result waits in either case.
        on_error: What happens when a result cannot be written: `stop` ends the run with the sink's error; `retry` tries
            again as `retry` says, then does as `stop`; `count` goes on with the next result, and the error is raised
            at the end, with the number of results that could not be written.
        retry: Waits and attempts of `retry`. `max_attempts` is required: a sink that never works again would otherwise
            hold up the run for ever.
    """

    on_full: OnFull = "wait"
    on_error: OnSinkError = "stop"
    retry: Retry = field(default_factory=lambda: Retry(first_wait_s=0.5, max_wait_s=10.0, max_attempts=5))

    def __post_init__(self) -> None:
        check_choice(self, "on_full")
        check_choice(self, "on_error")
        if not isinstance(self.retry, Retry):
            raise ConfigError(f"retry: {shortened(repr(self.retry))} is no Retry", hint="give Retry(max_attempts=5)")
        if self.retry.max_attempts is None:
            raise ConfigError("retry: a sink is not tried for ever", hint="give max_attempts: Retry(max_attempts=5)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """How one stream of a run is treated.

    Attributes:
        name: What the stream is called; the source's name where it is empty.
        select: Which of its frames are read.
        weight: Its share of the turns where streams compete for the device: one of weight 2 gets twice as many.
        max_age_ms: Live streams: a frame that is older is dropped before it takes a slot, and its result before it is
            handed over; None for no limit. The freshest frame and the freshest result come first in any case.
        stall_s: Live streams: after so many seconds without a frame its state is `stalled`. It is given up, and opened
            again where `retry` says so, after 10 s of silence.
        retry: How it is opened again when it fails; None: the first failure ends it. It takes a source that was named,
            not one that was opened already.
        on_error: `raise` ends the run at a failed frame, `skip` yields it as a result with an error, `end` does, too,
            and ends the stream; None takes the run's `on_error`.
        detect: Thresholds and classes, by ids, of this stream; None for those of the pipeline. Options that change the
            graph (`multi_label`, a `conf` far below the pipeline's) cost speed here.
        steps: What makes its own steps, in order: each result goes through them on its way to the sinks (`Step`).
    """

    name: str = ""
    select: SelectConfig = field(default_factory=SelectConfig)
    weight: float = 1.0
    max_age_ms: float | None = None
    stall_s: float = 3.0
    retry: Retry | None = None
    on_error: OnStreamError | None = None
    detect: DetectConfig | None = None
    steps: tuple[StepFactory, ...] = ()

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {"name": str, "select": SelectConfig, "steps": tuple}
        may_be_none: dict[str, type] = {"retry": Retry, "detect": DetectConfig}
        for name, kind in (kinds | may_be_none).items():
            value = getattr(self, name)
            if not isinstance(value, kind) and not (value is None and name in may_be_none):
                raise ConfigError(f"{name}: {value!r} is no {kind.__name__}")
        if not all(map(callable, self.steps)):
            hint = "give what makes one: a class, or lambda info: ..."
            raise ConfigError("steps: they are made anew for each stream", hint=hint)
        check_range("weight", self.weight, MIN_WEIGHT, MAX_WEIGHT)
        check_range("stall_s", self.stall_s, MIN_TIMEOUT_S, MAX_TIMEOUT_S)
        if self.max_age_ms is not None:
            check_range("max_age_ms", self.max_age_ms, 0.0, MAX_TIMEOUT_S * 1e3)
        check_choice(self, "on_error")


class Options(TypedDict, total=False):
    """The keyword options of `Pipeline` and `Detector`: the attributes of the configurations above, by name."""

    hint: Hint | None
    nstreams: int | None
    threads: int | None
    precision: Precision | None
    quantized: QuantizedChoice
    cache_dir: Path | Literal[False] | None
    imgsz: int | Sequence[int] | None
    head: HeadChoice
    shape: ShapeChoice
    family: Family | None
    task: Task | None
    conf: float
    class_conf: Thresholds | ClassConf | Callable[[tuple[str, ...]], Thresholds | None] | None
    iou: float
    max_det: int
    classes: Classes | Callable[[tuple[str, ...]], Classes | None] | None
    region: Sequence[Point] | None
    agnostic_nms: bool
    multi_label: bool
    mode: Mode
    nireq: int | None
    on_error: OnError
    device_timeout_s: float
    read_threads: int | None
    max_pixels: int
    preprocess_threads: int | None
    reduce_jpegs: bool
    fast_decode: bool
    decoder: Decoder
    channel_frames: int
    results_buffered: int
    channels: Channels
