"""The manifest of a job: one file of lines that are only ever added, so that a crash at any moment leaves a true one.

`manifest.jsonl` begins with the job: its format, version and settings. Each next line is one event: units that were
planned, a unit that is done with its shard's name and checksums, one that failed, one that killed its worker. A line is
on the disk before anything is told of it, and a shard is on the disk before the line that names it. The last line may
be torn by a crash; it is cut off by the next run.

A line may replace units by others, in one step: a video by its ranges, ranges by the video, a changed file by itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepbusy.batch.schema import TABLES
from keepbusy.batch.shards import ShardFile, sync_folder
from keepbusy.batch.units import MAX_KILLS, State, Unit, unit_of_dict, unit_to_dict
from keepbusy.errors import KeepbusyError, SinkError, reason_of
from keepbusy.files.parsing import TextError, parse_json
from keepbusy.files.whole import clear_place, write_all, write_error

NAME = "manifest.jsonl"
PART_NAME = f".{NAME}.part"
DAMAGED_NAME = f"{NAME}.damaged"
"""A copy of a damaged one that another has taken the place of."""
FORMAT = "keepbusy-batch"
_NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

VERSION = 1
"""Of the manifest's lines. A program refuses those that are newer than itself."""


@dataclass(slots=True)
class Work:
    """A unit, and what has become of it.

    Attributes:
        unit: The unit.
        state: Where it stands.
        shard: The name of its shard; empty where it is not done.
        files: Its shard's files, by table.
        num_frames: Frames with a row, those of failed frames included.
        num_detections: Rows of detections.
        num_errors: Frames that failed.
        seconds: How long it took.
        reason: Why it failed, or was set aside.
        num_kills: How many worker processes it has ended.
        proof: What was seen at both ends of a range: see `cuts.py`.
        missing: The places in the unit of pictures that were not there.
    """

    unit: Unit
    state: State = "waiting"
    shard: str = ""
    files: dict[str, ShardFile] = field(default_factory=dict)
    num_frames: int = 0
    num_detections: int = 0
    num_errors: int = 0
    seconds: float = 0.0
    reason: str = ""
    num_kills: int = 0
    proof: dict[str, Any] = field(default_factory=dict)
    missing: tuple[int, ...] = ()


@dataclass(slots=True)
class JobState:
    """What a manifest says.

    Attributes:
        settings: What must be the same for results to be the same.
        work: The units that count, by their numbers.
        notes: What was reported and is to be known later: videos that are not cut, with the reason.
        last_id: The highest number that a unit has had.
        num_runs: How often the job was begun or continued.
        versions: Of the packages that the last run decoded and computed with.
        is_torn: Whether its last line is incomplete.
        num_bytes: Where its last complete line ends.
    """

    settings: dict[str, Any]
    work: dict[int, Work] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    last_id: int = 0
    num_runs: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    is_torn: bool = False
    num_bytes: int = 0

    @property
    def shards(self) -> set[str]:
        """The names of all shards that count."""
        return {one.shard for one in self.work.values() if one.state == "done"}

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event in.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        what = event["what"]
        if what == "run":
            self.num_runs = int(event["number"])
            self.versions = dict(event.get("versions") or {})
        elif what == "note":
            self.notes[str(event["name"])] = str(event["text"])
        elif what == "units":
            # All is read before anything is changed: a line that is torn counts for nothing.
            replaced, units = list(map(int, event.get("replaces", ()))), list(map(unit_of_dict, event["units"]))
            for number in replaced:
                self.work.pop(number, None)
            for unit in units:
                self.work[unit.id] = Work(unit)
                self.last_id = max(self.last_id, unit.id)
        else:
            self._apply_to(self.work[int(event["unit"])], what, event)

    def _apply_to(self, one: Work, what: str, event: Mapping[str, Any]) -> None:
        if what == "done":
            self.work[one.unit.id] = Work(
                one.unit,
                "done",
                str(event["shard"]),
                {table: ShardFile(*event["files"][table]) for table in TABLES},
                int(event["frames"]),
                int(event["detections"]),
                int(event["errors"]),
                float(event["seconds"]),
                num_kills=one.num_kills,
                proof=dict(event.get("proof") or {}),
                missing=tuple(event.get("missing", ())),
            )
        elif what == "failed":
            one.state, one.reason = "failed", str(event["reason"])
        elif what == "killed":
            one.num_kills += 1
            one.reason = str(event["reason"])
            one.state = "aside" if one.num_kills >= MAX_KILLS else "waiting"
        elif what == "again":
            self.work[one.unit.id] = Work(one.unit, num_kills=0 if event.get("forgives") else one.num_kills)
        else:
            raise ValueError(f"{what!r} is no event")


class DamagedError(KeepbusyError):
    """A manifest cannot be understood.

    Attributes:
        state: What it says before the damage; None where that is nothing.
    """

    state: JobState | None = None


