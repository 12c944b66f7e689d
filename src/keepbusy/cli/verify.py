"""`keepbusy verify`: does a device, a precision or another graph still find the same?"""

from __future__ import annotations

import json as json_module
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.console import Console

from keepbusy.cli.guard import guard_inputs, pictures_and_videos
from keepbusy.cli.lines import line
from keepbusy.cli.options import (
    OUTPUT_PANEL,
    RUN_PANEL,
    CacheDirOption,
    DebugOption,
    DeviceOption,
    FamilyOption,
    HeadOption,
    ImgszOption,
    MaxPixelsOption,
    ModelOption,
    NumbersOption,
    PrecisionOption,
    QuantizedOption,
    TaskOption,
    mode_option,
    share_option,
)
from keepbusy.cli.parse import parse_cache_dir, parse_pixels, parse_shape, parse_size, share
from keepbusy.config import HeadChoice, Mode, Options, Precision, QuantizedChoice
from keepbusy.errors import ConfigError, ModelError
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.api import Pipeline
    from keepbusy.evaluate.verify import Verification
    from keepbusy.evaluate.verify_report import Side
    from keepbusy.values.forms import Family, Task

EXIT_DIFFERS = 1

_OF_DEVICES = frozenset({"AUTO", "MULTI", "HETERO", "BATCH"})
"""Behind their colon come devices."""

_RUN, _OUT, _REF, _LIMITS = RUN_PANEL, OUTPUT_PANEL, "What it is compared with", "What it must reach"


def verify(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Videos, pictures, folders; no labels are needed. By default the street that the package carries.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    against: Annotated[
        str,
        typer.Option(
            metavar="DEVICE[:PRECISION]", help="The device and number type that are trusted.", rich_help_panel=_REF
        ),
    ] = "CPU:f32",
    against_model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="The model that is trusted, where --model is a converted one (INT8, optimised); by default the same.",
            rich_help_panel=_REF,
        ),
    ] = None,
    against_imgsz: Annotated[
        str | None,
        typer.Option(metavar="N|HxW", help="Its input size; by default that of --imgsz.", rich_help_panel=_REF),
    ] = None,
    frames: Annotated[
        int,
        typer.Option(min=1, metavar="FRAMES", help="Frames compared, from all over the sources.", rich_help_panel=_REF),
    ] = 32,
    min_matched: Annotated[float, share_option("Share of either side's detections the other has.", _LIMITS)] = 0.96,
    min_iou: Annotated[float, share_option("Overlap that nine in ten boxes reach.", _LIMITS)] = 0.90,
    max_drift: Annotated[float, share_option("Difference that nine in ten scores keep to.", _LIMITS)] = 0.05,
    conf: Annotated[
        float | None,
        typer.Option(
            parser=share(0.01),
            metavar="0.01..1",
            help="Detections count from here on; by default 0.25, or lower where there is hardly any.",
            rich_help_panel=_LIMITS,
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The worst frames, both sides beside each other.", rich_help_panel=_OUT),
    ] = None,
    json: NumbersOption = None,
    imgsz: ImgszOption = None,
    precision: PrecisionOption = None,
    quantized: QuantizedOption = "keep",
    head: HeadOption = "auto",
    shape: Annotated[
        str,
        typer.Option(
            metavar="auto|square|rect|HxW",
            help="The candidate's input; square gives both sides the same picture, which then is compared too.",
            rich_help_panel=_RUN,
        ),
    ] = "auto",
    mode: Annotated[str, mode_option("How the candidate runs.")] = "async",
    family: FamilyOption = None,
    task: TaskOption = None,
    max_pixels: MaxPixelsOption = None,
    cache_dir: CacheDirOption = None,
    debug: DebugOption = False,
) -> None:
    """Prove that a device, a precision or a converted model finds what the reference finds. Exit code 1 if not.

    The same frames go through both, and detections are matched one to one. What is missing or extra, how far boxes and
    scores differ, and whether both were given the same picture, byte for byte, decide. No labels are needed.

    \b
    keepbusy verify -d GPU
    keepbusy verify street.mp4 -m yolov5n.xml -d NPU --save differences/
    keepbusy verify street.mp4 -m yolov5n-int8.xml --against-model yolov5n.xml
    keepbusy verify photos/ -m yolov5n.onnx -d GPU --precision f16 --min-iou 0.95 --json -
    """
    from keepbusy.api import Pipeline
    from keepbusy.cli.option_names import with_options
    from keepbusy.evaluate.verify import candidate_options, reference_options
    from keepbusy.evaluate.verify import verify as run_verification
    from keepbusy.evaluate.verify_pictures import save_worst
    from keepbusy.evaluate.verify_report import render, to_dict
    from keepbusy.files.whole import write_report
    from keepbusy.sinks.naming import check_file, made_folder
    from keepbusy.sources import open_sources
    from keepbusy.values.compare import Limits

    reference_device, reference_precision = parse_against(against)
    guard_inputs(
        {"--json": json},
        folders={"--save": pictures_and_videos(save)},
        models=[model, against_model],
        sources=sources or [],
    )
    if json is not None and json != "-":
        check_file(Path(json))
    with made_folder(save):
        chosen, chosen_sources = _choose(model, sources)
        trusted = chosen if against_model is None else _trusted(against_model)
        both = Options(
            family=cast("Family | None", family), task=cast("Task | None", task), cache_dir=parse_cache_dir(cache_dir)
        )
        of_reference = Options(precision=reference_precision, imgsz=parse_size(against_imgsz or imgsz), **both)
        with ExitStack() as stack:
            reference = stack.enter_context(
                Pipeline(trusted, reference_device, **reference_options(of_reference, conf))
            )
            of_candidate = Options(
                precision=cast("Precision | None", precision),
                quantized=cast("QuantizedChoice", quantized),
                imgsz=parse_size(imgsz),
                head=cast("HeadChoice", head),
                shape=parse_shape(shape),
                mode=cast(Mode, mode),
                **both,
            )
            candidate = stack.enter_context(Pipeline(chosen, device, **candidate_options(of_candidate, conf)))
            with _progress(frames) as on_frames:
                report = run_verification(
                    reference,
                    candidate,
                    open_sources(chosen_sources, read_ahead=False, max_pixels=parse_pixels(max_pixels)),
                    max_frames=frames,
                    conf=conf,
                    limits=Limits(min_matched=min_matched, min_iou=min_iou, max_drift=max_drift),
                    on_frames=on_frames,
                )
            sides = (
                _side(reference, trusted, reference_device, "sync"),
                _side(candidate, chosen, device, mode),
            )
        console = open_console(stderr=True, highlight=False, soft_wrap=True)
        open_console(stderr=json == "-", highlight=False).print(render(report, *sides, say=with_options))
        if json is not None:
            write_report(json_module.dumps(to_dict(report, *sides), indent=1) + "\n", json)
        if save is not None:
            for path in save_worst(save, report.worst, (sides[0].title, sides[1].title)):
                console.print(f"wrote {path}", markup=False)
    if not report.is_passed:
        _hint(console, report, is_saved=save is not None)
        raise typer.Exit(EXIT_DIFFERS)


