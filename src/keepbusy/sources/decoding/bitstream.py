"""What a packet of H.264 or H.265 says without being decoded, and how it travels to FFmpeg's program.

ISO/IEC 14496-10 and 23008-2, annex B: units behind start codes, the kind of each in its first byte.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""The codecs that are known here, and FFmpeg's filter that gives their units start codes."""

_FOURCC = {"h264": b"H264", "hevc": b"HEVC"}
_START = re.compile(b"\0\0\1")

_AVC_SLICES, _AVC_IDR, _AVC_SETS = range(1, 6), 5, (7,)
_HEVC_SLICES, _HEVC_IDR, _HEVC_SETS = range(32), (19, 20), (32, 33)
_HEVC_SUB_LAYER_NON_REFERENCE = range(0, 16, 2)


def units(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the units of a packet begin and end, start codes left out."""
    starts = [found.end() for found in _START.finditer(data)]
    for begin, following in zip(starts, [*starts[1:], len(data) + 3], strict=False):
        yield begin, following - 3


def has_start_codes(data: bytes) -> bool:
    """Whether units are separated by start codes, as in broadcasts and from cameras; in files their lengths are."""
    return data.startswith((b"\0\0\1", b"\0\0\0\1"))


def parameter_sets(data: bytes, codec: str) -> bytes:
    """What says how large pictures are and what colours they have: it stands before key frames. Empty without."""
    wanted = _AVC_SETS if codec == "h264" else _HEVC_SETS
    return b"".join(data[begin:end].rstrip(b"\0") for begin, end in units(data) if _kind(data, begin, codec) in wanted)


def begins_anew(data: bytes, codec: str) -> bool:
    """Whether nothing behind a packet refers to what is before it."""
    for begin, _ in units(data):
        kind = _kind(data, begin, codec)
        if codec == "h264" and kind in _AVC_SLICES:
            return kind == _AVC_IDR
        if codec == "hevc" and kind in _HEVC_SLICES:
            return kind in _HEVC_IDR
    return False


def is_spare(data: bytes, codec: str) -> bool:
    """Whether no other picture refers to a packet's: it can be left out."""
    for begin, _ in units(data):
        kind = _kind(data, begin, codec)
        if codec == "h264" and kind in _AVC_SLICES:
            return data[begin] >> 5 & 3 == 0
        if codec == "hevc" and kind in _HEVC_SLICES:
            return kind in _HEVC_SUB_LAYER_NON_REFERENCE
    return False


def _kind(data: bytes, begin: int, codec: str) -> int:
    if begin >= len(data):
        return -1
    return data[begin] & 0x1F if codec == "h264" else data[begin] >> 1 & 0x3F


def stream_header(codec: str, width: int, height: int, time_base: tuple[int, int]) -> bytes:
    """The beginning of an IVF stream: the one container of FFmpeg whose packets are just a size, a time and content.

    Args:
        codec: One of `FILTERS`.
        width, height: Of its pictures, pixels.
        time_base: Numerator and denominator of the unit of times.
    """
    numerator, denominator = time_base
    fields = (b"DKIF", 0, 32, _FOURCC[codec], width & 0xFFFF, height & 0xFFFF, denominator, numerator, 0, 0)
    return struct.pack("<4sHH4sHHIIII", *fields)


def packet_header(num_bytes: int, ticks: int) -> bytes:
    """What stands before a packet in an IVF stream."""
    return struct.pack("<IQ", num_bytes, ticks)
