"""Every decoder of this machine on one clip: how fast, at what cost, and whether their pictures are the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import SourceError
from keepbusy.sources.container import Location, choose_stream, open_container
from keepbusy.sources.decoding.annexb import AnnexB
from keepbusy.sources.decoding.bitstream import FILTERS
from keepbusy.sources.decoding.hardware import HARDWARE, Route, find_route, program_route
from keepbusy.sources.decoding.likeness import Likeness
from keepbusy.sources.decoding.measure import Measured, measure_route, measure_software
from keepbusy.sources.decoding.repeated import RepeatedPackets
from keepbusy.sources.limits import MAX_VIDEO_PIXELS
from keepbusy.texts import without_secrets

MAX_PACKETS = 300
"""Ten seconds of most videos."""

WITHOUT_HARDWARE = "program"
"""FFmpeg's program without hardware: what the way through a program itself costs."""


def compare_decoders(path: str | Path, max_packets: int = MAX_PACKETS) -> list[Measured]:
    """Decode the beginning of a video with software, with FFmpeg's program, and with each hardware decoder.

    Args:
        path: A video file of H.264 or H.265.
        max_packets: At most so much of it.

    Returns:
        Software first. Those that are not there, or fail, say why.

    Raises:
        SourceError: It is no such file.
    """
    name = without_secrets(os.fspath(path))
    codec, shape_hw, sample = _sample(Location(os.fspath(path), name, 10.0, MAX_PIXELS), max_packets)
    software, sums = measure_software(codec, sample)
    without = program_route()
    ways: list[tuple[str, Route | str]] = [(WITHOUT_HARDWARE, without or "the program ffmpeg is not installed")]
    ways += [(hardware, find_route(hardware)) for hardware in HARDWARE]
    return [
        software,
        *(
            measure_route(way, codec, shape_hw, sample, sums)
            if isinstance(way, Route)
            else Measured(called, reason=way)
            for called, way in ways
        ),
    ]


def available_decoders() -> list[tuple[str, str]]:
    """Each hardware decoder, and where it is, or why it cannot be used; nothing is decoded."""
    found: list[tuple[str, str]] = []
    for name in HARDWARE:
        route = find_route(name)
        found.append((name, f"{route.device}, by {route.program}" if isinstance(route, Route) else f"none: {route}"))
    return found


def _sample(location: Location, max_packets: int) -> tuple[str, tuple[int, int], list[bytes]]:
    """The codec, the pictures' height and width, and packets from the first key frame on."""
    container = open_container(location)
    try:
        stream: Any = choose_stream(container, location.name)
        codec = stream.codec_context.name
        if codec not in FILTERS:
            hint = "give a video of H.264 or H.265: hardware is used for no other"
            raise SourceError(f"{location.name}: is {codec}", hint=hint)
        max_pixels = min(location.max_pixels, MAX_VIDEO_PIXELS)
        packets = RepeatedPackets(container, stream, can_reopen=False, max_pixels=max_pixels)
        annexb, sample = AnnexB(stream), list[bytes]()
        likeness: Likeness | None = None
        while len(sample) < max_packets:
            packet = packets.pull()
            if packet is None or not packet.size:
                break
            if likeness is None:
                first = packets.first_picture(packet) if packet.is_keyframe else None
                if first is None:
                    continue
                likeness = Likeness(first)
            sample.append(annexb.content(packet))
    finally:
        container.close()
    if likeness is None:
        raise SourceError(f"{location.name}: no picture could be decoded", hint="give another video")
    if reason := likeness.unfit():
        raise SourceError(f"{location.name}: {reason}", hint="hardware is not used for such videos")
    return codec, likeness.shape_hw, sample
