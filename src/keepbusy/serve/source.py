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


@dataclass(slots=True)
class Lowered:
    """What the ladder wants of one stream. Written by one thread, read by the one that reads the stream.

    Attributes:
        max_fps: At most so many frames per second, beside the stream's own cap; None for all.
        sheds: Whether frames that no other refers to need not be decoded.
    """

    max_fps: float | None = None
    sheds: bool = False


@dataclass(frozen=True, slots=True)
class ServedSource:
    """Named now, opened in the stream's own thread.

    Attributes:
        location: What `open_source` takes.
        realtime: Read a video or a scene as if `?realtime` stood behind it.
        loop: Begin such a source again when it ends.
        max_fps: At most so many frames per second; None for all.
        decoder: See `RunConfig.decoder`.
        lowered: What the ladder wants of it while it is open.
    """

    location: str = field(repr=False)
    realtime: bool = True
    loop: bool = True
    max_fps: float | None = None
    decoder: Decoder = "auto"
    lowered: Lowered = field(default_factory=Lowered, compare=False)

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
        is_capped = self.max_fps is not None or source.info.is_live
        return Capped(source, self.max_fps, lowered=self.lowered) if is_capped else source


class _Pace:
    """When the next frame is due, at some rate."""

    def __init__(self, slack_s: float) -> None:
        # A camera's frames come in bursts and not on the dot: half a frame early is on time.
        self._slack_s = slack_s
        self._due_s = 0.0

    def is_due(self, now_s: float) -> bool:
        """Whether a frame that comes now is to be taken."""
        return now_s + self._slack_s >= self._due_s

    def take(self, now_s: float, max_fps: float) -> None:
        """A frame is taken."""
        step_s = 1 / max_fps
        self._due_s = max(self._due_s + step_s, now_s - step_s) if self._due_s else now_s + step_s

    def reset(self) -> None:
        """Begin with the next frame."""
        self._due_s = 0.0


class Capped(Source):
    """At most so many frames per second of a source.

    What the cap leaves out is passed over and not counted. What the ladder leaves out of the rest is counted, as `rate`
    where it was decoded.

    Args:
        source: Closed with this one.
        max_fps: Frames per second; None for all.
        now_s: The monotonic clock, seconds.
        lowered: What the ladder wants; it may change at any time.
    """

    def __init__(
        self,
        source: Source,
        max_fps: float | None,
        now_s: Callable[[], float] = time.monotonic,
        lowered: Lowered | None = None,
    ) -> None:
        fps = source.info.fps
        known = [one for one in (fps, max_fps) if one is not None]
        self.info = dataclasses.replace(source.info, fps=min(known, default=None))
        self._source = source
        self._max_fps = max_fps
        self._fps = fps or ASSUMED_FPS
        self._own, self._lower = _Pace(0.5 / self._fps), _Pace(0.5 / self._fps)
        self._now_s = now_s
        self._lowered = Lowered() if lowered is None else lowered
        self._is_stopped = False
        self._num_left_out = 0
        self._carry = 0.0
        self._has_surplus = False
        self._spares = max_fps is not None and fps is not None and fps >= 2 * max_fps
        self._told: tuple[bool, float | None] = (False, None)
        self._tell()

    def read(self) -> Frame | None:
        while not self._is_stopped:
            self._tell()
            now_s, lower_fps = self._now_s(), self._lowered.max_fps
            is_mine = self._max_fps is None or self._own.is_due(now_s)
            if is_mine and (lower_fps is None or self._lower.is_due(now_s)):
                break
            if not self._source.skip():
                break  # It has ended, or says below what it failed with.
            if is_mine:
                self._num_left_out += 1
                self._take(None)
        frame = self._source.read()
        self._take(self._lowered.max_fps)
        return frame

    def _take(self, lower_fps: float | None) -> None:
        now_s = self._now_s()
        if self._max_fps is not None:
            self._own.take(now_s, self._max_fps)
        if lower_fps is not None:
            self._lower.take(now_s, lower_fps)

    def skip(self) -> bool:
        return self._source.skip()

    def spare(self, *, is_enough: bool) -> None:
        self._has_surplus = is_enough
        self._tell()

    def _tell(self) -> None:
        """Have the source leave out what is not needed, where that has changed."""
        lowered, lower_fps = self._lowered, self._lowered.max_fps
        is_half = lower_fps is not None and self._fps >= 2 * lower_fps
        told = (self._spares or self._has_surplus or lowered.sheds or is_half, lower_fps)
        if told != self._told:
            if told[0] != self._told[0]:
                self._source.spare(is_enough=told[0])
            if told[1] != self._told[1]:
                self._source.want(lower_fps)
            if lower_fps is None:
                self._lower.reset()
            self._told = told

    def take_dropped(self) -> Mapping[DropCause, int]:
        dropped: dict[DropCause, int] = dict(self._source.take_dropped())
        # The cap would have passed over some of them, which is not counted either.
        if self._spares:
            dropped.pop("nonref", None)
        if self._max_fps is not None and self._told[1] is not None:
            for cause in dropped.keys() & {"nonref", "nonkey"}:
                self._carry += dropped[cause] * min(1.0, self._max_fps / self._fps)
                dropped[cause] = int(self._carry)
                self._carry -= dropped[cause]
        num, self._num_left_out = self._num_left_out, 0
        return {**dropped, "rate": dropped.get("rate", 0) + num} if num else dropped

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
