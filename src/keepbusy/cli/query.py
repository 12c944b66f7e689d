"""`keepbusy query`: SQL over what a batch has found."""

from __future__ import annotations

import json
import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from keepbusy.cli.lines import line
from keepbusy.cli.options import OUTPUT_PANEL, AsJsonOption, DebugOption
from keepbusy.errors import ConfigError
from keepbusy.terminal.console import open_console
from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit

if TYPE_CHECKING:
    import pyarrow

    from keepbusy.batch.thumbnails import Thumbnails

EXIT_FAILED = 1

_ROWS_SHOWN = 100
_REASONS_SHOWN = 20
_AS_WIDE_AS_IT_IS = 100_000


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
            help="A small picture of each of the first 200 frames that the answer names by `source` and `index`.",
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

    if as_csv and as_json:
        raise ConfigError("--csv and --json: one answer has one form", hint="leave one of them out")
    if sql is None:
        from keepbusy.batch.folder import existing_folder

        existing_folder(folder)
        for name, text in QUESTIONS.items():
            print(f"{name}\n  {text}")
        return
    answer = ask(folder, sql)
    if as_json:
        print(json.dumps([_plain(row) for row in answer.to_pylist()], indent=2, allow_nan=False))
    elif as_csv:
        _print_csv(answer)
    else:
        _print_table(answer)
    if thumbnails is not None:
        from keepbusy.batch.thumbnails import write_thumbnails

        _tell_of(write_thumbnails(folder, answer, thumbnails), thumbnails)


def _tell_of(done: Thumbnails, folder: Path) -> None:
    console = open_console(stderr=True)
    for source, reason in list(done.reasons.items())[:_REASONS_SHOWN]:
        text = reason if source in reason else f"{source}: {reason}"
        console.print(line("warning", f"no picture: {text}"), soft_wrap=True)
    if (more := len(done.reasons) - _REASONS_SHOWN) > 0:
        console.print(line("warning", f"no picture: {more} more files"), soft_wrap=True)
    told = f"{done.num_written} picture{'' if done.num_written == 1 else 's'} in {fit(str(folder))}"
    if done.num_left_out:
        told += f", {done.num_left_out} left out"
    if done.num_beyond:
        told += f"; the answer names {done.num_beyond} frames more: LIMIT and OFFSET choose others"
    console.print(told, highlight=False, markup=False, soft_wrap=True)
    if done.num_left_out:
        raise typer.Exit(EXIT_FAILED)


def _print_csv(answer: pyarrow.Table) -> None:
    import csv

    # On a terminal without characters that control it.
    shown = fit if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, answer.column_names))
    for batch in answer.to_batches(1024):
        writer.writerows([shown(_cell(value)) for value in row.values()] for row in batch.to_pylist())


def _print_table(answer: pyarrow.Table) -> None:
    import pyarrow

    # Where nobody looks names are whole: a program reads them.
    console = open_console() if sys.stdout.isatty() else open_console(width=_AS_WIDE_AS_IT_IS)
    table = FigureTable()
    for field in answer.schema:
        is_figure = any(
            kind(field.type) for kind in (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_decimal)
        )
        add = table.add_figures if is_figure else table.add_words
        add(escape(fit(field.name)))
    for row in answer.slice(0, _ROWS_SHOWN).to_pylist():
        table.add_row(*(Text(fit(_cell(value))) for value in row.values()))
    console.print(table, highlight=False)
    if answer.num_rows > _ROWS_SHOWN:
        told = f"the first {_ROWS_SHOWN} of {answer.num_rows} rows: --csv and --json print all"
        open_console(stderr=True).print(told, highlight=False)


def _cell(value: Any) -> str:
    """A value as text; a list or a struct as JSON."""
    if value is None:
        return ""
    if hasattr(value, "nanoseconds"):
        return str(_plain(value))
    if isinstance(value, (bool, list, tuple, dict)):
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it: null for numbers that are not finite, dates and intervals as ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if hasattr(value, "nanoseconds"):
        return f"P{value.months}M{value.days}DT{value.nanoseconds / 1e9:.9g}S"
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
