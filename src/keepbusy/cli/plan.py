"""`keepbusy plan`: how many cameras fit this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepbusy.cli.options import (
    RUN_PANEL,
    AsJsonOption,
    DebugOption,
    DeviceOption,
    ImgszOption,
    ModelOption,
    NireqOption,
    NstreamsOption,
    PrecisionOption,
    ThreadsOption,
    hint_option,
)
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.plan.whole import Plan
    from keepbusy.serve.configuration.settings import ServeSettings

EXIT_MISTAKES = 2


def plan(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG.yaml|SOURCE",
            help="A configuration of `keepbusy serve`, or cameras, videos and scenes such as those to come.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    max_fps: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            metavar="N",
            help="At most so many frames per second of each camera are looked at.",
            rich_help_panel=RUN_PANEL,
            show_default=False,
        ),
    ] = None,
    imgsz: ImgszOption = None,
    hint: Annotated[
        str | None, hint_option("OpenVINO's performance hint; by default what `keepbusy serve` would choose.")
    ] = None,
    nireq: NireqOption = "auto",
    nstreams: NstreamsOption = None,
    threads: ThreadsOption = None,
    precision: PrecisionOption = None,
    seconds: Annotated[
        float, typer.Option(min=5, metavar="SECONDS", help="About how long it may take.", rich_help_panel=RUN_PANEL)
    ] = 60.0,
    as_json: AsJsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find out how many such cameras fit this machine, at what rate and age, and what limits them.

    Live sources are recorded in memory for some seconds. Then the set, and more or fewer of the same cameras, is run
    as `keepbusy serve` runs it, without its sinks, until the largest number is known of which no frames are lost.
    Videos and scenes are read at their own pace. Nothing is written.

    \b
    keepbusy plan rtsp://door/stream rtsp://yard/stream -m yolov8n.xml
    keepbusy plan wall.yaml
    keepbusy plan clip.mp4 --max-fps 10
    keepbusy plan "synth:street?size=1280x720&fps=15" --json
    """
    from keepbusy.cli.notes import hide_notes
    from keepbusy.cli.parse import parse_nireq, parse_size
    from keepbusy.errors import ConfigError, MissingExtraError

    try:
        from keepbusy.plan.whole import plan_cameras
        from keepbusy.serve.check import check_all
        from keepbusy.serve.configuration.load import SettingsError
    except ImportError as error:
        raise MissingExtraError("`keepbusy plan`", extra="serve") from error

    words = sources or []
    if not words:
        raise ConfigError(
            "plan: no configuration and no source given", hint="keepbusy plan clip.mp4 takes a video for a camera"
        )
    given = {
        **{"model": None if model is None else str(model), "device": None if device == "CPU" else device},
        **{
            "imgsz": parse_size(imgsz),
            "nireq": parse_nireq(nireq),
            "hint": hint,
            "nstreams": nstreams,
            "threads": threads,
            "precision": precision,
        },
    }
    hide_notes()  # Of each of the runs to come.
    console = open_console(stderr=True)
    file = words[0] if len(words) == 1 and words[0].lower().endswith((".yaml", ".yml", ".json")) else ""
    try:
        settings = _settings(words, file, {name: value for name, value in given.items() if value is not None}, max_fps)
        check_all(settings, file=file)
    except SettingsError as error:
        for line in error.lines:
            console.print(f"error: {line}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_MISTAKES) from None
    with _progress() as on_step:
        found = plan_cameras(settings, seconds=seconds, on_step=on_step)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _show(found)


def _settings(words: list[str], file: str, given: dict[str, Any], max_fps: float | None) -> ServeSettings:
    """A configuration with what the command line says."""
    from keepbusy.serve.configuration.load import check_settings, load_settings

    read = load_settings(file) if file else check_settings({"streams": [{"source": one} for one in words]})
    content = {**read.model_dump(exclude_unset=True), **given}
    content.get("server", {}).pop("state_file", None)  # It is neither read nor written here.
    if max_fps is not None:
        for stream in content.get("streams", []):
            stream["max_fps"] = min(max_fps, stream.get("max_fps") or max_fps)
    return check_settings(content)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reading the model") as status:
        yield status.update


def _show(found: Plan) -> None:
    from keepbusy.plan.text import cores_table, helps, sentences, table

    console = open_console(highlight=False)
    for sentence in sentences(found):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print()
    console.print(table(found))
    console.print()
    console.print(cores_table(found))
    lines = list(helps(found))
    if lines:
        console.print()
        console.print("What would make room:", markup=False)
        for one in lines:
            console.print(f"  {one}", markup=False, soft_wrap=True)
