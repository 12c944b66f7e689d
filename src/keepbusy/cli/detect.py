"""`keepbusy detect`: the main job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from keepbusy.cli.options import (
    DETECTION_PANEL,
    OUTPUT_PANEL,
    READ_PANEL,
    RUN_PANEL,
    AgnosticOption,
    CacheDirOption,
    ClassConfOption,
    ClassesOption,
    DebugOption,
    DecoderOption,
    DeviceOption,
    DeviceTimeoutOption,
    FamilyOption,
    FastDecodeOption,
    HeadOption,
    HintOption,
    ImgszOption,
    LimitOption,
    MaxPixelsOption,
    ModelOption,
    NstreamsOption,
    PrecisionOption,
    PreprocessThreadsOption,
    QuantizedOption,
    ReadThreadsOption,
    ReduceJpegsOption,
    RegionOption,
    ShapeOption,
    StrideOption,
    TaskOption,
    ThreadsOption,
)
from keepbusy.cli.parse import (
    parse_cache_dir,
    parse_class_conf,
    parse_classes,
    parse_nireq,
    parse_pixels,
    parse_region,
    parse_shape,
    parse_size,
    share,
)
from keepbusy.cli.progress import Progress
from keepbusy.config import OnError, SelectConfig
from keepbusy.errors import ConfigError, FrameError
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.config import Decoder
    from keepbusy.sinks.encoders import EncoderName
    from keepbusy.values.forms import Family, Task

_NOT_PARSED = (
    "head",
    "mode",
    "hint",
    "nstreams",
    "threads",
    "precision",
    "quantized",
    "read_threads",
    "preprocess_threads",
)
"""The options that a profile may have, and that the pipeline takes as they are given."""

_RUN, _OUT = RUN_PANEL, OUTPUT_PANEL
_POST, _READ = DETECTION_PANEL, READ_PANEL


def detect(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders, quoted globs, lists (.txt), videos, camera numbers, stream URLs, - for standard "
            "input, synth:street. By default the clip that the package carries.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SINK",
            help="Where results go: out.jsonl, - (JSON Lines on standard output), out.mp4, out.jpg, a folder (out/), "
            "labels:out/, crops:out/, window: (as --show). Options behind a ?: out.mp4?encoder=vp9. May be repeated.",
            rich_help_panel=_OUT,
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        str | None,  # A `Path` does not tell `out.mp4/`, a folder, from a file.
        typer.Option(
            metavar="PATH",
            help="Annotated video (.mp4), picture, or folder for both.",
            rich_help_panel=_OUT,
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How videos of --save are encoded: auto, h264 (x264), openh264, vp9, av1, mpeg4 or mjpeg. By default "
            "h264, or the first of these that the installed PyAV has.",
            rich_help_panel=_OUT,
        ),
    ] = "auto",
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="JSON Lines, one record a frame.", rich_help_panel=_OUT),
    ] = None,
    save_txt: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="YOLO labels, one file a frame.", rich_help_panel=_OUT),
    ] = None,
    save_conf: Annotated[
        bool, typer.Option("--save-conf", help="Add confidences to the labels.", rich_help_panel=_OUT)
    ] = False,
    save_crop: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="What was found, cut out: one picture each.", rich_help_panel=_OUT),
    ] = None,
    exist_ok: Annotated[
        bool,
        typer.Option("--exist-ok", help="Write over labels that others wrote or changed.", rich_help_panel=_OUT),
    ] = False,
    hide_labels: Annotated[
        bool, typer.Option("--hide-labels", help="Draw boxes without names.", rich_help_panel=_OUT)
    ] = False,
    hide_conf: Annotated[
        bool, typer.Option("--hide-conf", help="Draw names without confidences.", rich_help_panel=_OUT)
    ] = False,
    hide_throughput: Annotated[
        bool,
        typer.Option("--hide-throughput", help="Leave the frames per second out of the corner.", rich_help_panel=_OUT),
    ] = False,
    line_width: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, metavar="PX", help="Width of lines; by default by the picture's size.", rich_help_panel=_OUT
        ),
    ] = None,
    no_audio: Annotated[
        bool, typer.Option("--no-audio", help="Leave out the sound of a video file.", rich_help_panel=_OUT)
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The last frames' timeline, for Perfetto or chrome://tracing.", rich_help_panel=_OUT
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show a live window; q stops. It needs a screen, and opencv-python in place of the "
            "opencv-python-headless that keepbusy is installed with.",
            rich_help_panel=_OUT,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no summary.", rich_help_panel=_OUT)
    ] = False,
    conf: Annotated[
        float, typer.Option(parser=share(), metavar="0..1", help="Lowest confidence.", rich_help_panel=_POST)
    ] = 0.25,
    class_conf: ClassConfOption = None,
    iou: Annotated[
        float,
        typer.Option(parser=share(), metavar="0..1", help="Overlap above which boxes are one.", rich_help_panel=_POST),
    ] = 0.45,
    max_det: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most detections in a frame.", rich_help_panel=_POST)
    ] = 300,
    classes: ClassesOption = None,
    region: RegionOption = None,
    agnostic_nms: AgnosticOption = False,
    names: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names: text or YOLO YAML.", rich_help_panel=_POST)
    ] = None,
    family: FamilyOption = None,
    task: TaskOption = None,
    imgsz: ImgszOption = None,
    shape: ShapeOption = "auto",
    head: HeadOption = "auto",
    mode: Annotated[
        str,
        typer.Option(
            metavar="async|sync",
            help="All stages at once, or one after the other (the blocking loop).",
            rich_help_panel=_RUN,
        ),
    ] = "async",
    nireq: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Infer requests in flight.", rich_help_panel=_RUN),
    ] = "auto",
    hint: HintOption = None,
    nstreams: NstreamsOption = None,
    threads: ThreadsOption = None,
    read_threads: ReadThreadsOption = None,
    preprocess_threads: PreprocessThreadsOption = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Options that `keepbusy tune` found; those given here come first.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    precision: PrecisionOption = None,
    quantized: QuantizedOption = "keep",
    cache_dir: CacheDirOption = None,
    on_error: Annotated[
        str,
        typer.Option(
            metavar="raise|skip",
            help="Stop at the first bad frame, or record it and go on.",
            rich_help_panel=_RUN,
        ),
    ] = "raise",
    device_timeout: DeviceTimeoutOption = 30.0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin files again at their end.", rich_help_panel=_READ)
    ] = False,
    limit: LimitOption = None,
    stride: StrideOption = 1,
    max_pixels: MaxPixelsOption = None,
    reduce_jpegs: ReduceJpegsOption = False,
    fast_decode: FastDecodeOption = False,
    decoder: DecoderOption = "auto",
    debug: DebugOption = False,
) -> None:
    """Run a detector over videos, pictures, folders, cameras and streams.

    \b
    keepbusy detect
    keepbusy detect street.mp4 -m yolov5n.xml --save out.mp4 --json out.jsonl
    keepbusy detect photos/ -m yolov5n.xml --save annotated/ --on-error skip
    keepbusy detect 0 -m yolov5n.xml --show
    keepbusy detect rtsp://camera/stream rtsp://other/stream -m yolov5n.xml -d GPU --json -
    """
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.jobs.detect import detect_to
    from keepbusy.sinks.draw import Style
    from keepbusy.sinks.spec import Outputs, parse_sink

    _check_used(save=save, encoder=encoder, save_txt=save_txt, save_conf=save_conf)
    outputs = Outputs(
        save=save,
        json=json,
        save_txt=save_txt,
        save_conf=save_conf,
        save_crop=save_crop,
        show=show,
        exist_ok=exist_ok,
        style=Style(not hide_labels, not hide_conf, not hide_throughput, line_width),
        has_sound=not no_audio,
        encoder=cast("EncoderName", encoder),
    )
    select = SelectConfig(loop=loop, limit=limit, stride=stride)
    sinks = outputs.specs() + [parse_sink(text, option="--to") for text in to or ()]
    # A profile's options count where none is given.
    options = {
        "imgsz": parse_size(imgsz),
        "shape": parse_shape(shape),
        "nireq": parse_nireq(nireq),
        **{name: context.params[name] for name in _NOT_PARSED},
    }
    try:
        detect_to(
            None if model is None else find_model_with_progress(model, is_quiet=quiet),
            sources or (),
            sinks,
            device=device,
            names=names,
            select=select,
            profile=profile,
            trace=trace,
            watch=None if quiet else Progress(open_console(stderr=True)),
            classes=partial(parse_classes, classes),
            conf=conf,
            class_conf=partial(parse_class_conf, class_conf or ()),
            iou=iou,
            max_det=max_det,
            region=parse_region(region),
            agnostic_nms=agnostic_nms,
            family=cast("Family | None", family),
            task=cast("Task | None", task),
            cache_dir=parse_cache_dir(cache_dir),
            on_error=cast(OnError, on_error),
            device_timeout_s=device_timeout,
            reduce_jpegs=reduce_jpegs,
            fast_decode=fast_decode,
            decoder=cast("Decoder", decoder),
            max_pixels=parse_pixels(max_pixels),
            **{name: value for name, value in options.items() if _is_given(context, name)},
        )
    except FrameError as error:
        error.hint = "; ".join(filter(None, (error.hint, "--on-error skip records it and goes on")))
        raise


def _check_used(*, save: str | None, encoder: str, save_txt: Path | None, save_conf: bool) -> None:
    """See that no option is given that nothing would come of.

    Raises:
        ConfigError: One is.
    """
    if encoder != "auto" and save is None:
        raise ConfigError("--encoder: no video is written", hint="say where with --save, or leave --encoder out")
    if save_conf and save_txt is None:
        raise ConfigError("--save-conf: no labels are written", hint="say where with --save-txt FOLDER")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
