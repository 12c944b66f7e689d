"""Options that several commands have, so that they mean and say the same everywhere.

What is the same in every word is a type; what differs in its words or its panel is made by a function, which keeps the
flag, the range and the form the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keepbusy.cli.parse import share

RUN_PANEL = "How it runs"
OUTPUT_PANEL = "Where results go"
DETECTION_PANEL = "What counts as a detection"
READ_PANEL = "What is read"

_MODEL = (
    "OpenVINO IR (.xml), ONNX file, an exporter's folder, or a name that `keepbusy models` lists. By default the "
    "street detector that the package carries."
)


def share_option(help: str, panel: str, low: float = 0.0) -> Any:
    """A number from `low` to 1."""
    return typer.Option(parser=share(low), metavar=f"{low:g}..1", help=help, rich_help_panel=panel)


def conf_option(panel: str = DETECTION_PANEL, *, help: str = "Lowest confidence.", low: float = 0.0) -> Any:
    """The threshold of detections."""
    return share_option(help, panel, low)


def names_option(panel: str) -> Any:
    """A file of class names."""
    return typer.Option(metavar="FILE", help="The model's class names: text or YOLO YAML.", rich_help_panel=panel)


def split_option(panel: str) -> Any:
    """The part of a data set."""
    return typer.Option(metavar="val|train|test", help="Which part of a YOLO data set.", rich_help_panel=panel)


def limit_option(help: str, panel: str) -> Any:
    """How many frames there are at most."""
    return typer.Option(min=1, metavar="FRAMES", help=help, rich_help_panel=panel)


def stride_option(panel: str) -> Any:
    """How many frames are passed over."""
    return typer.Option(min=1, metavar="N", help="Only every n-th frame.", rich_help_panel=panel)


def mode_option(help: str) -> Any:
    """The mode of a run."""
    return typer.Option(metavar="async|sync", help=help, rich_help_panel=RUN_PANEL)


def nireq_option(help: str = "Infer requests in flight.") -> Any:
    """The number of slots."""
    return typer.Option(metavar="auto|N", help=help, rich_help_panel=RUN_PANEL)


def nstreams_option(help: str = "Device streams.") -> Any:
    """The number of the device's streams."""
    return typer.Option(min=1, metavar="N", help=help, rich_help_panel=RUN_PANEL)


def hint_option(help: str) -> Any:
    """OpenVINO's performance hint."""
    return typer.Option(metavar="latency|throughput", help=help, rich_help_panel=RUN_PANEL)


def on_error_option(help: str) -> Any:
    """What becomes of a frame that fails."""
    return typer.Option(metavar="raise|skip", help=help, rich_help_panel=RUN_PANEL)


def rounds_option(help: str, panel: str | None = None) -> Any:
    """How often something is measured."""
    return typer.Option(min=1, metavar="N", help=help, rich_help_panel=panel)


def seconds_option(help: str = "Length of each measurement.", panel: str | None = None) -> Any:
    """How long something is measured."""
    return typer.Option(min=0.1, metavar="SECONDS", help=help, rich_help_panel=panel)


def json_option(help: str) -> Any:
    """A report as JSON, also to standard output."""
    return typer.Option(metavar="FILE|-", help=help, rich_help_panel=OUTPUT_PANEL)


def plot_option(help: str) -> Any:
    """A drawing."""
    return typer.Option(metavar="FILE.svg|.png", help=help, rich_help_panel=OUTPUT_PANEL)


def trace_option(help: str) -> Any:
    """A timeline for other programs."""
    return typer.Option(metavar="FILE", help=help, rich_help_panel=OUTPUT_PANEL)


def exist_ok_option(help: str) -> Any:
    """Leave to write over what is there."""
    return typer.Option("--exist-ok", help=help, rich_help_panel=OUTPUT_PANEL)


def quiet_option(help: str) -> Any:
    """Leave to say less."""
    return typer.Option("--quiet", "-q", help=help, rich_help_panel=OUTPUT_PANEL)


