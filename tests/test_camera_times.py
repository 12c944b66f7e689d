"""Times of streams whose container has no clock: when their pictures arrive."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.sources import open_source
from keepbusy.testing import numbered_image
from tests.build import write_video
from tests.http_server import serving
from tests.test_faults_videos import read_on

PERIOD_S = 1 / 15
"""As a camera of 15 fps."""

SIZE_WH = (96, 64)

NUM_AT_ONCE = 3

JPEGS = [cv2.imencode(".jpg", numbered_image(number, SIZE_WH))[1].tobytes() for number in range(40)]
NOISE = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))[1].tobytes()
"""Large enough to be recognised while it comes."""

PNG = cv2.imencode(".png", numbered_image(1, SIZE_WH))[1].tobytes()


def part(jpeg: bytes) -> bytes:
    return b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)


def raw(codec: str, kind: str, num_frames: int = 480) -> bytes:
    """A video without a container, at 15 fps by what it says of itself."""
    file = io.BytesIO()
    options = {"libx264": {"tune": "zerolatency"}, "libx265": {"tune": "zerolatency", "x265-params": "log-level=none"}}
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=15, options=options.get(codec, {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(num_frames):
            picture = av.VideoFrame.from_ndarray(numbered_image(number, SIZE_WH), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file.getvalue()


def in_chunks(content: bytes, num: int) -> list[bytes]:
    size = -(-len(content) // num)
    return [content[start : start + size] for start in range(0, len(content), size)]


@contextlib.contextmanager
def camera(
    chunks: list[bytes],
    period_s: float = PERIOD_S,
    *,
    go_on: threading.Event | None = None,
    has_length: bool = False,
    media: str = "application/octet-stream",
) -> Iterator[str]:
    """Sends chunks at a pace to whoever asks, then hangs up; its address.

    Args:
        chunks: What is sent.
        period_s: Seconds behind each chunk.
        go_on: Waited for behind the first `NUM_AT_ONCE` chunks.
        has_length: Whether the length of it all is told.
        media: Its type.
    """

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media)
            if has_length:
                self.send_header("Content-Length", str(sum(map(len, chunks))))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for number, chunk in enumerate(chunks):
                    self.wfile.write(chunk)
                    if go_on is not None and number + 1 == NUM_AT_ONCE:
                        assert go_on.wait(60)
                    time.sleep(period_s)

        def log_message(self, *args: object) -> None:
            pass

    with serving(Camera) as address:
        yield f"{address}/camera"


def read_to_its_end(
    address: str, is_seen: threading.Event | None = None
) -> tuple[kb.SourceInfo, int, list[float], float]:
    """What is known of it; how many frames came; the times of those that were fresh; how long it all took, seconds.

    The event is set behind the first frame.
    """
    num_arrived, times = 0, []
    start_s = time.monotonic()
    source = open_source(address)
    with contextlib.suppress(kb.FrameError):
        while (frame := source.read()) is not None:
            num_arrived = frame.index + 1
            times.append(frame.timestamp_s)
            if is_seen is not None:
                is_seen.set()
    took_s = time.monotonic() - start_s
    source.close()
    return source.info, num_arrived, times, took_s


def test_a_camera_over_http_has_the_times_at_which_its_pictures_arrive() -> None:
    is_seen = threading.Event()
    sent = [part(one) for one in JPEGS]
    with camera(sent, go_on=is_seen, media="multipart/x-mixed-replace; boundary=b") as address:
        info, num_arrived, times, took_s = read_to_its_end(address, is_seen)
    assert info.is_live and info.fps is None
    assert num_arrived == len(JPEGS) and len(times) > len(JPEGS) / 2
    assert times == sorted(times)
    # By the 25 fps that FFmpeg invents it would be 1.56 s.
    assert 2.4 < (len(JPEGS) - NUM_AT_ONCE) * PERIOD_S <= times[-1] <= took_s


RAW = {
    "h264": lambda: in_chunks(raw("libx264", "h264"), 120),
    "hevc": lambda: in_chunks(raw("libx265", "hevc"), 120),
    "m4v": lambda: in_chunks(raw("mpeg4", "m4v"), 120),
    "jpegs": lambda: [NOISE] * 160,
    "pngs": lambda: [PNG] * 160,
}


@pytest.mark.parametrize("kind", RAW)
def test_a_live_stream_without_a_container_has_times_of_arrival_and_no_rate(kind: str) -> None:
    chunks = RAW[kind]()
    with camera(chunks, 0.02) as address:
        info, num_arrived, times, took_s = read_to_its_end(address)
    assert info.is_live and info.fps is None
    assert num_arrived >= 160 and times == sorted(times)
    # 160 pictures are sent in 3.2 s, 480 in 2.4 s. At the 25 fps that FFmpeg invents they would take 6.4 s and 19.2 s.
    assert 0.5 < times[-1] <= took_s


@pytest.mark.parametrize("kind", ["h264", "jpegs"])
def test_such_a_stream_may_come_by_any_address(kind: str) -> None:
    chunks = RAW[kind]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                for chunk in chunks:
                    connection.sendall(chunk)
                    time.sleep(0.01)

        sender = threading.Thread(target=send)
        sender.start()
        info, num_arrived, times, took_s = read_to_its_end(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        sender.join()
    assert info.is_live and info.fps is None
    assert num_arrived >= 120 and times == sorted(times) and 0.5 < times[-1] <= took_s


@pytest.mark.parametrize("kind", ["h264", "jpegs"])
def test_such_a_file_behind_an_address_is_finite_where_its_length_is_told(kind: str) -> None:
    with camera(RAW[kind](), 0.0, has_length=True) as address:
        info, _, times, _ = read_to_its_end(address)
    assert not info.is_live
    assert times[-1] > 3 and times == sorted(times)


def test_one_picture_behind_an_address_is_finite() -> None:
    with camera([NOISE], 0.0, has_length=True, media="image/jpeg") as address:
        source = open_source(address)
        assert not source.info.is_live
        frames, errors = read_on(source)
    assert len(frames) == 1 and not errors


def test_a_live_stream_with_a_clock_keeps_its_times_and_its_rate(tmp_path: Path) -> None:
    content = write_video(tmp_path / "clip.ts", num_frames=100).read_bytes()
    with camera(in_chunks(content, 50), 0.001) as address:
        source = open_source(address)
        assert source.info.is_live and source.info.fps == 10
        frames, _ = read_on(source)
    np.testing.assert_allclose([one.timestamp_s for one in frames], [one.index / 10 for one in frames], atol=0.01)


def test_flash_video_that_tells_no_duration_is_live(tmp_path: Path) -> None:
    content = raw("libx264", "flv")
    # A camera's header cannot know how long it will go on.
    place = content.index(b"duration") + len(b"duration") + 1
    content = content[:place] + bytes(8) + content[place + 8 :]
    with camera(in_chunks(content, 50), 0.01) as address:
        source = open_source(address)
        assert source.info.is_live
        source.close()


def test_a_damaged_picture_has_a_time_between_its_neighbours() -> None:
    sent = [part(one) for one in JPEGS[:20]]
    sent[10] = part(JPEGS[10][:200])
    with camera(sent, 0.03, media="multipart/x-mixed-replace; boundary=b") as address:
        source = open_source(address)
        frames, errors = read_on(source)
    assert [error.frame_index for error in errors] == [10, 20]
    by_index = {frame.index: frame.timestamp_s for frame in frames}
    by_index |= {error.frame_index: error.timestamp_s or 0.0 for error in errors}
    # Pictures that have waited since the camera was opened are given up for newer ones.
    indices = sorted(by_index)
    times = [by_index[index] for index in indices]
    assert times == sorted(times) and indices[-1] == 20 and min(indices) < 10
    assert times[0] >= 0.0 if indices[0] else times[0] == 0.0


def test_times_go_on_where_a_camera_is_opened_again_by_what_the_silence_lasted(blob_model: Path) -> None:
    sent = [part(one) for one in JPEGS[:20]]
    retry = kb.Retry(first_wait_s=0.4, max_wait_s=0.4)
    times: list[float] = []
    indices: list[int] = []
    start_s = time.monotonic()
    with (
        camera(sent, 0.01, media="multipart/x-mixed-replace; boundary=b") as address,
        kb.Pipeline(blob_model) as pipeline,
        pipeline.start() as run,
    ):
        stream = run.add(address, kb.StreamConfig(retry=retry))
        for result in run:
            times.append(result.frame.timestamp_s)
            indices.append(result.frame.index)
            if stream.stats.num_reopened >= 2:
                break
    took_s = time.monotonic() - start_s
    assert times == sorted(times) and indices == sorted(set(indices))
    # The waits are shortened by a half at most.
    assert 0.4 < times[-1] <= took_s
    assert max(np.diff(times)) > 0.2
