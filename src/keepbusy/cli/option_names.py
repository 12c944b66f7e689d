"""What the program calls its options, where a text comes from the library.

The library names options as Python has them: a `ConfigError` may begin with one (`max_pixels: ...`), and any text may
have some in backticks (``leave `imgsz` out``). The program shows them as flags.
"""

from __future__ import annotations

import re
from dataclasses import fields

from keepbusy.config import DetectConfig, DeviceConfig, RunConfig, SelectConfig

_NO_OPTIONS = frozenset({"multi_label", "channel_frames", "channels", "results_buffered"})
"""Attributes that only programs can set."""

_CONFIGURED = (
    frozenset(field.name for kind in (DeviceConfig, DetectConfig, RunConfig, SelectConfig) for field in fields(kind))
    - _NO_OPTIONS
)

_FIRST = _CONFIGURED | {"accuracy_control", "class_match", "errors_allowed", "names", "output", "processes", "profile"}
"""What an error may begin with. Names that folders often have (`data`, `split`) are written in backticks there, too:
errors also begin with the name of a folder."""

_QUOTED = _CONFIGURED | {
    *("coco", "csv", "errors_allowed", "json", "output", "overwrite", "yolo"),
    *(
        "class_match",
        "data",
        "exist_ok",
        "int8",
        "model",
        "save",
        "show",
        "skip_bad_labels",
        "split",
        "thumbnails",
        "trace",
    ),
}
"""What is an option where it stands in backticks."""

_OTHERWISE = {
    "__cause__": "--debug",
    "all_classes": "--per-class",
    "calibration": "--calibrate",
    "device_timeout_s": "--device-timeout",
    "folder": "--output",
    "ignore_missing": "--ignore-missing-classes",
    "images=": "--images",
    "multi_label=False": "--single-label",
    "names=": "--names",
}
"""Flags that differ from the name in Python in more than hyphens. `names` and `images` alone, in backticks, are keys
and folders of data sets."""


def with_option(message: str) -> str:
    """A configuration's error with the flag of the option it begins with: `max_pixels: ...` → `--max-pixels: ...`."""
    match = re.match(r"([a-z_]+): ", message)
    if match is None or match[1] not in _FIRST:
        return message
    return _flag(match[1]) + message[match.end(1) :]


def with_options(text: str) -> str:
    """A text with the flags of the options in backticks in it: ``raise `conf` `` → `raise --conf`."""
    return re.sub(r"`([a-z0-9_]+(?:=[A-Za-z]*)?)`", _shown, text)


def _shown(match: re.Match[str]) -> str:
    return _flag(match[1]) if match[1] in _QUOTED or match[1] in _OTHERWISE else match[0]


def _flag(name: str) -> str:
    return _OTHERWISE.get(name) or f"--{name.replace('_', '-')}"