ModelArgument = Annotated[Path | None, typer.Argument(metavar="MODEL", help=_MODEL, show_default=False)]
ModelOption = Annotated[Path | None, typer.Option("--model", "-m", metavar="MODEL", help=_MODEL, show_default=False)]
DeviceOption = Annotated[
    str, typer.Option("--device", "-d", metavar="DEVICE", help="CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...")
]
ImgszOption = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="Input size; by default the model's own.", rich_help_panel=RUN_PANEL),
]
HeadOption = Annotated[
    str,
    typer.Option(
        metavar="auto|stock|tail|host",
        help="Where the detection head is computed: as exported, in the graph for candidates only, or on the host. "
        "auto measures once, in a run of 500 frames or more, and remembers.",
        rich_help_panel=RUN_PANEL,
    ),
]
ShapeOption = Annotated[
    str,
    typer.Option(
        metavar="auto|square|rect|HxW",
        help="The input: --imgsz as it is (square), or without grey bars (rect). auto: rect where the model allows.",
        rich_help_panel=RUN_PANEL,
    ),
]
FamilyOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How the model's outputs are read, where the guess is wrong: yolov5, yolov8, yolox, ...",
    ),
]
TaskOption = Annotated[
    str | None, typer.Option(metavar="detect|segment|pose|obb|classify", help="What the model says; else found out.")
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="f32|f16|bf16", help="Number type on the device; by default its fastest.", rich_help_panel=RUN_PANEL
    ),
]
QuantizedOption = Annotated[
    str,
    typer.Option(
        metavar="auto|keep|drop",
        help="INT8 models: keep the roundings of activations, or compute the same weights in floating point. auto "
        "measures once which is faster.",
        rich_help_panel=RUN_PANEL,
    ),
]
ReduceJpegsOption = Annotated[
    bool,
    typer.Option(
        "--reduce-jpegs",
        help="Decode large JPEGs at a half, quarter or eighth of their size where the model's input is so much "
        "smaller: several times as fast, and boxes move a little.",
        rich_help_panel=READ_PANEL,
    ),
]
FastDecodeOption = Annotated[
    bool,
    typer.Option(
        "--fast-decode",
        help="Decode H.264 and HEVC without smoothing block edges: a quarter less work, and pictures drift a "
        "little until the next key frame.",
        rich_help_panel=READ_PANEL,
    ),
]
DecoderOption = Annotated[
    str,
    typer.Option(
        metavar="auto|software|vaapi|qsv",
        help="What decodes H.264 and H.265: software, or hardware by the installed ffmpeg program. auto measures once, "
        "where there is such hardware, which is faster and takes less CPU time.",
        rich_help_panel=READ_PANEL,
    ),
]
CacheDirOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER|none", help="For compiled models; by default in the user's cache.", rich_help_panel=RUN_PANEL
    ),
]
MaxPixelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|NM",
        help="A picture with more pixels fails unread; M are millions. By default 537M: a file of a few bytes can ask "
        "for any memory.",
        rich_help_panel=RUN_PANEL,
        show_default=False,
    ),
]
IouOption = Annotated[float, share_option("Overlap above which boxes are one.", DETECTION_PANEL)]
MaxDetOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Most detections in a frame.", rich_help_panel=DETECTION_PANEL)
]
ClassConfOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS=CONF",
        help="Lowest confidence of one class, by id or name: person=0.5. May be repeated.",
        rich_help_panel=DETECTION_PANEL,
        show_default=False,
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS,...", help="Only these, by id or name: 0,2 or person,car.", rich_help_panel=DETECTION_PANEL
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        metavar="X,Y X,Y ...",
        help="Only boxes that stand in this polygon (the middle of their lower side); corners as shares of the "
        "frame, two for a rectangle: 0.1,0.2 0.9,1.",
        rich_help_panel=DETECTION_PANEL,
        show_default=False,
    ),
]
AgnosticOption = Annotated[
    bool,
    typer.Option("--agnostic-nms", help="Boxes suppress each other across classes.", rich_help_panel=DETECTION_PANEL),
]
HintOption = Annotated[
    str | None,
    typer.Option(
        metavar="latency|throughput",
        help="OpenVINO's performance hint; by default throughput for async.",
        rich_help_panel=RUN_PANEL,
    ),
]
NstreamsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Device streams.", rich_help_panel=RUN_PANEL)
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads for inference.", rich_help_panel=RUN_PANEL)
]
ReadThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Threads that decode ahead; by default as many as pay.", rich_help_panel=RUN_PANEL
    ),
]
PreprocessThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Threads that lay frames out; by default as many as pay.", rich_help_panel=RUN_PANEL
    ),
]
DeviceTimeoutOption = Annotated[
    float, typer.Option(metavar="SECONDS", help="A device this slow has failed.", rich_help_panel=RUN_PANEL)
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="FRAMES", help="At most so many frames per source.", rich_help_panel=READ_PANEL),
]
StrideOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Only every n-th frame.", rich_help_panel=READ_PANEL)
]
NireqOption = Annotated[str, nireq_option()]
NumbersOption = Annotated[str | None, json_option("All numbers.")]
QuietTableOption = Annotated[bool, quiet_option("No progress, no table.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
