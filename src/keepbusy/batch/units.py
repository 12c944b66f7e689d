"""Units of work: a video, a range of one, or some hundred pictures; and what is told of them in the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from keepbusy.sources.ranges import Part

State = Literal["waiting", "done", "failed", "aside"]
"""`done`: its shard is there. `failed`: nothing could be read of it; the next run tries again. `aside`: it has ended
`MAX_KILLS` worker processes, and is not tried again unless that is asked for."""

MAX_KILLS = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a job.

    Attributes:
        name: What it is called in the tables; without passwords.
        location: Its full path or address.
        size_bytes: Its length.
        stamp: When it was changed, or its store's name for this content: another one means another content.
    """

    name: str
    location: str
    size_bytes: int
    stamp: str

    def is_as(self, other: Entry) -> bool:
        """Whether it has the content that it had."""
        return (self.size_bytes, self.stamp) == (other.size_bytes, other.stamp)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work.

    Attributes:
        id: Its number in the job, from 1; never used again.
        kind: What its files are.
        files: Its files: one video, or pictures in their order.
        part: Which part of the video; None for the whole.
        is_whole: Whether it must not be cut: that was tried, or is not wanted.
        num_frames: How many frames it should have, where that is known.
        is_alone: Whether it shares no pipeline with others.
    """

    id: int
    kind: Literal["video", "pictures"]
    files: tuple[Entry, ...]
    part: Part | None = None
    is_whole: bool = False
    num_frames: int | None = None
    is_alone: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of its files together; of a range, all of the video's."""
        return sum(file.size_bytes for file in self.files)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        first = self.files[0].name
        if self.part is not None:
            return f"{first}, frames from {self.part.first_index}"
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"


def unit_to_dict(unit: Unit) -> dict[str, Any]:
    """A unit as plain values, for the manifest."""
    content = dataclasses.asdict(unit)
    content["files"] = [list(dataclasses.astuple(file)) for file in unit.files]
    return {key: value for key, value in content.items() if value not in (None, False)}


def unit_of_dict(content: Mapping[str, Any]) -> Unit:
    """The unit that was written as plain values.

    Raises:
        KeyError, TypeError, ValueError: They are not those of a unit.
    """
    values = dict(content)
    files = tuple(Entry(str(name), str(place), int(size), str(stamp)) for name, place, size, stamp in values["files"])
    if not files:
        raise ValueError("a unit has no files")
    part = values.get("part")
    return Unit(**{**values, "files": files, "part": None if part is None else Part(**part)})
