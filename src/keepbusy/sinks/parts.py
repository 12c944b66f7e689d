"""What one sink has of each stream: told when a stream begins and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from keepbusy.sinks.base import Sink
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from keepbusy.values.streams import EndState, Outcome, StreamInfo

if TYPE_CHECKING:
    from keepbusy.flow.stream import Stream


StreamStep = Literal["begun", "ended"]
"""What a sink is told that a stream has."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamEnd:
    """What stands behind the last result of a stream.

    Attributes:
        stream: The stream.
        num_results: Results of it that were handed over to the sinks.
    """

    stream: Stream
    num_results: int


@dataclass(slots=True)
class _Part:
    info: StreamInfo
    num_written: int = 0


class Parts:
    """The parts of one sink. Used by the sink's thread only.

    Args:
        sink: Who is told.
        streams: The run's streams by their numbers; empty where results come from elsewhere.
        told: Streams that had ended before: the sink is not told of them.

    Attributes:
        last_step: What the sink was told last, also where that failed.
    """

    def __init__(self, sink: Sink, streams: Mapping[int, Stream], told: Set[int] = frozenset()) -> None:
        self.last_step: StreamStep = "begun"
        self._sink = sink
        self._streams = streams
        self._begun: dict[int, _Part] = {}
        self._ended: set[int] = set(told)

    def begin_with(self, result: Result) -> None:
        """Begin with a result's stream, if that has not been done."""
        frame = result.frame
        if frame.source_id not in self._begun:
            self._begin(_info(self._streams.get(frame.source_id), frame))

    def wrote(self, result: Result) -> None:
        """A result has been written."""
        self._begun[result.frame.source_id].num_written += 1

    def end(self, end: StreamEnd) -> None:
        """A stream is over."""
        stream = end.stream
        # Those that the run has forgotten will not be asked for.
        self._ended = {one for one in self._ended if one in self._streams} | {stream.id}
        part = self._begun.get(stream.id) or self._begin(_info(stream, None))
        self._end(part, end.num_results, _state(stream), stream.error)

    def forget(self, stream_id: int) -> None:
        """A stream is over, also where that could not be told."""
        self._begun.pop(stream_id, None)

    def rest(self, handed_over: Mapping[int, int], otherwise: EndState) -> list[Callable[[], None]]:
        """The steps that tell the sink that all are over that have not ended, also those of which there was no result.

        Args:
            handed_over: How many results of each were handed over to the sinks.
            otherwise: How those end that are no stream of a run.
        """
        steps: list[Callable[[], None]] = []
        for part in list(self._begun.values()):
            num_results = handed_over.get(part.info.id, part.num_written)
            stream = self._streams.get(part.info.id)
            state, error = (otherwise, None) if stream is None else (_broken_off(stream), stream.error)
            steps.append(partial(self._end, part, num_results, state, error))
        for stream in list(self._streams.values()):
            if stream.id not in self._ended and stream.id not in self._begun:
                steps.append(partial(self._end_empty, stream))
        return steps

    def _end_empty(self, stream: Stream) -> None:
        part = self._begun.get(stream.id) or self._begin(_info(stream, None))
        self._end(part, 0, _broken_off(stream), stream.error)

    def _begin(self, info: StreamInfo) -> _Part:
        self.last_step = "begun"
        self._sink.begin(info)
        part = self._begun[info.id] = _Part(info)
        return part

    def _end(self, part: _Part, num_results: int, state: EndState, error: Exception | None) -> None:
        outcome = Outcome(
            state=state,
            num_results=num_results,
            num_missing=num_results - part.num_written,
            error=None if state == "ended" else error,
        )
        self.last_step = "ended"
        self._sink.end(part.info, outcome)
        self.forget(part.info.id)


def _state(stream: Stream) -> EndState:
    """How a stream ended whose last result has been handed over."""
    return "ended" if stream.state == "ended" else "failed" if stream.state == "failed" else "removed"


def _broken_off(stream: Stream) -> EndState:
    """How a stream ended whose last result may not have been handed over."""
    return "failed" if stream.state == "failed" else "removed"


def _info(stream: Stream | None, frame: Frame | None) -> StreamInfo:
    """What is known of a stream: by its run, and by its first frame."""
    if stream is not None:
        return stream.known(frame)
    assert frame is not None  # nosec B101 # for mypy: one of them is there
    size_wh = (frame.width, frame.height) if frame.width else None
    return StreamInfo(
        id=frame.source_id, name=frame.source, source=frame.source, is_live=frame.is_live, size_wh=size_wh
    )
