"""Where a long video is cut, and whether the cuts held.

A video is cut at key frames only, where its packets say beforehand how many pictures are shown before each: then every
frame has the index that it has in the whole video. What a cut is worth is proven when both parts that meet at it are
done (`keepbusy.sources.ranges`); where they saw different pictures, the video is done again in one piece.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from keepbusy.batch.manifest import JobState, Work
from keepbusy.errors import first_line
from keepbusy.sources.completeness import is_cut_short
from keepbusy.sources.container import Location, choose_stream, failures, open_container
from keepbusy.sources.ranges import Part

_NO_INDEX = frozenset({"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "gif", "apng"})
"""Formats, by FFmpeg's names, in which there is no index to find a key frame by."""


class NoCutError(Exception):
    """A video is not cut; the text says why."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What a video's packets say.

    Attributes:
        shown: When each picture is shown, ticks, in order.
        keys: (shown, read) of each key frame, ticks.
    """

    shown: Sequence[int]
    keys: Sequence[tuple[int, int]]


def cut(path: Path, name: str, *, frames_per_part: int, max_pixels: int) -> list[Part]:
    """The parts that a video is cut into; an empty list where it is too short for two.

    Args:
        path: The file.
        name: What it is called.
        frames_per_part: How long a part should be at least.
        max_pixels: As for `RunConfig`.

    Raises:
        NoCutError: It is long enough, and cannot be cut.
        SourceError: It cannot be opened.
    """
    container = open_container(Location(str(path), name, 10.0, max_pixels))
    with container:
        stream = choose_stream(container, name)
        if _likely_frames(container, stream) < 2 * frames_per_part:
            return []
        scan = _scan(container, stream, str(path))
        start_s = float(scan.shown[0] * stream.time_base)
    places = _places(scan, frames_per_part)
    if not places:
        raise NoCutError("it has no key frame to be cut at")
    return _parts(scan, places, start_s)


def _likely_frames(container: Any, stream: Any) -> float:
    if stream.frames:
        return float(stream.frames)
    rate = stream.average_rate or stream.guessed_rate
    return float(container.duration or 0) / 1e6 * float(rate or 0)


def _scan(container: Any, stream: Any, path: str) -> _Scan:
    """Read all packets of a video, without decoding any.

    Raises:
        NoCutError: They do not tell what a cut has to know.
    """
    if set(container.format.name.split(",")) & _NO_INDEX:
        raise NoCutError(f"{container.format.name} has no index")
    shown, keys = array("q"), list[tuple[int, int]]()
    num_packets, end_s = 0, 0.0
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.is_corrupt:
                raise NoCutError("a part of it is damaged")
            num_packets += 1
            if packet.pts is None:
                raise NoCutError("its packets do not say when they are shown")
            if packet.is_discard:
                if shown:
                    raise NoCutError("an edit list leaves out a part of it")
                continue
            shown.append(packet.pts)
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * stream.time_base))
            if packet.is_keyframe:
                # Matroska has no other clock than that of what is shown.
                keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    except failures() as error:
        raise NoCutError(f"it cannot be read to its end: {first_line(error)}") from error
    if is_cut_short(container, stream, num_packets, end_s, path):
        raise NoCutError("it is cut short")
    num_entries = len(stream.index_entries)
    if num_entries < 2:
        raise NoCutError("it has no index")
    if "mp4" in container.format.name and len(shown) < num_entries:
        raise NoCutError("it is cut short, or an edit list leaves out a part of it")
    in_order = sorted(shown)
    if not in_order or any(a == b for a, b in pairwise(in_order)):
        raise NoCutError("several of its pictures have the same time")
    return _Scan(in_order, keys)


def _places(scan: _Scan, frames_per_part: int) -> list[tuple[int, int, int]]:
    """(index, shown, read) of the key frames that begin a part."""
    places: list[tuple[int, int, int]] = []
    last = 0
    for shown, read in sorted(scan.keys):
        index = bisect_left(scan.shown, shown)
        is_far = index - last >= frames_per_part and len(scan.shown) - index >= frames_per_part // 2
        if is_far and len(scan.shown) - index > 2:
            places.append((index, shown, read))
            last = index
    return places


def _parts(scan: _Scan, places: Sequence[tuple[int, int, int]], start_s: float) -> list[Part]:
    parts: list[Part] = []
    begins: list[tuple[int, int | None, int]] = [(0, None, 0), *places]
    for number, (index, shown, read) in enumerate(begins):
        behind = begins[number + 1] if number + 1 < len(begins) else None
        end = len(scan.shown) if behind is None else behind[0]
        seek_ts = 0 if shown is None else min(shown, read)
        parts.append(Part(shown, None if behind is None else behind[1], seek_ts, index, end - index, start_s))
    return parts


def broken_cuts(state: JobState) -> list[list[Work]]:
    """The videos whose parts did not see the same at a cut: all parts of each."""
    by_video: dict[str, list[Work]] = {}
    for work in state.work.values():
        if work.unit.part is not None:
            by_video.setdefault(work.unit.files[0].location, []).append(work)
    return [works for works in by_video.values() if not _holds(works)]


def cut_holds(state: JobState, work: Work) -> list[Work]:
    """All parts of a part's video where one of its cuts did not hold; none where all held, or are not proven yet."""
    place = work.unit.files[0].location
    works = [one for one in state.work.values() if one.unit.part is not None and one.unit.files[0].location == place]
    return [] if _holds(works) else works


def _holds(works: Iterable[Work]) -> bool:
    in_order = sorted(works, key=_first_index)
    if any(work.state == "failed" for work in in_order):
        return False
    return all(
        before.proof["tail"] == behind.proof["head"]
        and before.proof["tail"]
        and before.proof["next_index"] == _first_index(behind)
        for before, behind in pairwise(in_order)
        if before.state == behind.state == "done"
    )


def _first_index(work: Work) -> int:
    part = work.unit.part
    return 0 if part is None else part.first_index
