"""Words on the command line → values. A word that cannot be read is a `ConfigError`."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import typer

from keepbusy.config import HIGHEST_PIXELS, MAX_PIXELS, Point, ShapeChoice
from keepbusy.errors import ConfigError

log = logging.getLogger("keepbusy")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`640` or `384x640` (height x width) → (height, width), pixels."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:[x,](\d+))?", text.strip())
    if match is None:
        raise ConfigError(f"--imgsz: {text!r} is not a size", hint="give 640, or height x width: 384x640")
    height = int(match[1])
    return height, int(match[2] or height)


def parse_shape(text: str) -> ShapeChoice:
    """`auto`, `square`, `rect`, or height x width."""
    if text in {"auto", "square", "rect"}:
        return cast("ShapeChoice", text)
    try:
        size = parse_size(text)
    except ConfigError as error:
        raise ConfigError(
            f"--shape: {text!r} is not a shape", hint="give auto, square, rect, or height x width: 384x640"
        ) from error
    assert size is not None  # nosec B101 # for mypy: only no text has no size
    return size


def share(low: float = 0.0) -> Callable[[str], float]:
    """What reads a number from `low` to 1 for an option; `nan` is none."""

    def parse_share(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise typer.BadParameter(f"{text} is no number: give one from {low:g} to 1")
        if not low <= value <= 1:
            raise typer.BadParameter(f"{text} is out of range: give a number from {low:g} to 1")
        return value

    return parse_share


def parse_cache_dir(folder: Path | None) -> Path | Literal[False] | None:
    """A folder, or `none` for no cache."""
    return False if folder is not None and str(folder) == "none" else folder


def parse_nireq(text: str) -> int | None:
    """`auto` or a number of requests; None for auto."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--nireq: {text!r} is not a number of requests", hint="give auto, or 1 or more")
    return int(text)


def parse_processes(text: str) -> int | str:
    """`auto` or a number of processes."""
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--processes: {text!r} is no number of processes", hint="give auto, or 1 or more")
    return int(text)


def parse_pixels(text: str | None) -> int:
    """`300000000`, or `300M`; None for the default."""
    if text is None:
        return MAX_PIXELS
    match = re.fullmatch(r"(\d{1,15})(M?)", text.strip(), re.ASCII | re.IGNORECASE)
    if match is None or not int(match[1]):
        raise ConfigError(
            f"--max-pixels: {text!r} is no number of pixels", hint="give a whole number, or millions: 500M"
        )
    return min(int(match[1]) * (1_000_000 if match[2] else 1), HIGHEST_PIXELS)


def parse_classes(text: str | None, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Class ids or names separated by commas → ids. Names may have commas in them; numbers are ids."""
    if text is None:
        return None
    chosen: list[int] = []
    by_name = {
        tuple(piece.strip() for piece in name.split(",")): index for index, name in reversed([*enumerate(names)])
    }
    parts = [part.strip() for part in text.split(",")]
    while parts:
        class_id, num_parts = _first_class(parts, names, by_name)
        chosen.append(class_id)
        parts = parts[num_parts:]
    return tuple(chosen)


def parse_class_conf(texts: Sequence[str], names: tuple[str, ...]) -> dict[int, float] | None:
    """Thresholds of single classes, `person=0.5` or `0=0.5` each → by class id; None where there are none.

    Raises:
        ConfigError: One is not of that form, or names no class of the model.
    """
    found: dict[int, float] = {}
    for text in texts:
        # Names may have equals signs in them.
        name, sign, value = text.rpartition("=")
        try:
            conf = float(value)
        except ValueError:
            conf = -1.0
        if sign and conf >= 0 and not conf <= 1:
            raise ConfigError(
                f"--class-conf: {text!r}: a threshold goes from 0 to 1", hint=f"write for example {name}=0.5"
            )
        if not sign or not 0 <= conf <= 1:
            raise ConfigError(
                f"--class-conf: {text!r} is not a class and its threshold", hint="give a name or id: person=0.5, 0=0.5"
            )
        found[_one_class(name.strip(), names)] = conf
    return found or None


def parse_region(text: str | None) -> tuple[Point, ...] | None:
    """`0.1,0.2 0.9,0.2 0.5,0.9`, or the same with commas only → corners."""
    if text is None:
        return None
    words = re.split(r"[\s,;]+", text.strip())
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) < 4 or len(numbers) % 2 or not all(0 <= number <= 1 for number in numbers):
        raise ConfigError(
            f"--region: {text!r} is no polygon" + (" (are these pixels?)" if numbers and max(numbers) > 1 else ""),
            hint="give 2 corners of a rectangle, or more of a polygon, as shares of the frame (0 to 1): "
            "0.1,0.2 0.9,0.2 0.5,0.9",
        )
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _one_class(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise _no_such_class("--class-conf", text, names)


def _first_class(parts: list[str], names: tuple[str, ...], by_name: Mapping[tuple[str, ...], int]) -> tuple[int, int]:
    """The class that the first parts name, as many of them as can be, and how many parts that took."""
    if parts[0].isdecimal() and int(parts[0]) < len(names):
        if by_name.get((parts[0],), int(parts[0])) != int(parts[0]):
            log.info("--classes: %s is taken as an id, not as the class that has this name", parts[0])
        return int(parts[0]), 1
    for num_parts in range(len(parts), 0, -1):
        if tuple(parts[:num_parts]) in by_name:
            return by_name[tuple(parts[:num_parts])], num_parts
    raise _no_such_class("--classes", parts[0], names)


def _no_such_class(option: str, text: str, names: tuple[str, ...]) -> ConfigError:
    from keepbusy.models.names import first_names

    by_plain_name = {name.casefold(): name for name in reversed(names)}
    near = difflib.get_close_matches(text.casefold(), by_plain_name, 1)
    meant = f"did you mean {by_plain_name[near[0]]}? " if near else ""
    return ConfigError(
        f"{option}: the model has no class {text!r}" if text else f"{option}: is empty",
        hint=f"{meant}give ids from 0 to {len(names) - 1}, or names: {first_names(names)}",
    )
