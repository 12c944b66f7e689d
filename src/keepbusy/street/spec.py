"""Parsing of ``synth:street?...`` source specifications."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keepbusy.errors import SourceError
from keepbusy.files.parsing import TextError, parse_query

_PREFIX = "synth:"
_HINT = (
    "use synth:street?seed=S&size=WxH&fps=F&frames=N; every key is optional: "
    "seed 0..2147483647, size 64x64..3840x2160, fps 1..240, frames 1..1000000000"
)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_INTEGER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class StreetSpec:
    """What ``synth:street`` asks for; ``frames`` None means endless."""

    seed: int = 1
    width: int = 1280
    height: int = 720
    fps: float = 30.0
    frames: int | None = None


def parse_street_spec(spec: str) -> StreetSpec:
    """Parse a specification such as ``synth:street?seed=1&size=1280x720&fps=30&frames=300``.

    Args:
        spec: The specification; all keys are optional.

    Returns:
        The parsed specification.

    Raises:
        SourceError: If anything in it is malformed, unknown, repeated or out of range.
    """
    if not spec.startswith(_PREFIX):
        raise SourceError(f"not a synthetic source: {spec!r}", hint=_HINT)
    scene, mark, query = spec[len(_PREFIX) :].partition("?")
    if scene != "street":
        raise SourceError(f"unknown synthetic scene {scene!r}", hint=_HINT)
    try:
        values = parse_query(query) if mark else {}
    except TextError as error:
        raise SourceError(f"{error} in {spec!r}", hint=_HINT) from error
    for key in values:
        if key not in ("seed", "size", "fps", "frames"):
            raise SourceError(f"unknown key {key!r} in {spec!r}", hint=_HINT)
    width, height = 1280, 720
    if "size" in values:
        first, cross, second = values["size"].partition("x")
        if not cross:
            raise SourceError(f"size {values['size']!r} is not WIDTHxHEIGHT", hint=_HINT)
        width = _integer("size", values["size"], first, 64, 3840)
        height = _integer("size", values["size"], second, 64, 2160)
    fps = 30.0
    if "fps" in values:
        if not _NUMBER.fullmatch(values["fps"]):
            raise SourceError(f"fps {values['fps']!r} is not a number", hint=_HINT)
        fps = float(values["fps"])
        if not 1.0 <= fps <= 240.0:
            raise SourceError(f"fps {values['fps']!r} is outside 1..240", hint=_HINT)
    seed = values.get("seed", "1")
    frames = values.get("frames")
    return StreetSpec(
        _integer("seed", seed, seed, 0, 2**31 - 1),
        width,
        height,
        fps,
        None if frames is None else _integer("frames", frames, frames, 1, 10**9),
    )


def _integer(key: str, shown: str, text: str, low: int, high: int) -> int:
    if not _INTEGER.fullmatch(text):
        raise SourceError(f"{key} {shown!r} is not made of whole numbers", hint=_HINT)
    value = int(text)
    if not low <= value <= high:
        raise SourceError(f"{key} {shown!r} is outside {low}..{high}", hint=_HINT)
    return value
