"""Live streams of a real RTSP server: fresh from the first result on, through faults, each frame accounted for."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.device.engine import OpenVINODevice
from keepbusy.device.live import MAX_MEASURED
from keepbusy.device.sharing import inference_ms
from keepbusy.flow.stats import MAX_ENDED_LANES, RunStats
from keepbusy.flow.stream import Stream
from keepbusy.sources import Source, named_files, open_source
from keepbusy.sources.video import Video
from keepbusy.testing import ScriptedDevice, numbered_image, scripted_run
from tests.build import write_picture, write_video
from tests.http_server import serving
from tests.live.cameras import RtspCamera, number_in, rtsp_camera, why_no_server, write_clip
from tests.live.proxy import Proxy, proxy_to
from tests.waiting import wait_until

NUM = 120
"""Pictures in a clip."""

FRESH_S = 1.0
"""Far above what is usual, 0.05 s, and far below what a picture's age was when it had waited in the connection."""


def test_the_rtsp_server_is_there_where_it_has_to_be() -> None:
    missing = why_no_server()
    if missing and not os.environ.get("KEEPBUSY_CI"):
        pytest.skip(missing)
    assert not missing


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """What makes clips, each once."""
    if missing := why_no_server():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = write_clip(folder / f"{len(made)}.clip", num=NUM, **options)
        return made[key]

    return make


@dataclass
class Opens:
    """Opens a camera with a short limit of silence."""

    url: str
    timeout_s: float = 1.0

    @property
    def name(self) -> str:
        return "camera"

    def open(self) -> Source:
        return Video(self.url, self.url, timeout_s=self.timeout_s)


def age_s(camera: RtspCamera, result: kb.Result) -> float:
    """How long ago the picture of a result was sent."""
    image = result.frame.image
    assert image is not None
    return (time.monotonic_ns() - camera.sent_ns(number_in(image))) / 1e9


def check_balance(streams: Sequence[kb.StreamStats]) -> None:
    for one in streams:
        assert one.num_arrived == one.num_results + sum(one.dropped.values()) + one.num_in_flight
        assert one.num_in_flight >= 0


@contextmanager
def watched(run: kb.Run) -> Iterator[None]:
    """See that the balance holds all the time."""
    is_over = threading.Event()
    wrong: list[BaseException] = []

    def watch() -> None:
        try:
            while not is_over.wait(0.01):
                check_balance(run.stats.snapshot().streams)
        except BaseException as error:
            wrong.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    assert not wrong, wrong


RETRY = kb.Retry(first_wait_s=0.05, max_wait_s=0.2)
SURVIVES = kb.StreamConfig(retry=RETRY, on_error="end", stall_s=0.3)

CODECS = [("h264", 0), ("h264", 2), ("hevc", 0), ("hevc", 2)]


@pytest.mark.parametrize(("codec", "b_frames"), CODECS)
def test_each_picture_has_its_place_whatever_was_given_up_before_it(
    clips: Callable[..., Path], codec: str, b_frames: int
) -> None:
    dropped: Counter[str] = Counter()
    with rtsp_camera([clips(codec=codec, b_frames=b_frames)]) as camera:
        source = Video(camera.url, camera.url)
        numbers, indices, ages = [], [], []
        for pause_s in [0.0] * 10 + [0.8] + [0.0] * 10 + [0.15] * 8:
            time.sleep(pause_s)
            frame = source.read()
            assert frame is not None and frame.image is not None
            numbers.append(number_in(frame.image))
            indices.append(frame.index)
            ages.append((time.perf_counter_ns() - frame.arrival_ns) / 1e9)
            dropped.update(source.take_dropped())
        source.close()
    assert {(index - number) % NUM for index, number in zip(indices, numbers, strict=True)} == {
        (indices[0] - numbers[0]) % NUM
    }
    assert indices == sorted(set(indices)) and indices[-1] + 1 == len(indices) + dropped.total()
    assert max(ages) < FRESH_S
    assert {"nonref", "nonkey", "overload"} & set(dropped) and (b_frames == 0 or dropped["nonref"] > 0)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_where_key_frames_are_enough_only_these_are_decoded(clips: Callable[..., Path], codec: str) -> None:
    """A key frame every tenth of a picture's second: three per second."""
    with rtsp_camera([clips(codec=codec, key_every=10)]) as camera:
        source = Video(camera.url, camera.url)
        places: list[tuple[int, int]] = []

        def read(num: int) -> list[int]:
            frames = [frame for frame in (source.read() for _ in range(num)) if frame is not None]
            places.extend((frame.index, number_in(frame.image)) for frame in frames if frame.image is not None)
            return [number for _, number in places[-num:]]

        read(25)
        source.take_dropped()
        source.want(2.0)
        keys = read(20)[-6:]
        assert all(number % 10 == 0 for number in keys), keys
        dropped = source.take_dropped()
        assert dropped["nonkey"] >= 40
        source.want(None)
        # Those that the decoder has missed are waited out.
        numbers = read(30)[-10:]
        assert numbers == [(numbers[0] + one) % NUM for one in range(10)]
        source.close()
    assert len({(index - number) % NUM for index, number in places}) == 1, "indices tell what was left out"


