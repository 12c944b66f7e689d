"""Decoding by FFmpeg's program: a real one, without hardware, by the way that hardware takes."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.cache.notes import Notebook
from keepbusy.errors import FrameError
from keepbusy.pictures.planes import Planes, shrink
from keepbusy.sources import Source, open_source
from keepbusy.sources.base import Decoding
from keepbusy.sources.decoding import auto, choose, hardware
from keepbusy.sources.decoding.annexb import AnnexB
from keepbusy.sources.decoding.auto import Auto, best
from keepbusy.sources.decoding.bell import Bell
from keepbusy.sources.decoding.bitstream import begins_anew, is_spare, parameter_sets
from keepbusy.sources.decoding.hardware import Route, find_route, program_route, usable_routes
from keepbusy.sources.decoding.kept import FIRST_TICKS, Kept, Ticks
from keepbusy.sources.decoding.likeness import Likeness
from keepbusy.sources.decoding.measure import Measured
from keepbusy.sources.decoding.program import Program, ProgramError, arguments
from keepbusy.sources.decoding.session import Session
from keepbusy.sources.video import Video
from keepbusy.values.frame import Frame
from tests.live.cameras import number_in, rtsp_camera, why_no_server, write_clip
from tests.waiting import wait_until

NUM, SIZE = 60, (96, 64)

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "h264": ("libx264", "mp4", {"bf": "0"}),
    "h264-reordered": ("libx264", "mp4", {"bf": "2"}),
    "h264-broadcast": ("libx264", "ts", {"bf": "2"}),
    "h264-full-range": ("libx264", "mp4", {"bf": "0"}),
    "hevc": ("libx265", "mp4", {"x265-params": "log-level=none:pools=1"}),
    "hevc-broadcast": ("libx265", "ts", {"x265-params": "log-level=none:pools=1:repeat-headers=1"}),
}


def test_the_program_is_there_where_it_has_to_be() -> None:
    if shutil.which("ffmpeg") is None and not os.environ.get("KEEPBUSY_CI"):
        pytest.skip("ffmpeg is not installed")
    assert shutil.which("ffmpeg")


@pytest.fixture
def route() -> Route:
    found = program_route()
    if found is None:
        pytest.skip("ffmpeg is not installed")
    return found


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What makes videos of each kind, once."""
    folder = tmp_path_factory.mktemp("videos")

    def make(kind: str) -> Path:
        encoder, ending, options = KINDS[kind]
        path = folder / f"{kind}.{ending}"
        if not path.exists():
            write(path, encoder, pix_fmt="yuvj420p" if "range" in kind else "yuv420p", **options)
        return path

    return make


