"""What is wrong in a configuration beyond its form: models, classes, sinks, files, addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepbusy.errors import KeepbusyError
from keepbusy.files.parsing import parse_yaml_nodes
from keepbusy.files.paths import check_outputs, read_text
from keepbusy.serve.configuration.load import Mistake, Place, SettingsError, line_of
from keepbusy.serve.configuration.loopback import is_loopback
from keepbusy.serve.configuration.settings import ServerSettings, ServeSettings
from keepbusy.serve.supervise.backend import PipelineBackend, detect_config
from keepbusy.serve.supervise.kept import check_ours
from keepbusy.sinks.apart import check_apart
from keepbusy.sinks.guard import guard_inputs, guard_sinks
from keepbusy.sinks.open import spec_of
from keepbusy.sinks.spec import FOLDERS, SinkSpec

_NO_SINK = (
    "a server has no window, no terminal and no single picture: give a file (out.jsonl, out.mp4) or a folder "
    "(crops:found/)"
)


def check_all(settings: ServeSettings, *, names: tuple[str, ...] | None = None, file: str = "") -> tuple[str, ...]:
    """See that a configuration can be used; reads the model's file, compiles and opens nothing.

    Args:
        settings: The configuration.
        names: The class names, where the model is known already.
        file: Where it is from, for the lines of mistakes; empty where there is no file.

    Returns:
        The class names.

    Raises:
        SettingsError: It has mistakes.
    """
    mistakes = [
        *_server(settings.server),
        *_state_file(settings, file),
        *_sinks(settings, file),
    ]
    if names is None:
        try:
            backend = PipelineBackend(settings, settings.device)
            names = backend.names
            backend.close()
        except KeepbusyError as error:
            place = _place_of(error.message)
            mistakes.append(Mistake(place, _told(error).removeprefix(f"{place[0]}: ")))
    if names is not None:
        mistakes += [*_thresholds(settings, names), *_ladder(settings, names)]
    if mistakes:
        raise SettingsError(_with_lines(mistakes, file), file)
    return names or ()


def _with_lines(mistakes: list[Mistake], file: str) -> list[Mistake]:
    if not file:
        return mistakes
    try:
        _, node = parse_yaml_nodes(read_text(Path(file)))
    except (OSError, ValueError):
        return mistakes
    placed = [Mistake(one.place, one.reason, line_of(node, one.place) if one.place else None) for one in mistakes]
    return sorted(placed, key=lambda one: one.line or 0)


def _told(error: KeepbusyError) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


def _place_of(message: str) -> Place:
    """Which key an error of the model is about."""
    first = message.partition(":")[0]
    if first in ServeSettings.model_fields:
        return (first,)
    return ("device",) if message.startswith("device ") else ("names",) if "class names" in message else ("model",)


def _server(server: ServerSettings) -> list[Mistake]:
    mistakes = []
    if not is_loopback(server.host) and server.token is None:
        reason = (
            f"{server.host} can be reached from other machines: a token is required (`openssl rand -hex 24` makes one)"
        )
        mistakes.append(Mistake(("server", "token"), reason))
    if server.tls is not None:
        for key, path in (("certificate", server.tls.certificate), ("key", server.tls.key)):
            if not os.path.isfile(path):
                mistakes.append(Mistake(("server", "tls", key), f"{path}: there is no such file"))
            elif not os.access(path, os.R_OK):
                mistakes.append(Mistake(("server", "tls", key), f"{path}: cannot be read"))
    return mistakes


def _thresholds(settings: ServeSettings, names: tuple[str, ...]) -> list[Mistake]:
    parts: dict[Place, Mapping[str, Any]] = {(): settings.thresholds, ("requests",): settings.requests.thresholds}
    parts |= {("streams", number): stream.thresholds for number, stream in enumerate(settings.streams)}
    mistakes: list[Mistake] = []
    for place, given in parts.items():
        try:
            detect_config(dict(given), names)
        except KeepbusyError as error:
            key, _, reason = error.message.partition(": ")
            key = key.partition(" of class")[0]
            is_key = key in given
            told = f"{reason if is_key else error.message}" + (f" ({error.hint})" if error.hint else "")
            mistakes.append(Mistake((*place, key) if is_key else place, told))
    return mistakes


def _ladder(settings: ServeSettings, names: tuple[str, ...]) -> list[Mistake]:
    """What the ladder under overload would compile, and cannot."""
    given, mistakes = settings.overload, list[Mistake]()
    tried: list[tuple[str, Place, Any]] = [
        ("imgsz", ("overload", "imgsz", number), size) for number, size in enumerate(given.imgsz)
    ]
    tried += [] if given.model is None else [("model", ("overload", "model"), given.model)]
    for key, place, value in tried:
        try:
            backend = PipelineBackend(settings.model_copy(update={key: value}), settings.device)
            if backend.names != names:
                mistakes.append(
                    Mistake(place, f"has other classes than the model: {len(backend.names)}, not {len(names)}")
                )
            backend.close()
        except KeepbusyError as error:
            mistakes.append(Mistake(place, _told(error)))
    return mistakes


def _read(settings: ServeSettings, file: str) -> dict[str, Any]:
    """What the server reads, and must not write to: as `guard_inputs` takes it."""
    tls = settings.server.tls
    others = [file or None, settings.names if isinstance(settings.names, str) else None]
    others += [] if tls is None else [tls.certificate, tls.key]
    return {
        "sources": [one.source for one in settings.streams],
        "models": [settings.model, settings.overload.model],
        "others": others,
    }


def _state_file(settings: ServeSettings, file: str) -> list[Mistake]:
    """A file for added streams that is another file, or has no place."""
    given = settings.server.state_file
    if given is None:
        return []
    place: Place = ("server", "state_file")
    folder = os.path.dirname(os.path.realpath(given))
    if not os.path.isdir(folder):
        return [Mistake(place, f"{given}: there is no folder {folder}")]
    try:
        check_ours(Path(given))
        guard_inputs({given: given}, folders={}, **_read(settings, file))
    except KeepbusyError as error:
        return [Mistake(place, _told(error))]
    return []


def _sinks(settings: ServeSettings, file: str) -> list[Mistake]:
    """Sinks that cannot be, or that would write over each other or over what is read or kept."""
    mistakes: list[Mistake] = []
    named: list[tuple[Place, SinkSpec]] = []
    read = _read(settings, file)
    kept = settings.server.state_file
    for number, stream in enumerate(settings.streams):
        for position, word in enumerate(stream.sinks):
            place: Place = ("streams", number, "sinks", position)
            try:
                spec = spec_of(word)
                if spec.kind in ("window", "picture") or spec.location == "-":
                    mistakes.append(Mistake(place, f"{word}: {_NO_SINK}"))
                    continue
                guard_sinks([spec], None, read["sources"], models=read["models"], others=read["others"])
                if kept is not None and spec.kind not in FOLDERS:
                    check_outputs({"server.state_file": kept, "the sink": spec.location}, [])
                check_apart([*(one for _, one in named), spec], is_deep=True)
                named.append((place, spec))
            except KeepbusyError as error:
                mistakes.append(Mistake(place, _told(error)))
    return mistakes
