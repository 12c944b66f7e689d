"""A few seconds of a live stream, kept in memory as a file that can be replayed."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from fractions import Fraction
from itertools import pairwise
from typing import Any

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import SourceError
from keepbusy.sources.base import Source
from keepbusy.sources.container import Location, choose_stream, failures, has_clock, open_container
from keepbusy.sources.limits import MAX_VIDEO_PIXELS
from keepbusy.sources.packets import demuxed
from keepbusy.texts import without_secrets

MAX_BYTES = 1 << 26
"""Of one recording: 64 MiB."""

MIN_FRAMES = 3
"""Fewer tell no rate."""

MAX_STEPS = 20
"""Frames that are so many times as far apart as usual are so because the camera's clock has leapt."""

ASSUMED_FPS = 30.0
"""Of a camera whose packets have no times."""

_TICKS = Fraction(1, 90_000)


class Recording:
    """A file without a name, where the system has such files: it is in memory, and gone when it is closed.

    Attributes:
        path: Where it can be opened as long as it is not closed.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._number: int | None = None
        if hasattr(os, "memfd_create"):
            self._number = os.memfd_create("keepbusy-recording")
            self.path = f"/proc/self/fd/{self._number}"
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="keepbusy-")
            self.path = os.path.join(self._folder.name, "recording.mkv")

    def close(self) -> None:
        """Forget it; further calls do nothing."""
        if self._number is not None:
            os.close(self._number)
        if self._folder is not None:
            self._folder.cleanup()
        self._number = self._folder = None


def record(location: str, recording: Recording, seconds: float, timeout_s: float) -> float:
    """Keep the packets of a stream behind an address, from a key frame on.

    Returns:
        Frames per second at which they came.

    Raises:
        SourceError: It cannot be opened, or too little comes.
    """
    place = Location(location, without_secrets(location), timeout_s, min(MAX_PIXELS, MAX_VIDEO_PIXELS))
    container = open_container(place)
    try:
        stream = choose_stream(container, place.name)
        packets, arrivals_s = _received(container, stream, seconds, timeout_s)
        times_s = filled([_time_of(packet) for packet in packets]) if has_clock(container) else arrivals_s
        _write(recording, stream, packets, times_s)
    except failures() as error:
        raise SourceError(f"{place.name}: {place.reason(error)}") from error
    finally:
        container.close()
    return rate_of(times_s, place.name)


def _received(container: Any, stream: Any, seconds: float, timeout_s: float) -> tuple[list[Any], list[float]]:
    """The packets of some seconds, from a key frame on, and when each came."""
    packets: list[Any] = []
    arrivals_s: list[float] = []
    num_bytes, until_s = 0, time.monotonic() + timeout_s
    for packet in demuxed(container, stream):
        now_s = time.monotonic()
        if not packet.size or now_s > until_s or num_bytes > MAX_BYTES:
            break
        if not packets:
            if not packet.is_keyframe:
                continue
            until_s = now_s + seconds
        packets.append(packet)
        arrivals_s.append(now_s)
        num_bytes += packet.size
    return packets, arrivals_s


def _write(recording: Recording, stream: Any, packets: list[Any], times_s: list[float]) -> None:
    import av

    with av.open(recording.path, "w", format="matroska") as output:
        track = output.add_stream_from_template(stream)
        for packet, time_s in zip(packets, times_s, strict=True):
            # Pictures that are shown later than they are sent stay so.
            later_s = 0.0
            if packet.pts is not None and packet.dts is not None and packet.time_base:
                later_s = float((packet.pts - packet.dts) * packet.time_base)
            packet.time_base = _TICKS
            packet.dts = round((time_s - times_s[0]) / _TICKS)
            packet.pts = packet.dts + round(max(0.0, later_s) / _TICKS)
            packet.stream = track
            output.mux(packet)


def filled(times_s: list[float | None]) -> list[float]:
    """Times of packets that rise, also where some have none, or a camera's clock leaps when it is told the time."""
    pairs = [(earlier, later) for earlier, later in pairwise(times_s) if earlier is not None and later is not None]
    steps_s = [later - earlier for earlier, later in pairs if later > earlier]
    usual_s = statistics.median_low(steps_s) if steps_s else 1 / ASSUMED_FPS
    found: list[float] = []
    before: float | None = None
    for one in times_s:
        step_s = usual_s if one is None or before is None else one - before
        is_odd = not 0 < step_s < MAX_STEPS * usual_s
        found.append(found[-1] + (usual_s if is_odd else step_s) if found else 0.0)
        before = one
    return found


def record_frames(source: Source, recording: Recording, seconds: float) -> float:
    """Keep what an open camera of this machine gives, as Motion JPEG, which is what most of them send.

    Returns:
        Frames per second at which they came.

    Raises:
        SourceError: Too little comes.
    """
    import av

    moments_s: list[float] = []
    with av.open(recording.path, "w", format="matroska") as output:
        track: Any = None
        while (frame := source.read()) is not None and frame.image is not None:
            now_s = time.monotonic()
            if track is None:
                track = output.add_stream("mjpeg", rate=30)
                track.width, track.height, track.pix_fmt, track.time_base = (
                    frame.width,
                    frame.height,
                    "yuvj420p",
                    _TICKS,
                )
                track.codec_context.time_base = _TICKS
            picture = av.VideoFrame.from_ndarray(frame.image, format="bgr24")
            moments_s.append(now_s)
            picture.pts, picture.time_base = round((now_s - moments_s[0]) / _TICKS), _TICKS
            output.mux(track.encode(picture))
            if now_s - moments_s[0] > seconds:
                break
        if track is not None:
            output.mux(track.encode(None))
    return rate_of(moments_s, source.info.name)


def rate_of(times_s: list[float], name: str) -> float:
    """Frames per second of frames that came at some moments.

    Raises:
        SourceError: There are too few.
    """
    spent_s = times_s[-1] - times_s[0] if times_s else 0.0
    if len(times_s) < MIN_FRAMES or spent_s <= 0:
        raise SourceError(f"{name}: gave {len(times_s)} frames, too few to know its rate")
    return (len(times_s) - 1) / spent_s


def _time_of(packet: Any) -> float | None:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return float(ticks * packet.time_base) if ticks is not None and packet.time_base else None