def test_the_first_result_is_fresh_although_the_model_was_being_compiled(clips: Callable[..., Path]) -> None:
    with (
        rtsp_camera([clips()]) as camera,
        scripted_run(None, ScriptedDevice(), make_ready=lambda _: time.sleep(1.5)) as run,
    ):
        with watched(run):
            stream = run.add(camera.url)
            ages = [age_s(camera, next(run)) for _ in range(10)]
        numbers = stream.stats
    assert max(ages) < FRESH_S
    assert sum(numbers.dropped.values()) >= 30
    assert numbers.age_p99_ms < FRESH_S * 1e3


def test_a_live_stream_survives_what_cameras_and_networks_do(clips: Callable[..., Path], blob_model: Path) -> None:
    small, large = clips(), clips(size_wh=(352, 288))
    with (
        rtsp_camera([small, large]) as camera,
        proxy_to(camera.port) as proxy,
        kb.Pipeline(blob_model) as pipeline,
        pipeline.start() as run,
        watched(run),
    ):
        proxy.is_absent = True
        stream = run.add(Opens(proxy.url), SURVIVES)
        wait_until(lambda: proxy.num_connections >= 3 and stream.state == "waiting", "absent")
        proxy.is_absent = False
        faults: list[tuple[str, Callable[[], None], Callable[[], None]]] = [
            ("cut", proxy.cut, lambda: None),
            ("silent", lambda: _set(proxy, is_silent=True, then=proxy.cut), lambda: _set(proxy, is_silent=False)),
            ("stalled", lambda: _set(proxy, is_stalled=True), lambda: _set(proxy, is_stalled=False)),
            ("garbled", lambda: _set(proxy, garbled_share=0.2), lambda: _set(proxy, garbled_share=0.0)),
            ("held", lambda: camera.tell("hold"), lambda: camera.tell("go")),
        ]
        for name, begin, end in faults:
            _fresh(run, camera)
            num_reopened = stream.stats.num_reopened
            begin()
            ended = threading.Timer(1.8, end)
            ended.start()
            seen = _states_until_reopened(run, stream, num_reopened)
            ended.join()
            assert "waiting" in seen, (name, seen)
            assert name not in ("stalled", "held") or "stalled" in seen, (name, seen)
        _fresh(run, camera)
        camera.tell("play 1")
        while next(run).frame.width != 352:
            pass
        _fresh(run, camera)
        run.remove(stream)
        assert stream.state == "removed" and stream.error is not None
    check_balance(run.stats.snapshot().streams)


