"""Options that several commands have, so that they mean and say the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RUN_PANEL = "How it runs"
OUTPUT_PANEL = "Where results go"

ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="OpenVINO IR (.xml), ONNX file, an exporter's folder, or a name that `keepbusy models` lists. By default "
        "the street detector that the package carries.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", "-d", help="CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...")]
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
    typer.Option(help="How the model's outputs are read, where the guess is wrong: yolov5, yolov8, yolox, ..."),
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
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
