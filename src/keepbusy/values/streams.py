"""What a sink is told of a stream: what it is, and how it came to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DropCause = Literal["overload", "stale", "nonref", "nonkey", "rate", "decode_error", "reconnect", "stopping"]
"""Why a frame has no result.

- `overload`: a newer one took its place.
- `stale`: it was older than its stream's limit.
- `nonref`: it was not decoded, because there was no time for it, and no other picture refers to it.
- `nonkey`: it was not decoded, because there was no time for more than key frames.
- `rate`: its stream's rate was lowered, because the device is too slow for all frames.
- `decode_error`: it was damaged, and the stream goes on (`retry`).
- `reconnect`: it waited in a connection that was lost.
- `stopping`: its stream or the run was stopped meanwhile.
"""

EndState = Literal["ended", "failed", "removed"]
"""`ended`: the source has ended, and its last result has been handed over. `failed`: it could not be opened or read on.
`removed`: the stream was removed from its run, or the run was broken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known about a stream when a sink first hears of it.

    Attributes:
        id: Its number in the run: the `source_id` of its frames.
        name: What it is called, without passwords.
        source: What its source is called; the same as `name` unless the stream was given a name of its own.
        is_live: Whether it is a camera or a network stream.
        num_frames: How many frames are read, where that is known.
        fps: Frames per second of its source's clock, where it has one.
        size_wh: Width and height of its first frame, pixels; None where that could not be read, or there is none.
    """

    id: int
    name: str
    source: str
    is_live: bool = False
    num_frames: int | None = None
    fps: float | None = None
    size_wh: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a stream came to its end, as one sink sees it.

    Attributes:
        state: How it ended.
        num_results: Results that were handed over to the sinks, those of failed frames included.
        num_missing: How many of them this sink has not written: its outlet dropped them, or writing them failed.
        error: What the stream failed with the last time; None where it has ended.
    """

    state: EndState
    num_results: int
    num_missing: int = 0
    error: Exception | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the sink has written all results of a stream that was read to its end."""
        return self.state == "ended" and self.num_missing == 0
