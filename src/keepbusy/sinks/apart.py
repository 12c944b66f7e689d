"""No sink of a run writes over what another one writes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from keepbusy.errors import ConfigError
from keepbusy.files.paths import FileId, file_id
from keepbusy.sinks.spec import FOLDERS, STDOUT, SinkSpec


def labels_of(specs: Sequence[SinkSpec]) -> list[str]:
    """What to call each sink in a message; no two alike."""
    met: Counter[str] = Counter()
    called = []
    for spec in specs:
        option = spec.option or "sink"
        met[option] += 1
        called.append(option if met[option] == 1 else f"{option} ({met[option]})")
    return called


def check_apart(specs: Sequence[SinkSpec], *, is_deep: bool, trace: Path | None = None) -> None:
    """See that no two sinks have the same place, and that no file of one could be a file of another.

    A folder of `labels` has texts in it, those of `images` and `crops` have pictures. Only folders of the same content
    can collide.

    Args:
        specs: The sinks.
        is_deep: Whether `images` and `labels` may write to sub-folders: see `keeps_sub_folders`. `crops` always does.
        trace: Where the timeline is written.

    Raises:
        ConfigError: Two have the same place, or the folder of one is where another one may write.
    """
    taken: dict[tuple[str, str], SinkSpec] = {}
    for spec in specs:
        place = spec.location if spec.location in ("", STDOUT) else str(_place(spec.location))
        if (earlier := taken.setdefault((spec.kind, place), spec)) is not spec:
            what = {"": "a window", STDOUT: "standard output"}.get(spec.location, spec.location)
            raise ConfigError(f"{_both(earlier, spec)}: {what} is named twice", hint="give two names")
    _check_files(specs, trace)
    for one, other in combinations([spec for spec in specs if spec.kind in FOLDERS], 2):
        if (one.kind == "labels") == (other.kind == "labels") and _may_collide(one, other, is_deep=is_deep):
            places = " and ".join(f"{spec.kind}:{spec.location}" for spec in (one, other))
            raise ConfigError(
                f"{_both(one, other)}: files of {places} could have the same name",
                hint="give two folders, neither of them inside the other",
            )


def _check_files(specs: Sequence[SinkSpec], trace: Path | None) -> None:
    """See that no two names lead to the same file, pipe or terminal. Those that do not exist yet lead nowhere."""
    named = [
        (label, spec.location)
        for label, spec in zip(labels_of(specs), specs, strict=True)
        if spec.kind not in FOLDERS and spec.location
    ]
    if trace is not None:
        named.append(("`trace`", str(trace)))
    taken: dict[FileId, tuple[str, str]] = {}
    for label, location in named:
        found = _stdout_id() if location == STDOUT else file_id(location)
        if found is None or found[1] == 0:
            continue
        other, first = taken.setdefault(found, (label, location))
        if other == label:
            continue
        if STDOUT not in (first, location):
            raise ConfigError(f"{other} and {label} name the same file: {location}", hint="give two names")
        path = location if first == STDOUT else first
        raise ConfigError(f"{other} and {label}: {path} is standard output", hint="give two places")


def _stdout_id() -> FileId | None:
    """Which file, pipe or terminal standard output is; None where it is closed, or somebody's own stream."""
    try:
        found = os.fstat(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino)


def _may_collide(one: SinkSpec, other: SinkSpec, *, is_deep: bool) -> bool:
    place, other_place = _place(one.location), _place(other.location)
    goes_below, other_goes_below = (spec.kind == "crops" or is_deep for spec in (one, other))
    if place == other_place:
        # Crops are never in the folder itself, only below it.
        return goes_below and other_goes_below
    return (goes_below and other_place.is_relative_to(place)) or (
        other_goes_below and place.is_relative_to(other_place)
    )


def _place(location: str) -> Path:
    return Path(os.path.normcase(os.path.realpath(location)))


def _both(one: SinkSpec, other: SinkSpec) -> str:
    return " and ".join(dict.fromkeys(spec.option or "sinks" for spec in (one, other)))
