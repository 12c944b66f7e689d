"""What `run_batch` is called with, checked as far as that can be done before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keepbusy.api.load import check_model
from keepbusy.api.options import split_options
from keepbusy.batch.job import BY_MODEL, Job, UnitConfig, check_select, check_sendable
from keepbusy.checks import check_count
from keepbusy.config import SelectConfig
from keepbusy.embedded import embedded_model
from keepbusy.errors import ConfigError
from keepbusy.models.store import find_model


def job_of(output: Any, model: Any, device: str, names: Any, select: Any, units: Any, options: dict[str, Any]) -> Job:
    """What the arguments say, checked as far as that can be done without the model.

    Raises:
        ConfigError, ModelError: They are wrong.
    """
    if model is not None:
        check_model(model)
    if not isinstance(output, (str, os.PathLike)) or not os.fspath(output):
        raise ConfigError("output: is no folder's path", hint='give a folder for the results: "found"')
    for name, value, kind in (("select", select, SelectConfig), ("units", units, UnitConfig)):
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"{name}: {type(value).__name__} is no {kind.__name__}")
    select = select or SelectConfig()
    check_select(select)
    split_options({"device": device, **{key: value for key, value in options.items() if key not in BY_MODEL}})
    path = embedded_model() if model is None else find_model(model)
    path = Path(os.path.abspath(path))
    if isinstance(names, (str, os.PathLike)):
        names = os.path.abspath(names)
    job = Job(Path(output), path, device, names, select, units or UnitConfig(), options)
    check_sendable(job)
    return job


def listed(sources: Any) -> list[str | Path]:
    """The sources of a call as a list.

    Raises:
        ConfigError: They are none.
    """
    if isinstance(sources, (bytes, bytearray)) or not isinstance(sources, (str, os.PathLike, Iterable)):
        raise ConfigError(f"sources: {type(sources).__name__} names no files", hint="give paths or addresses")
    given: list[Any] = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    for one in given:
        if not isinstance(one, (str, os.PathLike)) or not os.fspath(one):
            raise ConfigError(f"sources: {one!r} names no file", hint="give paths or addresses")
    return given


def no_source(output: str | Path) -> ConfigError:
    """Nothing is named, and nothing is there."""
    return ConfigError(
        f"{output}: no source is given, and there is no batch to go on with",
        hint="name at least one video, picture or folder",
    )


def check_numbers(processes: Any, errors_allowed: Any) -> None:
    """See that counts are counts.

    Raises:
        ConfigError: One is none.
    """
    if processes != "auto":
        check_count("processes", processes, 1, None)
    if errors_allowed is not None:
        check_count("errors_allowed", errors_allowed, 0, None)
