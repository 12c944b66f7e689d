"""The readers of an async run, each in a thread of its own, and the intake where their frames come together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from keepbusy.config import StreamConfig
from keepbusy.flow.intake import Inlet, Intake
from keepbusy.flow.reader import Openable, Parcel, Reader
from keepbusy.flow.run import Streams
from keepbusy.flow.stream import Stream
from keepbusy.sources.base import Source
from keepbusy.threads.workers import Workers

SURPLUS_FRAMES = 32
"""After so many frames of a live stream it is seen how many of them newer ones have replaced. More than a half: those
that are cheap to leave out need not be decoded. Less than an eighth: all are."""

log = logging.getLogger("keepbusy")


class Readers:
    """Thread-safe; streams come and go.

    Args:
        streams: The run's streams.
        channel_frames: Frames that may wait for each stream; of a live one, the newest.
        is_worthless: See `Intake`.
        guard: Runs a thread's body; what it fails with ends the run.
    """

    def __init__(
        self,
        streams: Streams,
        channel_frames: int,
        is_worthless: Callable[[Parcel | Stream], bool],
        guard: Callable[[Callable[[], None]], None],
    ) -> None:
        self.intake: Intake[Parcel | Stream] = Intake(is_worthless)
        self._streams = streams
        self._channel_frames = channel_frames
        self._guard = guard
        self._inlets: dict[int, Inlet[Parcel | Stream]] = {}
        self._workers: dict[int, Workers] = {}
        self._is_interrupted = False
        self._left_behind: set[int] = set()
        self._adding = threading.RLock()

    def end(self) -> None:
        """No stream will be added any more."""
        with self._adding:
            self._streams.end()
            self.intake.end()

    def add(self, source: Source | Openable | str | int | Path, config: StreamConfig) -> Stream:
        """Make a stream and start reading it. See `Run.add`."""
        with self._adding:  # So that the intake is not over between the two.
            reader = self._streams.add(source, config)
            stream = reader.stream
            inlet = self._inlets[stream.id] = self.intake.open(self._channel_frames, config.weight)
        workers = Workers([(f"keepbusy-read-{stream.id}", partial(self._guard, partial(self._read, reader, inlet)))])
        self._workers[stream.id] = workers
        try:
            workers.start()
        except BaseException:
            reader.interrupt()
            if workers.join():
                self._read_to_the_end(reader, inlet)
            raise
        if self._is_interrupted:  # Meanwhile.
            reader.interrupt()
        return stream

    def remove(self, stream: Stream, *, drain: bool) -> None:
        """Read nothing more of a stream. See `Run.remove`."""
        reader, inlet = self._streams.readers.get(stream.id), self._inlets.get(stream.id)
        if reader is not None:
            stream.finish("removed")
            reader.interrupt()
        if inlet is not None and not drain:
            stream.counters.dropped("stopping", len(inlet.discard(stream)))

    def interrupt(self) -> None:
        """Have all of them end soon, and those that are still added."""
        self._is_interrupted = True
        for reader in list(self._streams.readers.values()):
            reader.interrupt()

    def close(self, deadline_s: float) -> None:
        """Wait for all of them until some moment, and close the sources of those that never began."""
        for reader in list(self._streams.readers.values()):
            reader.interrupt()
            workers = self._workers.get(reader.stream.id)
            if workers is None or workers.join(max(0.0, deadline_s - time.monotonic())):
                self._read_to_the_end(reader, self._inlets.get(reader.stream.id))
            elif reader.stream.id not in self._left_behind and not workers.is_one_of_them():
                self._left_behind.add(reader.stream.id)
                log.warning("%s: does not end its read; it is left behind, and closed when it does", reader.stream.name)

    def _read(self, reader: Reader, inlet: Inlet[Parcel | Stream]) -> None:
        """Reader thread: one stream's frames into its inlet."""
        stream, lane = reader.stream, reader.lane
        num_put = num_replaced = 0
        try:
            while (parcel := reader.next()) is not None:
                if stream.is_live:
                    is_taken, replaced = inlet.put_freshest(parcel)
                    stream.counters.dropped("overload", len(replaced))
                    num_put, num_replaced = num_put + 1, num_replaced + len(replaced)
                    if num_put == SURPLUS_FRAMES:
                        if not SURPLUS_FRAMES / 8 <= num_replaced <= SURPLUS_FRAMES / 2:
                            reader.spare(is_enough=num_replaced > SURPLUS_FRAMES / 2)
                        num_put = num_replaced = 0
                else:
                    is_taken = inlet.put(parcel)
                lane.waited_for_output()
                if not is_taken:
                    stream.counters.dropped("stopping")
                    break
        finally:
            self._read_to_the_end(reader, inlet)

    def _read_to_the_end(self, reader: Reader, inlet: Inlet[Parcel | Stream] | None) -> None:
        reader.close()
        self._inlets.pop(reader.stream.id, None)
        self._workers.pop(reader.stream.id, None)
        self._streams.read_to_the_end(reader)
        if inlet is not None:
            inlet.end(reader.stream)
