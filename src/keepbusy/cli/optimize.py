"""`keepbusy optimize`: a quicker form of a model, with the proof that it is quicker and still right."""

from __future__ import annotations

import json as json_module
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keepbusy.cli.guard import dataset_files, guard_inputs
from keepbusy.cli.lines import line
from keepbusy.cli.options import (
    RUN_PANEL,
    DebugOption,
    DeviceOption,
    ImgszOption,
    MaxPixelsOption,
    ModelArgument,
    QuietTableOption,
    exist_ok_option,
    json_option,
    limit_option,
    names_option,
    rounds_option,
    seconds_option,
    split_option,
)
from keepbusy.cli.parse import parse_pixels, parse_size
from keepbusy.errors import ConfigError
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.config import ShapeChoice
    from keepbusy.optimize import Report
    from keepbusy.optimize.frames import Frames

EXIT_REFUSED = 1

STREET = "synth:street?seed=2000001&size=1280x720&frames=3000"
CALIBRATION_STREET = "synth:street?seed=3000001&size=1280x720&frames=3000"
"""For the model that the package carries: two streets that it was not trained on."""

_INT8, _DATA, _LIMITS = "INT8", "What it is judged by", "What it must reach"


def optimize(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the files go.", show_default=False)
    ],
    model: ModelArgument = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize with NNCF (pip install 'keepbusy\\[quantize]').")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Labelled data as for `keepbusy eval` (mAP decides), or any video or pictures (agreement with the "
            "original decides). Needed for models that are not the package's own.",
            rich_help_panel=_DATA,
            show_default=False,
        ),
    ] = None,
    max_pixels: MaxPixelsOption = None,
    split: Annotated[str, split_option(_DATA)] = "val",
    limit: Annotated[int, limit_option("At most so many frames, from all over the data.", _DATA)] = 256,
    names: Annotated[Path | None, names_option(_DATA)] = None,
    max_drop: Annotated[
        float,
        typer.Option(min=0, metavar="POINTS", help="Points of mAP50-95 that may be lost.", rich_help_panel=_LIMITS),
    ] = 1.0,
    force: Annotated[
        bool, typer.Option("--force", help="Save it though the figures speak against it.", rich_help_panel=_LIMITS)
    ] = False,
    exist_ok: Annotated[bool, exist_ok_option("Write over models that this program did not write.")] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="What INT8 is calibrated on: labelled data, a video, pictures; no labels are needed. By default the "
            "split `train` of a YOLO data set, else --data.",
            rich_help_panel=_INT8,
            show_default=False,
        ),
    ] = None,
    calibration_frames: Annotated[
        int, typer.Option(min=1, metavar="FRAMES", help="At most so many, from all over.", rich_help_panel=_INT8)
    ] = 128,
    head: Annotated[
        str,
        typer.Option(
            metavar="auto|float|int8",
            help="Number type of the head's last convolutions; auto makes both and keeps float where that pays.",
            rich_help_panel=_INT8,
        ),
    ] = "auto",
    accuracy_control: Annotated[
        bool,
        typer.Option(
            "--accuracy-control",
            help="Put layers back to float until --max-drop is kept. Slow: every try is scored.",
            rich_help_panel=_INT8,
        ),
    ] = False,
    device: DeviceOption = "CPU",
    shape: Annotated[
        str,
        typer.Option(
            metavar="auto|square|HxW",
            help="Input of the rewritten graph; auto fits the frames of the data, without grey bars.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = "auto",
    imgsz: ImgszOption = None,
    rounds: Annotated[int, rounds_option("How often each speed is measured, in turn.", RUN_PANEL)] = 5,
    seconds: Annotated[float, seconds_option(panel=RUN_PANEL)] = 1.0,
    json: Annotated[str | None, json_option("All figures as JSON.")] = None,
    quiet: QuietTableOption = False,
    debug: DebugOption = False,
) -> None:
    """Save a model in its quickest form: head and input rewritten, or INT8 as well. Exit code 1 if it does not pay.

    Speed and accuracy of the original and of the new form are measured on this device. Nothing is saved if the new
    one is not faster than the original in the device's best number type, or if accuracy falls by more than --max-drop.

    \b
    keepbusy optimize yolov5n.xml -o fast/ --data street.mp4
    keepbusy optimize yolov5n.xml -o fast/ --int8 --data coco.yaml
    keepbusy optimize yolov5n.xml -o fast/ --int8 --data val/ --calibrate train/ --max-drop 0.5
    keepbusy optimize -o fast/ --int8
    keepbusy detect street.mp4 -m fast/yolov5n-int8.xml
    """
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.embedded import embedded_model
    from keepbusy.models import load_names
    from keepbusy.optimize import OptimizeConfig
    from keepbusy.optimize import optimize as run_optimization
    from keepbusy.sinks.naming import check_file, made_folder

    config = OptimizeConfig(
        device=device,
        imgsz=parse_size(imgsz),
        shape=_parse_shape(shape),
        int8=int8,
        float_head=_parse_head(head),
        accuracy_control=accuracy_control,
        calibration_frames=calibration_frames,
        max_drop=max_drop,
        rounds=rounds,
        seconds=seconds,
        force=force,
        exist_ok=exist_ok,
        names=load_names(names) if names else None,
    )
    if not int8 and calibrate is not None:
        raise ConfigError("--calibrate: is for --int8", hint="add --int8")
    path = embedded_model() if model is None else find_model_with_progress(model, is_quiet=quiet)
    frames, calibration = _open(
        data,
        calibrate,
        is_own=model is None,
        split=split,
        limit=limit,
        calibration_frames=calibration_frames,
        max_pixels=parse_pixels(max_pixels),
    )
    read = (one.dataset for one in (frames, calibration) if one is not None)
    labelled = [file for dataset in read for file in dataset_files(dataset)]
    guard_inputs({"--json": json}, models=[path], sources=[data, calibrate], others=[names, *labelled])
    if json is not None and json != "-":
        check_file(Path(json))
    console = open_console(stderr=True, highlight=False, soft_wrap=True)
    with made_folder(output), _progress(console, is_wanted=not quiet) as on_step:
        report = run_optimization(path, output, frames, calibration if int8 else None, config, on_step=on_step)
    _show(report, console, json=json, is_quiet=quiet)
    if report.is_refused and not force:
        raise typer.Exit(EXIT_REFUSED)


def _open(
    data: str | None,
    calibrate: str | None,
    *,
    is_own: bool,
    split: str,
    limit: int,
    calibration_frames: int,
    max_pixels: int,
) -> tuple[Frames, Frames | None]:
    """What it is judged by, and what it is calibrated on; None for the same."""
    from keepbusy.optimize.frames import open_frames

    if data is None and not is_own:
        raise ConfigError(
            "--data: what is the model to be judged by?",
            hint="name labelled data, as for `keepbusy eval`, or a video or pictures like those that it is for",
        )
    frames = open_frames(data or STREET, limit, split=split, max_pixels=max_pixels)
    if calibrate is not None:
        return frames, open_frames(calibrate, calibration_frames, split="train", max_pixels=max_pixels)
    if data is None:
        return frames, open_frames(CALIBRATION_STREET, calibration_frames)
    if data.lower().endswith((".yaml", ".yml")) and split != "train":
        try:
            return frames, open_frames(data, calibration_frames, split="train", max_pixels=max_pixels)
        except ConfigError:
            pass  # It has no such split.
    return frames, None


def _parse_shape(text: str) -> ShapeChoice:
    if text == "auto":
        return "auto"
    if text == "square":
        return "square"
    try:
        size = parse_size(text)
    except ConfigError as error:
        raise ConfigError(
            f"--shape: {text!r} is none of the choices", hint="give auto, square, or height x width: 384x640"
        ) from error
    assert size is not None  # nosec B101 # for mypy: only no text has no size
    return size


def _parse_head(text: str) -> bool | None:
    choices = {"auto": None, "float": True, "int8": False}
    if text not in choices:
        raise ConfigError(f"--head: {text!r} is none of the choices", hint=f"choose from {', '.join(choices)}")
    return choices[text]


@contextmanager
def _progress(console: Console, *, is_wanted: bool) -> Iterator[Callable[[str], None]]:
    # The same model is compiled many times over: what the library notes of each would be read as news.
    log = logging.getLogger("keepbusy")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        if not (is_wanted and console.is_terminal):
            yield lambda _text: None
            return
        with console.status("reading the model") as status:
            yield lambda text: status.update(text.replace("[", r"\["))
    finally:
        log.setLevel(level)


def _show(report: Report, console: Console, *, json: str | None, is_quiet: bool) -> None:
    from dataclasses import replace

    from keepbusy.cli.option_names import with_options
    from keepbusy.files.whole import write_report
    from keepbusy.optimize.report import to_dict
    from keepbusy.optimize.tables import render

    report = replace(report, notes=tuple(map(with_options, report.notes)))
    if not is_quiet:
        open_console(stderr=json == "-", highlight=False, soft_wrap=True).print(render(report))
        for note in report.notes:
            console.print(line("note", note))
    if json is not None:
        write_report(json_module.dumps(to_dict(report), indent=1) + "\n", json)
    for refusal in report.refusals:
        console.print(line("saved all the same" if report.files else "refused", refusal))
    if report.refusals and not report.files:
        more = ", --accuracy-control keeps more of it in float" if report.is_too_inaccurate else ""
        console.print(line("hint", f"nothing was saved; --force saves it all the same{more}"))
    if not is_quiet:
        for path in report.files:
            console.print(f"wrote {path}", markup=False)
