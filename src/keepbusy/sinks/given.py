"""What callers of the library give as sinks → a list of them; closing all of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.errors import ConfigError, first_line
from keepbusy.sinks.base import Sink
from keepbusy.threads.workers import to_the_end

if TYPE_CHECKING:
    from keepbusy.sinks.spec import SinkSpec

log = logging.getLogger("keepbusy")


def list_sinks(
    given: str | Path | SinkSpec | Sink | Sequence[str | Path | SinkSpec | Sink],
) -> list[str | Path | SinkSpec | Sink]:
    """One sink or several → a list of them. A lone word is one sink, and not its letters.

    Raises:
        ConfigError: Something is neither a sink nor names one, or an open sink is given twice. All open sinks are
            closed.
    """
    listed: list[Any] = [given] if is_one(given) else _several(given)
    try:
        for one in listed:
            if not is_one(one):
                raise no_sink(one)
        _check_apart([one for one in listed if isinstance(one, Sink)])
    except ConfigError:
        close_all(one for one in listed if isinstance(one, Sink))
        raise
    return listed


def list_open_sinks(given: Sink | Sequence[Sink]) -> list[Sink]:
    """One open sink or several → a list of them.

    Raises:
        ConfigError: Something is no open sink, or a sink is given twice. All open sinks are closed.
    """
    listed = list_sinks(given)
    opened = [one for one in listed if isinstance(one, Sink)]
    if len(opened) < len(listed):
        closed = next(one for one in listed if not isinstance(one, Sink))
        close_all(opened)
        raise ConfigError(
            f"sinks: {getattr(closed, 'shown', closed)} only names a sink", hint="open it with keepbusy.open_sink"
        )
    return opened


def close_all(sinks: Iterable[Sink]) -> None:
    """Close sinks that nothing comes of any more. All are closed, and what that fails with is only logged.

    To be called where something else has failed, which is what the caller raises.
    """
    left = list({id(sink): sink for sink in sinks}.values())

    def close() -> None:
        while left:
            sink = left.pop(0)
            try:
                sink.close()
            except BaseException as error:
                log.warning("%s: cannot be closed: %s", sink.name or type(sink).__name__, first_line(error))

    to_the_end(close)


def is_one(given: Any) -> bool:
    """Whether something is a sink or names one."""
    if isinstance(given, (str, Sink)):
        return True
    if isinstance(given, type):
        return False
    if hasattr(given, "__fspath__"):
        return isinstance(os.fspath(given), str)
    from keepbusy.sinks.spec import SinkSpec  # Loads OpenCV, which programs with sinks of their own may not need.

    return isinstance(given, SinkSpec)


def _several(given: Any) -> list[Any]:
    if isinstance(given, (bytes, bytearray)) or not isinstance(given, Iterable):
        raise no_sink(given)
    return list(given)


def no_sink(given: Any) -> ConfigError:
    """The error of something that a sink cannot be made of."""
    what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
    return ConfigError(
        f"sinks: a sink cannot be made of {what}",
        hint="give a word (out.jsonl), a path, a sink of your own, derived from keepbusy.Sink, or a list of these",
    )


def _check_apart(sinks: Sequence[Sink]) -> None:
    met: set[int] = set()
    for sink in sinks:
        if id(sink) in met:
            raise ConfigError(f"sinks: {sink.name or type(sink).__name__} is given twice", hint="make two sinks")
        met.add(id(sink))
