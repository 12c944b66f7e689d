"""Some of a source's frames: looped, limited, strided."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping

from keepbusy.config import SelectConfig
from keepbusy.errors import FrameError
from keepbusy.sources.base import Decoding, Source, SourceInfo
from keepbusy.values.frame import Frame
from keepbusy.values.streams import DropCause


class Selection(Source):
    """Some of a source's frames: looped, limited, strided.

    Indices and timestamps go on counting where a loop begins again, so that they never repeat; frames keep the
    index that they have in the source, so that a stride of 3 yields 0, 3, 6, ...

    Args:
        source: The source to select from; closed with this one.
        config: What to select. A live source is not looped, and ends when it ends, unless it knows its frames, as a
            file does that is replayed.
    """

    def __init__(self, source: Source, config: SelectConfig) -> None:
        self._source = source
        self._is_live = source.info.is_live
        self._loop = config.loop and not (self._is_live and source.info.num_frames is None)
        self._limit = config.limit
        self._stride = config.stride
        self._is_all = config.stride == 1 and not self._loop
        self._num_read = 0
        self._is_started = False
        self._is_fruitful = False
        self._index_offset = 0
        self._timestamp_offset_s = 0.0
        self._end_index = 0
        self._last_s = -math.inf
        self._last_read_s = 0.0
        self._fps = source.info.fps
        self.info = dataclasses.replace(source.info, num_frames=self._count(source.info))

    def _count(self, info: SourceInfo) -> int | None:
        if self._loop:
            return self._limit
        if info.num_frames is None:
            return self._limit if not info.is_live else None
        return min(-(-info.num_frames // self._stride), self._limit or info.num_frames)

    def read(self) -> Frame | None:
        if self._limit is not None and self._num_read >= self._limit:
            return None
        try:
            frame = self._source.read() if self._is_all else self._read_strided()
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
        self._is_fruitful = True
        if frame.index >= self._end_index:
            self._end_index = frame.index + 1
        self._last_s = max(self._last_s, frame.timestamp_s)
        if self._is_live:
            self._last_read_s = time.monotonic()
        return frame

    def _moved(self, error: FrameError) -> FrameError:
        """An error with its place counted over all rounds of a loop."""
        index = error.frame_index + self._index_offset
        timestamp_s = None if error.timestamp_s is None else error.timestamp_s + self._timestamp_offset_s
        if timestamp_s is None:
            timestamp_s = self._end_s()
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
            is_last=error.is_last,
        )

    def _end_s(self) -> float:
        """When the frame behind the last one would be due; 0 before the first."""
        return max(0.0, self._last_s + (1 / self._fps if self._fps else 0.0))

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
        self._continue()
        return True

    def _continue(self) -> None:
        self._is_fruitful = False
        self._index_offset = self._end_index
        self._timestamp_offset_s = self._end_s()

    @property
    def is_exhausted(self) -> bool:
        """Whether all frames that were asked for have been read."""
        return self._limit is not None and self._num_read >= self._limit

    def go_on_with(self, source: Source) -> None:
        """Go on with a source that was opened again: indices and times go on as where a loop begins again.

        Times of a live source go on by what really went by since its last frame.
        """
        self._is_live = source.info.is_live
        is_later = self._is_live and math.isfinite(self._last_s)
        due_s = self._last_s + time.monotonic() - self._last_read_s if is_later else 0.0
        self._continue()
        self._timestamp_offset_s = max(self._timestamp_offset_s, due_s)
        self._source = source
        self._fps = source.info.fps
        self.info = dataclasses.replace(source.info, num_frames=self._count(source.info))

    def skip(self) -> bool:
        while not self._source.skip():
            if not self._begin_again():
                return False
        self._is_fruitful = True
        self._end_index += 1
        self._last_s += 1 / self._fps if self._fps else 0.0
        return True

    def rewind(self) -> None:
        self._source.rewind()

    def interrupt(self) -> None:
        self._source.interrupt()

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return self._source.frame_sizes()

    def allow_reduced(self, min_long_side_px: int | None) -> None:
        self._source.allow_reduced(min_long_side_px)

    def take_dropped(self) -> Mapping[DropCause, int]:
        return self._source.take_dropped()

    def spare(self, *, is_enough: bool) -> None:
        self._source.spare(is_enough=is_enough)

    @property
    def decoding(self) -> Decoding | None:
        return self._source.decoding

    def close(self) -> None:
        self._source.close()


def live_rate(sources: Iterable[Source], stride: int) -> float | None:
    """Frames per second of live sources together; None where one of them is not live, or does not know its own."""
    infos = [source.info for source in sources]
    if not infos or not all(info.is_live and info.fps for info in infos):
        return None
    return sum(info.fps or 0.0 for info in infos) / stride


def num_selected(sources: Iterable[Source], config: SelectConfig) -> int | None:
    """How many frames will be read of some sources together; None where one of them does not know, or never ends."""
    counts = [Selection(source, config).info.num_frames for source in sources]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
