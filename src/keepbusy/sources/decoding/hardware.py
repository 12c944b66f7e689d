"""Which hardware decoders are there, and what FFmpeg's program is told to use one.

The options are those that Frigate's users have in use for years. The surfaces stay on the device until `hwdownload`:
where the driver refuses a stream, FFmpeg's program would silently decode it on the CPU, and this filter fails then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess  # nosec B404 # A fixed program with a list of arguments; no shell.
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

HardwareName = Literal["vaapi", "qsv"]

HARDWARE: tuple[HardwareName, ...] = get_args(HardwareName)

PROGRAM = "ffmpeg"

DRI = Path("/dev/dri")

_DRM = Path("/sys/class/drm")
_INTEL_VENDOR = "0x8086"

_ANSWER_TIMEOUT_S = 10.0
"""FFmpeg's program tells what it can within a tenth of a second, and loads a driver for none of it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to decode with FFmpeg's program.

    Attributes:
        name: What it is called: `vaapi`, `qsv`. Tests have one without hardware, `program`.
        program: The program's path.
        device: The device's file; empty where it needs none.
        has_frame_rate_mode: Whether the program knows `-fps_mode`, which took the place of `-vsync` in 5.1.
    """

    name: str
    program: str
    device: str = ""
    has_frame_rate_mode: bool = True

    @property
    def is_hardware(self) -> bool:
        """Whether it decodes elsewhere than on the CPU."""
        return self.name in HARDWARE

    @property
    def input_options(self) -> list[str]:
        """What says where to decode."""
        if self.name == "vaapi":
            return ["-hwaccel", "vaapi", "-hwaccel_device", self.device, "-hwaccel_output_format", "vaapi"]
        if self.name == "qsv":
            return ["-hwaccel", "qsv", "-qsv_device", self.device, "-hwaccel_output_format", "qsv"]
        return []

    def decoder_options(self, codec: str) -> list[str]:
        """Which of FFmpeg's decoders, and that it holds nothing back.

        Threads of frames would delay pictures, with hardware as well. Intel's has a queue of its own, of four.
        """
        if self.name == "qsv":
            return ["-c:v", f"{codec}_qsv", "-async_depth", "1", "-threads", "1"]
        return ["-c:v", codec, "-threads", "1"]

    @property
    def filters(self) -> str:
        """How pictures come into memory, as NV12."""
        # Without hardware FFmpeg would make full brightness limited when it puts colours in turns.
        return "hwdownload,format=nv12" if self.is_hardware else "scale=in_range=full:out_range=full,format=nv12"


def find_route(name: str) -> Route | str:
    """A way to decode with some hardware, or why there is none: one line.

    Args:
        name: One of `HARDWARE`.
    """
    devices = render_devices()
    if not devices:
        return f"there is no {DRI}/renderD* here"
    device = _preferred(devices, name)
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be used: add yourself to the group render"
    program = shutil.which(PROGRAM)
    if program is None:
        return "the program ffmpeg is not installed"
    known = _abilities(program, _mark(program))
    if name not in known:
        return f"{program} was built without {name}"
    return Route(name, program, device, _FPS_MODE in known)


def usable_routes() -> list[Route]:
    """All ways to decode with hardware that are there; without a device it costs one look at a folder."""
    if not render_devices():
        return []
    return [route for name in HARDWARE if isinstance(route := find_route(name), Route)]


def render_devices() -> list[str]:
    """The files of devices that render and decode."""
    try:
        return sorted(str(DRI / name) for name in os.listdir(DRI) if re.fullmatch(r"renderD\d+", name))
    except OSError:
        return []


def driver_of(device: str) -> str:
    """What is known of a device, so that another one has other notes."""
    found = []
    for name in ("vendor", "device"):
        try:
            found.append((_DRM / Path(device).name / "device" / name).read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            found.append("")
    return ":".join(found)


def program_route(program: str | None = None) -> Route | None:
    """FFmpeg's program without hardware, for tests and comparisons; None where it is not installed."""
    path = program or shutil.which(PROGRAM)
    return None if path is None else Route("program", path, "", _FPS_MODE in _abilities(path, _mark(path)))


def mark_of(program: str) -> str:
    """What changes when a program is replaced."""
    return _mark(program)


_FPS_MODE = "-fps_mode"


def _preferred(devices: list[str], name: str) -> str:
    """Quick Sync is Intel's; VA-API is also AMD's."""
    intel = [device for device in devices if driver_of(device).startswith(_INTEL_VENDOR)]
    return (intel or devices)[0] if name in HARDWARE else devices[0]


def _mark(program: str) -> str:
    try:
        found = os.stat(program)
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


@cache
def _abilities(program: str, _: str) -> frozenset[str]:
    """Which kinds of hardware a program was built for, and whether it knows `-fps_mode`."""
    listed = _answer(program, "-hwaccels").split("\n")
    found = {line.strip() for line in listed}
    version = re.search(r"version n?(\d+)\.(\d+)", _answer(program, "-version"))
    if version is None or (int(version[1]), int(version[2])) >= (5, 1):  # Builds between versions are new.
        found.add(_FPS_MODE)
    return frozenset(found)


def _answer(program: str, question: str) -> str:
    try:
        asked = subprocess.run(  # nosec B603
            [program, "-hide_banner" if question != "-version" else "-nostdin", question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ANSWER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout
