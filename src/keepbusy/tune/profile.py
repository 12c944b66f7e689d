"""Profile files: the options that `keepbusy tune` found for a machine, in YAML that people may edit.

```yaml
format: keepbusy-profile
version: 1
options:          # of Pipeline, by name; only those of PROFILE_OPTIONS
  nstreams: 2
  nireq: 3
tuned_for:        # what they were found with
  device: CPU
measured:         # what they brought
  fps: 125.1
```

Options that a user gives come before those of a profile, and these before the defaults.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from keepbusy.api.options import split_options
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.config import Options
from keepbusy.errors import ConfigError, first_line
from keepbusy.files.parsing import TextError, parse_yaml_nodes
from keepbusy.files.paths import read_text
from keepbusy.files.whole import write_error, write_whole
from keepbusy.texts import short_name

log = logging.getLogger("keepbusy")

FORMAT = "keepbusy-profile"
VERSION = 1

PROFILE_OPTIONS: dict[str, tuple[type, ...]] = {
    "mode": (str,),
    "hint": (str,),
    "nstreams": (int,),
    "threads": (int,),
    "precision": (str,),
    "head": (str,),
    "shape": (str, list),
    "imgsz": (list,),
    "nireq": (int,),
    "read_threads": (int,),
    "preprocess_threads": (int,),
    "channel_frames": (int,),
}
"""The options that a profile may have, and the YAML types of their values: how fast it goes, not which detections
count."""

TUNED_FOR = {
    "device": "device",
    "device_name": "device's full name",
    "model": "model file",
    "model_fingerprint": "model",
    "frame_hw": "frame size",
    "sources": "sources",
    "usable_cores": "usable cores",
    "openvino": "OpenVINO",
    "keepbusy": "keepbusy",
    "time": "time",
}
"""What a profile may say of its origin: key → name in messages."""

_COMPARED = ("device", "device_name", "model_fingerprint", "frame_hw", "usable_cores", "openvino")
_SECTIONS = ("format", "version", "options", "tuned_for", "measured")
_HEADING = """\
# Written by `keepbusy tune`; used by `keepbusy detect --profile FILE`.
# Options on the command line come before these. It may be edited: only `options` changes what is done.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedProfile:
    """The content of a profile file.

    Attributes:
        options: Keyword options of `Pipeline`.
        tuned_for: What they were found with; the keys of `TUNED_FOR`, as far as known.
        measured: Figures for people; any keys.
    """

    options: Options
    tuned_for: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str | None:
        """OpenVINO's name of the device that it was tuned for."""
        return cast("str | None", self.tuned_for.get("device"))

    def differences(self, here: Mapping[str, Any]) -> list[str]:
        """What is not as it was when the profile was made: one line for each; empty where all is the same.

        Args:
            here: Keys of `TUNED_FOR` as they are now; those not known are left out.
        """
        lines: list[str] = []
        for key in _COMPARED:
            then, now = self.tuned_for.get(key), here.get(key)
            if then is None or now is None or _plain(then) == _plain(now):
                continue
            if key == "model_fingerprint":
                then, now = (f"{side.get('model', '')} ({str(side[key])[:8]})" for side in (self.tuned_for, here))
            lines.append(f"tuned for {TUNED_FOR[key]} {_text(then)}, and this is {_text(now)}")
        return lines


def load_profile(path: str | Path) -> TunedProfile:
    """Read a profile.

    Raises:
        ConfigError: It cannot be read, is no profile, or has a key or a value that it cannot have; with its line.
    """

    path = Path(path)
    hint = "give a file that `keepbusy tune` has written"
    try:
        text = read_text(path)
    except OSError as error:
        raise ConfigError(f"profile: {path}: cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise ConfigError(f"profile: {path}: is not text: {first_line(error)}", hint=hint) from error
    try:
        content, node = parse_yaml_nodes(text)
    except TextError as error:
        raise ConfigError(f"profile: {path}{error.place}: is not YAML: {error}", hint=hint) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"profile: {path}: is not a profile of keepbusy tune", hint=hint)
    lines = _lines(node)
    if content.get("version") != VERSION:
        raise ConfigError(
            f"profile: {_place(path, lines, 'version')}: unknown version of the format: {content.get('version')!r}",
            hint=f"this keepbusy reads version {VERSION}; tune again",
        )
    _check_keys(path, lines, content, _SECTIONS, "")
    for section in ("options", "tuned_for", "measured"):
        if not isinstance(content.get(section) or {}, dict):
            raise ConfigError(
                f"profile: {_place(path, lines, section)}: {section} is not a table", hint="write `key: value` lines"
            )
    options, tuned_for = content.get("options") or {}, content.get("tuned_for") or {}
    _check_keys(path, lines, options, tuple(PROFILE_OPTIONS), "options.")
    _check_keys(path, lines, tuned_for, tuple(TUNED_FOR), "tuned_for.")
    return TunedProfile(
        options=_checked(path, lines, options), tuned_for=tuned_for, measured=content.get("measured") or {}
    )


