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
        help="OpenVINO IR (.xml) or ONNX file. By default the street detector that the package carries.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", "-d", help="CPU, GPU, GPU.1, NPU, AUTO:GPU,CPU, ...")]
ImgszOption = Annotated[
    str | None,
    typer.Option(metavar="N|HxW", help="Input size, for models that leave it open.", rich_help_panel=RUN_PANEL),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        metavar="f32|f16|bf16", help="Number type on the device; by default its fastest.", rich_help_panel=RUN_PANEL
    ),
]
CacheDirOption = Annotated[Path | None, typer.Option(help="Folder for compiled models.", rich_help_panel=RUN_PANEL)]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
