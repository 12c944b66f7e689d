"""One stream of the server: its settings, its numbers over all runs, its newest result, its sinks."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from keepbusy.config import Decoder, Retry, StreamConfig
from keepbusy.errors import KeepbusyError
from keepbusy.flow.counters import StreamStats
from keepbusy.flow.run import Run
from keepbusy.flow.stream import Stream
from keepbusy.serve.configuration.settings import StreamSettings
from keepbusy.serve.supervise.backend import detect_config
from keepbusy.serve.supervise.histogram import AGE_BUCKETS_S, Seconds
from keepbusy.serve.supervise.outputs import Output
from keepbusy.serve.supervise.source import Lowered, ServedSource
from keepbusy.sources.base import Decoding
from keepbusy.texts import without_secrets
from keepbusy.values.result import Result

Origin = Literal["file", "api"]

WINDOW_S = 10.0
"""How far back rates look."""


@dataclass(slots=True)
class Totals:
    """Where every frame of a stream has gone, over all runs: arrived = results + dropped + in flight.

    Attributes:
        arrived: Frames that its source has given.
        results: Frames that have a result, those with an error included.
        errors: Results that carry an error.
        detections: Detections in its results.
        dropped: Frames that have no result, by cause.
        in_flight: Frames on their way.
        reopened: How often its source was opened again.
    """

    arrived: int = 0
    results: int = 0
    errors: int = 0
    detections: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    reopened: int = 0

    def plus(self, stats: StreamStats) -> Totals:
        """These and those of the run that goes on."""
        return Totals(
            self.arrived + stats.num_arrived,
            self.results + stats.num_results,
            self.errors + stats.num_errors,
            self.detections + stats.num_detections,
            self.dropped + Counter({str(cause): count for cause, count in stats.dropped.items()}),
            stats.num_in_flight,
            self.reopened + stats.num_reopened,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Latest:
    """The newest result of a stream.

    Attributes:
        result: The result.
        number: Rises with each.
        arrived_ns: When its frame arrived, before it was decoded, of `time.perf_counter_ns`.
    """

    result: Result
    number: int
    arrived_ns: int


class Served:
    """Thread-safe.

    Args:
        number: Never used again.
        settings: What it is.
        given: Its thresholds, those for all streams included.
        origin: Who has added it.
        decoder: What is to decode it.
    """

    def __init__(
        self,
        number: int,
        settings: StreamSettings,
        given: dict[str, Any],
        origin: Origin,
        decoder: Decoder = "auto",
    ) -> None:
        self.number = number
        self.settings = settings
        self.given = given
        self.origin: Origin = origin
        self.ages_s = Seconds(AGE_BUCKETS_S)
        self.latest: Latest | None = None
        self.outputs: list[Output] = []
        self.problem = ""
        self.decoder: Decoder = decoder
        self._source = ServedSource(settings.source, settings.realtime, settings.loop, settings.max_fps, decoder)
        self._known_fps: float | None = None
        self._base = Totals()
        self._has_ended = False
        self._run: Run | None = None
        self._stream: Stream | None = None
        self._history: deque[tuple[float, Totals]] = deque()
        self._lock = threading.RLock()

    @property
    def lowered(self) -> Lowered:
        """What the ladder wants of it; to be written by one thread."""
        return self._source.lowered

    @property
    def name(self) -> str:
        """What it is called."""
        return self.settings.name

    @property
    def source(self) -> str:
        """Its source, without passwords."""
        return self._source.name

    @property
    def state(self) -> str:
        """What it does: a state of the run's stream, or `waiting` where there is no run."""
        stream = self._stream
        if self.problem:
            return "failed"
        return str(stream.state) if stream is not None else "ended" if self._has_ended else "waiting"

    @property
    def error(self) -> str:
        """What it failed with the last time, without passwords; empty where it has not."""
        stream = self._stream
        error = None if stream is None else stream.error
        told = getattr(error, "reason", None) or (error.message if isinstance(error, KeepbusyError) else str(error))
        return self.problem or ("" if error is None else without_secrets(told))

    @property
    def is_live(self) -> bool:
        """Whether its freshest frame matters most; as far as its name tells before its source is open."""
        stream = self._stream
        return self._source.is_live if stream is None or stream.info is None else stream.is_live

    @property
    def decoding(self) -> Decoding | None:
        """What decodes its pictures now; None where it is not open, or nothing is decoded."""
        stream = self._stream
        return None if stream is None else stream.decoding

    @property
    def wanted_fps(self) -> float | None:
        """How many frames per second it brings; None where it is no camera, and takes what it gets."""
        stream = self._stream
        if stream is not None and stream.info is not None:
            self._known_fps = stream.info.fps
        return self._source.fps(self._known_fps) if self.is_live else None

    @property
    def size_wh(self) -> tuple[int, int] | None:
        """Its newest frame's width and height, pixels."""
        latest = self.latest
        return None if latest is None else (latest.result.frame.width, latest.result.frame.height)

    def open_outputs(self, taken: Container[str] = ()) -> None:
        """Open its sinks.

        Args:
            taken: Places that other sinks write to: see `Output`.

        Raises:
            KeepbusyError: One cannot be made; none is open then.
        """
        try:
            for word in self.settings.sinks:
                self.outputs.append(Output(word, self.number, self.name, taken))
        except BaseException:
            self.close_outputs()
            raise

    def close_outputs(self) -> None:
        """Write what waits, and finish its sinks."""
        outputs, self.outputs = self.outputs, []
        for output in outputs:
            output.close()

    def attach(self, run: Run, names: tuple[str, ...]) -> Stream | None:
        """Join a run; None where it cannot, or has been read to its end in one before, which its state tells."""
        if self._has_ended:
            return None
        try:
            stream = run.add(self._source, self._config(names))
        except KeepbusyError as error:
            self.problem = error.message
            return None
        with self._lock:
            self.problem = ""
            self._run, self._stream = run, stream
            self._history.clear()
        return stream

    def _config(self, names: tuple[str, ...]) -> StreamConfig:
        one = self.settings
        ends = not one.loop and self._source.is_finite  # It is over then, and is not to be opened again.
        return StreamConfig(
            name=one.name,
            weight=one.weight,
            max_age_ms=one.max_age_ms,
            stall_s=one.stall_s,
            retry=None if one.retry is None or ends else Retry(**one.retry.model_dump()),
            on_error="skip",
            detect=detect_config(self.given, names),
        )

    def detach(self) -> None:
        """The run is over: its numbers are added to those of earlier ones."""
        with self._lock:
            if self._stream is not None:
                self._base = self._base.plus(self._stream.stats)
                self._base.in_flight = 0
                # One that was broken off with its run is not told of.
                self._has_ended = self._stream.is_told and self._stream.state == "ended"
            self._run = self._stream = None

    def leave(self) -> None:
        """Leave the run that goes on."""
        run, stream = self._run, self._stream
        if run is not None and stream is not None:
            run.remove(stream)

    def set_thresholds(self, settings: StreamSettings, given: dict[str, Any], names: tuple[str, ...]) -> None:
        """Have other thresholds from the next frame on; nothing is compiled.

        Args:
            settings: With them.
            given: Those for all streams included.
            names: The class names; empty where the model is not known yet: they count from its next run on.

        Raises:
            ConfigError: The model has no such class.
        """
        config = detect_config(given, names) if names else None
        with self._lock:
            self.settings, self.given = settings, given
            if config is not None and self._run is not None and self._stream is not None:
                self._run.set_detect(self._stream, config)

    def take(self, result: Result, now_ns: int) -> None:
        """A result of its stream; by the engine's thread."""
        arrived_ns = result.timings.arrival_ns or result.timings.read_end_ns
        if result.frame.is_live:
            self.ages_s.add((now_ns - arrived_ns) / 1e9)
        if result.error is None or result.frame.picture is not None:
            before = self.latest
            self.latest = Latest(result, 1 if before is None else before.number + 1, arrived_ns)
        if self.outputs:
            frame = dataclasses.replace(result.frame, source_id=self.number)
            mine = dataclasses.replace(result, frame=frame)
            info = None if self._stream is None else self._stream.info
            for output in self.outputs:
                output.put(mine, info)

    @property
    def totals(self) -> Totals:
        """Where every frame has gone."""
        with self._lock:
            return self._base.plus(self._stream.stats) if self._stream is not None else self._base

    def look(self, now_s: float) -> Totals:
        """Its numbers, kept for rates; to be called once a second."""
        totals = self.totals
        with self._lock:
            self._history.append((now_s, totals))
            while len(self._history) > 2 and self._history[1][0] <= now_s - WINDOW_S:
                self._history.popleft()
        return totals

    def rates(self) -> tuple[float, float, dict[str, int]]:
        """Frames/s that arrive, results/s, and drops by cause: of the last seconds that were looked at."""
        with self._lock:
            if len(self._history) < 2:
                return 0.0, 0.0, {}
            (begin_s, first), (end_s, last) = self._history[0], self._history[-1]
        span_s = max(end_s - begin_s, 1e-9)
        dropped = {cause: count for cause, count in (last.dropped - first.dropped).items() if count}
        return (last.arrived - first.arrived) / span_s, (last.results - first.results) / span_s, dropped

    @property
    def window_s(self) -> float:
        """How many seconds `rates` look back."""
        with self._lock:
            return self._history[-1][0] - self._history[0][0] if self._history else 0.0

    def age_s(self, now_ns: int | None = None) -> float:
        """How old its newest picture is, seconds; infinite where there is none."""
        latest = self.latest
        now_ns = time.perf_counter_ns() if now_ns is None else now_ns
        return math.inf if latest is None else (now_ns - latest.arrived_ns) / 1e9

    def same_source(self, other: StreamSettings) -> bool:
        """Whether other settings differ from its own in thresholds only."""
        unequal = set(StreamSettings.model_fields) - set(_THRESHOLDS)
        return all(getattr(self.settings, name) == getattr(other, name) for name in unequal)


_THRESHOLDS: Sequence[str] = ("conf", "class_conf", "iou", "max_det", "classes", "region")
