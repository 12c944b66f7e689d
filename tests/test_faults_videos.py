"""Videos as other programs cut, join, damage and tag them."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from keepbusy.config import SelectConfig
from keepbusy.errors import FrameError, SourceError
from keepbusy.sources import Selection, Source, open_source
from keepbusy.sources.video import Video
from keepbusy.values.frame import Frame
from tests.fuzz.mutate_png import chunks, joined
from tests.http_server import serving

NUM_FRAMES = 60
Damage = Callable[[bytes], bytes]


def pictures(num: int, size_wh: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    for index in range(num):
        picture = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
        left = 2 * index % (size_wh[0] - 20)
        picture[20:40, left : left + 20] = (0, 0, 255)
        yield picture


def noise(num: int, size_wh: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    for _ in range(num):
        yield random.integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


def write(
    path: Path,
    num: int = NUM_FRAMES,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size_wh: tuple[int, int] = (96, 64),
    **options: str,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_wh
        stream.pix_fmt, stream.options = pix_fmt, {**options}
        for index, picture in enumerate(pictures(num, size_wh)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def damaged(good: Path, bad: Path, where: int, damage: Damage) -> Path:
    """A copy with one packet's bytes changed."""
    with av.open(str(good)) as source, av.open(str(bad), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(one for one in source.demux(video=0) if one.size):
            written: av.Packet[Any] = packet
            if index == where:
                written = av.Packet(damage(bytes(packet)))
                written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
                written.is_keyframe = packet.is_keyframe
            written.stream = stream
            target.mux(written)
    return bad


def read_on(source: Source) -> tuple[list[Frame], list[FrameError]]:
    frames: list[Frame] = []
    errors: list[FrameError] = []
    try:
        while len(frames) + len(errors) < 10 * NUM_FRAMES:
            try:
                frame = source.read()
            except FrameError as error:
                errors.append(error)
                continue
            if frame is None:
                return frames, errors
            frames.append(frame)
    finally:
        source.close()
    raise AssertionError("the source does not end")


def plainly_decoded(path: Path) -> int:
    """How many pictures FFmpeg's decoder gives when each packet is decoded by itself, with one thread."""
    num = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for packet in container.demux(video=0):
            try:
                num += len(packet.decode())
            except av.FFmpegError:
                continue
    return num


def bad_length(content: bytes) -> bytes:
    return b"\xff\xff\xff\x7f" + content[4:]


def nonsense(content: bytes) -> bytes:
    return b"not a picture"


CODECS = {
    "h264": ("good.mp4", {"codec": "libx264", "bf": "0", "g": "10"}, bad_length),
    "h264-b": ("good.mp4", {"codec": "libx264", "bf": "3", "g": "12"}, bad_length),
    "h264-mkv": ("good.mkv", {"codec": "libx264", "bf": "2", "g": "30"}, bad_length),
    "mjpeg": ("good.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, nonsense),
    "mpeg4": ("good.avi", {"codec": "mpeg4", "g": "10"}, nonsense),
    "mpeg4-b": ("good.mp4", {"codec": "mpeg4", "bf": "2"}, nonsense),
}


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("read_threads", [1, 4])
def test_a_damaged_packet_costs_its_own_picture_only(tmp_path: Path, kind: str, read_threads: int) -> None:
    name, options, damage = CODECS[kind]
    good = write(tmp_path / name, **options)  # type: ignore[arg-type]
    for where in range(NUM_FRAMES):
        bad = damaged(good, tmp_path / f"bad{good.suffix}", where, damage)
        frames, errors = read_on(Video(str(bad), str(bad), read_threads=read_threads))
        assert len(frames) >= plainly_decoded(bad), f"packet {where}"
        assert len(frames) == NUM_FRAMES or errors, f"packet {where}: nothing told of what is missing"
        times = [frame.timestamp_s for frame in frames]
        assert times == sorted(times), f"packet {where}"
        if errors and where not in (0, NUM_FRAMES - 1) and kind in ("h264", "mjpeg"):
            assert errors[0].frame_index == where and errors[0].timestamp_s == pytest.approx(where / 25, abs=0.05)


def test_a_trimmed_copy_is_not_cut_short(tmp_path: Path) -> None:
    for gop in ("250", "20"):
        long = write(tmp_path / "long.mp4", 300, g=gop, sc_threshold="0")
        trimmed = tmp_path / "trimmed.mp4"
        with av.open(str(long)) as source, av.open(str(trimmed), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            time_base = source.streams.video[0].time_base
            assert time_base is not None
            cut = int(6 / time_base)
            for packet in source.demux(video=0):
                if packet.dts is not None and packet.pts is not None:
                    packet.pts -= cut
                    packet.dts -= cut
                    packet.stream = stream
                    target.mux(packet)
        frames, errors = read_on(open_source(trimmed))
        assert (len(frames), errors) == (150, [])
        looped = Selection(open_source(trimmed), SelectConfig(loop=True, limit=400))
        frames, errors = read_on(looped)
        assert (len(frames), errors) == (400, [])
        times = [frame.timestamp_s for frame in frames]
        assert times == sorted(times) and [frame.index for frame in frames] == list(range(400))


def test_a_file_that_really_is_cut_is_reported_once(tmp_path: Path) -> None:
    for name in ("cut.avi", "cut.mp4"):
        whole = tmp_path / f"whole-{name}"
        with av.open(str(whole), "w", options={"movflags": "faststart"} if name.endswith("mp4") else {}) as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            rng = np.random.default_rng(0)
            for _ in range(120):
                noise = rng.integers(0, 256, (64, 96, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="bgr24")))
            container.mux(stream.encode())
        content = whole.read_bytes()
        cut = tmp_path / name
        cut.write_bytes(content[: len(content) // 2])
        frames, errors = read_on(open_source(cut))
        assert 30 < len(frames) < 90
        assert [error.reason.split(":")[0] for error in errors] == ["the video is damaged or cut short"], name


def test_time_goes_on_where_a_joined_stream_begins_again(tmp_path: Path) -> None:
    part = write(tmp_path / "part.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    frames, errors = read_on(open_source(joined))
    assert errors == [] and len(frames) >= 2 * NUM_FRAMES - 2
    times = [frame.timestamp_s for frame in frames]
    assert times == sorted(times)
    assert times[-1] == pytest.approx((len(frames) - 1) / 25, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: image[::-1, ::-1].transpose(1, 0, 2)),
    ],
)
def test_the_whole_display_matrix_is_followed(
    tmp_path: Path, matrix: tuple[int, ...], turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    plain = write(tmp_path / "plain.mp4", 3)
    content = bytearray(plain.read_bytes())
    place = content.find(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    stored, shown = (read_on(open_source(path))[0][0].image for path in (plain, turned))
    assert stored is not None and shown is not None
    assert np.array_equal(shown, turn(stored))
    sizes = open_source(turned)
    assert list(sizes.frame_sizes()) == [shown.shape[:2]]
    sizes.close()


def test_the_best_stream_is_read_and_never_a_cover(tmp_path: Path) -> None:
    small, large = (
        write(tmp_path / "small.mp4", 5, size_wh=(64, 64)),
        write(tmp_path / "large.mp4", 5, size_wh=(128, 96)),
    )
    both = tmp_path / "both.mkv"
    with av.open(str(small)) as first, av.open(str(large)) as second, av.open(str(both), "w") as target:
        inputs = (first, second)
        streams = [target.add_stream_from_template(one.streams.video[0]) for one in inputs]
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        for container, stream in zip(inputs, streams, strict=True):
            for packet in container.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    frames, errors = read_on(open_source(both))
    assert errors == [] and {(frame.width, frame.height) for frame in frames} == {(128, 96)}


def test_a_sound_file_with_a_cover_has_no_video(tmp_path: Path) -> None:
    song = tmp_path / "song.m4a"
    with av.open(str(song), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        encoded = cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="bgr24"))
        container.mux([*encoded, *cover.encode()])
        container.mux([*sound.encode(silence), *sound.encode()])
    with av.open(str(song)) as container:
        has_cover = bool(container.streams.video[0].disposition & av.stream.Disposition.attached_pic)
    assert has_cover
    with pytest.raises(SourceError, match="only a cover picture"):
        open_source(song)
    plain = tmp_path / "plain.wav"
    with av.open(str(plain), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        silence.rate = 8000
        container.mux(sound.encode(silence))
    with pytest.raises(SourceError, match="no video in it"):
        open_source(plain)


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4", 5)
    strange = tmp_path / "strange.mp4"
    strange.write_bytes(good.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match="codec is not known"):
        open_source(strange)


def test_colons_in_names_are_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "12_30 clip.mp4", 5).rename(tmp_path / "12:30 clip.mp4")
    frames, errors = read_on(open_source("12:30 clip.mp4"))
    assert (len(frames), errors) == (5, [])


def transport(path: Path, start_s: int) -> bytes:
    write(path)
    with av.open(str(path)) as source, av.open(str(path.with_suffix(".moved.ts")), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.dts += start_s * 90_000
                packet.pts += start_s * 90_000
                packet.stream = stream
                target.mux(packet)
    return path.with_suffix(".moved.ts").read_bytes()


@pytest.mark.parametrize("starts_s", [(100, 0), (0, 100), (3600, 0), (95_430, 0), (3, 0), (100, 0, 100)])
def test_joined_streams_go_on_wherever_their_clocks_stood(tmp_path: Path, starts_s: tuple[int, ...]) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(transport(tmp_path / f"part{start}.ts", start) for start in starts_s))
    frames, errors = read_on(open_source(joined))
    assert not errors and len(frames) == NUM_FRAMES * len(starts_s)
    times = [frame.timestamp_s for frame in frames]
    assert times == sorted(times)
    assert abs(times[-1] - (len(frames) - 1) / 25) < 0.2


def test_a_picture_out_of_order_is_no_new_beginning(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4", bf="2", g="20")
    bad = good
    for index in range(20, 30):
        bad = damaged(bad, tmp_path / f"bad{index}.mp4", index, bad_length)
    frames, errors = read_on(open_source(bad))
    times = [frame.timestamp_s for frame in frames]
    assert errors and times == sorted(times)
    assert times[-1] == pytest.approx((NUM_FRAMES - 1) / 25)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_times_count_from_the_start_also_where_the_first_pictures_fail(tmp_path: Path, name: str) -> None:
    good = write(tmp_path / f"good{name}", bf="0", g="10")
    frames, errors = read_on(open_source(damaged(good, tmp_path / name, 0, bad_length)))
    assert errors
    assert frames[-1].timestamp_s == pytest.approx((NUM_FRAMES - 1) / 25, abs=0.002)


def test_an_error_has_the_time_and_size_of_its_frame(tmp_path: Path) -> None:
    bad = damaged(write(tmp_path / "good.mp4", bf="0"), tmp_path / "bad.mp4", 30, bad_length)
    _, errors = read_on(open_source(bad))
    assert errors[0].timestamp_s == pytest.approx(30 / 25) and errors[0].shape_hw == (64, 96)


def test_in_a_loop_indices_and_times_go_on_behind_errors(tmp_path: Path) -> None:
    bad = damaged(write(tmp_path / "good.mp4", bf="0", g="10"), tmp_path / "bad.mp4", 59, bad_length)
    looped = Selection(open_source(bad), SelectConfig(loop=True, limit=150))
    frames, errors = read_on(looped)
    indices = sorted([frame.index for frame in frames] + [error.frame_index for error in errors])
    assert indices == list(range(150))
    times = [frame.timestamp_s for frame in frames]
    assert times == sorted(times) and times[-1] == pytest.approx(149 / 25, abs=0.2)


def test_one_odd_entry_of_a_list_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 3)
    write(tmp_path / "b.mp4", 3)
    (tmp_path / "list.txt").write_text("a.mp4\n99999999999\nmissing.mp4\nb.mp4\n")
    frames, errors = read_on(open_source(tmp_path / "list.txt"))
    assert len(frames) == 6 and len(errors) == 2
    assert "99999999999" in errors[0].source


LISTS = {
    "self.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n",
    "segments.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.mp4\n",
    "list.mp4": "ffconcat version 1.0\nfile clip.mp4\n",
    "camera.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.timeout(60)
def test_a_file_that_names_other_files_is_not_followed(tmp_path: Path, clip: Path, name: str) -> None:
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / name).write_text(LISTS[name])
    with pytest.raises(SourceError, match="a list of other files or addresses, which is not followed"):
        open_source(tmp_path / name)


def test_the_end_of_a_live_stream_is_an_error(tmp_path: Path) -> None:
    encoded = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures(3, (96, 64))]

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for number in range(30):
                jpeg = encoded[number % 3]
                self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                self.wfile.write(jpeg + b"\r\n")

        def log_message(self, *args: object) -> None:
            pass

    with serving(Camera) as address:
        frames, errors = read_on(open_source(f"{address}/camera"))
    assert frames[-1].index == 29  # All came at once: the last one is fresh.
    assert [error.reason.split(":")[0] for error in errors] == ["the stream ended after 30 frames"]


RTSP_SERVER = """
from tests.rtsp_server import rtsp_camera
with rtsp_camera() as url:
    print(url, flush=True)
    input()
"""


def test_a_killed_rtsp_server_is_an_error(blob_model: Path) -> None:
    root = Path(__file__).parent.parent
    piped = subprocess.PIPE
    server = subprocess.Popen(
        [sys.executable, "-c", RTSP_SERVER], stdin=piped, stdout=piped, cwd=root, encoding="utf-8"
    )
    with server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        words = ["detect", url, "-m", str(blob_model), "--json", "-", "-q"]
        try:
            with subprocess.Popen([sys.executable, "-m", "keepbusy", *words], stdout=piped, stderr=piped) as program:
                assert program.stdout is not None
                first = [json.loads(program.stdout.readline()) for _ in range(5)]
                server.kill()
                _, told = program.communicate(timeout=60)
        finally:
            server.kill()
    assert [frame["detections"][0]["name"] for frame in first] == ["red"] * 5
    lines = told.decode().splitlines()
    assert program.returncode == 1
    assert re.match(rf"error: read: {re.escape(url)}: frame \d+.*: the stream ended after \d+ frames", lines[-2]), lines
    assert lines[-1].startswith("hint: check the network and the camera")


CONTAINERS = {
    "mp4": {"codec": "libx264", "movflags": "+faststart"},
    "mov": {"codec": "libx264", "movflags": "+faststart"},
    "mkv": {"codec": "libx264"},
    "webm": {"codec": "libvpx"},
    "avi": {"codec": "mpeg4"},
    "flv": {"codec": "libx264"},
    "wmv": {"codec": "wmv2"},
    "mxf": {"codec": "mpeg2video"},
}


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_file_that_is_cut_says_so_and_a_whole_one_does_not(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Packets so large that no index counts beside them.
    monkeypatch.setattr(f"{__name__}.pictures", noise)
    options = CONTAINERS[ending]
    movflags = {key: value for key, value in options.items() if key != "codec"}
    good = write(tmp_path / f"good.{ending}", g="10", codec=options["codec"])
    if movflags:
        good = remuxed(good, tmp_path / f"fast.{ending}", movflags)
    frames, errors = read_on(open_source(str(good)))
    assert len(frames) == NUM_FRAMES and not errors
    content = good.read_bytes()
    for percent in (50, 70, 85, 95):
        bad = tmp_path / f"bad.{ending}"
        bad.write_bytes(content[: len(content) * percent // 100])
        frames, errors = read_on(open_source(str(bad)))
        assert 0 < len(frames) < NUM_FRAMES
        assert errors and errors[-1].frame_index >= len(frames)


def remuxed(good: Path, path: Path, options: dict[str, str]) -> Path:
    with av.open(str(good)) as source, av.open(str(path), "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_a_lost_index_alone_is_no_lost_picture(ending: str, tmp_path: Path) -> None:
    good = write(tmp_path / f"good.{ending}", codec="libvpx" if ending == "webm" else "libx264")
    content = good.read_bytes()
    cues = content.rfind(bytes.fromhex("1c53bb6b"))
    assert cues > len(content) // 2
    bad = tmp_path / f"bad.{ending}"
    bad.write_bytes(content[:cues])
    frames, errors = read_on(open_source(str(bad)))
    assert len(frames) == NUM_FRAMES and not errors


def test_a_long_sound_makes_no_video_short(tmp_path: Path) -> None:
    for ending in ("mkv", "mp4", "flv", "mov"):
        path = tmp_path / f"talk.{ending}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            sound = container.add_stream("aac", rate=8000)
            sound.layout = "mono"
            for index, picture in enumerate(pictures(25, (96, 64))):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            for index in range(80):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                silence.sample_rate, silence.pts = 8000, 1024 * index
                container.mux(sound.encode(silence))
            container.mux(sound.encode())
        frames, errors = read_on(open_source(str(path)))
        assert len(frames) == 25 and not errors, ending


def test_an_mp4_whose_recording_was_interrupted_is_named_as_that(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    with pytest.raises(SourceError, match="its index, which stands at the end, is missing") as caught:
        open_source(str(bad))
    assert caught.value.hint is not None and "recording was interrupted" in caught.value.hint


def test_a_damaged_tail_of_a_pipe_ends(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mkv", codec="mpeg4", g="10")
    content = damaged(good, tmp_path / "bad.mkv", 58, nonsense).read_bytes()
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()
    frames: list[Frame] = []
    reader = threading.Thread(
        target=lambda: frames.extend(read_on(Video(str(pipe), str(pipe), read_threads=4))[0]), daemon=True
    )
    reader.start()
    reader.join(30)
    assert not reader.is_alive(), "the pipe was opened a second time"
    writer.join()
    assert len(frames) >= 56


@pytest.mark.parametrize("read_ahead", [True, False])
@pytest.mark.parametrize("threads", [None, 2])
def test_a_failure_is_told_once_however_many_threads_decode(
    tmp_path: Path, read_ahead: bool, threads: int | None
) -> None:
    good = write(tmp_path / "good.mkv", 8, codec="ffv1")
    for where in (3, 7):
        bad = damaged(good, tmp_path / "bad.mkv", where, lambda content: content[:40])
        with contextlib.closing(open_source(bad, read_ahead=read_ahead, read_threads=threads)) as source:
            ends = []
            while (end := read_or_failure(source)) is not None:
                ends.append(end)
        assert ends == [index != where for index in range(8)]


def read_or_failure(source: Source) -> bool | None:
    """Whether the next frame is a picture; None at the end."""
    try:
        return None if source.read() is None else True
    except FrameError:
        return False


def test_what_ffmpeg_has_not_implemented_ends_the_video_with_a_reason(tmp_path: Path) -> None:
    parts = chunks(write(tmp_path / "good.apng", 6, codec="apng", pix_fmt="rgb24").read_bytes())
    fourth = [at for at, (kind, _) in enumerate(parts) if kind == b"fcTL"][3]
    bad = tmp_path / "bad.apng"
    bad.write_bytes(joined([*parts[:fourth], parts[fourth], *parts[fourth:]]))
    with contextlib.closing(open_source(bad)) as source:
        frames = []
        with pytest.raises(FrameError, match="damaged or cut short: ends after 3 frames: Not yet implemented"):
            while (frame := source.read()) is not None:
                frames.append(frame)
        assert frames and source.read() is None
