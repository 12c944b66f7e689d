"""KeyboardInterrupt at every moment at which Python could raise it, one after the other.

Python looks for signals when a function begins and when a call has returned. A profiling function is told of both, and
an exception that it raises comes out where a signal's would: at the first step of the function, or in place of what
the call returned, which is lost.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

import keepbusy

T = TypeVar("T")

NUM_PLACES = None if os.environ.get("KEEPBUSY_TEST_EVERY_STEP") else 60
"""Moments to interrupt at, where there are thousands; `make interrupts` takes each."""

_PACKAGE = str(Path(keepbusy.__file__).parent)
_STANDARD = frozenset({"concurrent.futures.thread", "contextlib", "queue", "threading", "weakref"})
"""Modules of the standard library whose steps count, too: those that own threads or end things."""


class Interrupter:
    """Raises KeyboardInterrupt in the n-th of the moments that come while it is entered; counts them.

    Args:
        at: Which moment, from 1; None only counts.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.num_moments = 0
        self.place = ""
        self._hook = sys.unraisablehook

    def __enter__(self) -> Interrupter:
        sys.unraisablehook = _pass_over
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.unraisablehook = self._hook

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        if event not in ("call", "return", "c_return") or not _counts(frame):
            return
        name = frame.f_code.co_name
        # Python calls `__enter__` itself and looks for no signal behind it: what it returns is never lost.
        if event == "return" and name == "__enter__":
            return
        self.num_moments += 1
        if self.num_moments == self.at:
            sys.setprofile(None)
            what = f" {getattr(arg, '__qualname__', arg)}" if event == "c_return" else ""
            self.place = f"{frame.f_globals['__name__']}.{name}:{frame.f_lineno} {event}{what}"
            raise KeyboardInterrupt(self.place)


def _pass_over(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt while the garbage collector drops something is lost, as Python has it."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _counts(frame: FrameType) -> bool:
    if frame.f_code.co_filename.startswith(_PACKAGE):
        return bool(frame.f_globals["__name__"] != "keepbusy.testing")  # A device and a source are one step each.
    return frame.f_globals.get("__name__") in _STANDARD


def interrupted_everywhere(
    prepare: Callable[[], T], work: Callable[[T], None], *, num_places: int | None = None
) -> Iterator[tuple[str, T]]:
    """Do something again and again, interrupted at each of its moments in turn; the place of each.

    Args:
        prepare: What it is done with; not interrupted.
        work: What is done; the same each time.
        num_places: About how many moments, spread over all; None for each.
    """
    with Interrupter() as counter:
        work(prepare())
    step = max(1, counter.num_moments // num_places) if num_places else 1
    for at in itertools.count(1, step):
        subject = prepare()
        interrupter = Interrupter(at)
        try:
            with interrupter:
                work(subject)
        except KeyboardInterrupt:
            assert interrupter.place
        if not interrupter.place:
            return  # There are no more moments.
        yield interrupter.place, subject
