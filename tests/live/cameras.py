"""Real RTSP cameras: clips whose pictures carry their number, and the server that plays them in a loop."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

SERVER = Path(__file__).with_name("gst_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = SERVER.with_name("debian.txt").read_text(encoding="utf-8").split()
"""Debian's, which the server needs, and the browser of the page's tests."""

BIT_PX = 10
NUM_BITS = 9
"""A picture's number, within a loop of at most 512, as black and white blocks along its upper edge."""

_CHECK = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ('appsrc', 'rtph264pay', 'rtph265pay')))"
)


def why_no_server() -> str:
    """What keeps the RTSP server from working on this machine; empty where it works."""
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"no {SYSTEM_PYTHON}"
    done = subprocess.run([SYSTEM_PYTHON, "-c", _CHECK], capture_output=True, encoding="utf-8", check=False)
    last = done.stderr.strip().splitlines()[-1:] or ["it fails"]
    return "" if done.returncode == 0 else f"{last[0]}: apt-get install {' '.join(PACKAGES)}"


def numbered(number: int, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture that carries its number, with a red square that moves; uint8 (H, W, 3), BGR."""
    width, height = size_wh
    picture = np.full((height, width, 3), 60, np.uint8)
    left = number * 7 % (width - 48)
    picture[height // 2 : height // 2 + 48, left : left + 48] = (20, 20, 230)
    for bit in range(NUM_BITS):
        picture[:BIT_PX, bit * BIT_PX : (bit + 1) * BIT_PX] = 255 if number >> bit & 1 else 0
    return picture


def number_in(image: NDArray[np.uint8]) -> int:
    """The number that a picture carries."""
    middle = BIT_PX // 2
    bits = [
        int(image[middle - 2 : middle + 2, bit * BIT_PX + 3 : bit * BIT_PX + 7].mean() > 127) for bit in range(NUM_BITS)
    ]
    return sum(one << bit for bit, one in enumerate(bits))


def write_clip(
    path: Path,
    *,
    size_wh: tuple[int, int] = (320, 240),
    fps: int = 30,
    num: int = 120,
    codec: str = "h264",
    key_every: int = 30,
    b_frames: int = 0,
) -> Path:
    """Encode numbered pictures for the server. B-frames are none that others refer to."""
    packets: list[Any] = []
    context = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = size_wh
    context.pix_fmt, context.framerate, context.time_base = "yuv420p", Fraction(fps), Fraction(1, fps)
    common = f"keyint={key_every}:min-keyint={key_every}:scenecut=0:bframes={b_frames}:repeat-headers=1:aud=1"
    kind, more = {
        "h264": ("x264-params", ":sliced-threads=0:slices=1:b-adapt=0:b-pyramid=none:open-gop=0"),
        "hevc": ("x265-params", ":log-level=none:b-adapt=0:open-gop=0:pools=1"),
    }[codec]
    context.options = {"preset": "ultrafast", kind: f"{common}{more}", **({} if b_frames else {"tune": "zerolatency"})}
    for number in range(num):
        picture = av.VideoFrame.from_ndarray(numbered(number, size_wh), format="bgr24")
        picture.pts = number
        packets += context.encode(picture)
    packets += context.encode(None)
    with path.open("wb") as file:
        file.write(struct.pack("<8sII", codec.encode(), fps, len(packets)))
        for packet in packets:
            file.write(struct.pack("<II", packet.pts, packet.size))
        for packet in packets:
            file.write(bytes(packet))
    return path


@dataclass
class RtspCamera:
    """A camera that runs.

    Attributes:
        port: On loopback.
        is_secure: Whether it speaks RTSPS.
    """

    port: int
    is_secure: bool
    _process: subprocess.Popen[str]
    _times: mmap.mmap

    @property
    def url(self) -> str:
        """Its address."""
        return f"rtsp{'s' if self.is_secure else ''}://127.0.0.1:{self.port}/cam"

    def tell(self, command: str) -> None:
        """Have it do something: see `gst_server.py`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill its server."""
        self._process.kill()

    def sent_ns(self, number: int) -> int:
        """When the picture with a number was sent the last time: nanoseconds of the monotonic clock."""
        found: int = struct.unpack_from("<q", self._times, 8 * number)[0]
        return found


@contextmanager
def rtsp_camera(clips: Sequence[Path], keys: Path | None = None) -> Iterator[RtspCamera]:
    """A camera that plays the first of some clips; the others when it is told to.

    Args:
        clips: What `write_clip` has made.
        keys: A certificate and its key, PEM: it speaks RTSPS then.
    """
    with tempfile.NamedTemporaryFile() as times:
        times.write(bytes(8 << NUM_BITS))
        times.flush()
        command: list[Any] = [SYSTEM_PYTHON, SERVER, *clips, times.name, keys or ""]
        pipe = subprocess.PIPE
        with (
            mmap.mmap(times.fileno(), 0) as moments,
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=sys.stderr, encoding="utf-8") as process,
        ):
            try:
                assert process.stdout is not None
                yield RtspCamera(int(process.stdout.readline()), keys is not None, process, moments)
            finally:
                process.kill()