@pytest.mark.parametrize(("codec", "other"), [("h264", "hevc"), ("hevc", "h264")])
def test_a_camera_may_come_back_with_another_codec_and_size(
    codec: str, other: str, clips: Callable[..., Path], blob_model: Path
) -> None:
    with (
        rtsp_camera([clips(codec=codec), clips(codec=other, size_wh=(352, 288))]) as camera,
        proxy_to(camera.port) as proxy,
        kb.Pipeline(blob_model) as pipeline,
        pipeline.start() as run,
        watched(run),
    ):
        stream = run.add(Opens(proxy.url, timeout_s=5), SURVIVES)
        _fresh(run, camera)
        proxy.is_absent = True
        proxy.cut()
        wait_until(lambda: stream.state == "waiting")
        camera.tell("play 1")
        time.sleep(0.5)  # Until the server has heard of the end of its only client.
        proxy.is_absent = False
        while next(run).frame.width != 352:
            pass
        _fresh(run, camera)
        assert stream.stats.num_reopened >= 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
def test_a_camera_may_speak_tls(clips: Callable[..., Path], tmp_path: Path) -> None:
    keys = tmp_path / "keys.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=camera -keyout key.pem -out certificate.pem"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    keys.write_bytes(b"".join((tmp_path / name).read_bytes() for name in ("certificate.pem", "key.pem")))
    with rtsp_camera([clips()], keys) as camera, scripted_run(None, ScriptedDevice()) as run, watched(run):
        assert camera.url.startswith("rtsps://")
        run.add(camera.url, SURVIVES)
        _fresh(run, camera)


def test_what_waits_on_a_link_that_is_too_slow_is_not_taken_for_fresh(clips: Callable[..., Path]) -> None:
    clip = clips()
    with (
        rtsp_camera([clip]) as camera,
        proxy_to(camera.port) as proxy,
        scripted_run(None, ScriptedDevice()) as run,
        watched(run),
    ):
        run.add(Opens(proxy.url, timeout_s=10), SURVIVES)
        _fresh(run, camera)
        begin_s = time.monotonic()
        while time.monotonic() < begin_s + 1:
            next(run)
        proxy.bytes_per_s = 0.5 * proxy.num_bytes / proxy.lasted_s
        latest_s = 0.0
        while latest_s < 1.2:  # A second and a half before the numbers come again, at four seconds.
            result = next(run)
            really_s, said_s = age_s(camera, result), (time.perf_counter_ns() - result.timings.arrival_ns) / 1e9
            assert said_s > really_s - 0.6, (said_s, really_s)
            latest_s = max(latest_s, said_s)
        proxy.bytes_per_s = None
        begin_s = time.monotonic()
        while age_s(camera, next(run)) > 0.5:
            assert time.monotonic() < begin_s + 10
        _fresh(run, camera)


def _set(proxy: Proxy, *, then: Callable[[], None] = lambda: None, **what: Any) -> None:
    for name, value in what.items():
        setattr(proxy, name, value)
    then()


def _fresh(run: kb.Run, camera: RtspCamera) -> None:
    """Some results that are fresh, behind those that were on their way."""
    for _ in range(5):
        next(run)
    assert all(age_s(camera, next(run)) < FRESH_S for _ in range(5))


def _states_until_reopened(run: kb.Run, stream: Stream, num_before: int) -> set[str]:
    """The states that a stream has until it has been opened once more; results are taken meanwhile."""
    seen: set[str] = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.add(stream.state)
            time.sleep(0.002)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        while stream.stats.num_reopened <= num_before:
            next(run)
    finally:
        is_over.set()
        looker.join()
    return seen


@pytest.mark.parametrize("kind", ["video", "scene"])
def test_files_and_scenes_are_replayed_at_their_own_pace(kind: str, clip: Path, blob_model: Path) -> None:
    spec = f"{clip}?realtime" if kind == "video" else "synth:street?size=96x64&fps=20&frames=400&realtime"
    source = open_source(spec)
    period_s = 1 / (source.info.fps or 0)
    assert source.info.is_live and source.info.num_frames
    begin_ns = time.perf_counter_ns()
    arrivals_s = [frame.arrival_ns / 1e9 for frame in (source.read() for _ in range(6)) if frame is not None]
    steps_s = [later - earlier for earlier, later in pairwise(arrivals_s)]
    # A busy machine may be late; it is never early.
    assert len(steps_s) == 5 and min(steps_s) > period_s - 1e-4
    assert time.perf_counter_ns() >= begin_ns + 5 * period_s * 1e9
    time.sleep(6 * period_s + 0.1)
    source.take_dropped()
    late = source.read()
    assert late is not None and late.index > 6 and source.take_dropped()["overload"] > 0
    threading.Timer(0.05, source.interrupt).start()
    while source.read() is not None:
        pass
    source.close()


