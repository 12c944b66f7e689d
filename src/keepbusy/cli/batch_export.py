"""`keepbusy batch export`: what a batch has found, in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepbusy.cli.options import OUTPUT_PANEL, DebugOption, exist_ok_option, quiet_option
from keepbusy.terminal.console import open_console


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a batch.", show_default=False)],
    coco: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="COCO's JSON, annotations with scores.", rich_help_panel=OUTPUT_PANEL),
    ] = None,
    yolo: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="YOLO labels, one file a frame.", rich_help_panel=OUTPUT_PANEL)
    ] = None,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="A table, one row a detection.", rich_help_panel=OUTPUT_PANEL)
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="JSON Lines, one record a frame.", rich_help_panel=OUTPUT_PANEL)
    ] = None,
    save_conf: Annotated[
        bool, typer.Option("--save-conf", help="Add confidences to the labels.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
    exist_ok: Annotated[bool, exist_ok_option("Write over labels that others wrote or changed.")] = False,
    quiet: Annotated[bool, quiet_option("No summary.")] = False,
    debug: DebugOption = False,
) -> None:
    """Write what a batch has found as COCO, YOLO labels, CSV or JSON Lines.

    Several at once are possible. A batch that goes on is exported as far as it is. - is standard output.

    \b
    keepbusy batch export found/ --coco found.json
    keepbusy batch export found/ --yolo labels/ --csv found.csv
    """
    from keepbusy.batch.exports import export as write
    from keepbusy.errors import ConfigError

    if save_conf and yolo is None:
        raise ConfigError("--save-conf: no labels are written", hint="say where with --yolo FOLDER")
    num_frames = write(folder, coco=coco, yolo=yolo, csv=csv, json=json, save_conf=save_conf, exist_ok=exist_ok)
    if not quiet:
        open_console(stderr=True).print(f"{num_frames} frames written", highlight=False)
