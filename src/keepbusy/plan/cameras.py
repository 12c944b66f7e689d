"""Kinds of cameras, and how many of each there are among so many."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from keepbusy.serve.configuration.settings import StreamSettings

_COUNTED = re.compile(r"stream-\d+")
"""A name that nobody has given."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Cameras that differ in their names only.

    Attributes:
        name: What the first of them is read from, without passwords.
        width: Of their frames, pixels.
        height: Of their frames, pixels.
        source_fps: Frames per second that they give.
        settings: How one of them is replayed.
        count: How many there are in the given set.
        names: What these are called.
    """

    name: str
    width: int
    height: int
    source_fps: float
    settings: StreamSettings = field(repr=False)
    count: int = 1
    names: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second that are to be looked at."""
        cap = self.settings.max_fps
        return self.source_fps if cap is None else min(self.source_fps, cap)

    @property
    def label(self) -> str:
        """What to call it: by the names that the configuration gives, else by what the first one is read from."""
        given = [name for name in self.names if not _COUNTED.fullmatch(name)]
        if not given:
            return self.name
        return given[0] if len(self.names) == 1 else f"{given[0]} + {len(self.names) - 1} more"

    @property
    def told(self) -> str:
        """`1280x720 at 10 frames/s`."""
        return f"{self.width}x{self.height} at {self.fps:.3g} frames/s"


def counts_of(kinds: Sequence[Kind], num: int) -> list[int]:
    """How many of each kind there are among so many cameras, in the shares of the given set, by largest remainders."""
    num_given = sum(kind.count for kind in kinds)
    shares = [num * kind.count / num_given for kind in kinds]
    counts = [math.floor(share) for share in shares]
    by_remainder = sorted(range(len(kinds)), key=lambda place: (counts[place] - shares[place], place))
    for place in by_remainder[: num - sum(counts)]:
        counts[place] += 1
    return counts


def wanted_fps(kinds: Sequence[Kind], counts: Sequence[int]) -> float:
    """Frames per second of so many of each kind together."""
    return sum(kind.fps * count for kind, count in zip(kinds, counts, strict=True))


def replayed(kinds: Sequence[Kind], counts: Sequence[int]) -> tuple[list[StreamSettings], list[int]]:
    """So many of each kind as streams, those of the kinds in turn, and which kind each is of."""
    streams: list[StreamSettings] = []
    places: list[int] = []
    for turn in range(max(counts, default=0)):
        for place, kind in enumerate(kinds):
            if turn < counts[place]:
                streams.append(kind.settings.model_copy(update={"name": f"camera-{len(streams) + 1}", "sinks": []}))
                places.append(place)
    return streams, places
