"""What a worker process does: units one after the other through one pipeline, each a shard when it is done.

```
inbox ─▶ feeder: opens the next unit ─▶ run.add ─▶ results ─▶ rows ─▶ writer: shard, fsync, rename ─▶ "done"
```

The next unit is opened while one is being read, and joins the run when that one has been read: the device goes from the
last frames of one to the first of the next without a pause. A unit whose frames have other sizes waits for the next
run, so that what is found does not depend on what came before.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeAlias

from keepbusy.batch.doing import Doing, reason_of_unit
from keepbusy.batch.engine import Engine, Sizes
from keepbusy.batch.inputs import ChangedError, CutError, Opened, open_unit
from keepbusy.batch.job import Job
from keepbusy.batch.units import Unit
from keepbusy.config import SelectConfig, StreamConfig
from keepbusy.flow.run import Run
from keepbusy.flow.stream import Stream
from keepbusy.values.result import Result

TELL_EVERY_S = 0.5

Send: TypeAlias = Callable[..., None]
"""Tells the supervisor: what, and what belongs to it. Called by several threads."""


class Worker:
    """Does the units of one job that it is given.

    Args:
        job: The job.
        send: Tells the supervisor.
        inbox: Where units come from; None stops.
        fail: Ends the process with an error that no other unit would escape.

    Attributes:
        job, send, fail: As given.
    """

    def __init__(
        self, job: Job, send: Send, inbox: queue.SimpleQueue[Unit | None], fail: Callable[[BaseException], None]
    ) -> None:
        self.job = job
        self.send = send
        self._inbox = inbox
        self.fail = fail
        self._engine = Engine(job)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="keepbusy-shard")

    def begin(self, first: Unit | None) -> dict[str, Any]:
        """Settle the model; what results depend on.

        Args:
            first: A unit that will come, whose frames' sizes the model is compiled for.
        """
        return self._engine.settle({} if first is None else self.sizes_of(first))

    def sizes_of(self, unit: Unit) -> Sizes:
        """The sizes of a unit's frames; none where it cannot be opened."""
        whole = dataclasses.replace(unit, is_whole=True)
        try:
            opened = open_unit(whole, self.job)
        except Exception:
            return {}  # It will be reported when its turn comes.
        opened.close()
        return opened.sizes

    def measure(self, unit: Unit, seconds: float) -> float:
        """Frames per second over the files of a unit."""
        return self._engine.measure(unit.files[0].location, self.sizes_of(unit), seconds)

    def work(self, run_number: int) -> None:
        """Do units until there are no more."""
        try:
            opened = self.next()
            while opened is not None:
                opened = self._run(opened, run_number)
        finally:
            self._writing.shutdown()
            self._engine.close()

    def next(self) -> Opened | None:
        """The next unit that can be opened; None where no more come."""
        while (unit := self._inbox.get()) is not None:
            self.send("opening", unit.id)
            try:
                return open_unit(unit, self.job)
            except CutError as error:
                self.send("cut", unit.id, error.parts, error.why_not)
            except ChangedError as error:
                self.send("changed", unit.id, error.entries)
            except Exception as error:
                self.send("failed", unit.id, reason_of_unit(error))
        return None

    def _run(self, first: Opened, run_number: int) -> Opened | None:
        """Do units as long as they can share a pipeline; the first one that cannot, None where no more come."""
        engine = self._engine
        pipeline = engine.pipeline_for(first.sizes, is_new=first.unit.is_alone)
        if self.job.options.get("reduce_jpegs"):
            reduced_px = max(pipeline.input_hw) * (2 if pipeline.model.input.fit == "crop" else 1)
        else:
            reduced_px = None
        with pipeline.start() as run:
            shared = _Shared(self, run, self._writing, run_number, reduced_px)
            return shared.go(first)

    def finish(self, doing: Doing) -> None:
        """Make a unit's shard, in the thread that writes."""
        try:
            self.send(*doing.finish())
        except BaseException as error:
            self.fail(error)

    def may_share(self, opened: Opened, following: Opened) -> bool:
        """Whether two units may share a pipeline."""
        is_alone = opened.unit.is_alone or following.unit.is_alone
        return not is_alone and self._engine.key_of(opened.sizes) == self._engine.key_of(following.sizes)


class _Shared:
    """Units that share one run. `go` is the thread that takes results; units are added by another."""

    def __init__(
        self, worker: Worker, run: Run, writing: ThreadPoolExecutor, run_number: int, reduced_px: int | None
    ) -> None:
        self._worker = worker
        self._run = run
        self._writing = writing
        self._run_number = run_number
        self._reduced_px = reduced_px
        self._doing: dict[int, Doing] = {}
        self._lock = threading.Lock()
        self._left: Opened | None = None
        self._failure: BaseException | None = None
        self._due_s = 0.0
        run.watch(self._ended)

    def go(self, first: Opened) -> Opened | None:
        feeder = threading.Thread(target=self._feed, args=(first,), name="keepbusy-feeder")
        feeder.start()
        with ExitStack() as stack:
            stack.callback(feeder.join)
            try:
                for result in self._run:
                    self._take(result)
                if self._failure is not None:
                    raise self._failure
            except BaseException as error:
                self._worker.fail(error)
        return self._left

    def _feed(self, first: Opened) -> None:
        """Add one unit after the other, each when the one before it has been read."""
        opened: Opened | None = first
        try:
            while opened is not None:
                self._add(opened)
                following = self._worker.next()
                opened.source.is_read.wait()
                if following is not None and not self._worker.may_share(opened, following):
                    self._left = following
                    break
                opened = following
            self._run.end()
        except BaseException as error:
            # Where the run has failed this is what comes of it: what it failed with is raised to who takes results.
            self._failure = error
            self._run.close()

    def _add(self, opened: Opened) -> None:
        opened.source.allow_reduced(self._reduced_px)
        job, unit = self._worker.job, opened.unit
        select = job.select if unit.kind == "video" else SelectConfig()
        doing = Doing(opened, job.folder, self._run_number, self._writing)
        with self._lock:
            stream = self._run.add(opened.source, StreamConfig(select=select, on_error="skip"))
            self._doing[stream.id] = doing
        self._worker.send("began", unit.id)

    def _of(self, stream_id: int) -> Doing:
        found = self._doing.get(stream_id)
        if found is None:
            with self._lock:  # It is just being added.
                found = self._doing[stream_id]
        return found

    def _take(self, result: Result) -> None:
        self._of(result.frame.source_id).add(result)
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + TELL_EVERY_S
            self._worker.send("progress", {one.unit.id: one.num_frames for one in list(self._doing.values())})

    def _ended(self, stream: Stream) -> None:
        doing = self._of(stream.id)
        del self._doing[stream.id]
        self._writing.submit(self._worker.finish, doing)
