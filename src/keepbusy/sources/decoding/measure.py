"""How fast decoders are on a stream's own packets, what that costs, and whether their pictures are the same."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import first_line
from keepbusy.pictures.planes import plane_views
from keepbusy.sources.decoding.bell import Bell
from keepbusy.sources.decoding.hardware import Route
from keepbusy.sources.decoding.program import Program, ProgramError

SOFTWARE = "software"

COMPARED = 4
"""Every fourth picture is compared."""

_AHEAD = 32
_WAIT_S = 0.25
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one decoder did with a sample.

    Attributes:
        decoder: `software`, `vaapi`, `qsv`.
        fps: Pictures per second, from the first one on: starting a program is left out.
        cpu_ms: Milliseconds of CPU time per picture, of the program and of taking its pictures.
        num_pictures: How many came out.
        agrees: Whether those that were compared are software's, byte for byte; None where that is not known.
        reason: Why it does not work; empty where it does.
    """

    decoder: str
    fps: float = 0.0
    cpu_ms: float = 0.0
    num_pictures: int = 0
    agrees: bool | None = None
    reason: str = ""

    def beats(self, software: Measured) -> bool:
        """Whether it does the same as software, faster and with less CPU time."""
        is_right = not self.reason and bool(self.agrees) and self.num_pictures == software.num_pictures
        return is_right and self.fps > software.fps and self.cpu_ms < software.cpu_ms


class StoppedError(Exception):
    """Nobody wants to know any more."""


def measure_software(
    codec: str, sample: Sequence[bytes], *, is_stopped: Callable[[], bool] = lambda: False
) -> tuple[Measured, dict[int, int]]:
    """Decode a sample with PyAV, in one thread, as live streams are.

    Args:
        codec: `h264` or `hevc`.
        sample: Packets with start codes, the first of a key frame.
        is_stopped: Asked between packets.

    Returns:
        What it took, and checksums of some pictures by their place.

    Raises:
        StoppedError: `is_stopped` said so.
    """
    import av

    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    sums: dict[int, int] = {}
    num, took_s, cpu_s = 0, 0.0, 0.0
    for content in [*sample, None]:
        if is_stopped():
            raise StoppedError
        wall_s, own_s = time.perf_counter(), time.thread_time()
        try:
            decoded = context.decode(None if content is None else av.Packet(content))
        except (av.FFmpegError, ValueError):
            decoded = []
        if num:
            took_s += time.perf_counter() - wall_s
            cpu_s += time.thread_time() - own_s
        for one in decoded:
            if num % COMPARED == 0:
                sums[num] = _sum(*_split(plane_views(one)))
            num += 1
    return _measured(SOFTWARE, num, took_s, cpu_s, agrees=None), sums


def measure_route(
    route: Route,
    codec: str,
    shape_hw: tuple[int, int],
    sample: Sequence[bytes],
    sums: dict[int, int],
    *,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Measured:
    """Decode a sample with FFmpeg's program.

    Args:
        route: How.
        codec, sample, is_stopped: As for `measure_software`.
        shape_hw: Height and width of its pictures, pixels.
        sums: What `measure_software` has found.

    Raises:
        StoppedError: `is_stopped` said so.
    """
    bell = Bell()
    program: Program | None = None
    try:
        program = Program(route, codec, shape_hw, (1, 1000), bell)
        return _measure(program, route.name, sample, sums, shape_hw[0], is_stopped)
    except ProgramError as error:
        return Measured(route.name, reason=first_line(error))
    finally:
        if program is not None:
            program.close()
        bell.close()


def _measure(
    program: Program,
    name: str,
    sample: Sequence[bytes],
    sums: dict[int, int],
    height: int,
    is_stopped: Callable[[], bool],
) -> Measured:
    num, num_fed, first_s, last_s, before_s, own_s, agrees = 0, 0, 0.0, 0.0, 0.0, 0.0, True
    while not program.is_over:
        if is_stopped():
            raise StoppedError
        while num_fed < len(sample) and num_fed - num < _AHEAD:
            program.feed(sample[num_fed], num_fed)
            num_fed += 1
            if num_fed == len(sample):
                program.end()
        started_s = time.thread_time()
        program.work(_WAIT_S, is_due=num_fed - num >= _AHEAD)
        own_s += time.thread_time() - started_s
        while program.pictures:
            planes = program.pictures.popleft().planes
            if not num:
                first_s, before_s, own_s = time.perf_counter(), _cpu_of(program.pid), 0.0
            last_s = time.perf_counter()
            if num in sums:
                agrees = agrees and sums[num] == _sum(planes[:height], planes[height:, ::2])
            num += 1
    cpu_s = program.close() - before_s
    return _measured(name, num, last_s - first_s, cpu_s + own_s, agrees=agrees)


def _measured(name: str, num: int, took_s: float, cpu_s: float, *, agrees: bool | None) -> Measured:
    if num < 2:
        return Measured(name, num_pictures=num, reason="no pictures came out")
    return Measured(name, (num - 1) / max(took_s, 1e-9), cpu_s * 1e3 / (num - 1), num, agrees)


def _split(views: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Brightness, and the first of the colours."""
    return views[0], views[1] if views[1].ndim == 2 else views[1][:, :, 0]


def _sum(light: NDArray[np.uint8], colour: NDArray[np.uint8]) -> int:
    return zlib.crc32(colour.tobytes(), zlib.crc32(light.tobytes()))


def _cpu_of(pid: int) -> float:
    """CPU time that a process has used so far, seconds."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
