"""`keepbusy eval`: how right the detections are, through the pipeline that finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from keepbusy.cli.guard import EVAL_REPORTS, dataset_files, guard_inputs, pictures_and_videos
from keepbusy.cli.options import (
    DETECTION_PANEL,
    OUTPUT_PANEL,
    CacheDirOption,
    DebugOption,
    DeviceOption,
    FamilyOption,
    HeadOption,
    ImgszOption,
    IouOption,
    MaxDetOption,
    MaxPixelsOption,
    ModelOption,
    NireqOption,
    PrecisionOption,
    QuantizedOption,
    QuietTableOption,
    ShapeOption,
    TaskOption,
    conf_option,
    json_option,
    limit_option,
    mode_option,
    names_option,
    on_error_option,
    split_option,
    stride_option,
)
from keepbusy.cli.parse import parse_cache_dir, parse_nireq, parse_pixels, parse_shape, parse_size
from keepbusy.cli.progress import progress_line
from keepbusy.config import Mode, OnError, Options, Precision, QuantizedChoice
from keepbusy.errors import ConfigError
from keepbusy.terminal.console import open_console
from keepbusy.values.forms import QUANTIZED_WORDS

if TYPE_CHECKING:
    from keepbusy.config import HeadChoice
    from keepbusy.evaluate import Collected, Dataset
    from keepbusy.evaluate.classes import ClassMatch
    from keepbusy.flow.run import Run
    from keepbusy.values.forms import Family, Task

FAULTS_SHOWN = 10
"""So many faults of the data are named one by one."""

_OUT, _POST, _DATA = OUTPUT_PANEL, DETECTION_PANEL, "What is scored"


def evaluate(
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            help="YOLO dataset file (.yaml), folder or list (.txt) of pictures with YOLO labels, COCO annotations "
            "(.json), or synth:street?frames=N.",
            rich_help_panel=_DATA,
        ),
    ],
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    split: Annotated[str, split_option(_DATA)] = "val",
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The pictures of COCO annotations; by default looked for beside them.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    names: Annotated[Path | None, names_option(_DATA)] = None,
    class_match: Annotated[
        str,
        typer.Option(
            metavar="auto|name|index",
            help="How the data's classes are found among the model's; auto: by name where both have names.",
            rich_help_panel=_DATA,
        ),
    ] = "auto",
    ignore_missing_classes: Annotated[
        bool,
        typer.Option(
            "--ignore-missing-classes",
            help="Leave out objects of classes that the model does not have.",
            rich_help_panel=_DATA,
        ),
    ] = False,
    skip_bad_labels: Annotated[
        bool,
        typer.Option("--skip-bad-labels", help="Leave bad labels out and warn.", rich_help_panel=_DATA),
    ] = False,
    limit: Annotated[int | None, limit_option("Only the first N frames.", _DATA)] = None,
    stride: Annotated[int, stride_option(_DATA)] = 1,
    max_pixels: MaxPixelsOption = None,
    conf: Annotated[float, conf_option(help="Lowest confidence. Above 0.001 costs mAP.")] = 0.001,
    iou: IouOption = 0.6,
    max_det: MaxDetOption = 300,
    single_label: Annotated[
        bool,
        typer.Option(
            "--single-label",
            help="Each box's best class only, as `detect` does; evaluations count every class above --conf.",
            rich_help_panel=_POST,
        ),
    ] = False,
    json: Annotated[str | None, json_option("All scores as JSON.")] = None,
    coco_json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All detections as COCO results.", rich_help_panel=_OUT),
    ] = None,
    save_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Confusion matrix and curves (.png), metrics.json, detections.json.",
            rich_help_panel=_OUT,
        ),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Show all classes that have objects.", rich_help_panel=_OUT)
    ] = False,
    quiet: QuietTableOption = False,
    family: FamilyOption = None,
    task: TaskOption = None,
    imgsz: ImgszOption = None,
    shape: ShapeOption = "auto",
    head: HeadOption = "auto",
    mode: Annotated[str, mode_option("The scores are the same.")] = "async",
    nireq: NireqOption = "auto",
    precision: PrecisionOption = None,
    quantized: QuantizedOption = "keep",
    cache_dir: CacheDirOption = None,
    on_error: Annotated[str, on_error_option("Stop at the first picture that fails, or score the others.")] = "raise",
    debug: DebugOption = False,
) -> None:
    """Score a detector against labelled data: COCO's mAP, by size and class, through the real pipeline.

    \b
    keepbusy eval -m yolov5n.xml --data coco.yaml
    keepbusy eval -m yolov5n.xml --data coco/images/val2017 --save-dir scores/
    keepbusy eval -m yolov5n.xml --data annotations/instances_val2017.json --coco-json results.json
    keepbusy eval -m yolov5n.xml --data coco.yaml -d GPU --precision f16 --json -
    keepbusy eval --data "synth:street?seed=2000001&frames=100"
    """
    from keepbusy.api import Pipeline
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.embedded import embedded_model
    from keepbusy.evaluate.run import check_has_end, collect, settings_of
    from keepbusy.models import load_names
    from keepbusy.sinks.naming import check_file, made_folder

    console = open_console(stderr=True, highlight=False)
    _check_class_match(class_match)
    dataset = _open(console, data, split, images, skip_bad_labels=skip_bad_labels)
    guard_inputs(
        {"--json": json, "--coco-json": coco_json},
        folders={"--save-dir": pictures_and_videos(save_dir, reports=EVAL_REPORTS)},
        models=[model],
        others=[data, names, *dataset_files(dataset)],
    )
    most_pixels = parse_pixels(max_pixels)
    with ExitStack() as stack:
        source = dataset.open(max_pixels=most_pixels)
        stack.callback(source.close)
        check_has_end(source, limit)
        for path in (json if json != "-" else None, coco_json):
            if path is not None:
                check_file(Path(path))
        if save_dir is not None:
            from keepbusy.evaluate.plots import check_plots

            check_plots()
            stack.enter_context(made_folder(save_dir))
        found = embedded_model() if model is None else find_model_with_progress(model, is_quiet=quiet)
        class_names = load_names(names) if names else None
        options = Options(
            conf=conf,
            iou=iou,
            max_det=max_det,
            multi_label=not single_label,
            imgsz=parse_size(imgsz),
            shape=parse_shape(shape),
            family=cast("Family | None", family),
            task=cast("Task | None", task),
            head=cast("HeadChoice", head),
            mode=cast(Mode, mode),
            nireq=parse_nireq(nireq),
            precision=cast("Precision | None", precision),
            quantized=cast("QuantizedChoice", quantized),
            cache_dir=parse_cache_dir(cache_dir),
            on_error=cast(OnError, on_error),
            max_pixels=most_pixels,
        )
        with Pipeline(found, device, names=class_names, **options) as pipeline:
            with _faults_named(console):
                collected = collect(
                    pipeline,
                    dataset,
                    source,
                    class_match=cast("ClassMatch", class_match),
                    ignore_missing=ignore_missing_classes,
                    max_det=max_det,
                    limit=limit,
                    stride=stride,
                    on_notes=partial(_warn_of, console),
                    watch=partial(_watched, console, is_wanted=not quiet),
                )
            called = str(model) if model is not None else "embedded"
            settings = settings_of(pipeline, model=called, data=data, device=device, shape=shape, options=options)
        _finish(
            console,
            collected,
            settings,
            json=json,
            coco_json=coco_json,
            save_dir=save_dir,
            per_class=per_class,
            quiet=quiet,
        )


def _check_class_match(text: str) -> None:
    if text not in ("auto", "name", "index"):
        raise ConfigError(f"--class-match: {text!r} is none of the choices", hint="choose from auto, name, index")


def _open(console: Console, data: str, split: str, images: Path | None, *, skip_bad_labels: bool) -> Dataset:
    from keepbusy.evaluate import open_dataset

    with console.status("reading labels"), _faults_named(console):
        return open_dataset(data, split=split, images=images, skip_bad_labels=skip_bad_labels)


@contextmanager
def _faults_named(console: Console) -> Iterator[None]:
    """Where data has several faults, name them one by one before the error."""
    from keepbusy.evaluate import DataError

    try:
        yield
    except DataError as error:
        if len(error.faults) > 1:
            for fault in error.faults[:FAULTS_SHOWN]:
                console.print(fault, markup=False, soft_wrap=True)
            if len(error.faults) > FAULTS_SHOWN:
                console.print(f"... and {len(error.faults) - FAULTS_SHOWN} more", markup=False)
        raise


@contextmanager
def _watched(console: Console, run: Run, num_frames: int | None, *, is_wanted: bool) -> Iterator[Callable[[], None]]:
    with progress_line(console, run, num_frames, is_wanted=is_wanted) as line:
        yield line.update


def _finish(
    console: Console,
    collected: Collected,
    settings: dict[str, Any],
    *,
    json: str | None,
    coco_json: Path | None,
    save_dir: Path | None,
    per_class: bool,
    quiet: bool,
) -> None:
    """Score what was collected, and write and show it."""
    from keepbusy.cli.option_names import with_options
    from keepbusy.evaluate.report import full_report, write_folder, write_json
    from keepbusy.evaluate.tables import render

    scorer, snapshot = collected.scorer, collected.snapshot
    evaluation = scorer.evaluation
    with console.status("scoring"):
        accuracy, curves, confusion = evaluation.accuracy(), evaluation.curves(), evaluation.confusion()
    if scorer.failures:
        _warn(console, f"{len(scorer.failures)} pictures failed and are not scored; the first: {scorer.failures[0]}")
    content = full_report(collected, accuracy, curves, confusion, settings)
    results = evaluation.results(scorer.category_ids()) if coco_json or save_dir else []
    written: list[Path] = []
    if coco_json is not None:
        write_json(results, coco_json, indent=None)
        written.append(coco_json)
    if save_dir is not None:
        from keepbusy.evaluate.plots import write_plots

        with console.status("drawing"):
            written += write_plots(save_dir, evaluation.names, curves, confusion)
        written += write_folder(save_dir, content, results)
    if json is not None:
        write_json(content, json)
        if json != "-":
            written.append(Path(json))
    if quiet:
        return
    if json != "-":
        open_console(highlight=False, soft_wrap=True).print(render(content, all_classes=per_class, say=with_options))
    how = [settings["mode"], settings["device"]]
    if settings["quantized"] is not None:
        how.append(QUANTIZED_WORDS[settings["quantized"]])
    console.print(f"{snapshot.num_frames} frames at {snapshot.throughput_fps:.1f} frames/s ({', '.join(how)})")
    for path in written:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)


def _warn_of(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        _warn(console, note)


def _warn(console: Console, text: str) -> None:
    from keepbusy.cli.option_names import with_options

    console.print(f"[yellow]warning:[/] {with_options(text).replace('[', chr(92) + '[')}", soft_wrap=True)
