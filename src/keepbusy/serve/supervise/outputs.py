"""The sinks of one stream. They outlive runs, and one that fails stops nothing but itself."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Container, Mapping
from types import MappingProxyType

from keepbusy.config import StreamConfig
from keepbusy.errors import KeepbusyError
from keepbusy.flow.counters import OutletStats, StreamCounters
from keepbusy.flow.stages import Postprocess
from keepbusy.flow.stats import RunStats
from keepbusy.flow.stream import Stream
from keepbusy.sinks.naming import beside_earlier
from keepbusy.sinks.open import open_sinks, spec_of
from keepbusy.sinks.runner import SinkRunner
from keepbusy.sinks.spec import FOLDERS, SinkSpec
from keepbusy.sources.base import SourceInfo
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")


class Known:
    """What sinks are told of their stream: the same one in every run.

    Args:
        number: The stream's number, which is never used again.
        name: What it is called.
    """

    def __init__(self, number: int, name: str) -> None:
        config = StreamConfig(name=name)
        postprocess: Postprocess = None  # type: ignore[assignment] # It makes no results.
        counters = StreamCounters(number, name)
        self.stream = Stream(number, name, config, counters, postprocess, "skip", time.perf_counter_ns)
        self.streams: Mapping[int, Stream] = MappingProxyType({number: self.stream})
        self._on_end: Callable[[Stream], None] | None = None

    def watch(self, on_end: Callable[[Stream], None]) -> None:
        """Have the sinks told of the end."""
        self._on_end = on_end

    def learn(self, info: SourceInfo) -> None:
        """Hear what is known of its source, once that is open."""
        if self.stream.info is None:
            self.stream.opened(info)

    def end(self) -> None:
        """The stream is over for the sinks."""
        self.stream.finish("removed")
        if self._on_end is not None:
            self._on_end(self.stream)


class Output:
    """One sink.

    Args:
        word: What the configuration calls it.
        number: The number of the stream.
        name: The name of the stream.
        taken: Places that sinks have that are still open: see `place`.

    Attributes:
        word: As above.
        place: The file or folder that it writes, links followed.
        error: Why it takes no more results; empty where it does.

    Raises:
        KeepbusyError: It cannot be made.
    """

    def __init__(self, word: str, number: int, name: str, taken: Container[str] = ()) -> None:
        spec = served(spec_of(word), taken)
        self.word = word
        self.place = os.path.realpath(spec.location)
        self.error = ""
        self._known = Known(number, name)
        self._stats = RunStats()
        self._runner = SinkRunner(open_sinks([spec]), self._stats, self._known)
        self._runner.__enter__()

    def put(self, result: Result, info: SourceInfo | None) -> None:
        """Hand over a result of its stream's number; waits for nothing where it is live."""
        if info is not None:
            self._known.learn(info)
        if not self.error and not self._runner.put(result):
            self.error = "has stopped"

    @property
    def stats(self) -> OutletStats:
        """Its numbers."""
        return self._stats.snapshot().outlets[0]

    @property
    def busy_s(self) -> float:
        """Seconds that it has worked."""
        return next(stage.busy_s for stage in self._stats.snapshot().stages if stage.stage == "sink")

    def close(self) -> None:
        """Write what waits, and finish it."""
        self._known.end()
        try:
            self._runner.close()
        except KeepbusyError as error:
            self.error = error.message
            log.warning("%s", error.message)


def served(spec: SinkSpec, taken: Container[str] = ()) -> SinkSpec:
    """A sink as a server has it: a failure costs its result only, and no earlier file is written over.

    Args:
        spec: The sink.
        taken: Places that are written to at this moment, links followed.
    """
    if spec.outlet.on_error == "stop":
        spec = dataclasses.replace(spec, outlet=dataclasses.replace(spec.outlet, on_error="count"))
    if spec.kind in FOLDERS or spec.kind in ("json", "video"):
        is_taken = os.path.realpath(spec.location) in taken
        return dataclasses.replace(spec, location=str(beside_earlier(spec.path, is_taken=is_taken)))
    return spec
