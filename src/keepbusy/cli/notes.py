"""What the library logs → one line each on standard error."""

from __future__ import annotations

import logging

from keepbusy.cli.lines import line
from keepbusy.terminal.console import open_console

_WORDS = {logging.INFO: "note", logging.WARNING: "warning", logging.ERROR: "error"}


class Notes(logging.Handler):
    """Prints warnings, and notes unless they are hidden. What is logged with `once` in its `extra` comes once a text:
    some commands compile a model several times.

    Attributes:
        names_keys: Options of the library are shown as the keys of a configuration, and not as flags.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()
        self.names_keys = False

    def emit(self, record: logging.LogRecord) -> None:
        from keepbusy.cli.option_names import with_options

        if getattr(record, "once", False):
            if record.getMessage() in self._shown:
                return
            self._shown.add(record.getMessage())
        text = line(
            _WORDS.get(record.levelno, "note"),
            record.getMessage() if self.names_keys else with_options(record.getMessage()),
        )
        open_console(stderr=True).print(text, soft_wrap=True)


def show_notes() -> None:
    """Show what `keepbusy` logs."""
    log = logging.getLogger("keepbusy")
    if not any(isinstance(handler, Notes) for handler in log.handlers):
        log.addHandler(Notes())
    log.setLevel(logging.INFO)


def name_keys(*, is_wished: bool) -> None:
    """Whether what is an option of the library is called by its name, as a configuration has it, and not as a flag."""
    for handler in logging.getLogger("keepbusy").handlers:
        if isinstance(handler, Notes):
            handler.names_keys = is_wished


def hide_notes() -> None:
    """Show warnings only from now on."""
    logging.getLogger("keepbusy").setLevel(logging.WARNING)
