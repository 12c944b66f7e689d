"""All stages at once, each in threads of its own. See the package's docstring for the contract."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

from keepbusy.config import StreamConfig
from keepbusy.device.slots import Slot
from keepbusy.errors import DeviceTimeoutError, FrameError, KeepbusyError
from keepbusy.flow import stages
from keepbusy.flow.reader import Openable, Parcel
from keepbusy.flow.readers import Readers
from keepbusy.flow.run import READ_TIMEOUT_S, Engine, Run, Streams, give_up
from keepbusy.flow.stats import Lane
from keepbusy.flow.stream import Stream
from keepbusy.sources.base import Source
from keepbusy.threads.channel import Channel
from keepbusy.threads.cores import stay_on, usable_cores
from keepbusy.threads.workers import Workers, close_at_exit, to_the_end
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")


class AsyncRun(Run):
    """A run whose threads share a `_Flow`, and never know the run itself: it may be dropped."""

    def __init__(self, engine: Engine) -> None:
        self.stats = engine.stats
        self._flow = _Flow(engine)
        self._streams = self._flow.streams
        self._if_dropped = weakref.finalize(self, to_the_end, self._flow.close)
        close_at_exit(self)

    def start(self) -> None:
        try:
            self._flow.start()
        except BaseException:
            self.close()
            raise

    def _add(self, source: Source | Openable | str | int | Path, config: StreamConfig) -> Stream:
        self._flow.check_process()
        return self._flow.readers.add(source, config)

    def remove(self, stream: Stream, *, drain: bool = False) -> None:
        self._check_own(stream)
        self._flow.readers.remove(stream, drain=drain)

    def end(self) -> None:
        self._flow.end()

    def __next__(self) -> Result:
        self._flow.check_process()
        try:
            while True:
                item = self._flow.results.get()
                if item is None:
                    self.close()
                    if self._flow.fatal is not None:
                        raise self._flow.fatal
                    raise StopIteration
                if isinstance(item, Stream):
                    self._streams.tell_end(item)
                elif self._streams.hand_over(item):
                    return item
        except BaseException:
            self.close()
            raise

    def wait_for_reads(self, timeout_s: float) -> None:
        self._flow.read_timeout_s = timeout_s

    def close(self) -> None:
        to_the_end(self._flow.close)
        self._if_dropped.detach()


class _Flow:
    """What the threads of an async run share. Its methods named after stages are the threads' bodies.

    A stream that has been read to its end travels along the same way itself, behind its last frame.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stats = engine.stats
        self.streams = Streams(engine)
        self.fatal: BaseException | None = None
        self.readers = Readers(self.streams, engine.config.channel_frames, self._is_stale, self._guard)
        self.intake = self.readers.intake
        self.free: Channel[Slot] = Channel(len(engine.slots))
        self.in_flight: Channel[tuple[Slot | None, Parcel] | Stream] = Channel(len(engine.slots))
        self.results: Channel[Result | Stream] = Channel(engine.config.results_buffered)
        self.is_closing = False
        self.read_timeout_s: float | None = None
        self._deadline_s: float | None = None
        self._is_background_left = False
        self.turn = threading.Lock()
        self._is_over = False
        for slot in engine.slots:
            self.free.put(slot)
        bodies: dict[str, Callable[[], None]] = {
            **{f"preprocess-{i}": self.preprocess for i in range(_num_preprocessors(engine))},
            "postprocess": self.postprocess,
        }
        self._workers = Workers(
            [(f"keepbusy-{name}", partial(self._guard, body)) for name, body in bodies.items()], self._finish
        )
        self._background = Workers([("keepbusy-background", self.work_in_background)] if engine.in_background else [])

    def start(self) -> None:
        self._workers.start()
        self._background.start()

    def check_process(self) -> None:
        """See that the threads are there.

        Raises:
            KeepbusyError: This is a forked child of the process that they work in.
        """
        if self._workers.is_forked:
            raise KeepbusyError(
                "the run belongs to the process that this one was forked from",
                hint="make the Pipeline and its runs in the child, or start processes with spawn",
            )

    def end(self) -> None:
        self.readers.end()

    def close(self) -> None:
        """Stop everything. Safe to call again, from any thread, and where nothing or only a part was started."""
        if self._workers.is_forked:
            return
        self.results.close()  # Also where all is done: what nobody has taken yet is not handed over any more.
        if not self._is_over:
            self._stop()
        # Where the garbage collector ran in one of our own threads, this goes on, and the last one finishes.
        if self._workers.join():
            if self._deadline_s is None:  # Who closes it again does not wait again.
                wait_s = READ_TIMEOUT_S if self.read_timeout_s is None else self.read_timeout_s
                self._deadline_s = time.monotonic() + wait_s
            self.readers.close(self._deadline_s)
            self._join_background(self._deadline_s)
            self._finish()

    def _stop(self) -> None:
        self.is_closing = True
        self.streams.end()
        self._break_off()
        self.readers.interrupt()
        for slot in self.engine.slots:
            if slot.frame is not None:
                with contextlib.suppress(Exception):
                    slot.request.cancel()

    def _break_off(self) -> None:
        """Wake all that wait for frames, slots or the device."""
        self.intake.close()
        self.free.close()
        self.in_flight.close()
        for slot in self.engine.slots:
            slot.tried.open()

    def _join_background(self, deadline_s: float) -> None:
        """Wait for what is being made in the background, but not for ever."""
        is_over = self._background.join(max(0.0, deadline_s - time.monotonic()))
        if not is_over and not self._is_background_left and not self._background.is_one_of_them():
            self._is_background_left = True
            log.warning("a model is still being compiled in the background: it is left behind")

    def _finish(self) -> None:
        """End the run: its slots are free, its counters stand still. Called when no thread uses a slot any more."""
        if not self._is_over:
            is_hung = isinstance(self.fatal, DeviceTimeoutError)
            give_up(*(slot for slot in self.engine.slots if slot.frame is not None), is_hung=is_hung)
            self.streams.stop_counting()
            self.stats.finish()
            self._is_over = True
        self.engine.on_close()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            self.fatal = self.fatal or error
            self.streams.end()
            self._break_off()
            self.results.end()

    def work_in_background(self) -> None:
        """Background thread: what may be needed later, made while frames flow; it touches no slot."""
        for work in self.engine.in_background:
            if self._is_ending() or self._is_over:
                break
            work()

    def _is_stale(self, parcel: Parcel | Stream) -> bool:
        """Whether a frame whose turn has come is too old by now; counts it."""
        if isinstance(parcel, Stream) or not parcel.timings.expires_ns:
            return False
        is_stale = parcel.timings.has_expired(self.stats.clock.now_ns())
        if is_stale:
            parcel.stream.counters.dropped("stale")
        return is_stale

    def preprocess(self) -> None:
        """Preprocessor threads: frames into free slots, slots onto the device.

        They take turns at taking a slot and a frame, so that slots are in flight in the frames' order; the work itself
        is done side by side. A slot is handed to the postprocessor before its frame is in it: `tried` opens then.
        """
        stay_on(self.engine.own_cores)
        lane = self.stats.lane("preprocess")
        now_ns = self.stats.clock.now_ns
        slot: Slot | None = None
        while True:
            with self.turn:
                # The slot first, then the frame: a live source's frame stays replaceable until it can be started.
                slot_wanted_ns = lane.begin()
                slot = slot or self.free.get()
                slot_free_ns = lane.waited_for_output()
                parcel = self.intake.get()
                if slot is None or parcel is None:
                    break
                if isinstance(parcel, Stream):
                    if not self.in_flight.put(parcel):
                        break
                    continue
                timings = parcel.timings
                timings.slot_wanted_ns, timings.slot_free_ns = slot_wanted_ns, slot_free_ns
                timings.preprocess_start_ns = lane.waited_for_input()
                item = parcel.item
                if isinstance(item, FrameError):
                    if not self.in_flight.put((None, parcel)):
                        break
                    continue
                slot.tried.shut()
                slot.frame, slot.timings = item, timings
                if not self.in_flight.put((slot, parcel)):
                    break
            slot.error = stages.start(slot, item, timings, now_ns)
            slot.tried.open()
            slot = None
            lane.was_busy()
            lane.num_frames += 1
        self.in_flight.end()

    def postprocess(self) -> None:
        """Postprocessor thread: the oldest slot's outputs into a result, the slot back to the free ones."""
        stay_on(self.engine.own_cores)
        lane = self.stats.lane("postprocess")
        while (entry := self.in_flight.get()) is not None:
            if isinstance(entry, Stream):
                entry.steps.end()
                if not self.results.put(entry):
                    return
                lane.waited_for_output()
                continue
            slot, parcel = entry
            if slot is None:
                assert isinstance(parcel.item, FrameError)  # nosec B101 # for mypy: frames have a slot
                stream = parcel.stream
                frame = stages.unread_frame(parcel.item, stream.id, is_live=stream.is_live)
                result: Result | None = stages.failure(frame, parcel.timings, parcel.item)
            else:
                result = self._collect(slot, parcel.stream, lane)
                lane.was_busy()
                lane.num_frames += 1
            if result is None or not self._hand_on(result, parcel.stream):
                return
            lane.waited_for_output()
        self.results.end()

    def _collect(self, slot: Slot, stream: Stream, lane: Lane) -> Result | None:
        """The result of a slot in flight, which is free then; None where the run is being ended."""
        engine, now_ns = self.engine, self.stats.clock.now_ns
        slot.tried.wait()
        if self._is_ending():
            return None
        frame, timings = slot.frame, slot.timings
        assert frame is not None  # nosec B101 # for mypy: a slot in flight holds a frame
        error = slot.error or stages.wait(slot, engine.config.device_timeout_s, engine.device_name, now_ns)
        if self._is_ending():
            return None
        lane.waited_for_input()
        if slot.error is None:
            self.stats.frame_inferred(timings)
        if error is not None:
            result = stages.failure(frame, timings, error)
        else:
            result = stages.postprocess(slot, stream.postprocess, now_ns)
        stages.release(slot)
        self.free.put(slot)
        return result if stream.steps.are_none else stream.steps(result, stream.known, now_ns)

    def _hand_on(self, result: Result, stream: Stream) -> bool:
        """Leave a result to whoever takes results; False if nobody does any more."""
        self.streams.count(result, stream)
        is_error = result.error is not None
        if result.error is not None and stream.on_error == "end":
            stream.fail(result.error)
            self.readers.remove(stream, drain=False)
        if not stream.is_live or (is_error and stream.on_error == "raise"):
            return self.results.put(result)
        is_taken, replaced = self.results.put_latest(stream.newest_result, result)
        if isinstance(replaced, Result):
            self.streams.withdraw(replaced, "overload")
        return is_taken

    def _is_ending(self) -> bool:
        return self.is_closing or self.fatal is not None


def _num_preprocessors(engine: Engine) -> int:
    """One for eight cores: more of them get into each other's way (`docs/performance.md`)."""
    wanted = engine.config.preprocess_threads or int(usable_cores()) // 8
    return max(1, min(wanted, len(engine.slots)))
