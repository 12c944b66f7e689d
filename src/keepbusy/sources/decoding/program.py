"""FFmpeg's program as a decoder: packets into its standard input, NV12 pictures out of its standard output.

It never learns where the packets come from: no address, and so no password, stands in its arguments. The time of each
picture comes by a pipe of its own, one line for each. One thread does all of it and waits for all pipes at once, so
that none can hold up another. When keepbusy is killed, the program's input ends, and so does it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import select
import signal
import subprocess  # nosec B404 # A fixed program with a list of arguments; no shell.
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.sources.decoding.bell import Bell
from keepbusy.sources.decoding.bitstream import packet_header, stream_header
from keepbusy.sources.decoding.hardware import Route
from keepbusy.texts import told_by, without_secrets

log = logging.getLogger("keepbusy")

STALL_S = 5.0
"""A program that has work and gets nothing done for so long is ended. Drivers take a second for their first picture."""

END_S = 1.0
"""How long a program that was told to end may take; it is killed then. A killed one is gone at once, unless its driver
hangs in the kernel: it is left behind then, and ends when the driver does."""

_PIPE_BYTES = 1 << 20
"""What Linux lets everybody have: fewer turns for a picture."""

_CHUNK_BYTES = 1 << 16
_MAX_LINES = 3
_TIME = re.compile(rb"^frame:\d+\s+pts:(-?\d+|\S+)")
_PREFIX = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\] ")


class ProgramError(Exception):
    """The program does not decode; one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture.

    Attributes:
        ticks: What was given with its packet.
        planes: uint8 (H * 3 / 2, W): brightness, and below it blue and red in turns, at half the size.
    """

    ticks: int
    planes: NDArray[np.uint8]


class Program:
    """One process. For one thread; `bell` wakes it.

    Args:
        route: How it decodes.
        codec: `h264` or `hevc`.
        shape_hw: Height and width of its pictures, pixels, both even.
        time_base: Numerator and denominator of the unit of `ticks`.
        bell: What ends a wait.
        options: Further options of its decoder, as `decoder_options` gives them.

    Attributes:
        pictures: What has come out and not been taken.
        num_out: How many have come out.

    Raises:
        ProgramError: It cannot be started.
    """

    def __init__(
        self,
        route: Route,
        codec: str,
        shape_hw: tuple[int, int],
        time_base: tuple[int, int],
        bell: Bell,
        options: dict[str, str] | None = None,
    ) -> None:
        height, width = shape_hw
        self.pictures: deque[Picture] = deque()
        self.num_out = 0
        self.cpu_s = 0.0
        self._shape = (height * 3 // 2, width)
        self._bell = bell
        self._to_send: deque[memoryview] = deque([memoryview(stream_header(codec, width, height, time_base))])
        self._planes: NDArray[np.uint8] | None = None
        self._num_filled = 0
        self._whole: deque[NDArray[np.uint8]] = deque()
        self._ticks: deque[int] = deque()
        self._times = b""
        self._told: deque[str] = deque(maxlen=_MAX_LINES)
        self._has_complained = False
        self._is_ending = False
        self._progress_s = time.monotonic()
        self._poll = select.poll()
        self._process, self._fds = _start(route, codec, options or {})
        for name in ("stdout", "times", "stderr"):
            self._poll.register(self._fds[name], select.POLLIN)
        self._is_polled_for_input = False

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self._process.pid)

    @property
    def num_unsent_bytes(self) -> int:
        """Of packets that were fed, and that it has not taken yet."""
        return sum(map(len, self._to_send))

    @property
    def is_over(self) -> bool:
        """Whether its output has ended, and all pictures were taken."""
        return "stdout" not in self._fds and not self.pictures

    def feed(self, data: bytes, ticks: int) -> None:
        """Give it one packet; it is sent while `work` waits."""
        self._to_send.append(memoryview(packet_header(len(data), ticks) + data))

    def end(self) -> None:
        """Nothing more is fed: what is inside comes out, and its output ends."""
        self._is_ending = True
        self._close_input_if_sent()

    def has_complained(self) -> bool:
        """Whether it has written of an error since the last call."""
        has_complained, self._has_complained = self._has_complained, False
        return has_complained

    @property
    def complaint(self) -> str:
        """What it has written last, without addresses' secrets; empty where nothing."""
        return "; ".join(self._told)

    def begin_wait(self) -> None:
        """Hear that from now on its time counts: meanwhile nobody may have looked at it."""
        self._progress_s = time.monotonic()

    def work(self, timeout_s: float, *, is_due: bool = False) -> None:
        """Send and receive what can be, or wait for that, for the bell, or for so long.

        Args:
            timeout_s: How long to wait.
            is_due: It has got so much that a picture must come.

        Raises:
            ProgramError: It has ended though it was not told to, failed, or hangs.
        """
        self._want_input(bool(self._to_send))
        self._poll.register(self._bell.fd, select.POLLIN)
        events = dict(self._poll.poll(timeout_s * 1e3))
        self._bell.hush()
        for name, act in (
            ("stderr", self._read_words),
            ("times", self._read_times),
            ("stdout", self._read_planes),
            ("stdin", self._send),
        ):
            if self._fds.get(name) in events:
                act()
        self._pair()
        self._check(is_due)

    def close(self) -> float:
        """End it, and release its pipes; further calls do nothing.

        Returns:
            How much CPU time it has used, seconds; 0 where that is not known.
        """
        for name in list(self._fds):
            self._close_pipe(name)
        process, self._process = self._process, None
        if process is None:
            return self.cpu_s
        for wait_s in (END_S if self._is_ending else 0.0, END_S):
            if (found := _wait(process, wait_s)) is not None:
                self.cpu_s = found
                return self.cpu_s
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGKILL)
        log.warning("the program %d does not end: its driver hangs", process.pid)
        return self.cpu_s

    def _want_input(self, is_wanted: bool) -> None:
        fd = self._fds.get("stdin")
        if fd is not None and is_wanted != self._is_polled_for_input:
            self._is_polled_for_input = is_wanted
            if is_wanted:
                self._poll.register(fd, select.POLLOUT)
            else:
                self._poll.unregister(fd)

    def _send(self) -> None:
        fd = self._fds["stdin"]
        while self._to_send:
            part = self._to_send[0]
            try:
                num_sent = os.write(fd, part)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                # It reads no more: how it ended says why.
                self._to_send.clear()
                self._close_pipe("stdin")
                return
            self._progress_s = time.monotonic()
            if num_sent < len(part):
                self._to_send[0] = part[num_sent:]
            else:
                self._to_send.popleft()
        self._close_input_if_sent()

    def _close_input_if_sent(self) -> None:
        if self._is_ending and not self._to_send:
            self._close_pipe("stdin")

    def _read_planes(self) -> None:
        fd = self._fds["stdout"]
        if self._planes is None:
            self._planes, self._num_filled = np.empty(self._shape, np.uint8), 0
        space = self._planes.data.cast("B")
        try:
            num_read = os.readv(fd, [space[self._num_filled :]])
        except BlockingIOError:
            return
        if not num_read:
            self._close_pipe("stdout")
            return
        self._progress_s = time.monotonic()
        self._num_filled += num_read
        if self._num_filled == len(space):
            self._whole.append(self._planes)
            self._planes, self._num_filled = None, 0

    def _read_times(self) -> None:
        chunk = self._read("times")
        *lines, self._times = (self._times + chunk).split(b"\n")
        for line in lines:
            if (found := _TIME.match(line)) is not None:
                self._ticks.append(int(found[1]) if found[1].lstrip(b"-").isdigit() else -1)

    def _read_words(self) -> None:
        for line in self._read("stderr").decode("utf-8", "replace").splitlines():
            if line.strip():
                self._has_complained = True
                self._told.append(told_by(without_secrets(_PREFIX.sub("", line))))

    def _read(self, name: str) -> bytes:
        try:
            chunk = os.read(self._fds[name], _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        if not chunk:
            self._close_pipe(name)
        return chunk

    def _pair(self) -> None:
        while self._whole and self._ticks:
            self.num_out += 1
            self.pictures.append(Picture(self._ticks.popleft(), self._whole.popleft()))

    def _check(self, is_due: bool) -> None:
        if "stdout" not in self._fds:
            if self._whole and "times" not in self._fds:
                raise ProgramError(self._why("it gave pictures without a time"))
            status = _status(self._process, END_S)
            if self._num_filled or not self._is_ending or status != 0:
                behind = f" behind {self._num_filled} bytes of a picture" if self._num_filled else ""
                raise ProgramError(self._why(_how_it_ended(status) + behind))
        elif time.monotonic() - self._progress_s > STALL_S and (is_due or self._to_send or self._is_ending):
            raise ProgramError(self._why(f"it has done nothing for {STALL_S:g} s"))

    def _why(self, what: str) -> str:
        with contextlib.suppress(OSError, KeyError):
            self._read_words()
        return f"{what}: {self.complaint}" if self._told else what

    def _close_pipe(self, name: str) -> None:
        fd = self._fds.pop(name, None)
        if fd is None:
            return
        with contextlib.suppress(KeyError, OSError):
            self._poll.unregister(fd)
        os.close(fd)


def _start(route: Route, codec: str, options: dict[str, str]) -> tuple[Any, dict[str, int]]:
    """The process, and our ends of its pipes."""
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    try:
        for name, is_input in (("stdin", True), ("stdout", False), ("times", False), ("stderr", False)):
            ends = os.pipe()
            ours[name], theirs[name] = ends[::-1] if is_input else ends
            os.set_blocking(ours[name], False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(ours["stdout"], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        process = subprocess.Popen(  # nosec B603 # See above.
            arguments(route, codec, theirs["times"], options),
            stdin=theirs["stdin"],
            stdout=theirs["stdout"],
            stderr=theirs["stderr"],
            pass_fds=(theirs["times"],),
            start_new_session=True,  # Ctrl-C is ours to act on.
        )
    except BaseException as error:
        for fd in ours.values():
            os.close(fd)
        if not isinstance(error, (OSError, ValueError)):
            raise
        raise ProgramError(f"{route.program} cannot be started: {getattr(error, 'strerror', error)}") from error
    finally:
        for fd in theirs.values():
            os.close(fd)
    return process, ours


def arguments(route: Route, codec: str, times_fd: int, options: dict[str, str]) -> list[str]:
    """What the program is called with.

    Args:
        route: How it decodes.
        codec: `h264` or `hevc`.
        times_fd: The number of the pipe for the pictures' times.
        options: Further options of its decoder.
    """
    # Every picture gets a mark, so that there is one to be printed, and with it the picture's time.
    times = rf"metadata=mode=add:key=k:value=1,metadata=mode=print:file=pipe\\:{times_fd}:direct=1"
    further = [word for name, value in options.items() for word in (f"-{name}", value)]
    return [
        *(route.program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        # Nothing is read ahead to learn what is known; what is read for that would be lost with `nobuffer`.
        *("-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0", "-copyts", "-noautorotate"),
        *route.input_options,
        *route.decoder_options(codec),
        *further,
        *("-f", "ivf", "-i", "pipe:0", "-map", "0:v:0", "-vf", f"{route.filters},{times}"),
        *(("-fps_mode" if route.has_frame_rate_mode else "-vsync"), "passthrough"),
        # Even raw pictures are encoded by threads of frames, each of which would hold one back.
        *("-threads", "1", "-autoscale", "0", "-pix_fmt", "nv12", "-flush_packets", "1", "-f", "rawvideo", "pipe:1"),
    ]


def _wait(process: Any, timeout_s: float) -> float | None:
    """Wait for a process: its CPU time, seconds; None where it goes on."""
    until_s = time.monotonic() + timeout_s
    if process.returncode is not None:
        return float(process.cpu_s)
    with contextlib.suppress(OSError, AttributeError):
        if (fd := os.pidfd_open(process.pid)) >= 0:
            waiting = select.poll()
            waiting.register(fd, select.POLLIN)
            try:
                waiting.poll(max(0.0, until_s - time.monotonic()) * 1e3)
            finally:
                os.close(fd)
    try:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
    except ChildProcessError:
        process.returncode, process.cpu_s = 0, 0.0
        return 0.0
    if not found:
        return None
    process.returncode, process.cpu_s = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    return float(process.cpu_s)


def _status(process: Any, timeout_s: float) -> int | None:
    _wait(process, timeout_s)
    code: int | None = process.returncode
    return code


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "its output ended, and it goes on"
    if status < 0:
        return f"it was ended by signal {-status}"
    return f"it ended with code {status}" if status else "it ended before its time"
