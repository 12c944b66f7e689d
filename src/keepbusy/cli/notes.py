"""What the library logs → one line each on standard error."""

from __future__ import annotations

import logging
import sys

from rich.console import Console

_WORDS = {logging.INFO: "[dim]note:[/]", logging.WARNING: "[bold yellow]warning:[/]"}


class Notes(logging.Handler):
    """Prints warnings, and notes unless `--quiet` is among the arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().replace("[", r"\[")
        Console(stderr=True).print(f"{_WORDS.get(record.levelno, '')} {text}", highlight=False, soft_wrap=True)


def show_notes() -> None:
    """Show what `keepbusy` logs."""
    log = logging.getLogger("keepbusy")
    if not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
    is_quiet = any(argument in ("-q", "--quiet") for argument in sys.argv)
    log.setLevel(logging.WARNING if is_quiet else logging.INFO)
