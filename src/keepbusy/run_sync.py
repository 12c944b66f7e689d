"""The blocking loop: the same steps as the pipeline's, one after the other, with no overlap."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from keepbusy import steps
from keepbusy.config import RunConfig
from keepbusy.engine import Slot
from keepbusy.errors import FrameError
from keepbusy.run import Read, Run, close_all, give_up, index_of
from keepbusy.sources.base import Source
from keepbusy.stats import RunStats
from keepbusy.types import Frame, Result, Timings


class SyncRun(Run):
    """One frame at a time, one step after the other, in the caller's thread."""

    def __init__(
        self,
        sources: Sequence[Source],
        slots: Sequence[Slot],
        decode: steps.Decode,
        config: RunConfig,
        device_name: str,
        stats: RunStats,
        on_close: Callable[[], None],
    ) -> None:
        self.stats = stats
        self._open = dict(enumerate(sources))
        self._turn = 0
        self._indices = [0] * len(sources)
        self._slot = slots[0]
        self._decode = decode
        self._config = config
        self._device_name = device_name
        self._on_close = weakref.finalize(self, close_all, list(sources), stats, on_close)
        self._lanes = {stage: stats.lane(stage) for stage in ("read", "prepare", "decode")}

    def __next__(self) -> Result:
        try:
            item = self._read()
            if item is None:
                raise StopIteration
            result = self._infer(*item)
            is_error = result.error is not None
            self.stats.frame_done(result.timings, len(result.detections), is_error=is_error)
            if result.error is not None and self._config.on_error == "raise":
                raise result.error
        except BaseException:
            self.close()
            raise
        return result

    def close(self) -> None:
        self._open.clear()
        if self._on_close.alive and self._slot.frame is not None:
            give_up(self._slot)
        self._on_close()

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
                self._open.pop(source_id).close()
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
            error = steps.wait(slot, self._config.device_timeout_s, self._device_name, now_ns)
            self.stats.frame_inferred(timings)
        if error is not None:
            steps.release(slot)
            return steps.failure(item, timings, error)
        decode.waited_for_input()
        result = steps.decode(slot, self._decode, now_ns)
        steps.release(slot)
        decode.was_busy()
        decode.num_frames += 1
        return result