def test_a_replayed_file_is_a_camera_in_a_run_and_may_be_looped(clip: Path, blob_model: Path) -> None:
    with kb.Pipeline(blob_model) as pipeline, pipeline.run(f"{clip}?realtime", loop=True, limit=45) as run:
        results = list(run)
        numbers = run.stats.snapshot().streams[0]
    assert numbers.num_arrived == numbers.num_results + numbers.num_dropped >= 45
    assert results[-1].frame.index >= 44 and all(one.frame.is_live for one in results)
    assert {one.frame.source for one in results} == {str(clip)}


def test_what_has_no_pace_and_what_is_called_so(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(kb.SourceError, match="only videos and synthetic scenes have a pace"):
        open_source(f"{write_picture(tmp_path / 'a.png', numbered_image(1))}?realtime")
    named = tmp_path / "clip.mp4?realtime"
    named.write_bytes(clip.read_bytes())
    source = open_source(named)
    assert not source.info.is_live
    source.close()
    assert set(named_files([f"{clip}?realtime"])) == {clip}


def test_a_stepped_wall_clock_changes_nothing(clip: Path, blob_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_time, steps = time.time, iter([0.0] * 5)
    monkeypatch.setattr(time, "time", lambda: real_time() + next(steps, -10.0))
    with kb.Pipeline(blob_model) as pipeline, pipeline.run(f"{clip}?realtime", limit=15) as run:
        times = [result.frame.timestamp_s for result in run]
        numbers = run.stats.snapshot().streams[0]
    assert times == sorted(times) and numbers.age_p99_ms < FRESH_S * 1e3
    for room in ("sources", "flow", "threads", "device"):
        for path in (Path(kb.__file__).parent / room).rglob("*.py"):
            assert "time.time(" not in path.read_text(encoding="utf-8"), path


def hint_of(pipeline: kb.Pipeline) -> str:
    return pipeline.device.describe()["hint"].lower()


def test_what_a_busy_machine_took_for_an_inference_is_measured_again(
    blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_ms: list[float] = []
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))

    def measure(device: OpenVINODevice) -> float:
        measured_ms.append(1000.0 if not measured_ms else inference_ms(device))
        return measured_ms[-1]

    monkeypatch.setattr("keepbusy.device.live.inference_ms", measure)
    with kb.Pipeline(blob_model) as pipeline:
        for wanted in ("throughput", "latency", "latency"):
            pipeline.start(live_fps=5).close()
            assert hint_of(pipeline) == wanted
        assert len(measured_ms) == 2
        for _ in range(2 * MAX_MEASURED):
            pipeline.start(live_fps=1e9).close()
        assert len(measured_ms) == MAX_MEASURED and hint_of(pipeline) == "throughput"


def test_latency_wins_where_live_streams_leave_time_for_it(
    clip: Path, blob_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "keepbusy")
    with kb.Pipeline(blob_model) as pipeline:
        for source, wanted in ((clip, "throughput"), (f"{clip}?realtime", "latency"), (clip, "throughput")):
            with pipeline.run(source, limit=5) as run:
                assert len(list(run)) == 5
            assert hint_of(pipeline) == wanted
        assert "10 frames/s are needed" in caplog.text and "`hint` is latency" in caplog.text
        pipeline.start(live_fps=100).close()
        assert hint_of(pipeline) == "latency"
        pipeline.start(live_fps=1e9).close()
        assert hint_of(pipeline) == "throughput" and "`hint` is throughput" in caplog.text
        with pytest.raises(kb.ConfigError, match="live_fps"):
            pipeline.start(live_fps=-1)
    with kb.Pipeline(blob_model, hint="throughput") as pipeline, pipeline.run(f"{clip}?realtime", limit=5) as run:
        assert len(list(run)) == 5 and hint_of(pipeline) == "throughput"


def test_half_of_many_cameras_may_be_absent(clips: Callable[..., Path], blob_model: Path) -> None:
    with (
        rtsp_camera([clips(size_wh=(96, 64), fps=10)]) as camera,
        proxy_to(camera.port) as absent,
        kb.Pipeline(blob_model) as pipeline,
        pipeline.start() as run,
        watched(run),
    ):
        absent.is_absent = True
        urls = [camera.url if number % 2 else absent.url for number in range(64)]
        streams = [run.add(Opens(url, timeout_s=10), SURVIVES) for url in urls]
        seen: Counter[int] = Counter()
        while min(seen[stream.id] for stream in streams[1::2]) < 5:
            seen[next(run).frame.source_id] += 1
        assert set(seen) == {stream.id for stream in streams[1::2]}
        assert all(stream.state in ("opening", "waiting") for stream in streams[::2])
        absent.is_absent = False
        wait_until(lambda: all(stream.state == "running" for stream in streams[::2]) or next(run) is None, "back")
        begin_s = time.monotonic()
    assert time.monotonic() - begin_s < 12
    check_balance(run.stats.snapshot().streams)


def test_a_reader_may_end_twice_among_very_many() -> None:
    # By itself, and when the run is closed at the same moment.
    stats = RunStats()
    for _ in range(MAX_ENDED_LANES + 8):
        lane = stats.lane("read")
        stats.lane_ended(lane)
        stats.lane_ended(lane)
    assert stats.snapshot().stages[0].num_frames == 0


def test_pictures_that_nobody_waits_for_are_not_decoded(clips: Callable[..., Path]) -> None:
    slow = ScriptedDevice(0.1)
    with rtsp_camera([clips(b_frames=2)]) as camera, scripted_run(None, slow) as run, watched(run):
        stream = run.add(camera.url)
        while stream.stats.dropped.get("nonref", 0) < 20:
            next(run)
    numbers = stream.stats
    assert numbers.num_results > 10 and numbers.dropped["overload"] >= 16


@contextmanager
def hls_camera(folder: Path) -> Iterator[str]:
    """A live playlist: segments of one second, the newest three of which are named; its address."""
    segments = [write_video(folder / f"{number}.ts", num_frames=10, fps=10).read_bytes() for number in range(12)]
    begin_s = time.monotonic()

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            newest = min(int(time.monotonic() - begin_s) + 3, len(segments))
            if self.path.endswith(".m3u8"):
                names = [f"#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n{one}.ts\n" for one in range(newest - 3, newest)]
                head = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{newest - 3}\n"
                body = (head + "".join(names)).encode()
            else:
                body = segments[int(Path(self.path).stem)]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Camera) as address:
        yield f"{address}/live.m3u8"


def test_segments_are_handed_on_at_their_own_pace(tmp_path: Path) -> None:
    with hls_camera(tmp_path) as address:
        source = open_source(address)
        assert source.info.is_live
        frames = [frame for frame in (source.read() for _ in range(25)) if frame is not None]
        source.close()
    arrivals_s = [(one.arrival_ns - frames[0].arrival_ns) / 1e9 for one in frames]
    # A segment's ten pictures come at once: without a pace all but one or two would be given up.
    assert 1.5 < arrivals_s[-1] < 6 and frames[-1].index - frames[0].index < 45
    assert len(frames) == 25


def test_closing_does_not_wait_for_a_silent_camera(clips: Callable[..., Path], blob_model: Path) -> None:
    with rtsp_camera([clips()]) as camera, kb.Pipeline(blob_model) as pipeline, pipeline.start() as run:
        run.add(camera.url, SURVIVES)
        for _ in range(5):
            next(run)
        camera.tell("hold")
        time.sleep(0.2)
        begin_s = time.monotonic()
        run.close()
        assert time.monotonic() - begin_s < 5
