"""The gate: the same frames through a reference and a candidate, and how far their answers agree.

```python
with kb.Pipeline(model, "CPU", **reference_options({"precision": "f32"})) as reference, \
     kb.Pipeline(model, "GPU", **candidate_options({})) as candidate:
    report = verify(reference, candidate, open_sources(["street.mp4"]))
```

Frames are read once, in small batches that go through one side and then the other: nothing but these, the worst frames
and some numbers a detection is ever in memory.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from keepbusy.config import Options, SelectConfig
from keepbusy.device.engine import Request
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.flow.run import Run
from keepbusy.sources.base import Source, SourceInfo, frame_sizes
from keepbusy.sources.selection import Selection
from keepbusy.values.compare import Agreement, Limits, agree, floor_of, total
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame

BATCH = 4
"""Frames that go through one side before the other: enough to fill the slots of most devices, 25 MB at 1080p."""

CONFS = (0.25, 0.1, 0.05)
"""Thresholds that are tried where none is asked for, the first with something to compare."""

SOMETHING = 5
"""Detections of the reference that are something to compare. Not more: boxes of a low confidence are less certain, and
rounding moves them further."""

ENOUGH = 50
"""Detections of the reference from which on nine in ten is a figure, and not one or two boxes."""

NUM_WORST = 4

MAX_DET = 1000
"""Detections of a frame on either side: far above what a frame has at the confidences compared, so that no limit cuts
one side and not the other."""


class Runner(Protocol):
    """What a side is: `keepbusy.Pipeline` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        ...

    def run(self, *sources: Source) -> Run:
        """Run over sources."""
        ...

    def warm_requests(self) -> list[Request]:
        """Its requests in the main shape; their inputs are looked at between runs."""
        ...

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The input shapes in use: (height, width), pixels."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WorstFrame:
    """A frame that the two sides see differently.

    Attributes:
        frame: The frame, with its picture.
        reference: What the reference found.
        candidate: What the candidate found.
        agreement: How they agree.
        conf: The threshold from which on detections counted.
    """

    frame: Frame
    reference: Detections
    candidate: Detections
    agreement: Agreement
    conf: float


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the two devices were given for the same frames.

    Attributes:
        num_compared: Frames whose tensors were compared; 0 where the inputs differ in size.
        num_different: Those whose tensors are not equal, byte for byte.
        different_share: The largest share of pixels that differ in one of them, 0 to 1.
    """

    num_compared: int = 0
    num_different: int = 0
    different_share: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What a comparison found.

    Attributes:
        agreement: All frames together.
        preparation: Whether both were given the same picture.
        limits: What was asked of the candidate.
        conf: The threshold from which on detections count.
        num_frames: Frames compared.
        worst: The frames that differ most, the worst first.
        input_hw: (height, width) of the reference's and of the candidate's input, pixels.
    """

    agreement: Agreement
    preparation: Preparation
    limits: Limits
    conf: float
    num_frames: int
    worst: tuple[WorstFrame, ...]
    input_hw: tuple[tuple[int, int], tuple[int, int]]

    @property
    def is_empty(self) -> bool:
        """There was nothing to compare, so that nothing is proved."""
        return self.agreement.is_empty

    @property
    def problems(self) -> list[str]:
        """In words, why the candidate does not pass; empty where it does."""
        found: list[str] = []
        if self.preparation.num_different:
            found.append(
                f"the devices are given different pictures: {self.preparation.num_different} of "
                f"{self.preparation.num_compared} prepared frames differ, in up to "
                f"{self.preparation.different_share:.1%} of their pixels"
            )
        if self.is_empty:
            found.append(f"nothing to compare: the reference finds nothing in {self.num_frames} frames")
        return found + self.agreement.problems(self.limits)

    @property
    def is_passed(self) -> bool:
        """The candidate may stand for the reference."""
        return not self.problems


def confs_of(conf: float | None) -> tuple[float, ...]:
    """The thresholds to compare at: the one asked for, or those that are tried."""
    return CONFS if conf is None else (conf,)


def detection_floor(conf: float | None) -> float:
    """The confidence that both sides must detect with for `verify`."""
    return floor_of(min(confs_of(conf)))


def candidate_options(given: Options, conf: float | None = None) -> Options:
    """The options of a candidate, with what `verify` needs in the place of what was given.

    Args:
        given: What else is asked of it.
        conf: As for `verify`.
    """
    return {**given, "conf": detection_floor(conf), "max_det": MAX_DET}


def reference_options(given: Options, conf: float | None = None) -> Options:
    """The options of a reference: as the model was exported, in the blocking loop, nothing clever that could be wrong.

    Args:
        given: What else is asked of it.
        conf: As for `verify`.
    """
    return {**candidate_options(given, conf), "head": "stock", "shape": "square", "mode": "sync"}


