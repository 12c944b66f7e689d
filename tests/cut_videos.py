"""Videos that are easy and hard to cut: made with real encoders, one for each way in which a cut goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

NUM_FRAMES = 240
SIZE_WH = (96, 64)


def picture(index: int) -> NDArray[np.uint8]:
    """A red square that moves over a background that changes with each frame: no two pictures are alike."""
    rng = np.random.default_rng(index // 3)
    found = cv2.resize(rng.integers(0, 120, (8, 12, 3), np.uint8), SIZE_WH, interpolation=cv2.INTER_LINEAR)
    left = index * 2 % 64
    found[16:48, left : left + 32] = (0, 0, 255)
    found[:, index % 96] = 255
    return found.astype(np.uint8)


def encode(
    path: Path,
    codec: str = "libx264",
    *,
    times: Callable[[int], int] = lambda index: index,
    num_frames: int = NUM_FRAMES,
    container: Mapping[str, str] | None = None,
    **options: str,
) -> Path:
    """Encode `picture(0)` to `picture(num_frames - 1)`.

    Args:
        path: The file; its ending chooses the container.
        codec: The encoder.
        times: A frame's place → when it is shown, in steps of 1/25 s.
        num_frames: How many.
        container: Options of the container.
        **options: Options of the encoder, with `_` for `-`.
    """
    with av.open(str(path), "w", options=dict(container or {})) as output:
        stream = output.add_stream(codec, rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = {name.replace("_", "-"): value for name, value in options.items()}
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(index), format="bgr24")
            frame.pts, frame.time_base = times(index), Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def h264_closed(folder: Path) -> Path:
    """Closed GOPs, no B-frames."""
    return encode(folder / "closed.mp4", g="30", bf="0")


def h264_b_frames(folder: Path) -> Path:
    """Closed GOPs with B-frames that refer to each other."""
    return encode(folder / "b-frames.mp4", g="30", bf="3", x264_params="b-pyramid=normal:open-gop=0:scenecut=0")


def h264_open(folder: Path) -> Path:
    """Open GOPs: pictures behind a key frame, and shown before it, refer to the one before."""
    return encode(folder / "open.mkv", g="30", bf="3", x264_params="open-gop=1:scenecut=0")


def h264_open_mp4(folder: Path) -> Path:
    """The same in MP4."""
    return encode(folder / "open.mp4", g="30", bf="3", x264_params="open-gop=1:scenecut=0")


def h264_intra_refresh(folder: Path) -> Path:
    """No key frames but the first: columns are refreshed one after the other."""
    return encode(folder / "refresh.mkv", g="30", bf="0", x264_params="intra-refresh=1")


def hevc_cra(folder: Path) -> Path:
    """HEVC's open GOPs: key frames are CRA, with RASL pictures behind them."""
    x265 = "open-gop=1:keyint=30:min-keyint=30:scenecut=0:bframes=4:log-level=none:pools=none:frame-threads=1"
    return encode(folder / "cra.mp4", "libx265", x265_params=x265)


def hevc_closed(folder: Path) -> Path:
    """HEVC's closed GOPs."""
    x265 = "open-gop=0:keyint=30:min-keyint=30:scenecut=0:bframes=4:log-level=none:pools=none:frame-threads=1"
    return encode(folder / "idr.mkv", "libx265", x265_params=x265)


def variable_rate(folder: Path) -> Path:
    """Pictures at irregular times."""
    return encode(folder / "vfr.mp4", g="30", bf="2", times=lambda index: index * 2 + (index % 7 > 3) + index // 50)


def edit_list(folder: Path) -> Path:
    """An edit list that leaves out the beginning, as a clip that was trimmed without being encoded again has."""
    source = encode(folder / "edit-source.mp4", g="30", bf="2")
    content = bytearray(source.read_bytes())
    place = content.find(b"elst")
    assert place > 0, "the muxer writes an edit list for B-frames"
    # Version and flags, count, then: duration, media time, rate.
    media_time = int.from_bytes(content[place + 16 : place + 20], "big", signed=True)
    with av.open(str(source)) as given:
        ticks = int(Fraction(1, 25) / (given.streams.video[0].time_base or Fraction(1, 25)))
    content[place + 16 : place + 20] = (media_time + 45 * ticks).to_bytes(4, "big", signed=True)
    path = folder / "edit.mp4"
    path.write_bytes(content)
    return path


def avi(folder: Path) -> Path:
    """AVI with its index."""
    return encode(folder / "indexed.avi", "mpeg4", g="30")


def avi_without_index(folder: Path) -> Path:
    """AVI whose index was never written."""
    content = encode(folder / "avi-source.avi", "mpeg4", g="30").read_bytes()
    path = folder / "no-index.avi"
    path.write_bytes(content[: content.rfind(b"idx1")])
    return path


def transport_stream(folder: Path) -> Path:
    """MPEG-TS, which has no index."""
    return encode(folder / "stream.ts", g="30", bf="2")


def truncated(folder: Path) -> Path:
    """MP4 with its index first, cut in the middle."""
    whole = encode(folder / "faststart.mp4", container={"movflags": "+faststart"}, g="30", bf="2")
    content = whole.read_bytes()
    path = folder / "truncated.mp4"
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


def truncated_mkv(folder: Path) -> Path:
    """Matroska, cut in the middle."""
    path = folder / "truncated.mkv"
    content = h264_open(folder).read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return path


def damaged(folder: Path) -> Path:
    """MP4 with bytes overwritten in the middle of its pictures."""
    content = bytearray(encode(folder / "damaged-source.mp4", g="30", bf="0").read_bytes())
    place = content.find(b"mdat") + (len(content) - content.find(b"mdat")) // 2
    content[place : place + 400] = bytes(400)
    path = folder / "damaged.mp4"
    path.write_bytes(content)
    return path


def vp9(folder: Path) -> Path:
    """VP9 in WebM."""
    return encode(folder / "vp9.webm", "libvpx-vp9", g="30", deadline="realtime", cpu_used="8")


def motion_jpeg(folder: Path) -> Path:
    """Every frame is a key frame."""
    return encode(folder / "mjpeg.avi", "mjpeg")


VIDEOS: dict[str, Callable[[Path], Path]] = {
    one.__name__: one
    for one in (
        *(h264_closed, h264_b_frames, h264_open, h264_open_mp4, h264_intra_refresh, hevc_cra, hevc_closed),
        *(variable_rate, edit_list, avi, avi_without_index, transport_stream, truncated),
        *(truncated_mkv, damaged, vp9, motion_jpeg),
    )
}
