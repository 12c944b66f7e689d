"""Whether a video ended before its time: what its container promised, and what came.

What counts is packets, bytes and the container's own clock. A count of frames in a header is a hint: clips that were
trimmed without being encoded again hold packets that are not to be shown.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from keepbusy.sources.pipe import Pipe

_HEAD_BYTES = 1 << 16

_SHARE = 0.1
_SLACK_S = 1.0
"""Where nothing but a header's count or duration tells, more than both must be missing: they are often wrong."""

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_FLV_SIZE = b"\0\x08filesize\0"
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d01020101")
_RIFF_PARTS = (b"AVI ", b"AVIX")

_KEEP_DURATIONS = ("matroska", "flv", "asf", "mxf")
"""Formats, by FFmpeg's names, whose headers tell a duration; that of others is FFmpeg's guess, or follows the bytes."""


def is_cut_short(container: Any, stream: Any, num_packets: int, end_s: float, location: str | Pipe) -> bool:
    """Whether a part of a video that was read to its end is missing.

    A file with fewer bytes than its container says is cut short where pictures are missing, too, be it one: its index
    alone may be what was lost. Where bytes tell nothing, over a second and a tenth must be missing.

    Args:
        container: PyAV's, open.
        stream: The stream that was read.
        num_packets: Packets that came.
        end_s: Where the last one ended, seconds on the container's clock.
        location: What was opened.
    """
    rate = stream.average_rate or stream.guessed_rate
    period_s = 1 / float(rate) if rate else 0.0
    is_short = _lacks_bytes(container, stream, location)
    length_s = _length_s(container, stream)
    missing_s = None if length_s is None else length_s - (end_s - _start_s(container))
    num_promised = _num_promised(container, stream)
    if num_promised is not None:
        num_missing = num_promised - num_packets
        if is_short:
            return num_missing > 0
        if num_missing <= max(_SLACK_S / period_s if period_s else 1.0, num_promised * _SHARE):
            return False
        if len(stream.index_entries) or not container.duration:
            return True
        # A header's count alone.
        length_s = float(container.duration) / 1_000_000
        return length_s - (end_s - _start_s(container)) > max(_SLACK_S, length_s * _SHARE)
    if missing_s is None or length_s is None:
        return is_short
    return missing_s > (period_s / 2 if is_short else max(_SLACK_S, length_s * _SHARE))


def _num_promised(container: Any, stream: Any) -> int | None:
    """How many packets there should be: the index knows better than the header, where it was read at once."""
    entries = len(stream.index_entries)
    is_indexed_ahead = "mp4" in container.format.name
    return (entries if is_indexed_ahead and entries else stream.frames) or None


def _start_s(container: Any) -> float:
    return float(container.start_time or 0) / 1_000_000


def _length_s(container: Any, stream: Any) -> float | None:
    """How long the stream says it is, seconds; the whole container where it has no other stream."""
    if not any(name in container.format.name for name in _KEEP_DURATIONS):
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    told = stream.metadata.get("DURATION")
    if told is not None and (length_s := _seconds(told)) is not None:
        return length_s
    return container.duration / 1_000_000 if container.duration and len(container.streams) == 1 else None


def _seconds(text: str) -> float | None:
    """Matroska's `00:01:02.500000000`."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def _lacks_bytes(container: Any, stream: Any, location: str | Pipe) -> bool:
    """Whether there are fewer bytes than the container says."""
    if isinstance(location, Pipe):
        head, size = location.head, location.num_read
    elif not os.path.isfile(location):
        return False
    else:
        try:
            with open(location, "rb") as file:
                head, size = file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size
        except (OSError, ValueError):
            return False
    promised = promised_bytes(head)
    if promised is None and stream.index_entries and "mp4" in container.format.name:
        last = stream.index_entries[-1]
        promised = last.pos + last.size
    return promised is not None and size < promised


def promised_bytes(head: bytes) -> int | None:
    """How long a Matroska, WebM, AVI, FLV, ASF or MXF file says it is, bytes; None where it does not say.

    Matroska: the segment's size (RFC 9559). AVI: the RIFF chunk's; what is over its 4 GiB is not counted. FLV:
    `filesize` of `onMetaData`, a number of AMF 0. ASF: the file properties object. MXF: where the footer begins
    (SMPTE ST 377-1, the partition pack of the header).

    Args:
        head: The first bytes of the file.
    """
    if head.startswith(_EBML):
        place = head.find(_SEGMENT)
        return None if place < 0 else _end_of_element(head, place + len(_SEGMENT))
    if head[:4] == b"RIFF" and head[8:12] in _RIFF_PARTS:
        size = int.from_bytes(head[4:8], "little")
        return size + 8 if 0 < size < 0xFFFF_FFFF else None
    if head.startswith(b"FLV"):
        return _flv_size(head)
    if head.startswith(_ASF):
        place = head.find(_ASF_FILE_PROPERTIES)
        return int.from_bytes(head[place + 40 : place + 48], "little") or None if place > 0 else None
    if head.startswith(_MXF_PARTITION):
        length_bytes = 1 + (head[16] & 0x7F if head[16] & 0x80 else 0)
        footer = 16 + length_bytes + 24
        return int.from_bytes(head[footer : footer + 8], "big") or None
    return None


def _flv_size(head: bytes) -> int | None:
    place = head.find(_FLV_SIZE)
    value = head[place + len(_FLV_SIZE) :][:8]
    if place < 0 or len(value) < 8:
        return None
    (size,) = struct.unpack(">d", value)
    return int(size) if 0 < size < 1 << 62 else None


def _end_of_element(content: bytes, place: int) -> int | None:
    """Where an EBML element ends whose size is written at a place; None where it is not known (live recordings)."""
    if place >= len(content) or not content[place]:
        return None
    num_bytes = 9 - content[place].bit_length()
    ones = (1 << 7 * num_bytes) - 1
    size = int.from_bytes(content[place : place + num_bytes], "big") & ones
    return None if size == ones else place + num_bytes + size
