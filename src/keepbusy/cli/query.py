"""`keepbusy query`: SQL over what a batch has found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keepbusy.cli.options import OUTPUT_PANEL, AsJsonOption, DebugOption

if TYPE_CHECKING:
    import pyarrow

_ROWS_SHOWN = 100


def query(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of a batch.", show_default=False)],
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL",
            help="A SELECT over `detections` and `frames`, or a question by its name: objects, busiest-minutes, "
            "objects-per-hour, to-review, errors, slowest. Left out, these are listed.",
            show_default=False,
        ),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    as_json: AsJsonOption = False,
    thumbnails: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A small picture of each frame that the answer names by `source` and `index`.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Ask what a batch has found, in SQL: tables `detections` and `frames`, read-only.

    Columns have the names of the JSON records. A batch may be asked while it goes on.

    \b
    keepbusy query found/ objects
    keepbusy query found/ "SELECT source, count(*) FROM detections WHERE name = 'person' GROUP BY source"
    keepbusy query found/ to-review --thumbnails review/
    """
    from keepbusy.batch.queries import QUESTIONS
    from keepbusy.batch.queries import query as ask

    if sql is None:
        for name, text in QUESTIONS.items():
            print(f"{name}\n  {text}")
        return
    answer = ask(folder, sql)
    if as_json:
        print(json.dumps(answer.to_pylist(), indent=2, default=str))
    elif as_csv:
        _print_csv(answer)
    else:
        _print_table(answer)
    if thumbnails is not None:
        from keepbusy.batch.thumbnails import write_thumbnails

        number = write_thumbnails(folder, answer, thumbnails)
        Console(stderr=True).print(f"{number} pictures in {thumbnails}", highlight=False, markup=False)


def _print_csv(answer: pyarrow.Table) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.column_names)
    for batch in answer.to_batches(1024):
        writer.writerows(row.values() for row in batch.to_pylist())


def _print_table(answer: pyarrow.Table) -> None:
    from rich.table import Table

    from keepbusy.texts import fit

    table = Table(*answer.column_names)
    for row in answer.slice(0, _ROWS_SHOWN).to_pylist():
        table.add_row(*("" if value is None else fit(str(value)) for value in row.values()))
    console = Console()
    console.print(table, highlight=False, markup=False)
    if answer.num_rows > _ROWS_SHOWN:
        told = f"the first {_ROWS_SHOWN} of {answer.num_rows} rows: --csv and --json print all"
        Console(stderr=True).print(told, highlight=False)
