"""How far a job is, and when it will be done: from what is known, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keepbusy.batch.manifest import JobState, Work

_LEAST_S = 5.0
_LEAST_FRAMES = 50
"""Before so long, and so many frames, a rate says nothing of what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A unit that is not done, and why.

    Attributes:
        name: Its file.
        state: `failed` or `aside`.
        reason: Why.
    """

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job at one moment.

    Attributes:
        num_files: Files in the job.
        num_units: Units of work.
        num_done, num_failed, num_aside, num_waiting: Units by what has become of them.
        num_frames: Frames that are done, those of the units that are being done included.
        num_new: Of these, how many were done in this run.
        num_expected: Frames that there will be; None where that cannot be told yet.
        is_least: Whether there may be more than `num_expected`: no video of unknown length is done yet.
        num_detections: Detections in the shards.
        num_errors: Frames that failed.
        throughput_fps: Frames per second of this run; 0 before anything is known.
        left_s: How much longer it will take, seconds; None where that cannot be told yet.
        num_workers: Worker processes.
        failures: What failed or was set aside.
        notes: Reports on single files, by their names: why a video was not cut.
    """

    num_files: int
    num_units: int
    num_done: int
    num_failed: int
    num_aside: int
    num_waiting: int
    num_frames: int
    num_new: int
    num_expected: int | None
    is_least: bool
    num_detections: int
    num_errors: int
    throughput_fps: float = 0.0
    left_s: float | None = None
    num_workers: int = 0
    failures: tuple[Failure, ...] = ()
    notes: Mapping[str, str]

    @property
    def num_problems(self) -> int:
        """Units that failed or were set aside, and frames that failed."""
        return self.num_failed + self.num_aside + self.num_errors

    @property
    def is_over(self) -> bool:
        """Whether nothing waits."""
        return self.num_waiting == 0


def progress_of(
    state: JobState,
    *,
    under_way: Mapping[int, int] | None = None,
    num_frames_before: int | None = 0,
    elapsed_s: float = 0.0,
    num_workers: int = 0,
) -> Progress:
    """A job at this moment.

    Args:
        state: What its manifest says.
        under_way: Frames done of the units that are being done.
        num_frames_before: Frames that were done before this run; None for all.
        elapsed_s: How long this run has worked, seconds; 0 where none goes on.
        num_workers: Worker processes.
    """
    works = list(state.work.values())
    by_state = {name: [one for one in works if one.state == name] for name in ("done", "failed", "aside", "waiting")}
    under_way = {} if under_way is None else under_way
    num_done = sum(one.num_frames for one in by_state["done"])
    num_frames = num_done + sum(under_way.values())
    num_left, is_least = _left(by_state["waiting"], works, under_way)
    num_new = 0 if num_frames_before is None else num_frames - num_frames_before
    fps = num_new / elapsed_s if elapsed_s > 0 else 0.0
    is_telling = elapsed_s >= _LEAST_S and num_new >= _LEAST_FRAMES and fps > 0
    return Progress(
        num_files=sum(len(one.unit.files) for one in works if _is_first(one)),
        num_units=len(works),
        num_done=len(by_state["done"]),
        num_failed=len(by_state["failed"]),
        num_aside=len(by_state["aside"]),
        num_waiting=len(by_state["waiting"]),
        num_frames=num_frames,
        num_new=num_new,
        num_expected=None if num_left is None else num_frames + num_left,
        is_least=is_least,
        num_detections=sum(one.num_detections for one in by_state["done"]),
        num_errors=sum(one.num_errors for one in by_state["done"]),
        throughput_fps=fps,
        left_s=num_left / fps if is_telling and num_left is not None else None,
        num_workers=num_workers,
        failures=tuple(
            Failure(name=one.unit.name, state=one.state, reason=one.reason)
            for one in (*by_state["failed"], *by_state["aside"])
        ),
        notes=dict(state.notes),
    )


def _is_first(work: Work) -> bool:
    """Whether a unit is the one that its files are counted by: of a video in parts, the first."""
    part = work.unit.part
    return part is None or part.start_pts is None


def _left(waiting: list[Work], works: list[Work], under_way: Mapping[int, int]) -> tuple[int | None, bool]:
    """How many frames are left, None where nothing is known; and whether there may be more.

    How long a video is that nobody has opened is told by its bytes, from the videos that are done or were cut: of
    those it is known before they are read.
    """
    num_bytes = num_known = 0
    for one in works:
        is_done_whole = one.state == "done" and one.unit.part is None
        if one.unit.kind == "video" and (is_done_whole or one.unit.part is not None):
            num_bytes += one.unit.size_bytes if _is_first(one) else 0
            num_known += one.num_frames if is_done_whole else one.unit.num_frames or 0
    frames_a_byte = num_known / num_bytes if num_bytes else 0.0
    num_left, is_least = 0.0, False
    for one in waiting:
        expected = one.unit.num_frames
        if expected is None:
            is_least |= not frames_a_byte
            expected = round(one.unit.size_bytes * frames_a_byte)
        num_left += max(0, expected - under_way.get(one.unit.id, 0))
    return (None, True) if is_least and not num_left else (round(num_left), is_least)
