"""A look at each source: how large its frames are, how many it gives, and what can be replayed of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

from keepbusy.errors import KeepbusyError, SourceError, first_line
from keepbusy.plan.cameras import Kind
from keepbusy.plan.recording import Recording, record, record_frames
from keepbusy.serve.configuration.settings import ServeSettings, StreamSettings
from keepbusy.serve.supervise.source import ASSUMED_FPS, ServedSource
from keepbusy.sources.base import Source
from keepbusy.sources.open import has_pace
from keepbusy.sources.realtime import split_pace
from keepbusy.sources.spec import SourceSpec
from keepbusy.threads.channel import Gate

log = logging.getLogger("keepbusy")

TIMEOUT_S = 10.0
"""How long a camera may take to answer, and to send its first key frame."""

MAX_AT_ONCE = 16
"""Sources that are looked at side by side."""

_NUM_TIMED = 30
"""Frames whose times tell the rate of a video that does not say it."""


_LOOK_S = 0.2
"""So often is looked for signals, and for what takes too long."""

_Key = tuple[str, bool]
"""A source, and whether it is read in real time."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stream that could not be looked at.

    Attributes:
        name: What it is called.
        reason: Why not.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a look at a source has told.

    Attributes:
        location: What is read when it is replayed.
        width: Of its frames, pixels.
        height: Of its frames, pixels.
        fps: Frames per second that it gives.
    """

    location: str
    width: int
    height: int
    fps: float


def sample_kinds(
    settings: ServeSettings, seconds: float, keep: ExitStack, on_step: Callable[[str], None] = lambda _: None
) -> tuple[list[Kind], list[LeftOut]]:
    """Look at each source once, side by side.

    Args:
        settings: The configuration.
        seconds: How long a live source is recorded.
        keep: Closes the recordings.
        on_step: Told what is done.

    Returns:
        The kinds of cameras, and the streams that are left out because their source cannot be read.

    Raises:
        SourceError: None can be read.
    """
    locations = list(dict.fromkeys(_key(stream) for stream in settings.streams))
    on_step(f"looking at {len(locations)} source{'s' if len(locations) > 1 else ''}")
    found = _look_at_all(locations, seconds, keep)
    kinds: dict[str, Kind] = {}
    left_out: list[LeftOut] = []
    first: KeepbusyError | None = None
    for stream in settings.streams:
        sample = found[_key(stream)]
        if isinstance(sample, KeepbusyError):
            first = first or sample
            left_out.append(LeftOut(stream.name, sample.message))
            continue
        like = json.dumps(stream.model_dump(mode="json", exclude={"name", "sinks"}), sort_keys=True)
        before = kinds.get(like)
        kinds[like] = _kind(stream, sample, before)
    if not kinds and first is not None:
        raise SourceError(first.message, hint=first.hint)
    for one in left_out:
        log.warning("%s: left out: %s", one.name, one.reason)
    return list(kinds.values()), left_out


def _key(stream: StreamSettings) -> _Key:
    return stream.source, stream.realtime


def _kind(stream: StreamSettings, sample: Sample, before: Kind | None) -> Kind:
    """A kind with one camera more."""
    names = (*(before.names if before else ()), stream.name)
    replay = stream.model_copy(update={"source": sample.location, "realtime": True, "loop": True})
    name = ServedSource(stream.source).name
    return Kind(name, sample.width, sample.height, sample.fps, replay, len(names), names)


def _look_at_all(keys: Sequence[_Key], seconds: float, keep: ExitStack) -> dict[_Key, Sample | KeepbusyError]:
    """Look at sources side by side. What does not answer in time, such as a pipe that nobody writes to, is left behind.

    Threads that keep no program from ending, and short waits: a signal is answered at once.
    """
    found: dict[_Key, Sample | KeepbusyError] = {}
    begun_s: dict[_Key, float] = {}
    waiting = list(reversed(keys))
    woken = Gate()

    def look(key: _Key) -> None:
        try:
            sample: Sample | KeepbusyError = _look_at(*key, seconds, keep)
        except Exception as error:
            sample = SourceError(f"{ServedSource(key[0]).name}: {first_line(error)}")
        found.setdefault(key, sample)
        woken.open()

    while len(found) < len(keys):
        woken.shut()
        now_s = time.monotonic()
        for key, begin_s in list(begun_s.items()):
            if key not in found and now_s - begin_s > seconds + _limit_s(key[0]):
                error = SourceError(f"{ServedSource(key[0]).name}: gives nothing within {_limit_s(key[0]):g} s")
                found.setdefault(key, error)
            if key in found:
                del begun_s[key]
        while waiting and len(begun_s) < MAX_AT_ONCE:
            key = waiting.pop()
            begun_s[key] = now_s
            threading.Thread(target=look, args=(key,), name="keepbusy-sample", daemon=True).start()
        if len(found) < len(keys):
            woken.wait(_LOOK_S)
    return found


def _limit_s(location: str) -> float:
    """A camera in the network may take that long to answer, and as long again to send a key frame."""
    return 2 * TIMEOUT_S if "://" in location else TIMEOUT_S


def _look_at(location: str, realtime: bool, seconds: float, keep: ExitStack) -> Sample | KeepbusyError:
    """A sample of a source, or why there is none."""
    try:
        source = ServedSource(location, realtime)
        if not source.is_live:
            raise SourceError(
                f"{source.name}: is read as fast as it can be (`realtime: false`), so that any number of them fits"
            )
        return _of_file(location) if source.is_finite else _of_live(location, seconds, keep)
    except KeepbusyError as error:
        return error


def _of_file(location: str) -> Sample:
    inner, _ = split_pace(location)
    source = SourceSpec(inner, read_threads=1).open()
    try:
        if not has_pace(source, inner):
            raise SourceError(f"{source.info.name}: has no pace of its own", hint="give a video, a camera or synth:")
        return _measured(source, inner, source.info.fps)
    finally:
        source.close()


def _of_live(location: str, seconds: float, keep: ExitStack) -> Sample:
    recording = Recording()
    try:
        sample = _recorded(location, recording, seconds)
    except BaseException:
        recording.close()
        raise
    keep.callback(recording.close)
    return sample


def _recorded(location: str, recording: Recording, seconds: float) -> Sample:
    if "://" in location:
        fps = record(location, recording, seconds, TIMEOUT_S)
    else:
        source = SourceSpec(location).open()
        try:
            if not source.info.is_live:
                raise SourceError(f"{source.info.name}: is no camera", hint="give a video, a camera or synth:")
            fps = record_frames(source, recording, seconds)
        finally:
            source.close()
    replay = SourceSpec(recording.path, read_threads=1).open()
    try:
        return _measured(replay, recording.path, fps)
    finally:
        replay.close()


def _measured(source: Source, location: str, fps: float | None) -> Sample:
    """The size and, where it does not say it, the rate of an open source's frames."""
    frame = source.read()
    if frame is None:
        raise SourceError(f"{source.info.name}: has no frames in it")
    height, width = frame.shape_hw
    if fps is None:
        times_s = [frame.timestamp_s]
        while len(times_s) < _NUM_TIMED and (frame := source.read()) is not None:
            times_s.append(frame.timestamp_s)
        steps_s = [later - earlier for earlier, later in pairwise(times_s) if later > earlier]
        fps = len(steps_s) / sum(steps_s) if steps_s else ASSUMED_FPS
    return Sample(location, width, height, fps)
