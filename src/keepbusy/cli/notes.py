"""What the library logs → one line each on standard error."""

from __future__ import annotations

import logging

from rich.console import Console

from keepbusy.cli.lines import line

_WORDS = {logging.INFO: "note", logging.WARNING: "warning", logging.ERROR: "error"}


class Notes(logging.Handler):
    """Prints warnings, and notes unless they are hidden."""

    def emit(self, record: logging.LogRecord) -> None:
        from keepbusy.cli.option_names import with_options

        text = line(_WORDS.get(record.levelno, "note"), with_options(record.getMessage()))
        Console(stderr=True).print(text, soft_wrap=True)


def show_notes() -> None:
    """Show what `keepbusy` logs."""
    log = logging.getLogger("keepbusy")
    if not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
    log.setLevel(logging.INFO)


def hide_notes() -> None:
    """Show warnings only from now on."""
    logging.getLogger("keepbusy").setLevel(logging.WARNING)