def write(
    path: Path, encoder: str, *, size_wh: tuple[int, int] = SIZE, num: int = NUM, pix_fmt: str = "yuv420p", **more: Any
) -> Path:
    """Pictures that differ, with a key frame every 20."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder, rate=30)
        stream.width, stream.height = size_wh
        stream.pix_fmt, stream.gop_size = pix_fmt, 20
        stream.options = {"preset": "ultrafast", **more}
        for number in range(num):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, size_wh), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def picture(number: int, size_wh: tuple[int, int]) -> Any:
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]]
    return np.stack([(columns * 2 + number * 5) % 256, (rows * 3) % 256, (rows + columns + number) % 256], -1).astype(
        np.uint8
    )


def read(source: Video) -> Iterator[Frame]:
    while (frame := source.read()) is not None:
        yield frame


def read_all(path: Path, decoder: Any) -> list[Frame]:
    source = Video(str(path), path.name, decoder=decoder)
    try:
        return list(read(source))
    finally:
        source.close()


def program_of(source: Video) -> Program:
    session: Session = source._packets._session  # type: ignore[union-attr,assignment]
    return session._program


def assert_the_same(found: list[Frame], expected: list[Frame]) -> None:
    assert [(one.index, one.timestamp_s, one.shape_hw) for one in found] == [
        (one.index, one.timestamp_s, one.shape_hw) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(laid_out(one), laid_out(other))
        assert np.array_equal(one.image, other.image)  # type: ignore[arg-type]


def laid_out(frame: Frame) -> Any:
    """As the model gets it."""
    assert isinstance(frame.picture, Planes)
    window = np.zeros((36, 50, 3), np.uint8)
    shrink(frame.picture, window)
    return window


@pytest.mark.parametrize("kind", KINDS)
def test_its_pictures_are_those_of_software_byte_for_byte(
    videos: Callable[[str], Path], route: Route, kind: str
) -> None:
    path = videos(kind)
    found = read_all(path, route)
    assert len(found) == NUM and isinstance(found[0].picture, Planes)
    assert found[0].picture.decoded.format.name == "nv12"
    assert_the_same(found, read_all(path, "software"))


def test_nothing_of_it_is_left_and_its_arguments_name_no_source(videos: Callable[[str], Path], route: Route) -> None:
    before = set(os.listdir("/proc/self/fd"))
    path = videos("h264")
    source = Video(str(path), path.name, decoder=route)
    assert source.read() is not None and source.decoding.decoder == "program"
    pid = program_of(source).pid
    told = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    assert "pipe:0" in told and path.name not in told
    started_s = time.monotonic()
    source.close()
    assert time.monotonic() - started_s < 2
    assert not Path(f"/proc/{pid}").exists()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert source.read() is None
    source.close()


def test_a_loop_and_a_pause_of_its_reader(videos: Callable[[str], Path], route: Route) -> None:
    path = videos("hevc")
    source = Video(str(path), path.name, decoder=route)
    first = list(read(source))
    source.rewind()
    again = [next(read(source))]
    time.sleep(0.3)
    again += read(source)
    source.close()
    assert_the_same(again, first)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Videos whose pictures do not all fit into a pipe."""
    folder = tmp_path_factory.mktemp("large")

    def make(encoder: str) -> Path:
        path = folder / f"{encoder}.ts"
        more: dict[str, Any] = {"x265-params": "log-level=none:pools=1"} if encoder == "libx265" else {"bf": "2"}
        return path if path.exists() else write(path, encoder, size_wh=(640, 480), **more)

    return make


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_program_that_is_killed_is_started_again_and_no_picture_is_lost(
    large: Callable[[str], Path], route: Route, encoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = large(encoder)
    expected = read_all(path, "software")
    source = Video(str(path), path.name, decoder=route)
    found, killed = [], set()
    with caplog.at_level(logging.WARNING, "keepbusy"):
        for frame in read(source):
            found.append(frame)
            if len(found) in (10, 35):
                killed.add(pid := program_of(source).pid)
                os.kill(pid, signal.SIGKILL)
        assert source.decoding.decoder == "program"
    source.close()
    assert len(killed) == 2 and "signal 9" in caplog.text and "started again" in caplog.text
    assert_the_same(found, expected)


def test_one_that_fails_again_and_again_gives_way_to_software(
    large: Callable[[str], Path], route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    path = large("libx264")
    expected = read_all(path, "software")
    source = Video(str(path), path.name, decoder=route)
    found = []
    with caplog.at_level(logging.WARNING, "keepbusy"):
        for frame in read(source):
            found.append(frame)
            if len(found) in (5, 15, 25):
                os.kill(program_of(source).pid, signal.SIGKILL)
    assert source.decoding.decoder == "software" and "signal 9" in source.decoding.reason
    source.close()
    assert_the_same(found, expected)


def test_one_that_hangs_is_ended(videos: Callable[[str], Path], route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.sources.decoding.program.STALL_S", 0.4)
    path = write(videos("h264").with_name("large.mp4"), "libx264", size_wh=(640, 480), bf="0")
    expected = read_all(path, "software")
    source = Video(str(path), path.name, decoder=route)
    found = []
    for frame in read(source):
        found.append(frame)
        if len(found) == 3:
            os.kill(pid := program_of(source).pid, signal.SIGSTOP)
    source.close()
    assert not Path(f"/proc/{pid}").exists()
    assert_the_same(found, expected)


def impostor(folder: Path, body: str) -> Route:
    """A program that is not FFmpeg's."""
    path = folder / "ffmpeg"
    begin = "import os, re, sys, time\nfound = re.search(r'pipe\\D*(\\d+):direct', ' '.join(sys.argv))\n"
    path.write_text(f"#!{sys.executable} -S\n{begin}{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Route("program", str(path))


PICTURE = "os.write(int(found[1]), b'frame:0 pts:{}\\n'); os.write(1, bytes(9216)); time.sleep(30)"

IMPOSTORS = {
    "absent": ("", "No such file"),
    "ends at once": ("", "it ended before its time"),
    "an error": ("print('rtsp://u:geheim@cam/x?token=geheim2: no device', file=sys.stderr); sys.exit(3)", "code 3"),
    "garbage": ("os.write(1, os.urandom(9216 * 5))", "without a time"),
    "half a picture": ("os.write(1, bytes(1000))", "1000 bytes of a picture"),
    "wrong pictures": (PICTURE.format(FIRST_TICKS), "not the one that software decodes"),
    "wrong times": (PICTURE.format("NOPTS"), "not asked for"),
    "silence": ("time.sleep(30)", "done nothing"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_whatever_the_program_does_software_decodes_instead(
    videos: Callable[[str], Path], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.sources.decoding.program.STALL_S", 0.3)
    body, reason = IMPOSTORS[kind]
    route = Route("program", str(tmp_path / "nothing")) if kind == "absent" else impostor(tmp_path, body)
    path = videos("h264")
    source = Video(str(path), path.name, decoder=route)
    found = list(read(source))
    assert source.decoding.decoder == "software" and reason in source.decoding.reason
    assert "geheim" not in source.decoding.reason
    source.close()
    assert_the_same(found, read_all(path, "software"))


def test_what_hardware_does_not_decode(tmp_path: Path, route: Route) -> None:
    for name, encoder, pix_fmt, reason in (
        ("ten.mp4", "libx264", "yuv420p10le", "yuv420p10le"),
        ("full.mp4", "libx264", "yuv444p", "yuv444p"),
        ("other.mp4", "mpeg4", "yuv420p", "mpeg4"),
    ):
        more: dict[str, Any] = {} if encoder == "mpeg4" else {"bf": "0"}
        path = write(tmp_path / name, encoder, pix_fmt=pix_fmt, num=5, **more)
        source = Video(str(path), path.name, decoder=route)
        assert len(list(read(source))) == 5
        assert source.decoding.decoder == "software" and reason in source.decoding.reason
        source.close()


def test_pictures_of_another_size_on_the_way(videos: Callable[[str], Path], route: Route, tmp_path: Path) -> None:
    parts = [
        write(tmp_path / f"{number}.ts", "libx264", size_wh=size_wh, num=20, bf="0")
        for number, size_wh in enumerate([(96, 64), (64, 96), (128, 64)])
    ]
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found, expected = read_all(path, route), read_all(path, "software")
    assert {one.shape_hw for one in expected} == {(64, 96), (96, 64), (64, 128)}
    assert len(found) == 60
    assert_the_same(found, expected)


def test_turned_pictures_are_turned(tmp_path: Path, videos: Callable[[str], Path], route: Route) -> None:
    path = tmp_path / "turned.mp4"
    command: list[Any] = [route.program, "-v", "error", "-i", videos("h264"), "-c", "copy"]
    subprocess.run([*command, "-metadata:s:v", "rotate=90", path], check=True)
    found, expected = read_all(path, route), read_all(path, "software")
    assert expected[0].shape_hw == (96, 64)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.image, other.image)  # type: ignore[arg-type]


def test_damage_is_an_error_in_its_place(videos: Callable[[str], Path], route: Route, tmp_path: Path) -> None:
    content = bytearray(videos("h264-broadcast").read_bytes())
    for start in range(len(content) // 3, len(content) // 2, 997):
        content[start : start + 40] = os.urandom(40)
    path = tmp_path / "damaged.ts"
    path.write_bytes(content)
    source = Video(str(path), path.name, decoder=route)
    indices = []
    while True:
        try:
            frame = source.read()
        except FrameError as error:
            indices.append(error.frame_index)
            if error.is_last:
                break
            continue
        if frame is None:
            break
        indices.append(frame.index)
    source.close()
    assert indices == list(range(len(indices))) and len(indices) > NUM / 3


def test_a_run_over_it_finds_the_same(videos: Callable[[str], Path], route: Route, blob_model: Path) -> None:
    path = videos("h264")
    with kb.Pipeline(blob_model) as pipeline:
        found, expected = (
            [result.detections for result in pipeline.run(Video(str(path), path.name, decoder=one))]
            for one in (route, "software")
        )
    assert len(found) == NUM
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)


def test_what_was_asked_for_and_is_not_there_is_told(
    videos: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hardware, "DRI", tmp_path / "nothing")
    assert usable_routes() == []
    with caplog.at_level(logging.WARNING, "keepbusy"), pytest.raises(kb.ConfigError, match="decoder"):
        open_source(videos("h264"), decoder="nvdec")  # type: ignore[arg-type]
    source = open_source(videos("h264"), decoder="vaapi")
    assert source.decoding is not None and source.decoding.decoder == "software"
    assert "renderD" in source.decoding.reason and "renderD" in caplog.text
    source.close()
    source = open_source(videos("h264"))
    assert source.decoding == Decoding("software")
    source.close()


def test_a_device_that_is_there_and_a_program_that_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "renderD128").touch()
    monkeypatch.setattr(hardware, "DRI", tmp_path)
    impostor(tmp_path, "print('Hardware:\\nqsv' if '-hwaccels' in sys.argv else 'ffmpeg version 4.4')")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_route("vaapi") == f"{tmp_path / 'ffmpeg'} was built without vaapi"
    found = find_route("qsv")
    assert isinstance(found, Route) and found.is_hardware and not found.has_frame_rate_mode
    told = arguments(found, "hevc", 7, {})
    assert "hevc_qsv" in told and "-vsync" in told and str(tmp_path / "renderD128") in told
    assert any("hwdownload" in one for one in told)
    monkeypatch.setenv("PATH", "")
    assert find_route("qsv") == "the program ffmpeg is not installed"


def test_hardware_that_is_not_there_fails_and_is_told(videos: Callable[[str], Path], route: Route) -> None:
    """A real FFmpeg that is told to use a device that is none."""
    path = videos("h264")
    for name in ("vaapi", "qsv"):
        source = Video(str(path), path.name, decoder=Route(name, route.program, "/dev/null"))
        assert len(list(read(source))) == NUM
        assert source.decoding.decoder == "software" and source.decoding.reason.startswith(name)
        source.close()


def test_a_silent_read_is_interrupted(videos: Callable[[str], Path], tmp_path: Path) -> None:
    source = Video(str(videos("h264")), "clip", decoder=impostor(tmp_path, "time.sleep(30)"))
    ended: list[Any] = []
    reader = threading.Thread(target=lambda: ended.append(source.read()))
    reader.start()
    wait_until(lambda: source._packets._session is not None)  # type: ignore[union-attr]
    started_s = time.monotonic()
    source.interrupt()
    reader.join()
    source.close()
    assert ended == [None] and time.monotonic() - started_s < 3


@pytest.mark.parametrize("kind", ["h264", "h264-full-range"])
def test_a_picture_does_not_wait_for_the_next_packet(videos: Callable[[str], Path], route: Route, kind: str) -> None:
    """Of a stream without B-frames."""
    import av

    with av.open(str(videos(kind))) as container:
        stream = container.streams.video[0]
        annexb = AnnexB(stream)
        contents = [annexb.content(packet) for packet in container.demux(stream) if packet.size]
    bell = Bell()
    program = Program(route, "h264", (64, 96), (1, 1000), bell, {"flags": "+low_delay"})
    try:
        for number, content in enumerate(contents[:12]):
            program.feed(content, number)
            until_s = time.monotonic() + 30
            while not any(one.ticks == number for one in program.pictures):
                program.work(0.2)
                assert time.monotonic() < until_s
    finally:
        program.close()
        bell.close()


def test_the_best_is_measured_once_and_remembered(
    videos: Callable[[str], Path], route: Route, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "SAMPLE_PACKETS", 12)
    monkeypatch.setattr(Measured, "beats", lambda self, software: not self.reason and bool(self.agrees))
    path, notebook = videos("h264"), Notebook(tmp_path)
    monkeypatch.setattr(choose, "usable_routes", lambda: [route])
    monkeypatch.setattr(choose, "Auto", lambda routes: Auto(routes, notebook))
    expected = read_all(path, "software")
    source = Video(str(path), path.name)
    found = []
    for frame in read(source):
        found.append(frame)
        if len(found) == 30:
            wait_until(lambda: bool(list(tmp_path.glob("*.json"))))
            wait_until(source._packets._choice.is_open)  # type: ignore[union-attr]
    assert source.decoding.decoder == "program"
    source.close()
    assert_the_same(found, expected)
    source = Video(str(path), path.name)
    assert source.read() is not None and source.decoding.decoder == "program"
    source.close()


def test_where_software_is_better_it_stays(
    videos: Callable[[str], Path], route: Route, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "SAMPLE_PACKETS", 12)
    monkeypatch.setattr(Measured, "beats", lambda self, software: False)
    monkeypatch.setattr(choose, "usable_routes", lambda: [route])
    monkeypatch.setattr(choose, "Auto", lambda routes: Auto(routes, Notebook(tmp_path)))
    path = videos("h264-reordered")
    found = read_all(path, "auto")
    assert_the_same(found, read_all(path, "software"))
    assert_the_same(read_all(path, "auto"), found)


def check_balance(streams: Sequence[kb.StreamStats]) -> None:
    for one in streams:
        assert one.num_arrived == one.num_results + sum(one.dropped.values()) + one.num_in_flight


@dataclass
class Opens:
    """Opens a camera whose pictures the program decodes."""

    url: str
    route: Route

    @property
    def name(self) -> str:
        return "camera"

    def open(self) -> Source:
        return Video(self.url, self.url, timeout_s=1.0, decoder=self.route)


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("hevc", 0)])
def test_a_camera_is_decoded_through_all_that_happens_to_the_program(
    tmp_path: Path, route: Route, blob_model: Path, codec: str, b_frames: int
) -> None:
    if missing := why_no_server():
        pytest.skip(missing)
    clips = [
        write_clip(tmp_path / f"{width}.clip", codec=codec, b_frames=b_frames, size_wh=(width, 240))
        for width in (320, 480)
    ]
    retry = kb.Retry(first_wait_s=0.05, max_wait_s=0.2)
    config = kb.StreamConfig(retry=retry, on_error="end", stall_s=5)
    with rtsp_camera(clips) as camera, kb.Pipeline(blob_model) as pipeline, pipeline.start() as run:
        stream = run.add(Opens(camera.url, route), config)
        pids, ages = set(), []
        for num, result in enumerate(run):
            check_balance(run.stats.snapshot().streams)
            image = result.frame.image
            assert image is not None and num < 500
            if num >= 40:
                ages.append((time.monotonic_ns() - camera.sent_ns(number_in(image))) / 1e9)
            if num in (10, 25):
                source: Any = stream.source
                pids.add(pid := program_of(source).pid)
                os.kill(pid, signal.SIGKILL)
            if num == 60:
                camera.tell("play 1")
            if num > 60 and image.shape[1] == 480:
                break
        assert stream.decoding == Decoding("program") and stream.stats.num_reopened <= 1
        assert len(pids) == 2 and sorted(ages)[len(ages) // 2] < 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_which_is_best() -> None:
    software = Measured("software", 300, 3.0, 90)
    fast = Measured("vaapi", 500, 1.0, 90, agrees=True)
    faster = Measured("qsv", 500, 0.5, 90, agrees=True)
    assert best([software, fast, faster]) == "qsv"
    for bad in (
        Measured("vaapi", 500, 1.0, 90, agrees=False),
        Measured("vaapi", 500, 4.0, 90, agrees=True),
        Measured("vaapi", 200, 1.0, 90, agrees=True),
        Measured("vaapi", 500, 1.0, 80, agrees=True),
        Measured("vaapi", reason="no device"),
    ):
        assert best([software, bad]) == "software"


def test_what_packets_say() -> None:
    start = b"\0\0\1"
    sets, idr, other, spare = start + b"\x67ab", start + b"\x65xx", start + b"\x41xx", start + b"\x01xx"
    assert parameter_sets(sets + idr, "h264") == b"\x67ab" and parameter_sets(other, "h264") == b""
    assert begins_anew(sets + idr, "h264") and not begins_anew(sets + other, "h264")
    assert is_spare(spare, "h264") and not is_spare(other, "h264") and not is_spare(b"", "h264")
    hevc = {kind: start + bytes([kind << 1, 1]) for kind in (0, 1, 19, 21, 33)}
    assert begins_anew(hevc[33] + hevc[19], "hevc") and not begins_anew(hevc[33] + hevc[21], "hevc")
    assert is_spare(hevc[0], "hevc") and not is_spare(hevc[1], "hevc")
    assert parameter_sets(hevc[33] + hevc[19], "hevc") == hevc[33][3:]


class FakePacket:
    def __init__(self, pts: int | None, dts: int | None = None, *, is_keyframe: bool = False, size: int = 10) -> None:
        self.pts, self.dts, self.is_keyframe, self.size = pts, dts, is_keyframe, size


def test_what_is_kept_to_begin_again() -> None:
    kept = Kept(max_bytes=100)
    key, later = FakePacket(0, is_keyframe=True), FakePacket(5, is_keyframe=True)
    packets = [key, FakePacket(1), FakePacket(2), later, FakePacket(4), FakePacket(6)]
    for packet in packets:
        kept.add(packet)
    kept.trim(4)
    assert kept.take() == packets and kept.take() == []
    for packet in packets:
        kept.add(packet)
    kept.trim(5)
    assert kept.take() == packets[3:]
    kept.add(FakePacket(1))
    assert kept.take() == []
    for number in range(12):
        kept.add(FakePacket(number, is_keyframe=number == 0))
    assert kept.take() == []


def test_times_of_packets_never_leap() -> None:
    ticks, taken = Ticks(), dict[int, Any]()
    for pts, dts in ((900, 900), (1100, 1000), (1 << 60, 1 << 60), (5, 5), (None, None)):
        taken[ticks.next(FakePacket(pts, dts), taken, past=-1)] = pts
    assert len(taken) == 5 and list(taken) == sorted(taken) and max(taken) < 1 << 34


def test_times_of_packets_rise_in_the_order_in_which_they_are_shown() -> None:
    ticks, taken = Ticks(), dict[int, int]()
    for pts in (3000, 0, 12000, 6000, 9000):  # The second is shown before its key frame; none says when it is decoded.
        taken[ticks.next(FakePacket(pts, dts=None), taken, past=-1)] = pts
    assert [taken[ticks] for ticks in sorted(taken)] == [0, 3000, 6000, 9000, 12000]
    shown = sorted(taken)[3]  # The camera's clock falls back: what is decoded later is shown later.
    for pts in (60, 120, 90):
        taken[ticks.next(FakePacket(pts, dts=None), taken, past=shown)] = pts
    assert [taken[ticks] for ticks in sorted(taken)] == [0, 3000, 6000, 9000, 12000, 60, 90, 120]


@pytest.mark.parametrize("kind", ["h264-reordered", "hevc"])
def test_packets_that_do_not_say_when_they_are_decoded(videos: Callable[[str], Path], route: Route, kind: str) -> None:
    path = str(videos(kind))
    with av.open(path) as container, av.open(path) as other:
        pictures = list(other.decode(video=0))
        stream = container.streams.video[0]
        assert stream.time_base is not None
        bell, codec = Bell(), kind.partition("-")[0]
        session = Session(route, codec, Likeness(pictures[0]), stream.time_base, bell, {})
        out, annexb = [], AnnexB(stream)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    packet.dts = None
                    session.feed(packet, annexb.content(packet))
                    out += session.work()
            session.end()
            while not session.is_over:
                out += session.work()
        finally:
            session.close()
            bell.close()
    assert session.rest() == [] and [one.pts for one in out] == [one.pts for one in pictures]


def test_a_bell_may_be_rung_when_it_is_closed() -> None:
    bell = Bell()
    bell.ring()
    bell.hush()
    bell.hush()
    bell.close()
    bell.ring()
    bell.close()
    with pytest.raises(ProgramError):
        Program(Route("program", "/nothing"), "h264", (64, 96), (1, 1000), bell)
