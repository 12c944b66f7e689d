"""What a stream of the server is read from: videos and scenes in real time, and no more frames than asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keepbusy.config import Decoder, SelectConfig
from keepbusy.errors import SourceError
from keepbusy.sources.base import Decoding, Source
from keepbusy.sources.open import has_pace
from keepbusy.sources.pipe import STDIN, is_pipe
from keepbusy.sources.realtime import Realtime, split_pace
from keepbusy.sources.selection import Selection
from keepbusy.sources.spec import SourceSpec
from keepbusy.street import parse_street_spec
from keepbusy.texts import without_secrets
from keepbusy.values.frame import Frame
from keepbusy.values.streams import DropCause

ASSUMED_FPS = 30.0
"""Of a camera that has not said yet how many frames it gives, or never does."""


@dataclass(frozen=True, slots=True)
class ServedSource:
    """Named now, opened in the stream's own thread.

    Attributes:
        location: What `open_source` takes.
        realtime: Read a video or a scene as if `?realtime` stood behind it.
        loop: Begin such a source again when it ends.
        max_fps: At most so many frames per second; None for all.
        decoder: See `RunConfig.decoder`.
    """

    location: str = field(repr=False)
    realtime: bool = True
    loop: bool = True
    max_fps: float | None = None
    decoder: Decoder = "auto"

    @property
    def name(self) -> str:
        """What to call it, without passwords."""
        return without_secrets(self.location)

    @property
    def is_finite(self) -> bool:
        """Whether it is a file or a scene: nobody else sets its pace."""
        inner, _ = split_pace(self.location)
        if inner == STDIN or "://" in inner:
            return False
        return inner.startswith("synth:") or (os.path.exists(inner) and not is_pipe(Path(inner)))

    @property
    def is_live(self) -> bool:
        """Whether it is a camera, or is read like one; as far as its name tells."""
        return not self.is_finite or self.realtime or split_pace(self.location)[1]

    def fps(self, known_fps: float | None = None) -> float:
        """How many frames per second it will give.

        Args:
            known_fps: What it said when it was open; None where it has not been.
        """
        inner, _ = split_pace(self.location)
        if known_fps is None and inner.startswith("synth:"):
            with contextlib.suppress(SourceError):  # Its stream tells of it.
                known_fps = parse_street_spec(inner).fps
        fps = known_fps or ASSUMED_FPS
        return fps if self.max_fps is None else min(fps, self.max_fps)

    def open(self) -> Source:
        """Open it.

        Raises:
            SourceError: It cannot be opened.
        """
        inner, is_named = split_pace(self.location)
        source = SourceSpec(inner, read_threads=1, decoder=self.decoder).open()
        if self.is_finite and self.is_live and has_pace(source, inner):
            # Looped below the pace: where a video begins again is one more frame.
            looped = Selection(source, SelectConfig(loop=True)) if self.loop else source
            source = Realtime(looped, self.name)
        elif is_named:
            source.close()
            source = SourceSpec(self.location).open()  # Says why not.
        return source if self.max_fps is None else Capped(source, self.max_fps)


class Capped(Source):
    """At most so many frames per second of a source; the others are passed over.

    Args:
        source: Closed with this one.
        max_fps: Frames per second.
        now_s: The monotonic clock, seconds.
    """

    def __init__(self, source: Source, max_fps: float, now_s: Callable[[], float] = time.monotonic) -> None:
        fps = source.info.fps
        self.info = dataclasses.replace(source.info, fps=max_fps if fps is None else min(fps, max_fps))
        self._source = source
        self._step_s = 1 / max_fps
        # A camera's frames come in bursts and not on the dot: half a frame early is on time.
        self._slack_s = 0.5 / (fps or ASSUMED_FPS)
        self._now_s = now_s
        self._due_s = 0.0
        self._is_stopped = False
        self._spares = fps is not None and fps >= 2 * max_fps
        if self._spares:
            source.spare(is_enough=True)

    def read(self) -> Frame | None:
        while not self._is_stopped and self._now_s() + self._slack_s < self._due_s:
            if not self._source.skip():
                break  # It has ended, or says below what it failed with.
        frame = self._source.read()
        now_s = self._now_s()
        self._due_s = max(self._due_s + self._step_s, now_s - self._step_s) if self._due_s else now_s + self._step_s
        return frame

    def skip(self) -> bool:
        return self._source.skip()

    def spare(self, *, is_enough: bool) -> None:
        if not self._spares:
            self._source.spare(is_enough=is_enough)

    def take_dropped(self) -> Mapping[DropCause, int]:
        dropped = self._source.take_dropped()
        if not self._spares:
            return dropped
        # They would have been passed over, which is not counted either.
        return {cause: count for cause, count in dropped.items() if cause != "nonref"}

    def rewind(self) -> None:
        self._source.rewind()

    @property
    def decoding(self) -> Decoding | None:
        return self._source.decoding

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return self._source.frame_sizes()

    def interrupt(self) -> None:
        self._is_stopped = True
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()
