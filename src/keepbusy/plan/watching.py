"""Runs some number of cameras as `keepbusy serve` does, and counts for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keepbusy.errors import DeviceError, SourceError
from keepbusy.flow.counters import StreamStats
from keepbusy.flow.stats import Snapshot
from keepbusy.plan.cameras import Kind, replayed
from keepbusy.plan.cores import Work, core_times, cores_between
from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.supervise.backend import MakeBackend, PipelineBackend
from keepbusy.serve.supervise.wall import Wall

LOSING = 0.02
"""A number of cameras of which a smaller share of the frames is dropped fits."""

WARM_S = 1.5
"""After all have begun, before anything is counted: the first frames wait for the model, and decoders catch up."""

_COMPILE_S = 300.0
"""How long it may take until the model runs."""

_OPEN_S = 30.0
"""How long all are waited for then. Those that have not begun get nothing."""

_CLOSE_S = 20.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What some number of cameras did, while they were watched.

    Attributes:
        num: How many there were.
        wanted_fps: Frames per second that all together should give.
        arrived_fps: Those that arrived.
        fps: Results per second.
        dropped: Share of the frames that arrived of which there is no result.
        worst_dropped: The same of the camera that lost the largest share.
        kinds_fps: Of each kind: results per second of one camera, in the mean.
        kinds_lost: Of each kind: the share of its frames that have no result, as `fits` counts them.
        age_p50_ms: Median of a camera's median age, of frames that have a result.
        age_p99_ms: The highest of the cameras' 99th percentiles.
        cores: How many cores each work kept busy.
        other_cores: How many cores other programs kept busy.
        device_busy: Share of the time with a frame on the device.
        preprocess_busy: Share of the time that the preprocessing threads worked.
        hint: What the model was compiled for.
        device: What it ran on.
        input_wh: The input's width and height, pixels.
        wall_s: How long it was watched.
    """

    num: int
    wanted_fps: float
    arrived_fps: float
    fps: float
    dropped: float = 0.0
    worst_dropped: float = 0.0
    kinds_fps: tuple[float, ...] = ()
    kinds_lost: tuple[float, ...] = ()
    age_p50_ms: float = 0.0
    age_p99_ms: float = 0.0
    cores: dict[Work, float]
    other_cores: float = 0.0
    device_busy: float = 0.0
    preprocess_busy: float = 0.0
    hint: str = ""
    device: str = ""
    input_wh: tuple[int, int] = (0, 0)
    wall_s: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether a result came of every frame of each kind, but for a few, and every camera has begun."""
        lost = max(self.kinds_lost, default=lost_share(self.dropped, self.fps, self.wanted_fps))
        return lost <= LOSING and self.worst_dropped < 1

    def gets_fps(self, place: int, fps: float) -> float:
        """Results per second of one camera of a kind that wants so many, by the rule that `fits` goes by."""
        return fps * (1 - self.kinds_lost[place]) if self.kinds_lost else min(self.kinds_fps[place], fps)

    @property
    def used_cores(self) -> float:
        """Cores that this process kept busy."""
        return sum(self.cores.values())


def lost_share(dropped: float, fps: float, wanted_fps: float) -> float:
    """The share of frames that are lost: dropped, and missing among the results.

    A video that is late counts frames as dropped that its cap on the rate would have passed over; and of a camera that
    gives less than it says, or where a window cuts a frame off, results are missing of frames that never were.
    """
    missing = max(0.0, 1 - fps / wanted_fps) if wanted_fps else 0.0
    return min(dropped, missing)


def watch(
    settings: ServeSettings,
    kinds: Sequence[Kind],
    counts: Sequence[int],
    seconds: float,
    make: MakeBackend = PipelineBackend,
) -> Seen:
    """Run so many cameras of each kind for some seconds.

    Where the model was compiled for one frame after the other, and frames are lost, it is watched again with the model
    compiled for throughput, as the server would go on.

    Raises:
        DeviceError: The model does not run.
        SourceError: A source cannot be read any more.
    """
    streams, places = replayed(kinds, counts)
    # Streams that clients of a server have added are none of the configuration's, and stay where they are kept.
    server = settings.server.model_copy(update={"state_file": None})
    wall = Wall(settings.model_copy(update={"streams": streams, "server": server}), make)
    wall.start()
    try:
        _wait_for(wall, lambda: wall.engine.run is not None)
        seen = _count(wall, kinds, places, seconds)
        facts = wall.engine.facts
        is_chosen = facts is not None and facts.hint == "latency" and not facts.is_hint_given
        if not seen.fits and is_chosen and "throughput" in settings.overload.steps:
            before, failures = wall.engine.run, list[str]()
            wall.engine.prepare(wall.settings, is_full=True, on_failure=failures.append)
            _wait_for(wall, lambda: bool(failures) or wall.engine.run not in (None, before))
            seen = _count(wall, kinds, places, seconds)
        return seen
    finally:
        wall.close(_CLOSE_S)


def _wait_for(wall: Wall, is_new: Callable[[], bool]) -> None:
    """Wait until the model runs, and all cameras have begun.

    Raises:
        DeviceError: The model does not run.
        SourceError: A source cannot be read any more.
    """
    begin_s = time.monotonic()
    running_s: float | None = None
    while not (running_s and _have_begun(wall)):
        now_s = time.monotonic()
        if wall.engine.error:
            raise DeviceError(wall.engine.error)
        failed = next((served for served in wall.streams if served.error), None)
        if failed is not None:
            raise SourceError(f"{failed.source}: {failed.error}")
        if running_s is None and is_new() and wall.engine.state == "running":
            running_s = now_s
        if running_s is not None and now_s - running_s > _OPEN_S:
            return
        if running_s is None and now_s - begin_s > _COMPILE_S:
            raise DeviceError(f"{wall.settings.device}: the model does not run within {_COMPILE_S:g} s")
        time.sleep(_LOOK_S)


def _have_begun(wall: Wall) -> bool:
    """Whether each camera has a result: the model is compiled for their sizes when the first frames have come."""
    run, numbered = wall.engine.run, wall.roster.numbered
    if run is None or len(numbered) < len(wall.streams):
        return False
    return all(one.num_results for one in run.stats.snapshot().streams if one.stream_id in numbered)


def _count(wall: Wall, kinds: Sequence[Kind], places: Sequence[int], seconds: float) -> Seen:
    run, facts = wall.engine.run, wall.engine.facts
    if run is None or facts is None:
        raise DeviceError(wall.engine.error or "the run has ended")
    time.sleep(WARM_S)
    before, begin = run.stats.snapshot(), core_times()
    time.sleep(seconds)
    now, end = run.stats.snapshot(), core_times()
    if wall.engine.error:
        raise DeviceError(wall.engine.error)
    numbered = {number: places[served.number] for number, served in wall.roster.numbered.items()}
    return seen_between(
        now.since(before), kinds, numbered, *cores_between(begin, end), facts.hint, facts.full_name, facts.input_wh
    )


def seen_between(
    window: Snapshot,
    kinds: Sequence[Kind],
    places: dict[int, int],
    cores: dict[Work, float],
    other_cores: float,
    hint: str = "",
    device: str = "",
    input_wh: tuple[int, int] = (0, 0),
) -> Seen:
    """A run's numbers → what was seen of cameras.

    Args:
        window: The numbers of some seconds.
        kinds: The kinds of cameras.
        places: Which kind each stream is of, by the streams' numbers in the run.
        cores: See `Seen`.
        other_cores: See `Seen`.
        hint: See `Seen`.
        device: See `Seen`.
        input_wh: See `Seen`.
    """
    mine = [one for one in window.streams if one.stream_id in places]
    lost = [one.num_dropped / one.num_arrived if one.num_arrived else 1.0 for one in mine]
    num_arrived = sum(one.num_arrived for one in mine)
    of_kinds = [[one for one in mine if places[one.stream_id] == place] for place in range(len(kinds))]
    kinds_fps = [sum(one.num_results for one in each) / window.wall_s / max(1, len(each)) for each in of_kinds]
    aged = sorted(one.age_p50_ms for one in mine if one.num_results)
    return Seen(
        num=len(mine),
        wanted_fps=sum(kinds[places[one.stream_id]].fps for one in mine),
        arrived_fps=num_arrived / window.wall_s,
        fps=sum(one.num_results for one in mine) / window.wall_s,
        dropped=_dropped(mine),
        worst_dropped=max(lost, default=0.0),
        kinds_fps=tuple(kinds_fps),
        kinds_lost=tuple(
            lost_share(_dropped(each), fps, kind.fps) if each else 0.0
            for each, fps, kind in zip(of_kinds, kinds_fps, kinds, strict=True)
        ),
        age_p50_ms=aged[len(aged) // 2] if aged else 0.0,
        age_p99_ms=max((one.age_p99_ms for one in mine), default=0.0),
        cores=cores,
        other_cores=other_cores,
        device_busy=window.device_busy_share,
        preprocess_busy=next((one.busy_share for one in window.stages if one.stage == "preprocess"), 0.0),
        hint=hint,
        device=device,
        input_wh=input_wh,
        wall_s=window.wall_s,
    )


def _dropped(streams: Sequence[StreamStats]) -> float:
    """The share of the frames that arrived of which there is no result."""
    num_arrived = sum(one.num_arrived for one in streams)
    return sum(one.num_dropped for one in streams) / num_arrived if num_arrived else 1.0
