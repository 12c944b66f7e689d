"""What callers of the library give as sources → opened sources."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keepbusy.config import MAX_PIXELS, Channels
from keepbusy.sources.base import Source, close_source
from keepbusy.sources.generated import Generated
from keepbusy.sources.open import open_sources
from keepbusy.sources.pixels import Pixels, is_odd_array, is_pixels
from keepbusy.sources.refusals import no_picture, no_source


def flatten(sources: tuple[Any, ...]) -> list[Any]:
    """Sources with lists and tuples opened up; whatever cannot be a source is refused.

    Raises:
        ConfigError: Something is neither a source nor names one.
    """
    found: list[Any] = []
    for source in sources:
        if isinstance(source, (list, tuple)):
            found += flatten(tuple(source))
        elif isinstance(source, (str, int, Path, Source)) and not isinstance(source, bool):
            found.append(source)
        elif is_pixels(source):
            if is_odd_array(source):
                raise no_picture(source)
            found.append(source)
        elif is_generator(source):
            found.append(source)
        elif isinstance(source, os.PathLike) and isinstance(path := os.fspath(source), str):
            found.append(path)
        else:
            raise no_source(source)
    return found


def is_generator(source: object) -> bool:
    """Whether something gives pictures one by one: a generator or another iterator, and no file that is open."""
    return isinstance(source, Iterator) and not isinstance(source, Source) and not hasattr(source, "read")


def open_mixed(
    sources: Sequence[Any], *, channels: Channels = "bgr", max_pixels: int = MAX_PIXELS, **how: Any
) -> list[Source]:
    """Open what is named, as `open_sources` takes it, and keep what is open already, in the order given.

    Pictures in memory that follow each other become one source, as files do. A generator is a source of its own.

    Args:
        sources: What `flatten` has made.
        channels: The order of the colours of arrays.
        max_pixels, **how: As for `open_sources`.
    """
    opened: list[Source] = []
    try:
        for kind, group in _groups(sources):
            if kind == "named":
                opened += open_sources(group, max_pixels=max_pixels, **how)
            elif kind == "pixels":
                opened.append(Pixels(group, channels=channels, max_pixels=max_pixels))
            else:
                opened += [
                    one if isinstance(one, Source) else Generated(one, channels=channels, max_pixels=max_pixels)
                    for one in group
                ]
        return opened
    except BaseException:
        for one in opened:
            close_source(one)
        raise


def _groups(sources: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """Sources of the same kind that follow each other, put together."""
    groups: list[tuple[str, list[Any]]] = []
    for source in sources:
        kind = "named" if isinstance(source, (str, int, Path)) else "pixels" if is_pixels(source) else "open"
        if not groups or groups[-1][0] != kind:
            groups.append((kind, []))
        groups[-1][1].append(source)
    return groups
