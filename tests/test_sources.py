from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.config import SelectConfig
from keepbusy.embedded import embedded_model
from keepbusy.errors import FrameError, SourceError
from keepbusy.sources import Selection, Source, open_source, open_sources
from keepbusy.sources.video import Video
from keepbusy.values.frame import Frame
from tests.build import image_of, square_picture, write_picture, write_video
from tests.http_server import serving
from tests.rtsp_server import rtsp_camera


def read_all(source: Source) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    return frames


def red_left(frame: Frame) -> int:
    """Where the red square begins, pixels."""
    assert frame.image is not None
    return int(np.argmax(frame.image[32, :, 2] > 128))


def test_a_video_gives_every_frame_with_the_containers_times(clip: Path) -> None:
    source = open_source(str(clip))
    assert (source.info.is_live, source.info.num_frames, source.info.fps) == (False, 40, 10.0)
    frames = read_all(source)
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 10 for n in range(40)])
    assert [red_left(frame) for frame in frames] == pytest.approx(list(range(40)), abs=1)
    assert {(frame.width, frame.height, frame.source) for frame in frames} == {(96, 64, str(clip))}


def test_frames_stay_what_they_are_while_the_next_are_read(clip: Path) -> None:
    source = open_source(clip)
    first = source.read()
    assert first is not None and first.image is not None
    kept = first.image.copy()
    read_all(source)
    np.testing.assert_array_equal(first.image, kept)


def test_loop_limit_and_stride(clip: Path) -> None:
    def indices(**select: object) -> list[int]:
        return [frame.index for frame in read_all(Selection(open_source(clip), SelectConfig(**select)))]  # type: ignore[arg-type]

    assert indices(limit=3) == [0, 1, 2]
    assert indices(stride=15) == [0, 15, 30]
    assert indices(stride=15, limit=2) == [0, 15]
    assert indices(loop=True, limit=85) == list(range(85))
    frames = read_all(Selection(open_source(clip), SelectConfig(loop=True, limit=85)))
    assert [frame.timestamp_s for frame in frames] == pytest.approx([n / 10 for n in range(85)])
    assert red_left(frames[41]) == pytest.approx(1, abs=1)
    assert Selection(open_source(clip), SelectConfig(stride=15)).info.num_frames == 3
    assert Selection(open_source(clip), SelectConfig(loop=True, limit=85)).info.num_frames == 85


