"""Files → units of work: what is new, what has changed, what is known already."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

from keepbusy.batch.files import local_entry
from keepbusy.batch.manifest import JobState, Manifest, Work
from keepbusy.batch.remote import is_remote
from keepbusy.batch.units import Entry, Unit
from keepbusy.errors import SourceError
from keepbusy.files.endings import is_picture
from keepbusy.files.paths import FileId, file_id
from keepbusy.texts import line_name, valid_text

log = logging.getLogger("keepbusy")


def plan_files(manifest: Manifest, entries: Sequence[Entry], *, pictures_per_unit: int, may_cut: bool) -> None:
    """Write down the units of files that the job does not know, and anew those of files that have changed.

    Args:
        manifest: The job's.
        entries: The command's files.
        pictures_per_unit: How many pictures are one unit.
        may_cut: Whether long videos may be cut.
    """
    known = files_of(manifest.state)
    entries = _under_known_paths(entries, known)
    new = _with_own_names([entry for entry in entries if entry.location not in known], known)
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


def _with_own_names(new: Sequence[Entry], known: Mapping[str, tuple[list[Work], Entry]]) -> list[Entry]:
    """Files that a job does not know, each with a name that no other one has."""
    names = {entry.name for _, entry in known.values()}
    found: list[Entry] = []
    for entry in new:
        name, number = entry.name, 1
        while name in names:  # One of another folder, seen from there; or bytes that are no text.
            name = valid_text(entry.location) if number == 1 else f"{valid_text(entry.location)} ({number})"
            number += 1
        names.add(name)
        found.append(dataclasses.replace(entry, name=name))
    return found


def _under_known_paths(entries: Sequence[Entry], known: Mapping[str, tuple[list[Work], Entry]]) -> list[Entry]:
    """Files under the paths that a job knows them by, each once: by links they have others."""
    identities = {entry.location: _identity(entry) for entry in entries if entry.location not in known}
    if not any(identities.values()):
        return list(entries)
    at_home = {identity: entry for _, entry in known.values() if (identity := _identity(entry)) is not None}
    found: dict[str, Entry] = {}
    twins: list[Entry] = []
    for entry in entries:
        identity = identities.get(entry.location)
        if identity is not None and (own := at_home.get(identity)) is not None:
            twins.append(entry)
            found.setdefault(own.location, dataclasses.replace(entry, location=own.location, name=own.name))
        else:
            found[entry.location] = entry
    if twins:
        more = f" and {len(twins) - 1} more" if len(twins) > 1 else ""
        log.warning("%s%s: in the job already, by another path", line_name(twins[0].name), more)
    return list(found.values())


def _identity(entry: Entry) -> FileId | None:
    """Which file of this machine an entry is; None where it is none, or is gone."""
    return None if is_remote(entry.location) else file_id(Path(entry.location))


def all_entries(state: JobState, entries: Sequence[Entry]) -> list[Entry]:
    """The files of a job as they are now, and those of a command that it does not know.

    Files that are gone, or lie in a store, are as they were: what becomes of them is seen when their turn comes.
    """
    known = files_of(state)
    by_place = {entry.location: entry for entry in _under_known_paths(entries, known)}
    found: list[Entry] = []
    for place, (_, was) in known.items():
        is_now = by_place.pop(place, None)
        if is_now is None and not is_remote(place):
            with suppress(SourceError):
                is_now = local_entry(Path(place), was.name)[1]
        found.append(was if is_now is None else dataclasses.replace(is_now, name=was.name))
    return [*found, *by_place.values()]


def without_missing(manifest: Manifest, missing: Set[str]) -> None:
    """Take files that are gone out of a job, with what was found in them.

    Args:
        manifest: The job's.
        missing: Their places; what the job does not know is passed over.
    """
    known = files_of(manifest.state)
    for works in _units_with(known.keys() & missing, known):
        first = works[0].unit
        left = tuple(file for file in first.files if file.location not in missing)
        units = [Unit(0, first.kind, left, num_frames=len(left))] if left else []
        manifest.plan(units, replaces=[work.unit.id for work in works], why="files are gone")


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
