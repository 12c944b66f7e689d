"""What reads one stream: opens its source, reads it, and opens it again where that is wanted.

An async run has a thread for each; a sync run asks each in its turn.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from keepbusy.errors import FrameError, KeepbusyError, SourceError, first_line
from keepbusy.flow.repeats import Repeats
from keepbusy.flow.stages import blame
from keepbusy.flow.stats import Lane
from keepbusy.flow.stream import Stream
from keepbusy.sources.base import Source, close_source
from keepbusy.sources.selection import Selection
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame
from keepbusy.values.result import Timings

log = logging.getLogger("keepbusy")

FRESH_S = 0.1
"""A live frame that waited for longer, because the model had to be compiled for its size, is not worth a result."""

_random = random.Random()  # nosec B311 # Spreads attempts in time; nothing is to be kept secret.


class Openable(Protocol):
    """What names a source that is not open yet, as `SourceSpec` does."""

    @property
    def name(self) -> str:
        """What to call it, without passwords."""
        ...

    def open(self) -> Source:
        """Open it; in the stream's own thread, and again where a stream is to be opened again."""
        ...


@dataclass(slots=True, eq=False)
class Parcel:
    """What a reader hands on. Not to be changed; a frozen dataclass takes three times as long to make.

    Attributes:
        item: A frame, or the error in its place.
        stream: The stream that it is from.
        timings: When it was read, and when it is too old.
    """

    item: Frame | FrameError
    stream: Stream
    timings: Timings


