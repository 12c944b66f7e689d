"""Videos and synthetic scenes at their own pace, as a camera would show them: `clip.mp4?realtime`."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import replace

from keepbusy.sources.base import Decoding, Source
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame
from keepbusy.values.streams import DropCause

_ENDING = re.compile(r"[?&]realtime$")

LATE_S = 0.1
"""A frame that is later is dropped, as a camera's would be that nobody had read in time."""

GIVES_UP_S = 1.0
"""After so long of nothing but late frames the pace is begun anew: they cannot be read any faster."""


def split_pace(text: str) -> tuple[str, bool]:
    """What names a source, without `?realtime`, and whether that stood there. A file that exists has its whole name."""
    match = None if "://" in text or os.path.lexists(text) else _ENDING.search(text)
    return (text, False) if match is None else (text[: match.start()], True)


class Realtime(Source):
    """Gives out the frames of a finite or endless source when they are due. Live.

    Frames arrive when they are due, and keep their index and their time. Those that come late are given up.

    Args:
        source: Where they come from.
        name: What the user called it.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.info = replace(source.info, name=name, is_live=True)
        self._source = source
        self._begin_ns: int | None = None
        self._time_ns = 0
        self._late_since_ns: int | None = None
        self._dropped: Counter[DropCause] = Counter()
        self._stopped = Gate()

    def read(self) -> Frame | None:
        while not self._stopped.is_open and (frame := self._source.read()) is not None:
            now_ns, time_ns = time.perf_counter_ns(), round(frame.timestamp_s * 1e9)
            self._time_ns = time_ns
            if self._begin_ns is None:
                self._begin_ns = now_ns - time_ns
            due_ns = self._begin_ns + time_ns
            if now_ns - due_ns > LATE_S * 1e9:
                self._late_since_ns = now_ns if self._late_since_ns is None else self._late_since_ns
                if now_ns - self._late_since_ns < GIVES_UP_S * 1e9:
                    self._dropped["overload"] += 1
                    continue
                self._begin_ns, due_ns = now_ns - time_ns, now_ns
            self._late_since_ns = None
            if due_ns > now_ns and self._stopped.wait((due_ns - now_ns) / 1e9):
                return None
            return replace(frame, arrival_ns=due_ns)
        return None

    def skip(self) -> bool:
        fps = self.info.fps
        if self._begin_ns is None or not fps:
            return super().skip()
        if self._stopped.is_open or not self._source.skip():
            return False
        self._time_ns += round(1e9 / fps)
        left_s = (self._begin_ns + self._time_ns - time.perf_counter_ns()) / 1e9
        return not (left_s > 0 and self._stopped.wait(left_s))

    def rewind(self) -> None:
        self._source.rewind()
        self._begin_ns = None

    def take_dropped(self) -> Counter[DropCause]:
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    def interrupt(self) -> None:
        self._stopped.open()
        self._source.interrupt()

    @property
    def decoding(self) -> Decoding | None:
        return self._source.decoding

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return self._source.frame_sizes()

    def close(self) -> None:
        self._source.close()
