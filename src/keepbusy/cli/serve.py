"""`keepbusy serve`: a wall of streams, its page, and an HTTP API."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from keepbusy.cli.options import DebugOption, DeviceOption, ModelOption
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from keepbusy.serve.configuration.load import SettingsError
    from keepbusy.serve.configuration.settings import ServeSettings

EXIT_MISTAKES = 2
EXIT_LEFT_BEHIND = 1

_SERVER = "The server"

_NO_VARIABLE = "the environment has no variable "
"""How a mistake of `${NAME}` begins."""

_ALL_ADDRESSES = {"0.0.0.0": "", "[::]": "IPv6 "}  # nosec B104 # They are looked for, not bound to.


def serve(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG.yaml|SOURCE",
            help="A configuration, or cameras and videos to watch.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "CPU",
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen at; by default 127.0.0.1. Others need a token.",
            rich_help_panel=_SERVER,
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            metavar="N",
            help="The port; by default 8090. 0 takes a free one.",
            rich_help_panel=_SERVER,
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="KEEPBUSY_TOKEN",
            show_envvar=False,
            help="Whoever has it may do everything. Other users of the machine see a command line: better give it in "
            "the variable KEEPBUSY_TOKEN.",
            rich_help_panel=_SERVER,
            show_default=False,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="A wall of four synthetic streets.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Tell all mistakes of the configuration with their lines, and end.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the configuration's JSON schema, for editors.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Watch streams: a page with live pictures and boxes, an HTTP API, KServe v2, Prometheus.

    SIGHUP reads the configuration again; one with mistakes changes nothing. SIGTERM finishes what is there.

    \b
    keepbusy serve --demo
    keepbusy serve rtsp://door/stream rtsp://yard/stream -m yolov8n.xml
    keepbusy serve wall.yaml
    keepbusy serve wall.yaml --check
    """
    from keepbusy.errors import ConfigError

    with _of_the_extra():
        from keepbusy.serve.check import check_all
        from keepbusy.serve.configuration.demo import demo_settings
        from keepbusy.serve.configuration.load import SettingsError, check_settings, load_settings
        from keepbusy.serve.configuration.settings import json_schema

    if schema:
        print(json.dumps(json_schema(), indent=2))
        return
    words = sources or []
    is_file = len(words) == 1 and words[0].lower().endswith((".yaml", ".yml", ".json"))
    if demo and words:
        raise ConfigError("--demo: brings its own streets", hint="leave the sources out, or --demo")
    if not demo and not words:
        raise ConfigError(
            "serve: no configuration and no source given", hint="keepbusy serve --demo shows a wall of streets"
        )
    given = {"model": None if model is None else str(model), "device": None if device == "CPU" else device}
    server = {"host": host, "port": port, "token": token}

    def changed(settings: ServeSettings) -> ServeSettings:
        """A configuration with what the command line says."""
        content = settings.model_dump(exclude_unset=True)
        content |= {name: value for name, value in given.items() if value is not None}
        of_server = {name: value for name, value in server.items() if value is not None}
        content["server"] = {**content.get("server", {}), **of_server}
        return check_settings(content)

    def load() -> ServeSettings:
        if demo:
            return changed(demo_settings())
        return changed(
            load_settings(words[0]) if is_file else check_settings({"streams": [{"source": one} for one in words]})
        )

    console = open_console(stderr=True)
    try:
        settings = load()
        check_all(settings, file=words[0] if is_file else "")
    except SettingsError as error:
        for line in error.lines:
            console.print(f"error: {line}", highlight=False, markup=False, soft_wrap=True)
        for hint in _hints(error):
            console.print(f"hint: {hint}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_MISTAKES) from None
    if check:
        console.print(f"{words[0] if words else 'the demo'}: no mistakes", highlight=False, markup=False)
        return

    with _of_the_extra():  # Last: a web server takes a second to import.
        from keepbusy.serve.run import Told
        from keepbusy.serve.run import serve as run

    def listening(address: str) -> None:
        console.print(f"keepbusy serves at {_to_open(address)}", highlight=False, markup=False, soft_wrap=True)

    if not run(settings, load if is_file else None, file=words[0] if is_file else "", told=Told(listening)):
        # A device or a disk that hangs would keep the process from its end.
        os._exit(EXIT_LEFT_BEHIND)


def _hints(error: SettingsError) -> list[str]:
    """What can be done about mistakes on the command line."""
    hints = []
    missing = [one.reason.split()[-1] for one in error.mistakes if one.reason.startswith(_NO_VARIABLE)]
    if missing:
        hints.append(f"set it first: export {' '.join(f'{name}=...' for name in dict.fromkeys(missing))}")
    if any(one.place == ("server", "token") and "is required" in one.reason for one in error.mistakes):
        hints.append("give it as the variable KEEPBUSY_TOKEN, by --token, or as server.token in the configuration")
    if any("region" in one.place and one.reason.startswith("must be 1 or less") for one in error.mistakes):
        hints.append("region: corners are shares of the frame, 0 to 1, and not pixels")
    return hints


def _to_open(address: str) -> str:
    """An address that a browser can open: where the server listens at all of them, by the machine's name."""
    for host, kind in _ALL_ADDRESSES.items():
        if f"//{host}:" in address:
            named = address.replace(f"//{host}:", f"//{socket.gethostname()}:", 1)
            return f"{named} and all other {kind}addresses of this machine"
    return address


@contextlib.contextmanager
def _of_the_extra() -> Iterator[None]:
    """Imports of what only the extra brings.

    Raises:
        MissingExtraError: It is not installed.
    """
    from keepbusy.errors import MissingExtraError

    try:
        yield
    except ImportError as error:
        raise MissingExtraError("`keepbusy serve`", extra="serve") from error