class Reader:
    """Reads one stream. `next` is used by one thread; `interrupt` by any, at any time.

    Args:
        stream: The stream.
        source: An open source, or what opens it, in the thread that reads.
        lane: The time of the read stage.
        make_ready: See `Engine.make_ready`: called for the first frame, and where the frames' size changes.
    """

    def __init__(
        self,
        stream: Stream,
        source: Source | Openable,
        lane: Lane,
        make_ready: Callable[[tuple[int, int]], None],
    ) -> None:
        self.stream = stream
        self.lane = lane
        self._spec = source
        self._retry = stream.config.retry
        self._source: Source | None = None
        self._selection: Selection | None = None
        self._make_ready = make_ready
        self._ready_hw: tuple[int, int] | None = None
        self._next_index = 0
        self._num_failures = 0
        self._repeats = Repeats()
        self._has_begun = False
        self._is_over = False
        self._is_stopped = False
        self._stopped = Gate()

    def reads(self, source: Source) -> bool:
        """Whether it is the one that owns a source that was opened before."""
        return self._spec is source

    def interrupt(self) -> None:
        """Have `next` end soon, also one that waits for its source."""
        self._is_stopped = True
        self._stopped.open()
        self._interrupt_source()

    def _interrupt_source(self) -> None:
        source = self._source
        if source is not None and not self._is_over:
            try:
                source.interrupt()
            except Exception as error:
                log.warning("%s: cannot be interrupted: %s", self.stream.name, first_line(error))

    def next(self) -> Parcel | None:
        """The next frame, or the error in its place; None at the end, when the source is closed."""
        while not self._is_over and not self._is_stopped:
            timings = Timings(read_start_ns=self.lane.waited_for_input())
            self.stream.watch(timings.read_start_ns)
            if self._source is None:
                failure = self._open()
                if failure is None:
                    continue
            else:
                item = self._read()
                if isinstance(item, Frame):
                    if (parcel := self._frame(item, timings)) is not None:
                        return parcel
                    continue
                if item is None:
                    self.lane.was_busy()
                    self.close("ended")
                    return None
                if not item.is_last:
                    if not self.stream.is_live or self._retry is None:
                        return self._error(item, timings)
                    self._pass_over(item)
                    continue
                failure = item
            if (parcel := self._after(failure, timings)) is not None:
                return parcel
        self.close("removed")
        return None

    def close(self, state: Literal["ended", "failed", "removed"] = "removed") -> None:
        """Close the source; nothing is read any more. For the thread that reads, or when none does."""
        if not self._is_over and not self._has_begun and isinstance(self._spec, Source):
            self._source = self._spec
        self._is_over = True
        self._close_source()
        self.stream.finish(state)

    def _open(self) -> FrameError | None:
        """Open the source; the error in place of its next frame where that fails."""
        stream = self.stream
        self._has_begun = True
        try:
            source = self._spec if isinstance(self._spec, Source) else self._spec.open()
            if not isinstance(source, Source):
                raise SourceError(f"open gave {type(source).__name__}, which is no Source")
            self._source = source
            if self._selection is None:
                self._selection = Selection(source, stream.config.select)
            else:
                self._selection.go_on_with(source)
                stream.counters.reopened()
            stream.source = source
            stream.opened(self._selection.info)
        except Exception as error:
            hint = error.hint if isinstance(error, KeepbusyError) else None
            failed = self._failed(error.message if isinstance(error, KeepbusyError) else first_line(error), hint)
            failed.__cause__ = error
            return failed
        if self._is_stopped:  # Meanwhile.
            self._interrupt_source()
        return None

    def _read(self) -> Frame | FrameError | None:
        """The next frame, the error in its place, or None at the end.

        A source says `FrameError` of a frame it can go on behind. Any other error ends it.
        """
        selection, stream = self._selection, self.stream
        assert selection is not None  # nosec B101 # for mypy: the source is open
        try:
            frame = selection.read()
        except FrameError as error:
            self._next_index = error.frame_index + 1
            return error
        except Exception as error:
            wrapped = self._failed(first_line(error), error.hint if isinstance(error, SourceError) else None)
            wrapped.__cause__ = error
            return wrapped
        finally:
            self._count_dropped()
        if frame is None:
            has_ended_early = self._retry is not None and selection.info.is_live and not selection.is_exhausted
            return self._failed("the stream ended") if has_ended_early and not self._is_stopped else None
        self._next_index = frame.index + 1
        if frame.source_id != stream.id or stream.is_live:
            frame = dataclasses.replace(frame, source_id=stream.id, is_live=stream.is_live)
        return frame

    def _failed(self, message: str, hint: str | None = None) -> FrameError:
        name = self.stream.name if self._selection is None else self._selection.info.name
        index = self._next_index
        return FrameError(message, stage="read", source=name, frame_index=index, hint=hint, is_last=True)

    def _after(self, failure: FrameError, timings: Timings) -> Parcel | None:
        """What becomes of a stream that cannot go on: the failure is handed over, or it is opened again."""
        self._close_source()
        stream, retry = self.stream, self._retry
        stream.error = failure
        if self._is_stopped:
            return None
        self._num_failures += 1
        if retry is None or (retry.max_attempts is not None and self._num_failures > retry.max_attempts):
            self.close("failed")
            return self._error(failure, timings)
        wait_s = retry.wait_s(self._num_failures) * _random.uniform(0.5, 1.0)
        if (told := self._repeats.told(failure.reason)) is not None:
            log.warning("%s: %s; opening it again in %.1f s", stream.name, told, wait_s)
        stream.go_on_to("waiting")
        self._stopped.wait(wait_s)
        if not self._is_stopped:
            stream.go_on_to("opening")
        return None

    def spare(self, *, is_enough: bool) -> None:
        """See `Source.spare`; for the thread that reads."""
        if self._selection is not None:
            self._selection.spare(is_enough=is_enough)

    def _count_dropped(self) -> None:
        """Count what the source has given up itself."""
        if self._selection is not None and (dropped := self._selection.take_dropped()):
            self.stream.counters.shed(dropped)

    def _arrived(self, timings: Timings) -> None:
        timings.read_end_ns = self.lane.was_busy()
        self.stream.watch(None)
        self.lane.num_frames += 1
        self.stream.counters.arrived()

    def _pass_over(self, error: FrameError) -> None:
        """A live stream that outlives failures outlives damage, too."""
        self.lane.was_busy()
        self.stream.error = error
        self.stream.counters.shed({"decode_error": 1})

    def _frame(self, frame: Frame, timings: Timings) -> Parcel | None:
        """A frame that can be started at once, or the error in its place. A new size is waited for here, not behind.

        None where it took so long to get ready that it is not fresh any more: of a live stream, newer ones wait.
        """
        stream, frame_hw = self.stream, (0, 0)
        self._num_failures = 0
        self._arrived(timings)
        timings.arrival_ns = frame.arrival_ns or timings.read_end_ns
        if frame.picture is not None:
            # Behind the lane's mark: it is the device that is waited for, not the source.
            try:
                frame_hw = frame.shape_hw
                if frame_hw != self._ready_hw:
                    self._make_ready(frame_hw)
                    self._ready_hw = frame_hw
                    if stream.is_live and self.lane.waited_for_output() - timings.read_end_ns > FRESH_S * 1e9:
                        stream.counters.dropped("overload")
                        return None
            except Exception as error:
                failure = blame(error, "preprocess", frame)
                failure.timestamp_s, failure.shape_hw = frame.timestamp_s, frame_hw
                return self._in_its_place(failure, timings)
        if stream.is_live and stream.config.max_age_ms is not None:
            timings.expires_ns = timings.arrival_ns + round(stream.config.max_age_ms * 1e6)
        return Parcel(frame, stream, timings)

    def _error(self, error: FrameError, timings: Timings) -> Parcel:
        """The error of a frame that could not be read."""
        self._arrived(timings)
        return self._in_its_place(error, timings)

    def _in_its_place(self, error: FrameError, timings: Timings) -> Parcel:
        stream = self.stream
        stream.error = error
        if stream.on_error == "end":
            self.close("failed")
        return Parcel(error, stream, timings)

    def _close_source(self) -> None:
        if self._source is not None:
            self.stream.source = None
            close_source(self._source)
            self._count_dropped()
            self._source = None  # Behind it: what was broken off is done again.
