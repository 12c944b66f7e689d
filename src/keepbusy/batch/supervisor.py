"""What leads a job: gives units to worker processes, writes down what becomes of them, restarts what dies.

It loads neither OpenVINO nor a decoder, so that no file can end it, and waits for messages most of the time.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from keepbusy.batch.crew import Hire, Member, Message, WorkersLog
from keepbusy.batch.job import Job, differences
from keepbusy.batch.ledger import Ledger
from keepbusy.batch.manifest import Manifest
from keepbusy.batch.progress import Progress, progress_of
from keepbusy.errors import DeviceTimeoutError, KeepbusyError

log = logging.getLogger("keepbusy")

UPDATE_EVERY_S = 0.5

SILENT_S = 600.0
"""A worker that has not got on for so long hangs, and is ended: ten minutes for one frame."""

GIVEN_AHEAD = 2
"""Units that a worker has: the one that it does, and the one that it opens meanwhile."""

CANNOT_BEGIN_HINT = "is there enough memory? Each node of a cluster needs this version of keepbusy, with `batch`"

MAX_IDLE_DEATHS = 3
"""Worker processes that end without any unit to blame."""


class Supervisor:
    """Leads one run of a job.

    Args:
        job: What workers are told; settled.
        manifest: The job's.
        run_number: Which run of the job this is.
        groups: The cores of each worker process; an empty group leaves it where it is.
        first: The worker that has settled the job, ready.
        facts: What it has told of itself: what the others must tell, too.
        messages: Where it speaks to.
        workers_log: Shows what workers log.
        start: Makes a worker.
        max_problems: More failures than this stop the job; None for no limit.
        update: Told how far the job is, twice a second.
    """

    def __init__(
        self,
        job: Job,
        manifest: Manifest,
        run_number: int,
        groups: Sequence[tuple[int, ...]],
        first: Member,
        facts: dict[str, Any],
        messages: queue.SimpleQueue[Message],
        workers_log: WorkersLog,
        start: Hire,
        *,
        max_problems: int | None,
        update: Callable[[Progress], None],
    ) -> None:
        self._job = job
        self._run_number = run_number
        self._facts = facts
        self._messages = messages
        self._max_problems = max_problems
        self._update = update
        self._members = {first: 0}
        self._groups = groups
        self._ledger = Ledger(job.folder, manifest)
        self._num_idle_deaths = 0
        self._num_frames_before = sum(work.num_frames for work in manifest.state.work.values())
        self._begin_s: float | None = None
        self._log = workers_log
        self._start = start

    def run(self) -> None:
        """Do all units that wait.

        Raises:
            KeepbusyError: The job cannot go on, or too much has failed.
        """
        try:
            for member in self._members:
                member.say(("work", self._run_number))
            due_s = 0.0
            self._give()
            while self._ledger.waiting or any(member.units for member in self._members):
                with suppress(queue.Empty):
                    member, message = self._messages.get(timeout=UPDATE_EVERY_S)
                    self._take(member, message)
                self._hire_for_the_rest()
                self._give()
                self._look_for_hanging()
                self._check_problems()
                now_s = time.monotonic()
                if now_s >= due_s:
                    due_s = now_s + UPDATE_EVERY_S
                    self._update(self.progress())
            self._update(self.progress())
        except BaseException:
            with suppress(Exception):
                self._update(self.progress())
            raise
        finally:
            self._end()

    def progress(self) -> Progress:
        """How far the job is."""
        under_way: dict[int, int] = {}
        for member in self._members:
            under_way |= member.num_frames
        known = {number: count for number, count in under_way.items() if number in self._ledger.state.work}
        return progress_of(
            self._ledger.state,
            under_way=known,
            num_frames_before=self._num_frames_before,
            elapsed_s=0.0 if self._begin_s is None else time.monotonic() - self._begin_s,
            num_workers=len(self._members),
        )

    def _hire(self, group: int) -> None:
        member = self._start(dataclasses.replace(self._job, cores=self._groups[group]), self._messages)
        self._members[member] = group
        member.start()
        member.say(("begin", None))
        member.say(("work", self._run_number))

    def _hire_for_the_rest(self) -> None:
        """Have as many workers as there are groups of cores, and units: a video that is cut becomes more of them."""
        free = [number for number in range(len(self._groups)) if number not in self._members.values()]
        num_units = len(self._ledger.waiting) + sum(len(member.units) for member in self._members)
        while free and len(self._members) < num_units:
            self._hire(free.pop(0))

    def _give(self) -> None:
        """Give units to workers: first to those that have none, then one ahead to each.

        The last ones are not given ahead: whoever is free first takes them.
        """
        for num_units in range(GIVEN_AHEAD):
            num_kept = len(self._groups) - 1 if num_units else 0
            for member in self._members:
                if member.is_ready and len(member.units) == num_units and len(self._ledger.waiting) > num_kept:
                    self._give_to(member)

    def _give_to(self, member: Member) -> None:
        waiting = self._ledger.waiting
        works = [self._ledger.work(unit.id) for unit in (*member.units, waiting[0])]
        if member.units and any(work is not None and work.num_kills for work in works):
            return  # What has ended a worker before is tried alone, so that it is known who is to blame.
        member.give(waiting.popleft())

    def _take(self, member: Member, message: tuple[Any, ...]) -> None:
        if member not in self._members:
            return
        what, *rest = message
        handle: Callable[..., None] = getattr(self, f"_take_{what}")
        handle(member, *rest)

    def _take_log(self, member: Member, level: int, text: str) -> None:
        self._log.show(level, text)

    def _take_ready(self, member: Member, facts: dict[str, Any]) -> None:
        differing = differences({name: value for name, value in facts.items() if name != "versions"}, self._facts)
        if differing:
            raise KeepbusyError(
                f"a worker process would find something else than the others: {'; '.join(differing)}",
                hint="all workers of a job need the same versions and the same kind of CPU",
            )
        member.is_ready = True

    def _take_opening(self, member: Member, unit_id: int) -> None:
        member.heard_s = time.monotonic()

    def _take_began(self, member: Member, unit_id: int) -> None:
        member.heard_s = time.monotonic()
        self._begin_s = self._begin_s or member.heard_s

    def _take_progress(self, member: Member, num_frames: dict[int, int]) -> None:
        if num_frames != member.num_frames:
            member.heard_s = time.monotonic()
        member.num_frames = dict(num_frames)

    def _take_done(self, member: Member, unit_id: int, *told: Any) -> None:
        member.finished(unit_id)
        self._ledger.done(unit_id, *told)

    def _take_failed(self, member: Member, unit_id: int, *told: Any) -> None:
        member.finished(unit_id)
        self._ledger.failed(unit_id, *told)

    def _take_cut(self, member: Member, unit_id: int, *told: Any) -> None:
        member.finished(unit_id)
        self._ledger.cut(unit_id, *told)

    def _take_changed(self, member: Member, unit_id: int, *told: Any) -> None:
        member.finished(unit_id)
        self._ledger.changed(unit_id, *told)

    def _take_alone(self, member: Member, unit_id: int) -> None:
        member.finished(unit_id)
        self._ledger.alone(unit_id)

    def _take_fatal(self, member: Member, error: BaseException) -> None:
        if isinstance(error, KeepbusyError) and not isinstance(error, DeviceTimeoutError):
            raise error
        log.warning("a worker process has failed: %s: %s", type(error).__name__, error)

    def _take_gone(self, member: Member, may_blame: bool) -> None:
        group = self._members.pop(member)
        reason = member.reason()
        member.close()
        left = [unit for unit in member.units if self._ledger.work(unit.id) is not None]
        if not may_blame:
            if not member.is_ready:
                self._count_idle_death(reason)
            log.warning("a worker is lost (%s): its units are given to others", reason)
            self._ledger.waiting.extendleft(reversed(left))
            self._hire(group)
            return
        if not left:
            self._count_idle_death(reason, may_try_again=member.is_ready)
        for unit in reversed(left):
            self._ledger.killed(unit, reason)
        self._hire(group)

    def _count_idle_death(self, reason: str, *, may_try_again: bool = True) -> None:
        self._num_idle_deaths += 1
        if self._num_idle_deaths >= MAX_IDLE_DEATHS or not may_try_again:
            raise KeepbusyError(f"worker processes end by themselves: {reason}", hint=CANNOT_BEGIN_HINT)

    def _look_for_hanging(self) -> None:
        for member in self._members:
            if member.units and time.monotonic() - member.heard_s > SILENT_S:
                log.warning("%s: no frame for %d s: its worker process is ended", member.units[0].name, SILENT_S)
                member.heard_s = time.monotonic()
                member.kill()

    def _check_problems(self) -> None:
        count = self._ledger.num_problems() if self._max_problems is not None else 0
        if self._max_problems is not None and count > self._max_problems:
            raise KeepbusyError(
                f"{self._job.folder}: {count} files or frames have failed, and {self._max_problems} are allowed",
                hint="`keepbusy batch status` lists them; allow more with `errors_allowed`, and the job goes on",
            )

    def _end(self) -> None:
        """End all workers."""
        is_busy = any(member.units for member in self._members)
        for member in self._members:
            if is_busy:
                member.kill()
        for member in self._members:
            member.close()
        self._members = {}
