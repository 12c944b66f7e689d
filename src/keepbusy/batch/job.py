"""What a job is: its settings as they were given, and what a worker process has to know of them."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle  # nosec B403 # Only to see whether something can be pickled.
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from keepbusy.api.options import split_options
from keepbusy.batch.logins import Logins
from keepbusy.batch.schema import SCHEMA_VERSION
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.checks import check_count
from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, first_line
from keepbusy.files.parsing import parse_json
from keepbusy.version import __version__

CHANGE_NOTHING = frozenset(
    {"cache_dir", "channel_frames", "device", "device_timeout_s", "hint", "mode", "nireq", "nstreams", "on_error"}
    | {"preprocess_threads", "read_threads", "results_buffered", "threads"}
)
"""Options that change how fast frames are done, not what is found in them: a job may go on with others."""

BY_MODEL = ("classes", "class_conf")
"""Options that the model's own names give a meaning."""

LEAST_PICTURES, MOST_PICTURES = 1, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitConfig:
    """How large the units of a job are: what a crash loses at most, and what is one shard.

    Attributes:
        pictures: How many pictures are one unit, 1 to 2000. Their sizes are looked up for at most 500.
        frames: Long videos are cut into ranges of at least so many frames; None leaves them whole.
    """

    pictures: int = 500
    frames: int | None = 5000

    def __post_init__(self) -> None:
        check_count("pictures", self.pictures, LEAST_PICTURES, MOST_PICTURES)
        if self.frames is not None:
            check_count("frames", self.frames, 3, None)


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker process of a job is told. Picklable.

    Attributes:
        folder: Where the results go.
        model: The model's file.
        device: OpenVINO's device name.
        names: Class names, or the file that has them.
        select: Which frames of each video are read.
        units: How large units are.
        options: As `Pipeline` takes them.
        settled: What was found out once and holds for the whole job: `head` and `quantized`; empty before that.
        cores: The cores that the process is bound to; none leaves it where it is.
        logins: What was taken off the addresses of files; never written down.
    """

    folder: Path
    model: Path
    device: str
    names: tuple[str, ...] | str | Path | None
    select: SelectConfig
    units: UnitConfig
    options: Mapping[str, Any]
    settled: Mapping[str, Any] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    logins: Logins = field(default_factory=Logins)

    @property
    def may_cut(self) -> bool:
        """Whether long videos may be cut into ranges."""
        return self.units.frames is not None and self.select.limit is None

    def given(self) -> dict[str, Any]:
        """The settings as they were given, for the manifest: those that change what is found."""
        given: dict[str, Any] = plain(
            {
                "keepbusy": __version__,
                "schema": SCHEMA_VERSION,
                "model": self.model.name,
                "model_checksum": model_fingerprint(self.model),
                "device": self.device,
                "names": self.names,
                "limit": self.select.limit,
                "stride": self.select.stride,
                "options": self._options(),
            }
        )
        return given

    def _options(self) -> dict[str, Any]:
        """All options that change what is found, those that were not given as they are by default."""
        by_model = {name: self.options.get(name) for name in BY_MODEL}
        parts = split_options({name: value for name, value in self.options.items() if name not in BY_MODEL})
        known = {name: value for part in parts for name, value in dataclasses.asdict(part).items()}
        return {name: value for name, value in (known | by_model).items() if name not in CHANGE_NOTHING}


def check_select(select: SelectConfig) -> None:
    """See that a job with this selection comes to an end.

    Raises:
        ConfigError: It does not.
    """
    if select.loop:
        raise ConfigError("loop: a batch goes through each file once", hint="leave `loop` out")


def check_sendable(job: Job) -> None:
    """See that worker processes can be told of a job.

    Raises:
        ConfigError: An option is something that only this process has.
    """
    for name, value in {"names": job.names, **job.options}.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            raise ConfigError(
                f"{name}: cannot be handed to worker processes: {first_line(error)}",
                hint="give values, or a function that a module defines",
            ) from error


def plain(value: Any) -> Any:
    """A value as JSON has it, so that one that was written and read is the same again."""
    return parse_json(json.dumps(value, default=_told, sort_keys=True))


def _told(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, partial):
        return list(value.args) if any(value.args) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return getattr(value, "__qualname__", None) or list(value)


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Where two sets of settings differ: one text for each, `conf: 0.25 there, 0.5 here`."""
    found: list[str] = []
    for key in sorted({*here, *there}):
        a, b = here.get(key), there.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b)
        elif a != b:
            found.append(f"{key}: {_shown(b)} there, {_shown(a)} here")
    return found


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
