"""What the program calls its options, where an error comes from a configuration."""

from __future__ import annotations

import re
from dataclasses import fields

from keepbusy.config import DetectConfig, DeviceConfig, RunConfig, SelectConfig

_NO_OPTIONS = frozenset({"multi_label", "channel_frames", "results_buffered"})
"""Attributes that only programs can set."""

_NAMES = (
    frozenset(field.name for kind in (DeviceConfig, DetectConfig, RunConfig, SelectConfig) for field in fields(kind))
    - _NO_OPTIONS
)


def with_option(message: str) -> str:
    """A configuration's error with the option's name: `device_timeout_s: ...` → `--device-timeout: ...`."""
    match = re.match(r"([a-z_]+): ", message)
    if match is None or match[1] not in _NAMES:
        return message
    return f"--{match[1].removesuffix('_s').replace('_', '-')}{message[match.end(1) :]}"
