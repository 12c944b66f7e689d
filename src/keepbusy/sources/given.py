"""What callers of the library give as sources → opened sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keepbusy.errors import ConfigError
from keepbusy.sources.base import Source, close_source
from keepbusy.sources.open import open_sources
from keepbusy.sources.pixels import TAKEN, Pixels, is_pixels, to_image


def flatten(sources: tuple[Any, ...]) -> list[Any]:
    """Sources with lists and tuples opened up; whatever cannot be a source is refused.

    Raises:
        ConfigError: Something is neither a source nor names one.
    """
    found: list[Any] = []
    for source in sources:
        if isinstance(source, (list, tuple)):
            found += flatten(tuple(source))
        elif (isinstance(source, (str, int, Path, Source)) and not isinstance(source, bool)) or is_pixels(source):
            found.append(source)
        elif isinstance(source, os.PathLike) and isinstance(path := os.fspath(source), str):
            found.append(path)
        else:
            raise ConfigError(
                f"a source cannot be made of {type(source).__name__}",
                hint=f"give {TAKEN}, a camera's number, a URL, a list of these,"
                " or a source of your own, derived from keepbusy.Source",
            )
    return found


def open_mixed(sources: Sequence[Any], **how: Any) -> list[Source]:
    """Open what is named, as `open_sources` takes it, and keep what is open already, in the order given."""
    opened: list[Source] = []
    named: list[str | int | Path] = []
    try:
        for source in sources:
            if isinstance(source, (str, int, Path)):
                named.append(source)
                continue
            own = Pixels([to_image(source)]) if is_pixels(source) else source
            opened += [*open_sources(named, **how), own]
            named = []
        return opened + open_sources(named, **how)
    except BaseException:
        for one in opened:
            close_source(one)
        raise