def save_profile(profile: TunedProfile, path: str | Path) -> None:
    """Write a profile; a file that is there is replaced whole or not at all.

    Raises:
        SinkError: It cannot be written.
    """
    import yaml

    path = Path(path)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "options": _plain(profile.options),
        "tuned_for": _plain({key: value for key, value in profile.tuned_for.items() if value is not None}),
        "measured": _plain(profile.measured),
    }
    text = _HEADING + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    write_whole(path, text)


def origin(
    model: Path,
    device: str,
    sources: Sequence[str] = (),
    *,
    device_name: str = "",
    frame_hw: Sequence[int] | None = None,
    usable_cores: float | None = None,
) -> dict[str, Any]:
    """The keys of `TUNED_FOR` as they are now, for a profile to be written, or to be compared with one.

    Args:
        model: The model's file.
        device: OpenVINO's device name.
        sources: As the user named them; only the last part of a path is kept.
        device_name: The device's full name, where it is known.
        frame_hw: (height, width) of most frames, pixels, where it is known.
        usable_cores: What affinity and quotas allow, where it is known.
    """
    import openvino

    from keepbusy.version import __version__

    return {
        "device": device,
        "device_name": device_name or None,
        "model": model.name,
        "model_fingerprint": model_fingerprint(model),
        "frame_hw": list(frame_hw) if frame_hw is not None else None,
        "sources": [short_name(source) for source in sources] or None,
        "usable_cores": usable_cores,
        "openvino": openvino.__version__.partition("-")[0],
        "keepbusy": __version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def merge_options(profile: TunedProfile, given: Mapping[str, Any]) -> Options:
    """What the user gave before what the profile says.

    Args:
        profile: As loaded.
        given: The options that the user gave, by name; not those that have their default.
    """
    return cast("Options", {**profile.options, **given})


def warn_of_differences(profile: TunedProfile, path: str | Path, here: Mapping[str, Any]) -> None:
    """Log a warning for each line of `TunedProfile.differences`."""
    for line in profile.differences(here):
        log.warning("%s: %s: it may not be the fastest here; `keepbusy tune` finds what is", path, line)


def _checked(path: Path, lines: Mapping[str, int], options: Mapping[str, Any]) -> Options:
    values: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        place = _place(path, lines, f"options.{name}")
        kinds = PROFILE_OPTIONS[name]
        is_pair = isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)
        if type(value) not in kinds or (isinstance(value, list) and not is_pair):
            names = {int: "a whole number", str: "a word", list: "[height, width]"}
            wanted = " or ".join(names[kind] for kind in kinds)
            raise ConfigError(f"profile: {place}: {name}: {value!r} is not {wanted}", hint=f"write {name}: {wanted}")
        values[name] = tuple(value) if isinstance(value, list) else value
        try:
            split_options({name: values[name]})
        except ConfigError as error:
            raise ConfigError(f"profile: {place}: {error.message}", hint=error.hint) from error
    try:
        split_options(values)
    except ConfigError as error:
        raise ConfigError(f"profile: {_place(path, lines, 'options')}: {error.message}", hint=error.hint) from error
    return cast("Options", values)


def _check_keys(
    path: Path, lines: Mapping[str, int], found: Mapping[Any, Any], known: tuple[str, ...], prefix: str
) -> None:
    for key in found:
        if key not in known:
            raise ConfigError(
                f"profile: {_place(path, lines, f'{prefix}{key}')}: unknown key {prefix}{key}",
                hint=f"the keys are {', '.join(known)}",
            )


def _lines(node: Any, prefix: str = "") -> dict[str, int]:
    """Dotted key → its line in the file, from 1."""
    found: dict[str, int] = {}
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        found[name] = key.start_mark.line + 1
        if value.id == "mapping":
            found.update(_lines(value, f"{name}."))
    return found


def _place(path: Path, lines: Mapping[str, int], key: str) -> str:
    return f"{path}:{lines[key]}" if key in lines else str(path)


def _plain(value: Any) -> Any:
    """Tuples as lists, other mappings as dictionaries: what YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value)) if all(isinstance(one, int) for one in value) else ", ".join(map(str, value))
    return str(value)
