"""A job from its command to its end: what is to be done, whether it may go on, and the processes that do it."""

from __future__ import annotations

import dataclasses
import logging
import platform
import queue
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keepbusy.batch.arguments import check_numbers, job_of, listed, no_source
from keepbusy.batch.crew import Hire, LocalMember, Member, Message, WorkersLog
from keepbusy.batch.cuts import broken_cuts
from keepbusy.batch.files import is_gone, list_files
from keepbusy.batch.folder import job_folder
from keepbusy.batch.job import (
    CHANGE_NOTHING,
    Job,
    UnitConfig,
    differences,
    plain,
)
from keepbusy.batch.ledger import join
from keepbusy.batch.manifest import DAMAGED_NAME, NAME, DamagedError, JobState, Manifest, read_manifest
from keepbusy.batch.plan import all_entries, files_of, plan_files, without_missing
from keepbusy.batch.processes import choose_groups
from keepbusy.batch.progress import Progress, progress_of
from keepbusy.batch.results import damaged_works
from keepbusy.batch.schema import arrow
from keepbusy.batch.shards import remove_strays
from keepbusy.batch.supervisor import CANNOT_BEGIN_HINT, Supervisor
from keepbusy.batch.units import Entry, Unit
from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, DeviceError, KeepbusyError, SourceError

if TYPE_CHECKING:
    from typing import Unpack

    from keepbusy.config import Options

log = logging.getLogger("keepbusy")


def run_batch(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    model: str | Path | None = None,
    *,
    device: str = "CPU",
    names: tuple[str, ...] | str | Path | None = None,
    select: SelectConfig | None = None,
    units: UnitConfig | None = None,
    processes: int | Literal["auto"] = "auto",
    ray: str | None = None,
    errors_allowed: int | None = None,
    retry_aside: bool = False,
    overwrite: bool = False,
    drop_missing: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    **options: Unpack[Options],
) -> Progress:
    """Run a model over any number of files, in worker processes, into a folder of Parquet shards: `keepbusy batch`.

    Called again with the same arguments it goes on where it was, however it ended. Files that are new or have changed
    are done, too; units that failed are tried again.

    ```python
    done = kb.batch.run_batch("archive/**/*.mp4", "found", "yolov5n.xml")
    print(done.num_frames, done.failures)
    ```

    Args:
        sources: Videos, pictures, folders, globs, lists (`.txt`), or addresses that fsspec opens (`s3://bucket/clips/`);
            one or several.
        output: The folder of the job.
        model: A model's file, or its name; None for the embedded one.
        device: OpenVINO's device name.
        names: Class names, or the file that has them; None takes the model's own.
        select: Which frames of each video are read; None for all. Videos are not cut where it has a limit.
        units: How large units of work are.
        processes: How many worker processes there are; `auto` measures once how many pay on this machine.
        ray: The address of a Ray cluster whose nodes do the work, `auto` for one that runs on this machine, `local` to
            start one; None for this machine without Ray. `processes` then counts workers, by default one for each node.
        errors_allowed: More files and frames than this that fail end the job; None for no limit.
        retry_aside: Try units again that were set aside.
        overwrite: Where model or settings differ from those of the results that are there, do all of the job's files
            again.
        drop_missing: Take files that are gone out of the job, with what was found in them.
        on_progress: Told how far the job is, twice a second, in this thread.
        **options: Any attribute of `DetectConfig`, `DeviceConfig` and `RunConfig`, by its name.

    Returns:
        The job at its end.

    Raises:
        ConfigError: An option has a value that it cannot have, or the folder has other things in it.
        SourceError: A source names no files.
        ModelError: The model cannot be read, or is not understood.
        KeepbusyError: The folder has results of another model or of other settings; another job works in it; its
            manifest is damaged or from a newer version; too much has failed.
        SinkError: Results cannot be written. What was done before is kept.
        MissingExtraError: PyArrow is not installed.
    """
    arrow()
    if not callable(on_progress):
        raise ConfigError(f"on_progress: {type(on_progress).__name__} is no function")
    job = job_of(output, model, device, names, select, units, dict(options))
    check_numbers(processes, errors_allowed)
    given = listed(sources)
    if not given and read_manifest(job.folder) is None:
        raise no_source(output)
    entries = list_files(given, job.logins, job.folder)
    if given and not entries:
        raise SourceError(f"{job.folder}: the sources name nothing but the results themselves", hint="name other files")
    with ExitStack() as stack:
        folder = stack.enter_context(job_folder(job.folder))
        job = dataclasses.replace(job, folder=folder)
        begun = _Begun(job, entries, overwrite=overwrite)
        if ray is not None:
            from keepbusy.batch.on_ray import Cluster

            cluster = stack.enter_context(Cluster(ray))
            begun.start, processes = cluster.hiring(None if processes == "auto" else processes, job)
            begun.is_elsewhere = True
        try:
            begun.prepare(retry_aside=retry_aside, drop_missing=drop_missing)
            if not begun.state.work:
                raise no_source(output)
            if all(work.state != "waiting" for work in begun.state.work.values()):
                return progress_of(begun.state, num_frames_before=None)
            return begun.go(processes, errors_allowed, on_progress)
        finally:
            begun.close()