def test_a_folder_a_glob_and_neighbours_are_one_source_each(tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", square_picture(number * 8))
    (tmp_path / "notes.md").write_text("no picture")
    write_video(tmp_path / "z.mp4", num_frames=2)
    folder = read_all(open_source(tmp_path))
    assert [(Path(frame.source).name, frame.index) for frame in folder] == [
        *(("0.png", 0), ("1.png", 0), ("2.png", 0)),
        *(("z.mp4", 0), ("z.mp4", 1)),
    ]
    globbed = read_all(open_source(str(tmp_path / "*.png")))
    assert [(Path(frame.source).name, frame.index) for frame in globbed] == [("0.png", 0), ("1.png", 1), ("2.png", 2)]
    sources = open_sources([tmp_path / "0.png", tmp_path / "1.png", tmp_path / "z.mp4", tmp_path / "2.png"])
    assert [len(read_all(source)) for source in sources] == [2, 2, 1]


def test_a_list_names_sources_beside_it(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    write_video(tmp_path / "b.mp4", num_frames=2)
    listing = tmp_path / "list.txt"
    listing.write_text(f"# what to see\na.png\n\n{tmp_path / 'b.mp4'}\n")
    assert [Path(frame.source).name for frame in read_all(open_source(listing))] == ["a.png", "b.mp4", "b.mp4"]


def test_a_list_with_a_missing_entry_has_one_failed_frame_in_its_place(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    (tmp_path / "list.txt").write_text("gone.png\na.png\n")
    source = open_source(tmp_path / "list.txt")
    with pytest.raises(FrameError, match=r"gone\.png: frame 0: .*no such file"):
        source.read()
    assert [Path(frame.source).name for frame in read_all(source)] == ["a.png"]


def test_pictures_of_every_kind_become_three_channels_of_eight_bits(tmp_path: Path) -> None:
    grey = np.full((20, 30), 77, np.uint8)
    pictures: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
        "grey.png": grey,
        "deep_grey.png": np.full((20, 30), (77 << 8) + 77, np.uint16),
        "deep.png": np.dstack([grey.astype(np.uint16) * 257] * 3),
        "alpha.png": np.dstack([grey] * 4),
        "deep.tiff": np.dstack([grey.astype(np.uint16) * 257] * 3),
        "plain.webp": np.dstack([grey] * 3),
        "one.bmp": np.full((1, 1, 3), 77, np.uint8),
        "long.png": np.full((10, 20000, 3), 77, np.uint8),
    }
    for name, picture in pictures.items():
        frames = read_all(open_source(write_picture(tmp_path / name, picture)))
        assert len(frames) == 1, name
        image = frames[0].image
        assert image is not None and image.dtype == np.uint8 and image.shape == (*picture.shape[:2], 3), name
        assert abs(int(image.mean()) - 77) <= 1, name


def test_bad_pictures_are_one_error_each_and_the_next_is_read(tmp_path: Path) -> None:
    whole = cv2.imencode(".jpg", square_picture(size_wh=(400, 300)))[1].tobytes()
    (tmp_path / "a_cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b_empty.jpg").write_bytes(b"")
    (tmp_path / "c_text.png").write_text("hello")
    (tmp_path / "d_good.jpg").write_bytes(whole)
    source = open_source(tmp_path)
    for name, words in (("a_cut", "cut short"), ("b_empty", "empty"), ("c_text", "not a picture")):
        with pytest.raises(FrameError, match=words) as caught:
            source.read()
        assert name in caught.value.source
        assert caught.value.hint
    assert [Path(frame.source).stem for frame in read_all(source)] == ["d_good"]


def test_a_cut_jpeg_is_seen_although_its_thumbnail_is_whole(tmp_path: Path) -> None:
    thumbnail = cv2.imencode(".jpg", square_picture())[1].tobytes()
    whole = cv2.imencode(".jpg", square_picture(size_wh=(400, 300)))[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    (tmp_path / "whole.jpg").write_bytes(with_thumbnail)
    assert len(read_all(open_source(tmp_path / "whole.jpg"))) == 1
    (tmp_path / "cut.jpg").write_bytes(with_thumbnail[:-40])
    with pytest.raises(FrameError, match="cut short"):
        open_source(tmp_path / "cut.jpg").read()


def test_a_video_cut_short_says_so_behind_its_last_frame(tmp_path: Path) -> None:
    # The index at the front: a file whose index is gone cannot even be opened.
    import av

    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(60):
            noise = rng.integers(0, 256, (64, 96, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="bgr24")))
        container.mux(stream.encode())
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) // 2])
    source = open_source(cut)
    frames = []
    with pytest.raises(FrameError, match=r"cut short: ends after \d+ of 60 frames") as caught:
        while (frame := source.read()) is not None:
            frames.append(frame)
    assert 10 < len(frames) < 50
    assert caught.value.frame_index == len(frames)
    assert source.read() is None


@pytest.mark.parametrize(
    ("name", "content"), [("noise.mp4", bytes(range(256)) * 40), ("empty.mp4", b""), ("half.mp4", None)]
)
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, clip: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    path.write_bytes(clip.read_bytes()[:400] if content is None else content)
    with pytest.raises(SourceError, match="cannot be opened as a video") as caught:
        open_source(path)
    assert name in caught.value.message and caught.value.hint


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("# nothing\n")
    for spec, words in (
        (tmp_path / "gone.mp4", "no such file"),
        (tmp_path / "empty", "no pictures or videos"),
        (tmp_path / "none.txt", "lists no sources"),
        (f"{tmp_path}/*.jpg", "matches no file"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            open_source(spec)
        assert caught.value.hint


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="camera 63: cannot be opened") as caught:
        open_source("63")
    assert caught.value.hint


def test_a_live_http_stream(tmp_path: Path) -> None:
    """A camera's MJPEG over HTTP: endless until the server ends it."""
    jpegs = [cv2.imencode(".jpg", square_picture(8 * n))[1].tobytes() for n in range(5)]

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            try:
                for number in range(400):
                    jpeg = jpegs[number % 5]
                    self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                    self.wfile.write(jpeg + b"\r\n")
                    time.sleep(0.02)  # The pace of a camera.
            except OSError:
                pass

        def log_message(self, *args: object) -> None:
            pass

    with serving(Camera) as url:
        source = open_source(f"{url}/camera")
        assert source.info.is_live and source.info.num_frames is None
        frames = [source.read() for _ in range(5)]
        indices = [frame.index for frame in frames if frame]
        assert len(indices) == 5 and indices == sorted(set(indices))
        assert all(abs(red_left(frame) - 8 * (frame.index % 5)) <= 1 for frame in frames if frame)
        source.close()
        source.close()


def test_an_rtsp_camera() -> None:
    with rtsp_camera() as url:
        source = open_source(url)
        assert source.info.is_live
        frames = [source.read() for _ in range(12)]
        source.close()
    seen = [frame for frame in frames if frame is not None]
    indices = [frame.index for frame in seen]
    assert len(seen) == 12 and indices == sorted(set(indices))
    assert len({red_left(frame) for frame in seen}) > 6
    times = [frame.timestamp_s for frame in seen]
    assert times == sorted(times) and times[-1] > 0.3


def test_a_video_behind_http_is_finite(clip: Path) -> None:
    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(clip.parent))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with serving(Files) as url:
        source = open_source(f"{url}/{clip.name}")
        assert not source.info.is_live
        assert len(read_all(source)) == 40
        with pytest.raises(SourceError, match="cannot be opened") as caught:
            open_source(f"{url}/gone.mp4")
        assert caught.value.hint


def test_a_silent_stream_fails_after_its_time() -> None:
    import socket

    from keepbusy.sources.video import Video

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/silent"
        with pytest.raises(SourceError, match="cannot be opened"):
            Video(url, url, timeout_s=0.3)


@contextmanager
def silent_camera(*, num_pictures: int) -> Iterator[str]:
    """A camera that sends some pictures over HTTP and then nothing, without hanging up; its address."""
    is_over = threading.Event()
    content = cv2.imencode(".jpg", np.full((64, 96, 3), 90, np.uint8))[1].tobytes()

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if num_pictures:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
            for _ in range(num_pictures):
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + content + b"\r\n")
            is_over.wait(60)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Camera) as address:
        try:
            yield f"{address}/live"
        finally:
            is_over.set()