def read_manifest(folder: Path) -> JobState | None:
    """What the manifest of a folder says; None where there is none.

    Raises:
        DamagedError: It is damaged.
        KeepbusyError: It cannot be read, or is from a newer version.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeepbusyError(f"{path}: cannot be read: {reason_of(error)}") from error
    *lines, rest = content.split(b"\n")
    if not lines:
        raise _damaged(path, 1)
    state = JobState(_settings(path, lines[0]))
    for number, line in enumerate(lines[1:], 2):
        try:
            state.apply(_parsed(line))
        except _NOT_UNDERSTOOD as error:
            if number == len(lines) and not rest:
                # A disk may have the end of a line before its beginning.
                state.is_torn, state.num_bytes = True, len(content) - len(line) - 1
                return state
            damaged = _damaged(path, number)
            damaged.state = state
            raise damaged from error
    state.is_torn, state.num_bytes = bool(rest), len(content) - len(rest)
    return state


def _settings(path: Path, line: bytes) -> dict[str, Any]:
    try:
        job = _parsed(line)
        is_ours, version = job["format"] == FORMAT, int(job["version"])
        settings = {name: dict(job["settings"][name]) for name in ("given", "facts")} if version <= VERSION else {}
    except _NOT_UNDERSTOOD as error:
        raise _damaged(path, 1) from error
    if not is_ours:
        raise _damaged(path, 1)
    if version > VERSION:
        raise KeepbusyError(
            f"{path}: is of version {version}, and this keepbusy knows versions up to {VERSION}",
            hint="go on with the keepbusy that made it, or with a newer one",
        )
    return settings


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line.decode())
    except TextError as error:
        raise ValueError(str(error)) from error


def _damaged(path: Path, number: int) -> DamagedError:
    return DamagedError(
        f"{path}: line {number} is damaged",
        hint="restore the file from a copy: the shards beside it are whole; or name the sources and begin again with "
        "`overwrite`",
    )


class Manifest:
    """A job's manifest, open for its one writer. Not thread-safe.

    Args:
        folder: The job's.
        state: What it says so far.
        is_new: Whether it is not the job's yet: it takes the place of one that is there when `publish` is called.

    Attributes:
        state: What it says.

    Raises:
        SinkError: It cannot be written.
    """

    def __init__(self, folder: Path, state: JobState, *, is_new: bool = False) -> None:
        self.state = state
        self._folder = folder
        self._path = folder / (PART_NAME if is_new else NAME)
        self._open()

    def _open(self) -> None:
        try:
            self._file = self._path.open("r+b", buffering=0)
            self._file.truncate(self.state.num_bytes)
            self._file.seek(self.state.num_bytes)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self._path, error) from error
        self.state.is_torn = False

    @staticmethod
    def create(folder: Path, settings: Mapping[str, Any]) -> Manifest:
        """Begin a job. One that was there stays until `publish`, behind the plan: nothing of it is lost before.

        Raises:
            SinkError: It cannot be written.
        """
        job = {"what": "job", "format": FORMAT, "version": VERSION, "settings": dict(settings)}
        part = folder / PART_NAME
        line = _line(job)
        try:
            clear_place(part)
            part.write_bytes(line)
        except OSError as error:
            raise write_error(folder / NAME, error) from error
        return Manifest(folder, JobState(_settings(part, line), num_bytes=len(line)), is_new=True)

    def publish(self) -> None:
        """Take the place of the job that was there; nothing happens where this is it.

        Raises:
            SinkError: It cannot be written.
        """
        path = self._folder / NAME
        if self._path == path:
            return
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._path, path)
            sync_folder(self._folder)
        except OSError as error:
            raise write_error(path, error) from error
        self._path = path
        self._open()

    def begin_run(self, about: Mapping[str, Any]) -> int:
        """Write down that the job goes on; the number of this run, from 1."""
        number = self.state.num_runs + 1
        self._add({"what": "run", "number": number, **about})
        return number

    def plan(self, units: Iterable[Unit], *, replaces: Collection[int] = (), why: str = "") -> list[Work]:
        """Add units, in place of others where some are named; their numbers are given out here."""
        first = self.state.last_id + 1
        numbered = [dataclasses.replace(unit, id=number) for number, unit in enumerate(units, first)]
        event: dict[str, Any] = {"what": "units", "units": [unit_to_dict(unit) for unit in numbered]}
        if replaces:
            event |= {"replaces": sorted(replaces), "why": why}
        self._add(event)
        return [self.state.work[unit.id] for unit in numbered]

    def done(self, unit_id: int, shard: str, files: Mapping[str, ShardFile], **facts: Any) -> None:
        """A unit's shard is on the disk."""
        known = {table: list(dataclasses.astuple(file)) for table, file in files.items()}
        self._add({"what": "done", "unit": unit_id, "shard": shard, "files": known, **facts})

    def failed(self, unit_id: int, reason: str) -> None:
        """Nothing could be read of a unit."""
        self._add({"what": "failed", "unit": unit_id, "reason": reason})

    def killed(self, unit_id: int, reason: str) -> Work:
        """A unit has ended its worker; what has become of it."""
        self._add({"what": "killed", "unit": unit_id, "reason": reason})
        return self.state.work[unit_id]

    def again(self, unit_id: int, why: str, *, forgives: bool = False) -> Work:
        """A unit is to be done again."""
        self._add({"what": "again", "unit": unit_id, "why": why, "forgives": forgives})
        return self.state.work[unit_id]

    def note(self, name: str, text: str) -> None:
        """Keep a report on a file."""
        self._add({"what": "note", "name": name, "text": text})

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def _add(self, event: Mapping[str, Any]) -> None:
        line = _line(event)
        try:
            write_all(self._file, line)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SinkError(
                f"{self._path}: cannot be written: {error.strerror or error}",
                hint="is the disk full? What was done before is kept: the same command goes on",
            ) from error
        self.state.apply(event)
        self.state.num_bytes += len(line)


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
