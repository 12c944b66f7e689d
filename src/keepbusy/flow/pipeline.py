"""Frames in, results out, the device never idle.

The contract
------------
1. A ring of slots, no callbacks. Frames are started in order and collected in order: the collector waits for the
   *oldest* slot in flight, which releases the GIL, gives order for free, and leaves each error with its frame.
2. Slots are the only credit. Alive at any moment are at most, for each source, `channel_frames` (1 if live) + 1
   being read, and for the run, one being prepared for each starter, one a slot, and `results_buffered` + 1 being
   handed over; each is one decoded picture (width x height x 3 bytes; half of that for a video's frame until its
   `image` is asked for). A slow consumer slows finite sources; live sources drop their oldest waiting frame, which
   stays replaceable until a slot is free for it, and every drop is counted. Nothing grows with time.
3. One result for each frame read, in order for each source. A frame that fails is a result with its error
   (`on_error="skip"`), or ends the run: the results before it are delivered, then its error is raised from `next()`.
4. Every wait can be woken. `close()` (also called by the end of a `with` block, by garbage collection and at the
   interpreter's exit) stops the sources, cancels what is in flight, joins every thread and leaves the slots free
   for the next run. The one wait outside our reach is a read of a silent network stream, which has a time limit.
   An interrupt at any moment, while a run is made, started or closed, ends in the same state; see
   `keepbusy.threads.workers` for who owns what, and when.
5. Deterministic: the same frames give the same bytes in sync and async, at any depth.

Threads
-------
```
reader (one a source) ──▶ FairChannel ──▶ starters ──▶ [in flight, in order] ──▶ collector ──▶ [results] ──▶ next()
                                             ▲                                       │
                                             └────────────── free slots ─────────────┘
```
One starter is enough on few cores; on many, `prepare_threads` of them lay out frames side by side.
A frame that failed before it reached the device travels along the same way without a slot, so that it keeps its
place. `SyncRun` (`run_sync.py`) is the same steps in the caller's thread, one after the other, with one slot and no
overlap (videos are then decoded without reading ahead, too).
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial

from keepbusy.config import RunConfig
from keepbusy.device.engine import Slot
from keepbusy.errors import FrameError
from keepbusy.flow import steps
from keepbusy.flow.run import Job, Read, Run, index_of
from keepbusy.flow.run_sync import SyncRun
from keepbusy.flow.stats import RunStats
from keepbusy.sources.base import Source, close_source
from keepbusy.threads.channel import Channel, FairChannel
from keepbusy.threads.cores import stay_on, usable_cores
from keepbusy.threads.workers import Workers, close_at_exit, to_the_end
from keepbusy.values.result import Result, Timings


def create_run(
    sources: Sequence[Source],
    slots: Sequence[Slot],
    decode: steps.Decode,
    config: RunConfig,
    *,
    device_name: str = "device",
    own_cores: frozenset[int] = frozenset(),
    stats: RunStats | None = None,
    on_close: Callable[[], None] | None = None,
) -> Run:
    """Make a run, which owns its sources from then on, and reads nothing before its `start`.

    Args:
        sources: Where frames come from; the run closes them.
        slots: Warm, free slots; `sync` uses the first.
        decode: Output of the model → detections in the frame's pixels. Called by one thread at a time.
        config: Mode, limits, error policy.
        device_name: For messages.
        own_cores: Cores that inference leaves alone; see `keepbusy.device.sharing`.
        stats: Counters to use; None makes new ones.
        on_close: Called when the run no longer uses the slots; may be called again.
    """
    job = Job(
        tuple(sources),
        tuple(slots),
        decode,
        config,
        device_name,
        own_cores,
        stats or RunStats(),
        on_close or (lambda: None),
    )
    return SyncRun(job) if config.mode == "sync" else AsyncRun(job)


class AsyncRun(Run):
    """All stages at once, each in its own thread. What is shared with the threads is `_Shared`, never this."""

    def __init__(self, job: Job) -> None:
        self.stats = job.stats
        self._shared = _Shared(job)
        self._if_dropped = weakref.finalize(self, to_the_end, self._shared.close)
        close_at_exit(self)

    def start(self) -> None:
        try:
            self._shared.start()
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Result:
        try:
            result = self._shared.results.get()
            if result is None:
                self.close()
                if self._shared.fatal is not None:
                    raise self._shared.fatal
                raise StopIteration
            if result.error is not None and self._shared.job.config.on_error == "raise":
                raise result.error
        except BaseException:
            self.close()
            raise
        return result

    def close(self) -> None:
        to_the_end(self._shared.close)
        self._if_dropped.detach()


class _Shared:
    """What the threads of an async run share. Its methods named after stages are the threads' bodies."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stats = job.stats
        self.fatal: BaseException | None = None
        self.frames: FairChannel[Read] = FairChannel(
            [1 if source.is_live else job.config.channel_frames for source in job.sources]
        )
        self.free: Channel[Slot] = Channel(len(job.slots))
        self.in_flight: Channel[Slot | Result] = Channel(len(job.slots))
        self.results: Channel[Result] = Channel(job.config.results_buffered)
        self.is_closing = False
        self.turn = threading.Lock()
        for slot in job.slots:
            self.free.put(slot)
        bodies: dict[str, Callable[[], None]] = {
            **{f"read-{i}": partial(self.read, i) for i in range(len(job.sources))},
            **{f"prepare-{i}": self.start_frames for i in range(_num_starters(job))},
            "decode": self.collect,
        }
        self._workers = Workers(
            [(f"keepbusy-{name}", partial(self._guard, body)) for name, body in bodies.items()], job.close
        )

    def start(self) -> None:
        self._workers.start()

    def close(self) -> None:
        """Stop everything. Safe to call again, from any thread, and where nothing or only a part was started."""
        if not self.job.is_over:
            self._stop()
        # Where the garbage collector ran in one of our own threads, this goes on, and the last one closes the job.
        if self._workers.join():
            self.job.close()

    def _stop(self) -> None:
        self.is_closing = True
        self.frames.close()
        self.free.close()
        self.in_flight.close()
        self.results.close()
        for slot in self.job.slots:
            slot.tried.open()
            if slot.frame is not None:
                with contextlib.suppress(Exception):
                    slot.request.cancel()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            self.fatal = self.fatal or error
            self.frames.close()
            self.free.close()
            self.in_flight.close()
            self.results.end()
            for slot in self.job.slots:
                slot.tried.open()

    def read(self, source_id: int) -> None:
        """Reader thread: one source's frames into its queue."""
        source = self.job.sources[source_id]
        lane = self.stats.lane("read")
        index = 0
        try:
            can_go_on = True
            while can_go_on and not self.is_closing:
                timings = Timings(read_start_ns=lane.begin())
                item, can_go_on = steps.read(source, source_id, index)
                if item is None:
                    break
                timings.read_end_ns = lane.was_busy()
                lane.num_frames += 1
                index = index_of(item) + 1
                entry = (item, source_id, timings)
                if source.is_live:
                    num_dropped = self.frames.put_freshest(source_id, entry)
                    for _ in range(num_dropped):
                        self.stats.frame_dropped(source_id, source.name)
                    is_taken = num_dropped >= 0
                else:
                    is_taken = self.frames.put(source_id, entry)
                lane.waited_for_output()
                if not is_taken:
                    break
        finally:
            close_source(source)
            self.frames.end()

    def start_frames(self) -> None:
        """Starter threads: frames into free slots, slots onto the device.

        They take turns at taking a slot and a frame, so that slots are in flight in the frames' order; the work itself
        is done side by side. A slot is handed to the collector before its frame is in it: `tried` opens then.
        """
        stay_on(self.job.own_cores)
        lane = self.stats.lane("prepare")
        now_ns = self.stats.clock.now_ns
        slot: Slot | None = None
        while True:
            with self.turn:
                # The slot first, then the frame: a live source's frame stays replaceable until it can be started.
                slot_wanted_ns = lane.begin()
                slot = slot or self.free.get()
                slot_free_ns = lane.waited_for_output()
                entry = self.frames.get()
                if slot is None or entry is None:
                    break
                item, source_id, timings = entry
                timings.slot_wanted_ns, timings.slot_free_ns = slot_wanted_ns, slot_free_ns
                timings.prepare_start_ns = lane.waited_for_input()
                if isinstance(item, FrameError):
                    entrusted: Slot | Result = steps.failure(steps.unread_frame(item, source_id), timings, item)
                else:
                    slot.tried.shut()
                    slot.frame, slot.timings = item, timings
                    entrusted = slot
                if not self.in_flight.put(entrusted):
                    break
            if isinstance(item, FrameError):
                continue
            slot.error = steps.start(slot, item, timings, now_ns)
            slot.tried.open()
            slot = None
            lane.was_busy()
            lane.num_frames += 1
        self.in_flight.end()

    def collect(self) -> None:
        """Collector thread: the oldest slot's outputs into a result, the slot back to the free ones."""
        stay_on(self.job.own_cores)
        lane = self.stats.lane("decode")
        now_ns = self.stats.clock.now_ns
        while (item := self.in_flight.get()) is not None:
            result = item if isinstance(item, Result) else None
            if isinstance(item, Slot):
                item.tried.wait()
                if self._is_ending():
                    return
                frame, timings = item.frame, item.timings
                assert frame is not None  # nosec B101 # for mypy: a slot in flight holds a frame
                error = item.error or steps.wait(item, self.job.config.device_timeout_s, self.job.device_name, now_ns)
                if self._is_ending():
                    return
                if item.error is None:
                    self.stats.frame_inferred(timings)
                lane.waited_for_input()
                if error is not None:
                    result = steps.failure(frame, timings, error)
                else:
                    result = steps.decode(item, self.job.decode, now_ns)
                steps.release(item)
                self.free.put(item)
                lane.was_busy()
                lane.num_frames += 1
            assert result is not None  # nosec B101 # for mypy: set on both ways above
            self.stats.frame_done(result.timings, len(result.detections), is_error=result.error is not None)
            if not self.results.put(result):
                return
            lane.waited_for_output()
        self.results.end()

    def _is_ending(self) -> bool:
        return self.is_closing or self.fatal is not None


def _num_starters(job: Job) -> int:
    """One starter for eight cores: more of them get into each other's way (`docs/performance.md`)."""
    wanted = job.config.prepare_threads or int(usable_cores()) // 8
    return max(1, min(wanted, len(job.slots)))