def test_a_camera_that_falls_silent_is_told_in_our_words_with_the_limit() -> None:
    with silent_camera(num_pictures=20) as address:
        camera = Video(address, address, timeout_s=0.5)
        try:
            with pytest.raises(FrameError, match=r"the stream ended after \d+ frames: nothing has come for 0.5 s"):
                while camera.read() is not None:
                    pass
        finally:
            camera.close()
    wanted = pytest.raises(SourceError, match=r"cannot be opened as a video: nothing has come for 0.5 s")
    with silent_camera(num_pictures=0) as address, wanted:
        Video(address, address, timeout_s=0.5)


def test_fast_decoding_gives_the_same_frames_a_little_rougher(tmp_path: Path) -> None:
    path = tmp_path / "noisy.mp4"
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"crf": "35"}
        for _ in range(12):
            noise = np.asarray(cv2.GaussianBlur(rng.integers(0, 255, (64, 96, 3), np.uint8), (0, 0), 2), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="bgr24")))
        container.mux(stream.encode())
    plain, fast = (read_all(open_source(path, fast_decode=is_fast)) for is_fast in (False, True))
    assert [frame.timestamp_s for frame in fast] == [frame.timestamp_s for frame in plain]
    gaps = [np.abs(image_of(a).astype(int) - image_of(b)).mean() for a, b in zip(plain, fast, strict=True)]
    assert 0 < max(gaps) < 10
    with kb.Pipeline(embedded_model(), fast_decode=True) as pipeline:
        (first, *_) = pipeline.run(path)
    np.testing.assert_array_equal(image_of(first.frame), image_of(fast[0]))
