"""`keepbusy batch status`: how far a batch is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from keepbusy.cli.options import AsJsonOption, DebugOption

EXIT_FAILED = 1


def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a batch.", show_default=False)],
    check: Annotated[bool, typer.Option("--check", help="Read every shard and compare it with its checksum.")] = False,
    as_json: AsJsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Tell how far a batch is, what has failed, and whether its shards are whole.

    Exit code 1 where something has failed, was set aside, or is damaged.

    \b
    keepbusy batch status found/
    keepbusy batch status found/ --check
    keepbusy batch status found/ --json
    """
    from keepbusy.batch.status import read_status
    from keepbusy.cli.batch_progress import print_batch
    from keepbusy.terminal.console import open_console
    from keepbusy.texts import fit

    found = read_status(folder, reads_all=check)
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        console = open_console()
        given, facts = found.settings["given"], found.settings["facts"]
        state = (
            "running" if found.is_running else "done" if found.progress.is_over else "stopped: the same command goes on"
        )
        console.print(f"{folder}: {state}", highlight=False, markup=False)
        told = f"{given['model']} on {given['device']}, {facts['number_type'] or 'number type not known'}, head "
        console.print(f"{told}{facts['head']}, keepbusy {facts['keepbusy']}", highlight=False, markup=False)
        print_batch(console, found.progress)
        for failed in found.failed_frames:
            where = failed.name if failed.index is None else f"{failed.name}, frame {failed.index}"
            console.print(fit(f"  {where}: {failed.reason}"), highlight=False, markup=False, soft_wrap=True)
        for name, text in found.progress.notes.items():
            console.print(fit(f"  {name}: {text}"), highlight=False, markup=False, soft_wrap=True)
        for name in found.damaged:
            text = f"  {name}: its shard is damaged or gone; the same command does it again"
            console.print(fit(text), highlight=False, markup=False, soft_wrap=True)
    if found.progress.num_problems or found.damaged:
        raise typer.Exit(EXIT_FAILED)
