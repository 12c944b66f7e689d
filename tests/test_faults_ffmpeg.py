"""Damaged videos beside the `ffmpeg` program: no frame that it decodes is missing."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import pytest

from keepbusy.sources.video import Video
from tests.test_faults_videos import NUM_FRAMES, Damage, bad_length, damaged, nonsense, read_on, write

PROGRAM = imageio_ffmpeg.get_ffmpeg_exe()


def decoded_by_ffmpeg(path: Path, *options: str) -> list[bytes]:
    """Checksums of the pictures that the program decodes; none is doubled or dropped for its time.

    Args:
        path: The video.
        options: Of the decoder. Without any it is as it is by default, with as many threads as there are cores.
    """
    words = ["-nostdin", "-v", "quiet", *options, "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    done = subprocess.run([PROGRAM, *words, "-f", "framemd5", "-"], capture_output=True, timeout=60, check=False)
    return [line.split(b",")[-1].strip() for line in done.stdout.splitlines() if not line.startswith(b"#")]


def most_decoded_by_ffmpeg(path: Path) -> list[bytes]:
    return max(decoded_by_ffmpeg(path), decoded_by_ffmpeg(path, "-threads", "1"), key=len)


def zeroed(content: bytes) -> bytes:
    """The packet's second half is zeros: the decoder begins with it, and finds the fault inside."""
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


H264 = {"codec": "libx264", "g": "12"}
KINDS: dict[str, tuple[str, dict[str, str], Damage]] = {
    "h264 mp4": ("good.mp4", {**H264, "bf": "0"}, bad_length),
    "h264 mkv zeroed": ("good.mkv", {**H264, "bf": "0"}, zeroed),
    "h264 avi zeroed": ("good.avi", {**H264, "bf": "0"}, zeroed),
    "h264 with B-frames mp4": ("good.mp4", {**H264, "bf": "3"}, bad_length),
    "h264 with B-frames mkv": ("good.mkv", {**H264, "bf": "3"}, bad_length),
    "h264 with B-frames mp4 zeroed": ("good.mp4", {**H264, "bf": "3"}, zeroed),
    "mpeg4 mp4": ("good.mp4", {"codec": "mpeg4", "g": "10"}, nonsense),
    "mpeg4 mkv zeroed": ("good.mkv", {"codec": "mpeg4", "g": "10"}, zeroed),
    "mpeg4 avi": ("good.avi", {"codec": "mpeg4", "g": "10"}, nonsense),
    "mpeg4 with B-frames mp4": ("good.mp4", {"codec": "mpeg4", "bf": "2"}, nonsense),
    "mjpeg mp4": ("good.mp4", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, nonsense),
    "mjpeg mkv": ("good.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, nonsense),
    "mjpeg avi zeroed": ("good.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, zeroed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_that_ffmpeg_decodes_is_read(tmp_path: Path, kind: str) -> None:
    """Every second packet is damaged in turn, key frames among them."""
    name, options, damage = KINDS[kind]
    good = write(tmp_path / name, **options)  # type: ignore[arg-type]
    whole = decoded_by_ffmpeg(good)
    assert len(whole) == NUM_FRAMES
    places = range(0, NUM_FRAMES, 2)
    files = [damaged(good, tmp_path / f"bad{where}{good.suffix}", where, damage) for where in places]
    with ThreadPoolExecutor(4) as executor:
        decoded = list(executor.map(most_decoded_by_ffmpeg, files))
    # The faults are real ones: the program loses or spoils pictures.
    assert sum(one != whole for one in decoded) > len(files) * 0.9
    for read_threads in (1, 4):
        read = [len(read_on(Video(str(path), str(path), read_threads=read_threads))[0]) for path in files]
        pairs = zip(places, zip(read, map(len, decoded), strict=True), strict=True)
        assert {where: pair for where, pair in pairs if pair[0] < pair[1]} == {}
