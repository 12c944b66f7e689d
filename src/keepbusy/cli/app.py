"""The `keepbusy` program: its commands, and how it ends."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from keepbusy.cli.command import Wishes
from keepbusy.cli.commands import CONTEXT, Commands
from keepbusy.cli.lines import line
from keepbusy.cli.notes import show_notes
from keepbusy.errors import ConfigError, KeepbusyError, reason_of
from keepbusy.telemetry import forbid_sender
from keepbusy.terminal.console import open_console
from keepbusy.texts import shortened
from keepbusy.threads.cores import has_many, usable_cores
from keepbusy.version import __version__

EXIT_FAILED = 1
EXIT_USAGE = 2

_EPILOG = "Data goes to standard output, everything for people to standard error. NO_COLOR is respected."

app = typer.Typer(
    name="keepbusy",
    cls=Commands,
    help="Frames in, detections out, the device never idle: YOLO models on OpenVINO devices.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings=CONTEXT,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        import openvino

        print(f"keepbusy {__version__}, OpenVINO {openvino.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command and exit: 0 done, 1 failed, 2 usage."""
    _write_utf8()
    wishes = Wishes()
    if has_many(usable_cores()):
        # OpenCV would spread each resize over all cores, which have other things to do. Read when it is first loaded.
        os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    show_notes()
    forbid_sender()
    console = open_console(stderr=True)
    try:
        try:
            app(standalone_mode=True, obj=wishes)
        finally:
            # Here rather than when Python ends: a disk may be full.
            sys.stdout.flush()
    except KeepbusyError as error:
        if wishes.is_debug:
            raise
        is_usage = isinstance(error, ConfigError)
        message, hint = (error.message, error.hint or "") if wishes.has_keys else _with_flags(error)
        console.print(line("error", message), soft_wrap=True)
        if hint:
            console.print(line("hint", hint), soft_wrap=True)
        sys.exit(EXIT_USAGE if is_usage else EXIT_FAILED)
    except RuntimeError as error:
        # Said by pathlib and platformdirs, also on behalf of OpenVINO, which looks for the home folder when imported.
        if wishes.is_debug or "home directory" not in str(error):
            raise
        console.print(line("error", "the home folder cannot be found"), soft_wrap=True)
        hint = "set HOME to a folder that you may write to, and KEEPBUSY_CACHE, where it is set, to a full path"
        console.print(line("hint", hint), soft_wrap=True)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        # Nobody reads our standard output any more: leave quietly, and keep Python from complaining at exit.
        _leave_stdout()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if wishes.is_debug:
            raise
        if error.filename is None:
            _leave_stdout()
            what, hint = "output cannot be written", "is the disk full?"
        else:
            what, hint = f"{shortened(os.fsdecode(error.filename))}: cannot be used", "give another path"
        console.print(line("error", f"{what}: {reason_of(error)}"), soft_wrap=True)
        console.print(line("hint", hint), soft_wrap=True)
        sys.exit(EXIT_FAILED)


def _with_flags(error: KeepbusyError) -> tuple[str, str]:
    """An error's message and hint, "" for none, with options as the program calls them."""
    from keepbusy.cli.option_names import with_option, with_options

    message = with_option(error.message) if isinstance(error, ConfigError) else error.message
    return with_options(message), with_options(error.hint or "")


def _leave_stdout() -> None:
    """Let what is still to be written go nowhere, when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_utf8() -> None:
    """Files and pipes get UTF-8, whatever the locale; a terminal gets what it can show of each character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
