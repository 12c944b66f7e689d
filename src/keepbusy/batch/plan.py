"""Files → units of work: what is new, what has changed, what is known already."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keepbusy.batch.manifest import JobState, Manifest, Work
from keepbusy.batch.units import Entry, Unit
from keepbusy.files.endings import is_picture


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of the files of a command.

    Attributes:
        num_files: How many files the command names.
        num_new: How many of them the job did not know.
        num_changed: How many have changed since they were planned.
    """

    num_files: int
    num_new: int
    num_changed: int


def plan_files(manifest: Manifest, entries: Sequence[Entry], *, pictures_per_unit: int, may_cut: bool) -> Planned:
    """Write down the units of files that the job does not know, and anew those of files that have changed.

    Args:
        manifest: The job's.
        entries: The command's files.
        pictures_per_unit: How many pictures are one unit.
        may_cut: Whether long videos may be cut.
    """
    known = files_of(manifest.state)
    new = [entry for entry in entries if entry.location not in known]
    by_place = {entry.location: entry for entry in entries}
    changed = {
        place
        for place, (work, entry) in known.items()
        if place in by_place and not entry.is_as(by_place[place]) and work
    }
    for works in _units_with(changed, known):
        replan(manifest, works, by_place, why="a file has changed")
    units = list(_units(new, pictures_per_unit, may_cut=may_cut))
    if units:
        manifest.plan(units)
    return Planned(len(entries), len(new), len(changed))


def files_of(state: JobState) -> dict[str, tuple[list[Work], Entry]]:
    """The files of a job by their places: the units that they are in, and as what they were planned."""
    found: dict[str, tuple[list[Work], Entry]] = {}
    for work in state.work.values():
        for entry in work.unit.files:
            found.setdefault(entry.location, ([], entry))[0].append(work)
    return found


def replan(manifest: Manifest, works: Sequence[Work], entries: dict[str, Entry], why: str) -> list[Work]:
    """Put one new unit in the place of some that have the same files.

    Args:
        manifest: The job's.
        works: The units: one of pictures, or all ranges of a video.
        entries: The files as they are now, by their places; those that are not there stay as they were.
        why: The reason.
    """
    first = works[0].unit
    files = tuple(dataclasses.replace(entries.get(file.location, file), name=file.name) for file in first.files)
    unit = Unit(0, first.kind, files, is_whole=first.part is None and first.is_whole, num_frames=_count(first))
    return manifest.plan([unit], replaces=[work.unit.id for work in works], why=why)


def _count(unit: Unit) -> int | None:
    return len(unit.files) if unit.kind == "pictures" else None


def _units_with(places: Iterable[str], known: dict[str, tuple[list[Work], Entry]]) -> Iterable[list[Work]]:
    """The units that some files are in, each once; all ranges of one video together."""
    seen: set[int] = set()
    for place in places:
        works = known[place][0]
        if works[0].unit.id not in seen:
            seen |= {work.unit.id for work in works}
            yield works


def _units(entries: Sequence[Entry], pictures_per_unit: int, *, may_cut: bool) -> Iterable[Unit]:
    pictures: list[Entry] = []
    for entry in entries:
        if is_picture(entry.location):
            pictures.append(entry)
            if len(pictures) == pictures_per_unit:
                yield _of_pictures(pictures)
                pictures = []
        else:
            yield Unit(0, "video", (entry,), is_whole=not may_cut)
    if pictures:
        yield _of_pictures(pictures)


def _of_pictures(entries: Sequence[Entry]) -> Unit:
    return Unit(0, "pictures", tuple(entries), num_frames=len(entries))
