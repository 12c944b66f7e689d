"""The blocking loop: the same readers and stages as the async run's, one after the other, with no overlap."""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from pathlib import Path
from queue import SimpleQueue

from keepbusy.config import StreamConfig
from keepbusy.errors import FrameError
from keepbusy.flow import stages
from keepbusy.flow.reader import Openable, Parcel, Reader
from keepbusy.flow.run import READ_TIMEOUT_S, Engine, Run, Streams, give_up
from keepbusy.flow.stream import Stream
from keepbusy.sources.base import Source
from keepbusy.threads.workers import to_the_end
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")


class SyncRun(Run):
    """One frame at a time, one step after the other, in the caller's thread.

    Streams are opened there, too, and one that waits to be opened again holds up the others.
    """

    def __init__(self, engine: Engine) -> None:
        self.stats = engine.stats
        self._engine = engine
        self._slot = engine.slots[0]
        self._loop = _Loop(engine)
        self._streams = self._loop.streams
        self._if_dropped = weakref.finalize(self, to_the_end, self._loop.close)
        self._lanes = {stage: engine.stats.lane(stage) for stage in ("preprocess", "postprocess")}

    def start(self) -> None:
        pass

    def _add(self, source: Source | Openable | str | int | Path, config: StreamConfig) -> Stream:
        stream = self._streams.add(source, config).stream
        self._loop.news.put(None)
        return stream

    def remove(self, stream: Stream, *, drain: bool = False) -> None:
        self._check_own(stream)
        if (reader := self._streams.readers.get(stream.id)) is not None:
            stream.finish("removed")
            reader.interrupt()

    def end(self) -> None:
        self._streams.end()
        self._loop.news.put(None)

    def __next__(self) -> Result:
        loop = self._loop
        try:
            with loop.at_work:
                while (parcel := loop.next()) is not None:
                    result = self._infer(parcel)
                    if loop.is_closing:
                        break
                    if result is not None and self._streams.hand_over(result):
                        return result
            raise StopIteration
        except BaseException:
            self.close()
            raise

    def wait_for_reads(self, timeout_s: float) -> None:
        self._loop.read_timeout_s = timeout_s

    def close(self) -> None:
        to_the_end(self._loop.close)
        self._if_dropped.detach()

    def _infer(self, parcel: Parcel) -> Result | None:
        """The result of what was read; None where it is too old."""
        item, stream = parcel.item, parcel.stream
        if parcel.timings.expires_ns and parcel.timings.has_expired(self.stats.clock.now_ns()):
            stream.counters.dropped("stale")
            return None
        if isinstance(item, FrameError):
            frame = stages.unread_frame(item, stream.id, is_live=stream.is_live)
            result = stages.failure(frame, parcel.timings, item)
        else:
            result = self._infer_frame(item, parcel)
        self._streams.count(result, stream)
        if result.error is not None and stream.on_error == "end":
            stream.fail(result.error)
            self.remove(stream)
        return result

    def _infer_frame(self, frame: Frame, parcel: Parcel) -> Result:
        engine, slot, timings = self._engine, self._slot, parcel.timings
        now_ns = self.stats.clock.now_ns
        preprocess, postprocess = self._lanes["preprocess"], self._lanes["postprocess"]
        timings.slot_wanted_ns = timings.slot_free_ns = timings.preprocess_start_ns = preprocess.waited_for_input()
        error = stages.start(slot, frame, timings, now_ns)
        preprocess.was_busy()
        if error is None:
            preprocess.num_frames += 1
            error = stages.wait(slot, engine.config.device_timeout_s, engine.device_name, now_ns)
            self.stats.frame_inferred(timings)
        if error is not None:
            stages.release(slot)
            return stages.failure(frame, timings, error)
        postprocess.waited_for_input()
        stream = parcel.stream
        result = stages.postprocess(slot, stream.postprocess, now_ns)
        stages.release(slot)
        if not stream.steps.are_none:
            result = stream.steps(result, stream.known, now_ns)
        postprocess.was_busy()
        postprocess.num_frames += 1
        return result


class _Loop:
    """The streams of a sync run, in weighted turns. It does not know the run, which may be dropped.

    Attributes:
        at_work: Held by the thread that reads and infers: whoever closes the run waits for it.
        is_closing: Whether nothing more is read, and what is being made is not handed over.
    """

    def __init__(self, engine: Engine) -> None:
        self.streams = Streams(engine)
        self.at_work = threading.RLock()
        self.is_closing = False
        self.read_timeout_s: float | None = None
        self.news: SimpleQueue[None] = SimpleQueue()
        self._engine = engine
        self._virtual_times: dict[int, float] = {}
        self._now = 0.0
        self._is_over = False

    def next(self) -> Parcel | None:
        """The next frame of the stream whose turn it is, waiting for a stream; None at the end."""
        while not self.is_closing:
            has_ended = self.streams.has_ended  # First: nothing is added behind it.
            reader = self._turn()
            if reader is None:
                if has_ended:
                    return None
                self.news.get()
                continue
            if (parcel := reader.next()) is not None:
                return parcel
            self._let_go(reader)
            self.streams.tell_end(reader.stream)
        return None

    def close(self) -> None:
        """End the run. May be called again, and by any thread: the one that is at work is told to end, and waited for.

        Where that takes too long, it is left behind, and closes the run itself when it comes to its end.
        """
        self.is_closing = True
        self.streams.end()
        self.news.put(None)
        for reader in list(self.streams.readers.values()):
            reader.interrupt()
        slot = self._engine.slots[0]
        if slot.frame is not None:
            with contextlib.suppress(Exception):
                slot.request.cancel()
        if not self.at_work.acquire(timeout=READ_TIMEOUT_S if self.read_timeout_s is None else self.read_timeout_s):
            log.warning(
                "the thread that reads and infers does not end: it is left behind, and closes the run when it does"
            )
            return
        try:
            self._finish()
        finally:
            self.at_work.release()

    def _finish(self) -> None:
        for reader in list(self.streams.readers.values()):
            reader.interrupt()
            self._let_go(reader)
        if not self._is_over:
            slot = self._engine.slots[0]
            if slot.frame is not None:
                give_up(slot)
            self.streams.stop_counting()
            self._engine.stats.finish()
            self._is_over = True
        self._engine.on_close()

    def _turn(self) -> Reader | None:
        """Whose turn it is; None where there are no streams."""
        readers = tuple(self.streams.readers.values())
        if len(readers) <= 1:
            return readers[0] if readers else None
        reader = min(readers, key=lambda one: (self._time_of(one), one.stream.id))
        self._now = self._time_of(reader)
        self._virtual_times[reader.stream.id] = self._now + 1 / reader.stream.config.weight
        return reader

    def _time_of(self, reader: Reader) -> float:
        return self._virtual_times.setdefault(reader.stream.id, self._now)

    def _let_go(self, reader: Reader) -> None:
        reader.close()
        self._virtual_times.pop(reader.stream.id, None)
        self.streams.read_to_the_end(reader)
