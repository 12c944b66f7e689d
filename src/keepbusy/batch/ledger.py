"""What becomes of units: which wait, what the manifest says of each, and which take the place of others."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from keepbusy.batch.cuts import cut_holds
from keepbusy.batch.manifest import JobState, Manifest, Work
from keepbusy.batch.plan import replan
from keepbusy.batch.shards import ShardFile, shard_path
from keepbusy.batch.units import Entry, Unit
from keepbusy.sources.ranges import Part
from keepbusy.texts import line_name

log = logging.getLogger("keepbusy")

MAX_CHANGES = 3
"""A file that changes so often while it is read is given up."""


class Ledger:
    """The units of one run. What is told of a unit that others have taken the place of is passed over.

    Args:
        folder: The job's.
        manifest: The job's.

    Attributes:
        waiting: The units that nobody has been given, the next one first.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._changes: Counter[str] = Counter()
        self.waiting = deque(work.unit for work in manifest.state.work.values() if work.state == "waiting")

    @property
    def state(self) -> JobState:
        """What the manifest says."""
        return self._manifest.state

    def work(self, unit_id: int) -> Work | None:
        """A unit and what has become of it; None where others have taken its place."""
        return self.state.work.get(unit_id)

    def done(self, unit_id: int, shard: str, files: Mapping[str, ShardFile], facts: Mapping[str, Any]) -> None:
        """A unit's shard is on the disk."""
        work = self.work(unit_id)
        if work is None:
            self._remove(shard, files)
            return
        self._manifest.done(unit_id, shard, files, **facts)
        if work.unit.part is not None:
            self._join(cut_holds(self.state, work))

    def failed(self, unit_id: int, reason: str) -> None:
        """Nothing could be read of a unit."""
        if (work := self.work(unit_id)) is None:
            return
        self._manifest.failed(unit_id, reason)
        log.warning("%s", reason if work.unit.files[0].name in reason else f"{work.unit.name}: {reason}")
        if work.unit.part is not None:
            self._join(cut_holds(self.state, work))

    def cut(self, unit_id: int, parts: Sequence[Part], why_not: str) -> None:
        """A long video is cut into parts, or cannot be cut."""
        if (work := self.work(unit_id)) is None:
            return
        unit = work.unit
        if parts:
            units = [dataclasses.replace(unit, part=part, num_frames=part.num_frames) for part in parts]
            why = f"cut into {len(units)} ranges"
        else:
            units, why = [dataclasses.replace(unit, is_whole=True)], f"not cut: {why_not}"
            self._note(unit.files[0].name, why)
        self._put_first(self._manifest.plan(units, replaces=[unit_id], why=why))

    def changed(self, unit_id: int, entries: Sequence[Entry]) -> None:
        """Files of a unit are not what they were: it is planned anew; of a video that was cut, all parts."""
        if (work := self.work(unit_id)) is None:
            return
        name = entries[0].name
        self._changes[name] += 1
        if self._changes[name] > MAX_CHANGES:
            self.failed(unit_id, f"{name}: changes while it is read")
            return
        log.warning("%s: has changed: done again", line_name(name))
        works = [work] if work.unit.part is None else self._parts_of(work.unit)
        self._withdraw(works)
        by_place = {entry.location: entry for entry in entries}
        self._put_first(replan(self._manifest, works, by_place, "a file has changed"))

    def alone(self, unit_id: int) -> None:
        """A unit is to have a pipeline of its own."""
        if (work := self.work(unit_id)) is not None:
            unit = dataclasses.replace(work.unit, is_alone=True)
            why = "its frames have sizes that were not expected"
            self._put_first(self._manifest.plan([unit], replaces=[unit_id], why=why))

    def killed(self, unit: Unit, reason: str) -> None:
        """A unit has ended its worker process."""
        work = self._manifest.killed(unit.id, f"ended its worker process: {reason}")
        if work.state == "aside":
            log.warning("%s: has ended two worker processes (%s): set aside", unit.name, reason)
        else:
            log.warning("%s: its worker process has ended (%s): tried again", unit.name, reason)
            self.waiting.append(unit)

    def num_problems(self) -> int:
        """Units that failed or were set aside, and frames that failed."""
        works = self.state.work.values()
        return sum(work.num_errors + (work.state in ("failed", "aside")) for work in works)

    def _join(self, works: Sequence[Work]) -> None:
        """Do a video in one piece whose parts do not fit together; nothing where there are none."""
        if not works:
            return
        self._note(works[0].unit.files[0].name, "not cut: its parts, read by themselves, do not give the same pictures")
        self._withdraw(works)
        self._put_first(join(self._manifest, works))
        for work in works:
            if work.state == "done":
                self._remove(work.shard, work.files)

    def _parts_of(self, unit: Unit) -> list[Work]:
        place = unit.files[0].location
        return [work for work in self.state.work.values() if work.unit.files[0].location == place]

    def _withdraw(self, works: Iterable[Work]) -> None:
        numbers = {work.unit.id for work in works}
        self.waiting = deque(unit for unit in self.waiting if unit.id not in numbers)

    def _put_first(self, works: Sequence[Work]) -> None:
        self.waiting.extendleft(work.unit for work in reversed(works))

    def _remove(self, shard: str, files: Iterable[str]) -> None:
        """Remove a shard that nothing names, as far as that can be done: the next run does the rest."""
        for table in files:
            with suppress(OSError):
                shard_path(self._folder, table, shard).unlink()

    def _note(self, name: str, text: str) -> None:
        log.info("%s: %s", line_name(name), text)
        self._manifest.note(name, text)


def join(manifest: Manifest, works: Sequence[Work]) -> list[Work]:
    """Plan one piece in the place of a video's parts."""
    whole = dataclasses.replace(works[0].unit, part=None, num_frames=None, is_whole=True)
    return manifest.plan([whole], replaces=[work.unit.id for work in works], why="its parts do not fit together")