def verify(
    reference: Runner,
    candidate: Runner,
    sources: Sequence[Source],
    *,
    max_frames: int = 32,
    conf: float | None = None,
    limits: Limits | None = None,
    num_worst: int = NUM_WORST,
    on_frames: Callable[[int], None] = lambda _num_frames: None,
) -> Verification:
    """Compare two sides on the same frames.

    Frames are taken from all over each source, as far as it tells its length. The sides must have been made with
    what `reference_options` and `candidate_options` give for the same `conf`: the reference's one slot holds the last
    frame's input.

    Args:
        reference: The side that is trusted.
        candidate: The side that is to be proved.
        sources: Where the frames come from; closed when it is done, but not where the sides do not fit.
        max_frames: At most so many frames of all sources together.
        conf: The threshold from which on detections count; None for 0.25, or lower where there is little to compare.
        limits: What is asked of the candidate.
        num_worst: How many of the worst frames are kept.
        on_frames: Called with the number of frames done, now and then.

    Raises:
        ConfigError: The sides do not have the same number of classes.
        FrameError: A frame failed, on either side.
        KeepbusyError: The sources have no frames.
    """
    if len(reference.names) != len(candidate.names):
        raise ConfigError(
            f"the reference has {len(reference.names)} classes, the candidate {len(candidate.names)}",
            hint="only models of the same classes can be compared",
        )
    tallies = [_Tally(threshold, num_worst) for threshold in confs_of(conf)]
    preparation = Preparation()
    num_frames = 0
    # Known before the first batch, so that each side compiles for all of them at once, as it would in a plain run.
    sizes_hw = frame_sizes(sources)
    with contextlib.ExitStack() as stack:
        for source in sources:
            stack.callback(source.close)
        for batch in _batches(_spread(sources, max_frames)):
            expected, found = (_detect(side, batch, sizes_hw) for side in (reference, candidate))
            preparation = _compare_inputs(reference, candidate, preparation)
            for frame, ours, theirs in zip(batch, expected, found, strict=True):
                for tally in tallies:
                    tally.add(frame, ours, theirs)
            num_frames += len(batch)
            on_frames(num_frames)
    if not num_frames:
        raise KeepbusyError("nothing to compare: the sources have no frames", hint="name a picture or a video")
    tally = next((tally for tally in tallies if tally.has_something), tallies[-1])
    return Verification(
        agreement=tally.total(),
        preparation=preparation,
        limits=limits or Limits(),
        conf=tally.conf,
        num_frames=num_frames,
        worst=tally.worst(),
        input_hw=(_input_hw(reference), _input_hw(candidate)),
    )


@dataclass(slots=True)
class _Tally:
    """The frames at one threshold."""

    conf: float
    num_worst: int
    agreements: list[Agreement] = field(default_factory=list)
    # (badness, -place, frame): of equally bad frames the earlier stays.
    heap: list[tuple[float, int, WorstFrame]] = field(default_factory=list)

    def add(self, frame: Frame, reference: Detections, candidate: Detections) -> None:
        agreement = agree(reference, candidate, conf=self.conf)
        self.agreements.append(agreement)
        if agreement.badness > 0 and self.num_worst:
            worst = WorstFrame(frame, reference, candidate, agreement, self.conf)
            entry = (agreement.badness, -len(self.agreements), worst)
            if len(self.heap) < self.num_worst:
                heapq.heappush(self.heap, entry)
            else:
                heapq.heappushpop(self.heap, entry)

    @property
    def has_something(self) -> bool:
        return sum(one.num_reference for one in self.agreements) >= SOMETHING

    def total(self) -> Agreement:
        return total(self.agreements)

    def worst(self) -> tuple[WorstFrame, ...]:
        return tuple(worst for _, _, worst in sorted(self.heap, key=lambda entry: entry[:2], reverse=True))


class _Batch(Source):
    """Frames in memory as a source."""

    def __init__(self, frames: Sequence[Frame], sizes_hw: Mapping[tuple[int, int], int]) -> None:
        self.info = SourceInfo("frames", num_frames=len(frames))
        self._sizes_hw = sizes_hw
        self._frames = frames
        self._next = 0

    def read(self) -> Frame | None:
        if self._next >= len(self._frames):
            return None
        self._next += 1
        return self._frames[self._next - 1]

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return dict(self._sizes_hw)


def _spread(sources: Sequence[Source], max_frames: int) -> Iterator[Frame]:
    """Frames from all over each source, as many of one as of another."""
    limit = -(-max_frames // max(1, len(sources)))
    num_left = max_frames
    for source in sources:
        stride = max(1, (source.info.num_frames or 0) // limit)
        selection = Selection(source, SelectConfig(limit=limit, stride=stride))
        while num_left and (frame := selection.read()) is not None:
            num_left -= 1
            yield frame


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _detect(side: Runner, batch: Sequence[Frame], sizes_hw: Mapping[tuple[int, int], int]) -> list[Detections]:
    found: list[Detections] = []
    with side.run(_Batch(batch, sizes_hw)) as run:
        for result in run:
            if result.error is not None:
                raise result.error
            found.append(result.detections)
    return found


def _input_hw(side: Runner) -> tuple[int, int]:
    height, width = side.warm_requests()[0].input.shape[:2]
    return int(height), int(width)


def _compare_inputs(reference: Runner, candidate: Runner, so_far: Preparation) -> Preparation:
    """See that the last frame of a batch was laid into both inputs alike: what the devices read, byte for byte.

    A slot keeps its input until its next frame, so that one of the candidate's must equal the reference's only one.
    """
    if len(candidate.shapes) > 1:
        return so_far  # Each shape has requests of its own: it is not known which of them had the frame.
    ours = reference.warm_requests()[-1].input
    theirs = [request.input for request in candidate.warm_requests()]
    if any(one.shape != ours.shape for one in theirs):
        return so_far
    share = min(0.0 if np.array_equal(ours, one) else float((ours != one).any(axis=2).mean()) for one in theirs)
    return Preparation(
        num_compared=so_far.num_compared + 1,
        num_different=so_far.num_different + (share > 0),
        different_share=max(so_far.different_share, share),
    )
