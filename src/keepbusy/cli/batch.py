"""`keepbusy batch`: any number of files, on all cores, into tables, continued after any end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from keepbusy.cli.options import (
    OUTPUT_PANEL,
    READ_PANEL,
    AgnosticOption,
    CacheDirOption,
    ClassConfOption,
    ClassesOption,
    DebugOption,
    DeviceOption,
    DeviceTimeoutOption,
    FamilyOption,
    FastDecodeOption,
    HeadOption,
    HintOption,
    ImgszOption,
    IouOption,
    MaxDetOption,
    MaxPixelsOption,
    ModelOption,
    NireqOption,
    NstreamsOption,
    PrecisionOption,
    PreprocessThreadsOption,
    QuantizedOption,
    ReadThreadsOption,
    ReduceJpegsOption,
    RegionOption,
    ShapeOption,
    TaskOption,
    ThreadsOption,
    conf_option,
    names_option,
)
from keepbusy.cli.parse import (
    parse_cache_dir,
    parse_class_conf,
    parse_classes,
    parse_nireq,
    parse_pixels,
    parse_processes,
    parse_region,
    parse_shape,
    parse_size,
)
from keepbusy.config import SelectConfig

if TYPE_CHECKING:
    from keepbusy.config import HeadChoice, Hint, Precision, QuantizedChoice
    from keepbusy.values.forms import Family, Task

EXIT_FAILED = 1

_JOB = "The job"


def batch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Videos, pictures, folders, quoted globs, lists (.txt), object stores (s3://bucket/clips/). "
            "None goes on with what a folder has.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the tables and the manifest go.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    device: DeviceOption = "CPU",
    processes: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Worker processes, each with its share of the cores. auto measures once how many pay here.",
            rich_help_panel=_JOB,
        ),
    ] = "auto",
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|auto|local",
            help="Do the work on the nodes of a Ray cluster; auto for one that runs here, local to start one. The "
            "folder and the files have to be there under the same paths.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    errors_allowed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Stop behind more than so many files and frames that fail; up to so many, the exit code is 0. By "
            "default the job goes on to its end, and exit code 1 says that something failed.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    retry_aside: Annotated[
        bool,
        typer.Option(
            "--retry-aside",
            help="Try again what was set aside because it has ended two worker processes.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Where model or settings are not those of the results that are there: make all of them again.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing",
            help="Take files that are gone out of the job, with what was found in them. By default their results stay, "
            "and where they would have to be read again they fail.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    unit_frames: Annotated[
        str,
        typer.Option(
            metavar="N|none",
            help="Cut long videos into ranges of at least so many frames: what a crash loses at most, and what several "
            "processes share. none leaves them whole.",
            rich_help_panel=_JOB,
        ),
    ] = "5000",
    unit_pictures: Annotated[
        int,
        typer.Option(min=1, max=2000, metavar="N", help="Pictures that are one unit of work.", rich_help_panel=_JOB),
    ] = 500,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no summary.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
    conf: Annotated[float, conf_option()] = 0.25,
    class_conf: ClassConfOption = None,
    iou: IouOption = 0.45,
    max_det: MaxDetOption = 300,
    classes: ClassesOption = None,
    region: RegionOption = None,
    agnostic_nms: AgnosticOption = False,
    names: Annotated[Path | None, names_option("What counts as a detection")] = None,
    family: FamilyOption = None,
    task: TaskOption = None,
    imgsz: ImgszOption = None,
    shape: ShapeOption = "auto",
    head: HeadOption = "auto",
    nireq: NireqOption = "auto",
    hint: HintOption = None,
    nstreams: NstreamsOption = None,
    threads: ThreadsOption = None,
    read_threads: ReadThreadsOption = None,
    preprocess_threads: PreprocessThreadsOption = None,
    precision: PrecisionOption = None,
    quantized: QuantizedOption = "keep",
    cache_dir: CacheDirOption = None,
    device_timeout: DeviceTimeoutOption = 30.0,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="FRAMES",
            help="At most so many frames of each video, which is not cut then.",
            rich_help_panel=READ_PANEL,
        ),
    ] = None,
    stride: Annotated[
        int, typer.Option(min=1, metavar="N", help="Only every n-th frame of each video.", rich_help_panel=READ_PANEL)
    ] = 1,
    max_pixels: MaxPixelsOption = None,
    reduce_jpegs: ReduceJpegsOption = False,
    fast_decode: FastDecodeOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a detector over any number of files, on all cores, into tables; the same command goes on after any end.

    \b
    keepbusy batch archive/ -m yolov5n.xml -o found/
    keepbusy batch 'archive/**/*.mp4' list.txt s3://bucket/clips/ -m yolov5n.xml -o found/
    keepbusy batch -m yolov5n.xml -o found/               go on, without new files
    keepbusy batch status found/
    keepbusy batch export found/ --coco found.json
    keepbusy query found/ "SELECT name, count(*) FROM detections GROUP BY name"
    """
    from keepbusy.batch.run import run_batch
    from keepbusy.cli.batch_progress import BatchProgress, print_batch
    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.errors import ConfigError
    from keepbusy.terminal.console import open_console

    if output is None:
        raise ConfigError("--output: is missing", hint="say where the tables go: keepbusy batch archive/ -o found/")
    console = open_console(stderr=True)
    shown = BatchProgress(console, is_wanted=not quiet)
    with shown:
        from keepbusy.batch.job import UnitConfig

        done = run_batch(
            sources or (),
            output,
            None if model is None else find_model_with_progress(model, is_quiet=quiet),
            device=device,
            names=names,
            select=SelectConfig(limit=limit, stride=stride),
            units=UnitConfig(pictures=unit_pictures, frames=_unit_frames(unit_frames)),
            processes=cast("int | Literal['auto']", parse_processes(processes)),
            ray=ray,
            errors_allowed=errors_allowed,
            retry_aside=retry_aside,
            overwrite=overwrite,
            drop_missing=drop_missing,
            on_progress=shown.update,
            conf=conf,
            class_conf=partial(parse_class_conf, class_conf or ()),
            iou=iou,
            max_det=max_det,
            classes=partial(parse_classes, classes),
            region=parse_region(region),
            agnostic_nms=agnostic_nms,
            family=cast("Family | None", family),
            task=cast("Task | None", task),
            imgsz=parse_size(imgsz),
            shape=parse_shape(shape),
            head=cast("HeadChoice", head),
            nireq=parse_nireq(nireq),
            hint=cast("Hint | None", hint),
            nstreams=nstreams,
            threads=threads,
            read_threads=read_threads,
            preprocess_threads=preprocess_threads,
            precision=cast("Precision | None", precision),
            quantized=cast("QuantizedChoice", quantized),
            cache_dir=parse_cache_dir(cache_dir),
            device_timeout_s=device_timeout,
            reduce_jpegs=reduce_jpegs,
            fast_decode=fast_decode,
            max_pixels=parse_pixels(max_pixels),
        )
    if not quiet:
        print_batch(console, done, elapsed_s=shown.elapsed_s)
    if done.num_problems > (errors_allowed or 0):
        raise typer.Exit(EXIT_FAILED)


def _unit_frames(text: str) -> int | None:
    """`5000`, or `none` for whole videos.

    Raises:
        ConfigError: It is something else.
    """
    from keepbusy.errors import ConfigError

    if text == "none":
        return None
    if not text.isdecimal() or int(text) < 3:
        raise ConfigError(f"--unit-frames: {text!r} is no number of frames", hint="give 3 or more, or none")
    return int(text)