class _Begun:
    """A job whose folder is taken: first its manifest is seen to, then its work is done.

    Attributes:
        start: Makes a worker.
        is_elsewhere: Whether workers are not bound to cores of this machine.
    """

    def __init__(self, job: Job, entries: list[Entry], *, overwrite: bool) -> None:
        self._job = job
        self._entries = entries
        self._given = job.given()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._manifest: Manifest | None = None
        self._first: Member | None = None
        self._facts: dict[str, Any] = {}
        self._versions: dict[str, str] = {}
        self._log = WorkersLog()
        self.start: Hire = LocalMember
        self.is_elsewhere = False
        try:
            state = read_manifest(job.folder)
        except DamagedError as error:
            if not overwrite:
                raise
            log.warning(
                "%s: all results are made again, of the files that it still names and those that are given", error
            )
            shutil.copyfile(job.folder / NAME, job.folder / DAMAGED_NAME)
            self._entries = entries if error.state is None else all_entries(error.state, entries)
            state = None
        if state is not None and (differing := differences(self._given, state.settings["given"])):
            if not overwrite:
                raise _other_settings(job.folder, differing)
            log.warning("%s: all results are made again: %s", job.folder, "; ".join(differing))
            self._entries = all_entries(state, entries)
            state = None
        elif state is not None and not entries:
            self._entries = all_entries(state, ())
        self._known = state
        self._overwrites = overwrite

    @property
    def state(self) -> JobState:
        """What the manifest says."""
        assert self._manifest is not None  # nosec B101 # for mypy: `prepare` was called
        return self._manifest.state

    def prepare(self, *, retry_aside: bool, drop_missing: bool) -> None:
        """Have a manifest that says what is to be done."""
        if self._known is not None and self._overwrites:
            self._check_machine(self._known)
        missing = self._missing() if drop_missing else set()
        self._entries = [one for one in self._entries if one.location not in missing]
        if self._known is None:
            self._begin_anew()
        else:
            self._manifest = Manifest(self._job.folder, self._known)
        manifest = self._manifest
        assert manifest is not None  # nosec B101 # for mypy: made above
        without_missing(manifest, missing)
        self._take_up(manifest, retry_aside=retry_aside)
        units = self._job.units
        plan_files(manifest, self._entries, pictures_per_unit=units.pictures, may_cut=self._job.may_cut)
        manifest.publish()
        num_strays = remove_strays(self._job.folder, manifest.state.shards)
        if num_strays and manifest.state.num_runs:
            log.info("%d files of tables that do not count any more are removed", num_strays)

    def _missing(self) -> set[str]:
        """The places of the job's files that are gone.

        Raises:
            ConfigError: All are: rather a disk that is not there.
        """
        known = [] if self._known is None else [entry for _, entry in files_of(self._known).values()]
        every = {entry.location: entry for entry in (*known, *self._entries)}
        missing = {place for place, entry in every.items() if is_gone(entry)}
        if missing and len(missing) == len(every):
            raise ConfigError(
                f"{self._job.folder}: all {len(missing)} files of the batch are gone",
                hint="is their disk there? Without `drop_missing` what was found in them stays",
            )
        if missing:
            log.warning("%d files are gone, and are taken out of the job", len(missing))
        return missing

    def _check_machine(self, known: JobState) -> None:
        """Begin anew, with all files of the job, where this machine would find something else."""
        there = known.settings["facts"]
        try:
            self._start_first(_settled(there), None)
            differing = differences(self._facts, there)
        except DeviceError as error:
            differing = [str(error)]
        if differing:
            log.warning("%s: all results are made again: %s", self._job.folder, "; ".join(differing))
            if self._first is not None:
                self._first.close()
            self._first, self._known = None, None
            self._entries = all_entries(known, self._entries)

    def _begin_anew(self) -> None:
        """Settle the model, then begin the manifest with what results depend on."""
        first = Unit(0, "video", (self._entries[0],), is_whole=True) if self._entries else None
        self._start_first({}, first)
        self._manifest = Manifest.create(self._job.folder, {"given": self._given, "facts": self._facts})

    def _take_up(self, manifest: Manifest, *, retry_aside: bool) -> None:
        """See what is to be done again: damaged shards, what failed, videos whose parts do not fit together."""
        state, folder = manifest.state, self._job.folder
        for works in broken_cuts(state):
            join(manifest, works)
        damaged = damaged_works(folder, [work for work in state.work.values() if work.state == "done"])
        for work in list(state.work.values()):
            if work.unit.id in damaged:
                log.warning("%s: its shard %s is damaged or gone: done again", work.unit.name, work.shard)
                manifest.again(work.unit.id, "its shard is damaged")
            elif work.state == "done" and not all(is_gone(work.unit.files[at]) for at in work.missing):
                manifest.again(work.unit.id, "pictures that were not there are back")
            elif work.state == "failed":
                manifest.again(work.unit.id, "failed before")
            elif work.state == "aside" and retry_aside:
                manifest.again(work.unit.id, "asked for", forgives=True)

    def go(
        self, processes: int | Literal["auto"], errors_allowed: int | None, on_progress: Callable[[Progress], None]
    ) -> Progress:
        """Do what is to be done."""
        manifest, job = self._manifest, self._job
        assert manifest is not None  # nosec B101 # for mypy: `prepare` was called
        waiting = [work.unit for work in manifest.state.work.values() if work.state == "waiting"]
        settled = _settled(manifest.state.settings["facts"])
        self._job = job = dataclasses.replace(job, settled=settled)
        if self._first is None:
            self._first = self._start_first(settled, waiting[0] if waiting else None)
            self._check_facts(manifest.state.settings["facts"])
        if self.is_elsewhere and processes != "auto":
            groups: list[tuple[int, ...]] = [()] * processes
        else:
            groups = choose_groups(job, processes, waiting)
        if groups[0]:
            # Bound to its own cores it is another process.
            self._first.close()
            self._first = self._start_first(job.settled, waiting[0], groups[0])
        self._note_versions(manifest.state.versions)
        about = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "host": platform.node(),
            "processes": len(groups),
            "versions": self._versions,
            "options": plain({name: value for name, value in job.options.items() if name in CHANGE_NOTHING}),
        }
        number = manifest.begin_run(about)
        first, self._first = self._first, None
        supervisor = Supervisor(
            job,
            manifest,
            number,
            groups,
            first,
            self._facts,
            self._messages,
            self._log,
            self.start,
            max_problems=errors_allowed,
            update=on_progress,
        )
        supervisor.run()
        return supervisor.progress()

    def _check_facts(self, there: dict[str, Any]) -> None:
        """See that this machine finds what the job's results were found with.

        Raises:
            KeepbusyError: It does not.
        """
        if differing := differences(self._facts, there):
            raise _other_settings(self._job.folder, differing)

    def _note_versions(self, before: dict[str, str]) -> None:
        """Say which other packages than before decode and compute."""
        if before and (differing := differences(self._versions, before)):
            log.warning("other packages than in the last run: %s; decoders may differ", "; ".join(differing))

    def _start_first(self, settled: Any, unit: Unit | None, cores: tuple[int, ...] = ()) -> Member:
        """A worker process that has settled the model, and told what results depend on."""
        member = self.start(dataclasses.replace(self._job, settled=settled, cores=cores), self._messages)
        self._first = member
        member.start()
        member.say(("begin", unit))
        while True:
            sender, message = self._messages.get()
            if sender is not member:
                continue
            if message[0] == "ready":
                self._facts = plain(message[1])
                self._versions = self._facts.pop("versions")
                member.is_ready = True
                return member
            if message[0] == "fatal":
                raise message[1] if isinstance(message[1], KeepbusyError) else KeepbusyError(str(message[1]))
            if message[0] == "log":
                self._log.show(*message[1:])
            if message[0] == "gone":
                reason = member.reason()
                member.close()
                self._first = None
                if unit is not None:  # Its file may have ended the process: it will be seen to when its turn comes.
                    return self._start_first(settled, None, cores)
                raise KeepbusyError(f"the worker process cannot begin: {reason}", hint=CANNOT_BEGIN_HINT)

    def close(self) -> None:
        """Let go of everything."""
        if self._first is not None:
            self._first.kill()
            self._first.close()
        if self._manifest is not None:
            self._manifest.close()


def _settled(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("head", "quantized")}


def _other_settings(folder: Path, differing: list[str]) -> KeepbusyError:
    return ConfigError(
        f"{folder}: has results of other settings: {'; '.join(differing)}",
        hint="go on with the same ones, write to another folder, or do all again with `overwrite`",
    )
