"""The blocking loop: the same steps as the pipeline's, one after the other, with no overlap."""

from __future__ import annotations

import weakref

from keepbusy.errors import FrameError
from keepbusy.flow import steps
from keepbusy.flow.run import Job, Read, Run, index_of
from keepbusy.sources.base import close_source
from keepbusy.threads.workers import to_the_end
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings


class SyncRun(Run):
    """One frame at a time, one step after the other, in the caller's thread."""

    def __init__(self, job: Job) -> None:
        self.stats = job.stats
        self._job = job
        self._open = dict(enumerate(job.sources))
        self._turn = 0
        self._indices = [0] * len(job.sources)
        self._slot = job.slots[0]
        self._if_dropped = weakref.finalize(self, to_the_end, job.close)
        self._lanes = {stage: job.stats.lane(stage) for stage in ("read", "prepare", "decode")}

    def __next__(self) -> Result:
        try:
            item = self._read()
            if item is None:
                raise StopIteration
            result = self._infer(*item)
            is_error = result.error is not None
            self.stats.frame_done(result.timings, len(result.detections), is_error=is_error)
            if result.error is not None and self._job.config.on_error == "raise":
                raise result.error
        except BaseException:
            self.close()
            raise
        return result

    def start(self) -> None:
        pass

    def close(self) -> None:
        self._open.clear()
        to_the_end(self._job.close)
        self._if_dropped.detach()

    def _read(self) -> Read | None:
        lane = self._lanes["read"]
        while self._open:
            ids = list(self._open)
            source_id = next((i for i in ids if i >= self._turn), ids[0])
            self._turn = source_id + 1
            timings = Timings(read_start_ns=lane.waited_for_input())
            item, can_go_on = steps.read(self._open[source_id], source_id, self._indices[source_id])
            timings.read_end_ns = lane.was_busy()
            if not can_go_on:
                close_source(self._open.pop(source_id))
            if item is not None:
                lane.num_frames += 1
                self._indices[source_id] = index_of(item) + 1
                return item, source_id, timings
        return None

    def _infer(self, item: Frame | FrameError, source_id: int, timings: Timings) -> Result:
        if isinstance(item, FrameError):
            return steps.failure(steps.unread_frame(item, source_id), timings, item)
        now_ns, slot = self.stats.clock.now_ns, self._slot
        prepare, decode = self._lanes["prepare"], self._lanes["decode"]
        timings.slot_wanted_ns = timings.slot_free_ns = prepare.waited_for_input()
        timings.prepare_start_ns = timings.slot_free_ns
        error = steps.start(slot, item, timings, now_ns)
        prepare.was_busy()
        if error is None:
            prepare.num_frames += 1
            error = steps.wait(slot, self._job.config.device_timeout_s, self._job.device_name, now_ns)
            self.stats.frame_inferred(timings)
        if error is not None:
            steps.release(slot)
            return steps.failure(item, timings, error)
        decode.waited_for_input()
        result = steps.decode(slot, self._job.decode, now_ns)
        steps.release(slot)
        decode.was_busy()
        decode.num_frames += 1
        return result
