"""Sources as a wall of cameras wants them: files at their own pace, and no more frames per second than asked for."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from keepbusy.sources.base import Source
from keepbusy.sources.spec import SourceSpec
from keepbusy.texts import without_secrets
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame

DEFAULT_FPS = 25.0
"""Of a source that says nothing of its own clock, such as a folder of pictures."""

LATE_FRAMES = 2.0
"""A source that is behind by more is moved on to where it should be."""


@dataclass(frozen=True, slots=True)
class ServedSource:
    """What a stream of the server is read from; named now, opened in the stream's own thread.

    Attributes:
        location: What `open_source` takes.
        realtime: Read what is not live at its own pace; None for files and scenes.
        loop: Begin such a source again when it ends.
        max_fps: At most so many frames per second; None for all.
    """

    location: str = field(repr=False)
    realtime: bool | None = None
    loop: bool = True
    max_fps: float | None = None

    @property
    def name(self) -> str:
        """What to call it, without passwords."""
        return without_secrets(self.location)

    @property
    def is_paced(self) -> bool:
        """Whether it is a file or a scene that is read at its own pace."""
        return self.realtime is not False and not _is_read_once(self.location)

    def open(self) -> Source:
        """Open it.

        Raises:
            SourceError: It cannot be opened.
        """
        source = SourceSpec(self.location, read_threads=1).open()
        if not source.info.is_live and self.is_paced:
            return Paced(source, loop=self.loop, max_fps=self.max_fps)
        return source if self.max_fps is None else Capped(source, self.max_fps)


def _is_read_once(location: str) -> bool:
    """Whether somebody else sets the pace: a pipe, or an address."""
    return location == "-" or "://" in location or not (location.startswith("synth:") or os.path.exists(location))


class _Around(Source):
    """A source around another one."""

    def __init__(self, source: Source) -> None:
        self.info = source.info
        self._source = source

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return self._source.frame_sizes()

    def interrupt(self) -> None:
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()


class Paced(_Around):
    """A file or a scene as a camera would deliver it: each frame when it is due, those that are late passed over.

    Args:
        source: One that is not live; closed with this one.
        loop: Begin it again when it ends.
        max_fps: At most so many frames per second; None for all.
        now_s: The monotonic clock, seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        loop: bool = True,
        max_fps: float | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(source)
        fps = source.info.fps or DEFAULT_FPS
        every = 1 if max_fps is None else max(1, round(fps / max_fps))
        self.info = dataclasses.replace(source.info, is_live=True, num_frames=None, fps=fps / every)
        self._fps, self._every, self._loop, self._now_s = fps, every, loop, now_s
        self._begin_s: float | None = None
        self._next = 0
        self._offset = 0
        self._is_fruitful = False
        self._stopped = Gate()

    def read(self) -> Frame | None:
        if self._begin_s is None:
            self._begin_s = self._now_s()
        behind = (self._now_s() - self._begin_s) * self._fps - self._next
        target = self._next + (int(behind / self._every) * self._every if behind > LATE_FRAMES * self._every else 0)
        while not self._stopped.is_open:
            while self._next < target and self._source.skip():
                self._next += 1
            frame = self._source.read() if self._next >= target else None
            if frame is not None:
                return self._due(frame)
            if not self._loop or not self._is_fruitful:
                return None
            self._source.rewind()
            self._is_fruitful, self._offset = False, self._next
            target = self._next  # Where it begins again, nothing is passed over.
        return None

    def _due(self, frame: Frame) -> Frame | None:
        """A frame when its moment has come; the frames up to the next one that is wanted are passed over."""
        assert self._begin_s is not None  # nosec B101 # for mypy: it is set at the first read
        index, self._is_fruitful = self._next, True
        self._next += 1
        for _ in range(self._every - 1):
            if self._source.skip():
                self._next += 1
        wait_s = self._begin_s + index / self._fps - self._now_s()
        if wait_s > 0 and self._stopped.wait(wait_s):
            return None
        return dataclasses.replace(frame, index=index, timestamp_s=index / self._fps, is_live=True)

    def interrupt(self) -> None:
        self._stopped.open()
        super().interrupt()


class Capped(_Around):
    """At most so many frames per second of a source; the others are passed over.

    Args:
        source: Closed with this one.
        max_fps: Frames per second.
        now_s: The monotonic clock, seconds.
    """

    def __init__(self, source: Source, max_fps: float, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(source)
        self._step_s = 1 / max_fps
        self._now_s = now_s
        self._due_s = 0.0
        self._is_stopped = False

    def read(self) -> Frame | None:
        # A camera's frames come in bursts and not on the dot: half a frame early is on time.
        slack_s = 0.5 / (self.info.fps or DEFAULT_FPS)
        while not self._is_stopped and self._now_s() + slack_s < self._due_s:
            if not self._source.skip():
                return None
        frame = self._source.read()
        now_s = self._now_s()
        self._due_s = max(self._due_s + self._step_s, now_s - self._step_s) if self._due_s else now_s + self._step_s
        return frame

    def interrupt(self) -> None:
        self._is_stopped = True
        super().interrupt()
