"""Units opened: their files fetched where they lie elsewhere, long videos cut, sizes of frames looked up."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepbusy.batch.cuts import NoCutError, cut
from keepbusy.batch.engine import Sizes
from keepbusy.batch.files import local_entry
from keepbusy.batch.job import Job
from keepbusy.batch.remote import fetch, is_remote, remote_entry
from keepbusy.batch.units import Entry, Unit
from keepbusy.config import RunConfig
from keepbusy.errors import SourceError
from keepbusy.sources import Source, open_source
from keepbusy.sources.base import close_source
from keepbusy.sources.images import MAX_SIZES, ImageFiles
from keepbusy.sources.ranges import Part, PartEnds, VideoPart
from keepbusy.values.frame import Frame

FETCHED = "fetched"
"""The folder in a job's for files of object stores, while they are being read."""

FETCHED_PREFIX = "keepbusy-"
"""What its sub-folders begin with: all else in it is somebody else's."""

_FETCHES = 8
"""Pictures that are fetched at once."""

_LEAST_BYTES_A_FRAME = 40
"""A video with fewer bytes than this for each frame of two parts is too short to be cut; it is not looked into."""


class CutError(Exception):
    """A unit is not done as it is: it is a long video, and others take its place.

    Attributes:
        parts: The parts that it is cut into; none where it cannot be cut.
        why_not: Why it cannot.
    """

    def __init__(self, parts: list[Part], why_not: str = "") -> None:
        super().__init__(why_not)
        self.parts = parts
        self.why_not = why_not


class ChangedError(Exception):
    """Files of a unit are not what they were.

    Attributes:
        entries: Those files as they are.
    """

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(entries[0].name)
        self.entries = entries


class Told(Source):
    """A source that tells when it has been read.

    Args:
        source: The source.
    """

    def __init__(self, source: Source) -> None:
        self.info = source.info
        self.source = source
        self.is_read = threading.Event()

    def read(self) -> Frame | None:
        return self.source.read()

    def skip(self) -> bool:
        return self.source.skip()

    def interrupt(self) -> None:
        self.source.interrupt()

    def frame_sizes(self) -> Sizes:
        return self.source.frame_sizes()

    def allow_reduced(self, min_long_side_px: int | None) -> None:
        self.source.allow_reduced(min_long_side_px)

    def close(self) -> None:
        try:
            self.source.close()
        finally:
            self.is_read.set()


@dataclass(slots=True, eq=False)
class Opened:
    """A unit whose source is open.

    Attributes:
        unit: The unit.
        source: What its frames come from.
        sizes: The sizes of its frames, as far as they are known.
        remove: Removes what was fetched.
    """

    unit: Unit
    source: Told
    sizes: Sizes
    remove: Callable[[], None] = field(default=lambda: None)

    @property
    def ends(self) -> PartEnds | None:
        """What a part of a video saw at its ends; None for all else."""
        source = self.source.source
        return source.ends if isinstance(source, VideoPart) else None

    def close(self) -> None:
        """Close the source and remove what was fetched."""
        close_source(self.source)
        self.remove()


def open_unit(unit: Unit, job: Job) -> Opened:
    """Open a unit.

    Raises:
        CutError: It is a long video: see there.
        ChangedError: A file is not what it was when it was planned.
        SourceError: It cannot be opened.
    """
    check_unchanged(unit)
    paths, remove = _at_hand(unit, job)
    try:
        source = Told(_source_of(unit, paths, job))
        try:
            if len(unit.files) > MAX_SIZES:  # Not all sizes are looked up.
                unit = dataclasses.replace(unit, is_alone=True)
            return Opened(unit, source, source.frame_sizes(), remove)
        except BaseException:
            close_source(source)
            raise
    except BaseException:
        remove()
        raise


def check_unchanged(unit: Unit) -> None:
    """See that the files of a unit are what they were when it was planned.

    A picture that is gone is an error in its place; a video that is gone is its unit's. Files of a store are looked at
    when they have been fetched.

    Raises:
        ChangedError: Some are not.
        SourceError: The video is gone.
    """
    changed: list[Entry] = []
    for entry in unit.files:
        if is_remote(entry.location):
            continue
        try:
            is_now = local_entry(Path(entry.location), entry.name)[1]
        except SourceError:
            if unit.kind == "video":
                raise
            continue
        if not entry.is_as(is_now):
            changed.append(is_now)
    if changed:
        raise ChangedError(changed)


def _at_hand(unit: Unit, job: Job) -> tuple[list[Path], Callable[[], None]]:
    """The unit's files on this machine, and what removes those that were fetched."""
    remote = [entry for entry in unit.files if is_remote(entry.location)]
    if not remote:
        return [Path(entry.location) for entry in unit.files], lambda: None
    changed: list[Entry] = []
    folder = Path(tempfile.mkdtemp(prefix=f"{FETCHED_PREFIX}{unit.id}-", dir=job.folder / FETCHED))

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def fetched(place: int) -> Path:
        entry, own = unit.files[place], folder / str(place)
        if not is_remote(entry.location):
            return Path(entry.location)
        own.mkdir()
        try:
            place_here = fetch(entry, own, job.logins)
            if not entry.is_as(is_now := remote_entry(entry.location, job.logins)):
                changed.append(is_now)
        except FileNotFoundError as error:
            if unit.kind == "video":
                raise SourceError(f"{entry.name}: no such file in the store") from error
            return own / "gone"  # Reading it says so, in its place.
        return place_here

    try:
        with ThreadPoolExecutor(_FETCHES, thread_name_prefix="keepbusy-fetch") as executor:
            paths = list(executor.map(fetched, range(len(unit.files))))
        if changed:
            raise ChangedError(changed)
        return paths, remove
    except BaseException:
        remove()
        raise


def _source_of(unit: Unit, paths: list[Path], job: Job) -> Source:
    config = _run_config(job)
    # Where parts meet is proven by their pictures' bytes, and machines with other hardware are to find the same.
    reading = config.reading | {"decoder": "software"}
    name = unit.files[0].name
    if unit.kind == "pictures":
        threads = config.read_threads if reading["read_ahead"] else 1
        return ImageFiles(paths, name, read_threads=threads, max_pixels=config.max_pixels)
    if unit.part is not None:
        return VideoPart(str(paths[0]), name, unit.part, stride=job.select.stride, **reading)
    length = job.units.frames
    if job.may_cut and length and not unit.is_whole and unit.size_bytes > 2 * length * _LEAST_BYTES_A_FRAME:
        try:
            parts = cut(paths[0], name, frames_per_part=length, max_pixels=config.max_pixels)
        except NoCutError as error:
            raise CutError([], str(error)) from error
        if parts:
            raise CutError(parts)
    return open_source(paths[0], **reading)


def _run_config(job: Job) -> RunConfig:
    names = RunConfig.__dataclass_fields__
    known: dict[str, Any] = {name: value for name, value in job.options.items() if name in names}
    return RunConfig(**known)
