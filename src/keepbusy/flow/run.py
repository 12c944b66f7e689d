"""What a run is, what it works with, and how any run ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from keepbusy.config import DetectConfig, RunConfig, StreamConfig
from keepbusy.device.slots import Slot
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.flow import stages
from keepbusy.flow.reader import Openable, Reader
from keepbusy.flow.stats import RunStats
from keepbusy.flow.stream import Stream
from keepbusy.sources.base import Source, close_source
from keepbusy.sources.spec import SourceSpec
from keepbusy.texts import line_name
from keepbusy.values.result import Result
from keepbusy.values.streams import DropCause

CANCEL_TIMEOUT_S = 5.0
"""How long closing waits for a device to give up what it was doing; after that the slot is not used again."""

HUNG_TIMEOUT_S = 0.5
"""The same, where it has hung already."""

READ_TIMEOUT_S = 15.0
"""How long closing waits for reads that are going on. Network streams and cameras give up after 10 s. A source of your
own that takes longer, and has no `interrupt` that ends it, is left behind: its thread closes it when it returns. So is
a model that is being compiled for frames of a new size."""


_STREAMS_SHOWN = 3
"""In a `repr`."""


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """All that a run works with beside its streams.

    Attributes:
        slots: Warm, free slots; `sync` uses the first.
        postprocess: Thresholds (None for the pipeline's) → what makes detections of the model's outputs. What it
            returns is called by one thread at a time.
        config: Mode, limits, error policy.
        device_name: For messages.
        own_cores: Cores that inference leaves alone, for the threads that start and collect frames; may be none.
        stats: The run's counters.
        on_close: Called when the run no longer uses the slots; may be called again.
        name_source: What `open_source` takes → what opens it as this run's sources are opened.
        make_ready: A frame's (height, width), pixels: the slots take frames of that size when it returns. It is called
            in the reader's thread before a frame of a new size is handed on, may take seconds there, and raises what
            that frame is to fail with.
        in_background: What an async run does beside its frames from its start on, one call after the other, each of
            which may take seconds. They raise nothing.
    """

    slots: tuple[Slot, ...]
    postprocess: Callable[[DetectConfig | None], stages.Postprocess]
    config: RunConfig
    device_name: str
    own_cores: frozenset[int]
    stats: RunStats
    on_close: Callable[[], None]
    name_source: Callable[[str | int | Path], Openable] = SourceSpec
    make_ready: Callable[[tuple[int, int]], None] = lambda frame_hw: None
    in_background: Sequence[Callable[[], None]] = ()


class Streams:
    """The streams of one run and their readers. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._next_id = 0
        self._has_ended = False
        self._watchers: list[Callable[[Stream], None]] = []
        self.all: dict[int, Stream] = {}
        self.readers: dict[int, Reader] = {}

    @property
    def has_ended(self) -> bool:
        """Whether no stream will be added any more."""
        return self._has_ended

    def end(self) -> None:
        """No stream will be added any more."""
        with self._lock:
            self._has_ended = True

    def add(self, source: Source | Openable | str | int | Path, config: StreamConfig) -> Reader:
        """Make a stream and what reads it; nothing is opened yet.

        Raises:
            KeepbusyError: The run takes no streams any more.
            ConfigError: The options do not fit the source, or another stream has the name.
        """
        if isinstance(source, Source) and config.retry is not None:
            raise ConfigError(
                "retry: a source that was opened already cannot be opened again", hint="give its path or address"
            )
        spec = self._engine.name_source(source) if isinstance(source, (str, int, Path)) else source
        if not isinstance(spec, Source) and not (hasattr(spec, "name") and callable(getattr(spec, "open", None))):
            raise ConfigError(
                f"add: {type(source).__name__} is no source",
                hint="give what `open_source` takes, a SourceSpec or another object with `name` and `open`, or a "
                "source that is open; `Pipeline.run` takes arrays and lists, too",
            )
        engine = self._engine
        with self._lock:
            if self._has_ended:
                raise KeepbusyError(
                    "the run takes no more streams: it was ended or closed", hint="add streams before `end`"
                )
            if isinstance(source, Source) and any(one.reads(source) for one in self.readers.values()):
                raise ConfigError(
                    f"add: {source.info.name} is read by another stream of this run", hint="open it a second time"
                )
            if config.name and any(one.config.name == config.name and not one.is_over for one in self.all.values()):
                raise ConfigError(f"name: there is a stream {config.name} already", hint="remove that one first")
            name = config.name or (spec.info.name if isinstance(spec, Source) else spec.name)
            stream_id = self._next_id
            stream = Stream(
                stream_id,
                name,
                config,
                engine.stats.stream(stream_id, name),
                engine.postprocess(config.detect),
                config.on_error or engine.config.on_error,
                engine.stats.clock.now_ns,
            )
            reader = Reader(stream, spec, engine.stats.lane("read"), engine.make_ready)
            # Last, so that what was interrupted has changed nothing.
            self.all[stream_id], self.readers[stream_id], self._next_id = stream, reader, stream_id + 1
            return reader

    def postprocess(self, detect: DetectConfig | None) -> stages.Postprocess:
        """What makes detections with some thresholds; None for the pipeline's."""
        return self._engine.postprocess(detect)

    def read_to_the_end(self, reader: Reader) -> None:
        """A stream's reader is done for good."""
        stats = self._engine.stats
        with self._lock:
            self.readers.pop(reader.stream.id, None)
        stats.lane_ended(reader.lane)

    def watch(self, on_end: Callable[[Stream], None]) -> None:
        """Have somebody told of each stream's end."""
        self._watchers.append(on_end)

    def tell_end(self, stream: Stream) -> None:
        """A stream's last result has been handed over; by the thread that takes results."""
        stream.steps.end()
        stream.is_told = True
        for on_end in self._watchers:
            on_end(stream)
        # Not before: what comes of its frames is still looked up by its number.
        if (forgotten := self._engine.stats.stream_ended(stream.id)) is not None:
            with self._lock:
                self.all.pop(forgotten, None)

    def hand_over(self, result: Result) -> bool:
        """See to a result that the consumer is to get next; False where it is too old by now.

        Raises:
            FrameError: It is one that ends the run.
        """
        stream = self.all.get(result.frame.source_id)
        if stream is None:
            return True
        if result.error is not None and stream.on_error == "raise":
            raise result.error
        if stream.is_live:
            now_ns = self._engine.stats.clock.now_ns()
            if result.timings.has_expired(now_ns):
                self.withdraw(result, "stale")
                return False
            stream.counters.aged(now_ns - result.timings.arrival_ns)
        return True

    def count(self, result: Result, stream: Stream) -> None:
        """A frame of a stream has its result; to be called by the thread that makes results."""
        num_detections, is_error = len(result.detections), result.error is not None
        self._engine.stats.frame_done(result.timings, num_detections, is_error=is_error)
        stream.counters.done(num_detections, is_error=is_error)

    def withdraw(self, result: Result, cause: DropCause) -> None:
        """A result that was counted is dropped after all."""
        stream = self.all.get(result.frame.source_id)
        num_detections, is_error = len(result.detections), result.error is not None
        self._engine.stats.frame_withdrawn(num_detections, is_error=is_error)
        if stream is not None:
            stream.counters.withdrawn(cause, num_detections, is_error=is_error)

    def stop_counting(self) -> None:
        """What was on its way is given up."""
        for stream in list(self.all.values()):
            stream.finish("removed")
            stream.counters.stop()
            stream.steps.end()


class Run(Iterator[Result]):
    """One run over some streams: iterate for the results, `close` to stop early.

    A run owns its sources from `add` on, and begins with `start`. It is over when it was told that nothing more will be
    added (`end`) and the last stream is over. One that is dropped is closed.

    Not thread-safe, except for `stats`, `streams`, `add`, `remove`, `end` and `close`.

    Attributes:
        stats: The run's counters; `stats.snapshot()` at any time, also afterwards.
    """

    stats: RunStats
    _streams: Streams

    def __repr__(self) -> str:
        streams = list(self._streams.all.values())
        shown = [f"{line_name(one.name)} {one.state}" for one in streams[:_STREAMS_SHOWN]]
        shown += [f"{len(streams) - len(shown)} more"] if len(streams) > len(shown) else []
        count = f"{len(streams)} stream{'' if len(streams) == 1 else 's'}"
        results = f"{self.stats.snapshot().num_frames} results"
        return f"{type(self).__name__}({': '.join([count, ', '.join(shown)][: 1 + bool(shown)])}; {results})"

    def __next__(self) -> Result:
        raise NotImplementedError

    def start(self) -> None:
        """Begin to work; to be called once."""
        raise NotImplementedError

    def add(self, source: Source | Openable | str | int | Path, config: StreamConfig | None = None) -> Stream:
        """Add a stream, while the run goes on.

        Args:
            source: What `open_source` takes, or a `SourceSpec`: it is opened in the stream's own thread, and holds up
                nobody. Or a source that is open: the run owns it from now on, also where this fails.
            config: The stream's options; None for the defaults.

        Raises:
            KeepbusyError: The run was ended or closed.
            ConfigError: The options do not fit the source, or another stream has the name.
        """
        try:
            config = StreamConfig() if config is None else config
            if not isinstance(config, StreamConfig):
                raise ConfigError(f"add: {type(config).__name__} is no StreamConfig", hint="StreamConfig(name=...)")
            return self._add(source, config)
        except BaseException:
            if isinstance(source, Source) and not self._owns(source):
                close_source(source)
            raise

    def _add(self, source: Source | Openable | str | int | Path, config: StreamConfig) -> Stream:
        raise NotImplementedError

    def _owns(self, source: Source) -> bool:
        return any(reader.reads(source) for reader in list(self._streams.readers.values()))

    def remove(self, stream: Stream, *, drain: bool = False) -> None:
        """Do without a stream from now on; does nothing where it is over. Does not wait for its source.

        Args:
            stream: One of this run's.
            drain: Whether frames that were read and wait for the device still become results; those that are on the
                device do in any case.

        Raises:
            KeepbusyError: It is another run's.
        """
        raise NotImplementedError

    def end(self) -> None:
        """Nothing more will be added: the run is over when the last stream is. May be called again."""
        raise NotImplementedError

    def set_detect(self, stream: Stream, detect: DetectConfig | None) -> None:
        """Make a stream's results with other thresholds, from its next frame on. Nothing is compiled for it.

        Args:
            stream: One of this run's.
            detect: Thresholds and classes, by ids; None for those of the pipeline.

        Raises:
            ConfigError: The model has no such class.
            KeepbusyError: The stream is another run's.
        """
        self._check_own(stream, "set_detect")
        stream.postprocess = self._streams.postprocess(detect)

    def watch(self, on_end: Callable[[Stream], None]) -> None:
        """Have somebody told of the ends of streams: once for each, behind its last result, also where it has none.

        Told in the thread that takes results, while it asks for the next one. Nothing is told of the streams of a run
        that is broken off.

        Args:
            on_end: Called with the stream, whose state is for good then.
        """
        self._streams.watch(on_end)

    @property
    def streams(self) -> Mapping[int, Stream]:
        """The streams by their numbers: those that go on, and the last ones that are over."""
        return MappingProxyType(self._streams.all)

    def wait_for_reads(self, timeout_s: float) -> None:
        """Have closing wait for reads that are going on for no longer than this, seconds, not for `READ_TIMEOUT_S`.

        What a read holds up is left behind then, and closed when the read returns.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop: nothing more is read, what is in flight is given up, all threads are joined.

        A read that is going on is interrupted, and waited for `READ_TIMEOUT_S` at most; a device `CANCEL_TIMEOUT_S`.
        An interrupt does not break it off: it is raised when the run is closed. Further calls do nothing.
        """
        raise NotImplementedError

    def _check_own(self, stream: Stream, call: str = "remove") -> None:
        if not isinstance(stream, Stream):
            raise ConfigError(
                f"{call}: {type(stream).__name__} is no stream",
                hint="give what `add` has returned, or one of `streams`",
            )
        if self._streams.all.get(stream.id) is not stream and not stream.is_over:
            raise KeepbusyError(f"stream {stream.name} is another run's", hint="call the run that it is in")

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Turn:
    """A run's turn at a pipeline's slots. It knows neither of them: threads of a run keep no pipeline alive.

    Args:
        turns: The pipeline's; holds the turn that is taken, if any.
    """

    def __init__(self, turns: dict[str, Turn]) -> None:
        self._turns = turns

    def take(self) -> None:
        """Take the slots.

        Raises:
            KeepbusyError: Another run has them.
        """
        if self._turns.setdefault("taken", self) is not self:
            raise KeepbusyError(
                "the pipeline is still running",
                hint="iterate the last run to its end or close() it, or make a second Pipeline",
            )

    def give_back(self) -> None:
        """Leave the slots to the next run; does nothing where this one does not have them."""
        if self._turns.get("taken") is self:
            del self._turns["taken"]


_LOST: list[Slot] = []
"""Slots that no device gave back. They are kept: freeing a request waits for the device, for ever."""


def give_up(*slots: Slot, is_hung: bool = False) -> None:
    """Cancel slots that are in flight and wait until the device has let go of them; one that it keeps is lost.

    Args:
        slots: They are waited for together.
        is_hung: Whether the device has not answered in time already: it is not waited for much longer.
    """
    for slot in slots:
        with contextlib.suppress(Exception):
            slot.request.cancel()
    until_s = time.monotonic() + (min(HUNG_TIMEOUT_S, CANCEL_TIMEOUT_S) if is_hung else CANCEL_TIMEOUT_S)
    for slot in slots:
        is_free = True
        with contextlib.suppress(Exception):  # An inference that was cancelled, or failed, is over.
            is_free = slot.request.wait(max(0.001, until_s - time.monotonic()))
        if not is_free:
            slot.is_lost = True
            _LOST.append(slot)
        stages.release(slot)