def parse_against(text: str) -> tuple[str, Precision | None]:
    """`CPU:f32` → device and precision; a device's own colons (`AUTO:GPU,CPU`) stay with it.

    Raises:
        ConfigError: It is empty, or names a precision that there is not.
    """
    device, separator, last = text.strip().rpartition(":")
    if separator and last.lower() in get_args(Precision):
        return device, cast(Precision, last.lower())
    if not text.strip():
        raise ConfigError("--against: is empty", hint="give a device, with or without a number type: CPU:f32")
    if separator and device.upper() not in _OF_DEVICES:
        raise ConfigError(
            f"--against: {text!r}: there is no precision {last!r}",
            hint=f"precisions are {', '.join(get_args(Precision))}; write for example {device or 'CPU'}:f32",
        )
    return text, None


def _choose(model: Path | None, sources: list[str] | None) -> tuple[Path, list[str]]:
    """The model and the sources, with what the package carries in the places of those not given."""
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.embedded import CLIP_SPEC, embedded_clip, embedded_model

    if model is None:
        return embedded_model(), sources or [str(embedded_clip())]
    # Drawn anew for other models: they, too, know people and cars, and the drawing has no traces of compression.
    return find_model_with_progress(model), sources or [CLIP_SPEC]


def _trusted(model: Path) -> Path:
    from keepbusy.cli.models import find_model_with_progress

    path = find_model_with_progress(model)
    if not os.path.exists(path):
        raise ModelError(f"{path}: no such model file", hint="check the path given with --against-model")
    return path


def _side(pipeline: Pipeline, model: Path, device: str, mode: str) -> Side:
    from keepbusy.evaluate.verify_report import Side

    return Side(model.name, device, pipeline.device.describe().get("precision", ""), mode, pipeline.quantized)


@contextmanager
def _progress(num_frames: int) -> Iterator[Callable[[int], None]]:
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield lambda _num_frames: None
        return
    with console.status("frame 0") as status:
        yield lambda done: status.update(f"frame {done} of {num_frames}")


def _hint(console: Console, report: Verification, *, is_saved: bool) -> None:
    if report.is_empty:
        text = "name pictures or a video with objects that the model knows, or lower --conf"
    elif is_saved:
        text = "the worst frames are in the folder of --save"
    else:
        text = "--save FOLDER shows the worst frames; --precision f32 tells a rounding from a fault"
    console.print(line("hint", text), soft_wrap=True)
