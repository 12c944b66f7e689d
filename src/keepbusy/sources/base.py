"""What a source is, and the wrapper that loops, limits and strides any of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from keepbusy.config import SelectConfig
from keepbusy.errors import FrameError, first_line
from keepbusy.values.frame import Frame

log = logging.getLogger("keepbusy")


class Source(Protocol):
    """Where frames come from. Used by one thread at a time; `close` may come from another after it.

    Attributes:
        name: As the user gave it.
        is_live: True for cameras and streams: the freshest frame matters, older ones may be dropped. False for
            files: every frame matters.
        num_frames: How many frames it has, where that is known without reading them.
        fps: Frames per second of its own clock, where it has one.
    """

    name: str
    is_live: bool
    num_frames: int | None
    fps: float | None

    def read(self) -> Frame | None:
        """The next frame; None at the end.

        Raises:
            FrameError: This frame cannot be read. The next call goes on behind it, or ends.
        """
        ...

    def skip(self) -> bool:
        """Pass over the next frame as cheaply as can be; False at the end."""
        ...

    def rewind(self) -> None:
        """Go back to the first frame; finite sources only.

        Raises:
            SourceError: It cannot be opened again.
        """
        ...

    def close(self) -> None:
        """Release what it holds; further calls do nothing."""
        ...


def frame_sizes(sources: Iterable[Source]) -> dict[tuple[int, int], int]:
    """The sizes of the frames to come, as far as the sources know them: (height, width), pixels → how many.

    A source says it with an attribute `sizes_hw`, a mapping like the one returned; it may leave that out, and then the
    model is compiled for its frames when the first one comes.
    """
    found: dict[tuple[int, int], int] = {}
    for source in sources:
        sizes: Mapping[tuple[int, int], int] = getattr(source, "sizes_hw", {})
        for size_hw, count in sizes.items():
            found[size_hw] = found.get(size_hw, 0) + count
    return found


def allow_reduced(sources: Iterable[Source], min_long_side_px: int | None) -> None:
    """Let sources that can deliver pictures at a part of their size, where nobody looks at the pixels.

    Args:
        sources: Those without a method of this name are left as they are.
        min_long_side_px: How long the longer side must be at least; None for whole pictures.
    """
    for source in sources:
        if (allow := getattr(source, "allow_reduced", None)) is not None:
            allow(min_long_side_px)


def close_source(source: Source) -> None:
    """Close a source. Where that fails it is reported, and concerns nobody else: its frames have been read."""
    try:
        source.close()
    except Exception as error:
        log.warning("%s: cannot be closed: %s", source.name, first_line(error))


class Selection:
    """Some of a source's frames: looped, limited, strided.

    Indices and timestamps go on counting where a loop begins again, so that they never repeat; frames keep the
    index that they have in the source, so that a stride of 3 yields 0, 3, 6, ...

    Args:
        source: The source to select from; closed with this one.
        config: What to select. A live source is never looped: it ends when it ends.
    """

    def __init__(self, source: Source, config: SelectConfig) -> None:
        self._source = source
        self._loop = config.loop and not source.is_live
        self._limit = config.limit
        self._stride = config.stride
        self._num_read = 0
        self._is_started = False
        self._is_fruitful = False
        self._index_offset = 0
        self._timestamp_offset_s = 0.0
        self._end_index = 0
        self._end_s = 0.0
        self.name = source.name
        self.is_live = source.is_live
        self.fps = source.fps
        self.num_frames = self._count(source.num_frames)

    def _count(self, num_frames: int | None) -> int | None:
        if self._loop:
            return self._limit
        if num_frames is None:
            return self._limit if not self.is_live else None
        return min(-(-num_frames // self._stride), self._limit or num_frames)

    def read(self) -> Frame | None:
        if self._limit is not None and self._num_read >= self._limit:
            return None
        try:
            frame = self._read_strided()
        except FrameError as error:
            self._num_read += 1
            raise self._moved(error) from error.__cause__
        if frame is None:
            return None
        self._num_read += 1
        if self._index_offset:
            frame = dataclasses.replace(
                frame,
                index=frame.index + self._index_offset,
                timestamp_s=frame.timestamp_s + self._timestamp_offset_s,
            )
        self._note_end(frame.index, frame.timestamp_s)
        return frame

    def _moved(self, error: FrameError) -> FrameError:
        """An error with its place counted over all rounds of a loop."""
        index = error.frame_index + self._index_offset
        timestamp_s = None if error.timestamp_s is None else error.timestamp_s + self._timestamp_offset_s
        if timestamp_s is None:
            timestamp_s = self._end_s
        self._end_index = max(self._end_index, index + 1)
        if index == error.frame_index and timestamp_s == error.timestamp_s:
            return error
        return FrameError(
            error.reason,
            stage=error.stage,
            source=error.source,
            frame_index=index,
            hint=error.hint,
            timestamp_s=timestamp_s,
            shape_hw=error.shape_hw,
        )

    def _note_end(self, index: int, timestamp_s: float) -> None:
        self._is_fruitful = True
        self._end_index = max(self._end_index, index + 1)
        self._end_s = max(self._end_s, timestamp_s + (1 / self.fps if self.fps else 0.0))

    def _read_strided(self) -> Frame | None:
        to_skip = self._stride - 1 if self._is_started else 0
        self._is_started = True
        while True:
            while to_skip and self._source.skip():
                to_skip -= 1
            frame = None if to_skip else self._source.read()
            if frame is not None or not self._begin_again():
                return frame

    def _begin_again(self) -> bool:
        if not self._loop or not self._is_fruitful:
            return False
        self._source.rewind()
        self._is_fruitful = False
        self._index_offset = self._end_index
        self._timestamp_offset_s = self._end_s
        return True

    def skip(self) -> bool:
        return self._source.skip()

    def rewind(self) -> None:
        self._source.rewind()

    def close(self) -> None:
        self._source.close()
