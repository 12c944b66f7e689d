"""Keyword options → the configurations that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from keepbusy.config import DetectConfig, DeviceConfig, RunConfig
from keepbusy.errors import ConfigError


def split_options(options: Mapping[str, Any]) -> tuple[DeviceConfig, DetectConfig, RunConfig]:
    """Sort keyword options into the three configurations by their names.

    Raises:
        ConfigError: An option that none of them has, or a value that it cannot have.
    """
    parts: list[Any] = []
    left = dict(options)
    for kind in (DeviceConfig, DetectConfig, RunConfig):
        own = {f.name: left.pop(f.name) for f in fields(kind) if f.name in left}
        parts.append(kind(**own))
    if left:
        known = sorted(f.name for kind in (DeviceConfig, DetectConfig, RunConfig) for f in fields(kind))
        raise ConfigError(
            f"unknown option{'s' if len(left) > 1 else ''}: {', '.join(sorted(left))}",
            hint=f"the options are {', '.join(known)}",
        )
    device, detect, run = parts
    return device, detect, run
