"""What names a sink before it is opened: one word, `out.mp4?encoder=vp9&on_full=drop_oldest`."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from keepbusy.config import MAX_COUNT, OnFull, OnSinkError, OutletConfig
from keepbusy.drawing.style import MAX_LINE_WIDTH_PX
from keepbusy.errors import ConfigError
from keepbusy.files.endings import is_picture
from keepbusy.files.parsing import TextError, parse_query
from keepbusy.files.paths import names_folder
from keepbusy.sinks.draw import PLAIN, Style
from keepbusy.sinks.encoders import VIDEO_SUFFIXES, EncoderName

SinkKind = Literal["json", "video", "picture", "images", "labels", "crops", "window"]

FOLDERS: frozenset[SinkKind] = frozenset({"images", "labels", "crops"})
"""Kinds whose location is a folder."""

JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
STDOUT = "-"

MAX_ATTEMPTS = MAX_COUNT

_HINT = (
    "give a file (.jsonl, .mp4, .jpg, ...), a folder (out/), - for JSON Lines on standard output, or a kind and its "
    "place: json:FILE, video:FILE, picture:FILE, images:FOLDER, labels:FOLDER, crops:FOLDER, window:"
)
_KIND = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
"""A kind has two letters at least: `C:\\out.mp4` is a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSpec:
    """A sink that is not open yet.

    Attributes:
        kind: What it writes.
        location: The file or folder; `-` for standard output; empty for a window.
        outlet: What happens when it is slow or fails.
        style: What is drawn, and how.
        encoder: How videos are encoded: see `keepbusy.sinks.encoders`.
        has_sound: Copy the sound of one video file into one video.
        with_confidence: Add confidences to labels.
        exist_ok: Labels that keepbusy did not write, or somebody has changed since, may be written over.
        option: What the user gave it with, for messages: `--save`; empty where a program did.
    """

    kind: SinkKind
    location: str = ""
    outlet: OutletConfig = field(default_factory=OutletConfig)
    style: Style = PLAIN
    encoder: EncoderName = "auto"
    has_sound: bool = True
    with_confidence: bool = False
    exist_ok: bool = False
    option: str = ""

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self.location)

    @property
    def shown(self) -> str:
        """What to call it in a message: `--save: out.mp4`, or `out.mp4`."""
        what = self.location or f"{self.kind}:"
        return f"{self.option}: {what}" if self.option else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Sinks named by options of their own, as `keepbusy detect` has them beside `--to`.

    Attributes:
        save: Annotated video, picture, or folder for both; what ends in `/` is a folder.
        json: JSON Lines; `-` for standard output.
        save_txt: Folder for labels.
        save_conf: Add confidences to the labels.
        save_crop: Folder for what was found, cut out.
        show: Open a window.
        exist_ok: Labels that keepbusy did not write, or somebody has changed since, may be written over.
        style: What is drawn, and how.
        has_sound: Copy the sound of one video file into one video.
        encoder: How videos are encoded: see `keepbusy.sinks.encoders`.
    """

    save: str | Path | None = None
    json: str | None = None
    save_txt: Path | None = None
    save_conf: bool = False
    save_crop: Path | None = None
    show: bool = False
    exist_ok: bool = False
    style: Style = PLAIN
    has_sound: bool = True
    encoder: EncoderName = "auto"

    def specs(self) -> list[SinkSpec]:
        """The sinks that they name."""
        found: list[SinkSpec] = []
        if self.json is not None:
            found.append(SinkSpec(kind="json", location=self.json, option="--json"))
        if self.save is not None:
            found.append(
                SinkSpec(
                    kind=_drawn_kind(str(self.save)),
                    location=str(self.save) or ".",
                    style=self.style,
                    encoder=self.encoder,
                    has_sound=self.has_sound,
                    option="--save",
                )
            )
        if self.save_txt is not None:
            found.append(
                SinkSpec(
                    kind="labels",
                    location=str(self.save_txt),
                    with_confidence=self.save_conf,
                    exist_ok=self.exist_ok,
                    option="--save-txt",
                )
            )
        if self.save_crop is not None:
            found.append(SinkSpec(kind="crops", location=str(self.save_crop), option="--save-crop"))
        if self.show:
            found.append(SinkSpec(kind="window", style=self.style, option="--show"))
        return found


def parse_sink(text: str, *, option: str = "") -> SinkSpec:
    """One word → the sink that it names.

    Args:
        text: A file or folder, or a kind and its place (`labels:out/`), and options behind a `?`. `-` are JSON Lines on
            standard output.
        option: What the user gave it with, for messages.

    Raises:
        ConfigError: There is no such kind or option, an option has a value that it cannot have, or the kind does not
            write to such a place.
    """
    place, mark, query = text.partition("?")
    try:
        options = parse_query(query) if mark else {}
    except TextError as error:
        raise ConfigError(_said(option, f"{text}: {error}"), hint="write for example out.mp4?encoder=vp9") from error
    match = _KIND.fullmatch(place)
    if place == STDOUT:
        spec = SinkSpec(kind="json", location=place, option=option)
    elif match is None:
        spec = SinkSpec(kind=_kind_of(place, option), location=place, option=option)
    else:
        spec = SinkSpec(kind=_named_kind(match[1], place, option), location=match[2], option=option)
    if not spec.location and spec.kind != "window":
        raise ConfigError(_said(option, f"{text or 'the sink'}: names no place"), hint=_HINT)
    if spec.location and spec.kind == "window":
        raise ConfigError(_said(option, f"{text}: a window has no place"), hint="write window:")
    check_place(spec)
    return _with_options(spec, options, text)


def check_place(spec: SinkSpec) -> None:
    """See that a sink's place can be one of its kind, as far as its name tells.

    Raises:
        ConfigError: It names a folder where the kind writes a file, or a file of a kind that cannot be written.
    """
    if spec.kind in FOLDERS or spec.kind == "window":
        return
    if names_folder(spec.location):
        raise ConfigError(
            f"{spec.shown} names a folder, and {spec.kind} writes a file",
            hint="add a file name to it, or leave out the end",
        )
    suffix = spec.path.suffix.lower()
    is_known = spec.kind == "json" or (suffix in VIDEO_SUFFIXES if spec.kind == "video" else is_picture(spec.path))
    if is_known:
        return
    kinds = ", ".join(sorted(VIDEO_SUFFIXES))
    raise ConfigError(
        f"{spec.shown}: unknown kind of file {suffix}"
        if suffix
        else f"{spec.shown}: has no ending that tells the kind of file",
        hint=f"use {kinds}" if spec.kind == "video" else f"use {kinds}, .jpg, .png, or a folder",
    )


def _kind_of(place: str, option: str) -> SinkKind:
    """The kind of a sink that is named by its place alone."""
    path = Path(place)
    if path.suffix.lower() in JSON_SUFFIXES and not names_folder(place) and not os.path.isdir(path):
        return "json"
    kind = _drawn_kind(place)
    if kind == "picture" and not is_picture(path):
        raise ConfigError(_said(option, f"{place}: unknown kind of file {path.suffix}"), hint=_HINT)
    return kind


def _drawn_kind(place: str) -> SinkKind:
    """What annotated pictures are written to a path as."""
    suffix = Path(place).suffix
    if not suffix or names_folder(place) or os.path.isdir(place):
        return "images"
    return "video" if suffix.lower() in VIDEO_SUFFIXES else "picture"


def _named_kind(name: str, place: str, option: str) -> SinkKind:
    kinds = get_args(SinkKind)
    if name in kinds:
        return cast("SinkKind", name)
    near = difflib.get_close_matches(name.lower(), kinds, 1)
    meant = f"did you mean {near[0]}:? " if near else ""
    raise ConfigError(
        _said(option, f"{place}: there is no kind of sink {name}:"),
        hint=f"{meant}the kinds are {', '.join(f'{kind}:' for kind in kinds)}; write ./{place} for a file of this name",
    )


def _with_options(spec: SinkSpec, texts: Mapping[str, str], whole: str) -> SinkSpec:
    known = OPTIONS[spec.kind]
    for name, text in texts.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                _said(spec.option, f"{whole}: {spec.kind} has no option {name}"),
                hint=f"{meant}the options are {', '.join(known)}",
            )
        try:
            spec = known[name](spec, text)
        except ValueError as error:
            raise ConfigError(
                _said(spec.option, f"{whole}: {name} cannot be {text!r}"), hint=f"give {error}"
            ) from error
    outlet = spec.outlet
    if outlet.on_error == "retry" and spec.kind in ("video", "images"):
        raise ConfigError(
            _said(spec.option, f"{whole}: a video's pictures cannot be written again"),
            hint="give on_error=stop or on_error=count",
        )
    if "attempts" in texts and outlet.on_error != "retry":
        raise ConfigError(_said(spec.option, f"{whole}: nothing is tried again"), hint="add on_error=retry")
    return spec


def _said(option: str, text: str) -> str:
    return f"{option}: {text}" if option else text


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


def _number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= highest:
        raise ValueError(f"a whole number from 1 to {highest}")
    return int(text)


def _choice(text: str, choices: Any) -> Any:
    if text not in get_args(choices):
        raise ValueError(f"one of {', '.join(get_args(choices))}")
    return text


def _encoder(spec: SinkSpec, text: str) -> SinkSpec:
    return replace(spec, encoder=_choice(text, EncoderName))


def _on_outlet(spec: SinkSpec, **changes: Any) -> SinkSpec:
    return replace(spec, outlet=replace(spec.outlet, **changes))


def _on_style(spec: SinkSpec, **changes: Any) -> SinkSpec:
    return replace(spec, style=replace(spec.style, **changes))


_Option = Callable[[SinkSpec, str], SinkSpec]

_OF_ALL: dict[str, _Option] = {
    "on_full": lambda spec, text: _on_outlet(spec, on_full=_choice(text, OnFull)),
    "on_error": lambda spec, text: _on_outlet(spec, on_error=_choice(text, OnSinkError)),
    "attempts": lambda spec, text: _on_outlet(
        spec, retry=replace(spec.outlet.retry, max_attempts=_number(text, MAX_ATTEMPTS))
    ),
}
_OF_DRAWN: dict[str, _Option] = _OF_ALL | {
    "labels": lambda spec, text: _on_style(spec, has_labels=_yes(text)),
    "conf": lambda spec, text: _on_style(spec, has_confidence=_yes(text)),
    "throughput": lambda spec, text: _on_style(spec, has_throughput=_yes(text)),
    "line_width": lambda spec, text: _on_style(spec, line_width_px=_number(text, MAX_LINE_WIDTH_PX)),
}
OPTIONS: dict[SinkKind, dict[str, _Option]] = {
    "json": _OF_ALL,
    "video": _OF_DRAWN | {"encoder": _encoder, "sound": lambda spec, text: replace(spec, has_sound=_yes(text))},
    "picture": _OF_DRAWN,
    "images": _OF_DRAWN | {"encoder": _encoder},
    "labels": _OF_ALL
    | {
        "conf": lambda spec, text: replace(spec, with_confidence=_yes(text)),
        "exist_ok": lambda spec, text: replace(spec, exist_ok=_yes(text)),
    },
    "crops": _OF_ALL,
    "window": _OF_DRAWN,
}
"""The options of each kind, by name: what takes their text."""
