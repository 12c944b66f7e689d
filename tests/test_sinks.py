from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from keepbusy.errors import FrameError, SinkError
from keepbusy.sinks import SinkRunner, StopRun
from keepbusy.sinks.draw import ThroughputMeter, annotate
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.stats import RunStats
from keepbusy.types import Detections, Frame, Result, Timings
from tests.build import count_playable, read_video, square_picture

NAMES = ("red", "stop sign")


def result(
    index: int = 0,
    source: str = "a.mp4",
    *,
    size_wh: tuple[int, int] = (96, 64),
    found: bool = True,
    source_id: int = 0,
) -> Result:
    frame = Frame(square_picture(size_wh=size_wh), index, index / 10, source_id, source)
    detections = Detections(
        np.array([[16, 16, 48, 48]], np.float32), np.array([0.875], np.float32), np.array([1]), NAMES
    )
    timings = Timings(decode_end_ns=(index + 1) * 10_000_000)
    return Result(frame, detections if found else Detections.empty(NAMES), timings)


def failed(index: int = 0) -> Result:
    error = FrameError("is damaged", stage="read", source="a.mp4", frame_index=index)
    return Result(Frame(None, index, 0.0, 0, "a.mp4"), Detections.empty(), Timings(), error)


def test_a_json_line_for_each_frame(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "new" / "out.jsonl")
    for item in (result(0), result(1, found=False), failed(2)):
        sink.write(item)
    # Readable before it is closed: each line is flushed.
    lines = [json.loads(line) for line in (tmp_path / "new" / "out.jsonl").read_text().splitlines()]
    sink.close()
    common = {"source": "a.mp4", "width": 96, "height": 64}
    box = {"class_id": 1, "name": "stop sign", "confidence": 0.875, "box_xyxy": [16.0, 16.0, 48.0, 48.0]}
    assert lines == [
        {**common, "index": 0, "timestamp_s": 0.0, "detections": [box]},
        {**common, "index": 1, "timestamp_s": 0.1, "detections": []},
        {
            **{"source": "a.mp4", "index": 2, "timestamp_s": 0.0, "width": 0, "height": 0},
            "error": {"stage": "read", "message": "is damaged"},
        },
    ]


def test_yolo_labels(tmp_path: Path) -> None:
    sink = YoloTxt(tmp_path / "labels", OutputNames(), with_confidence=True)
    for item in (result(3), result(0, "x/photo.jpg"), result(0, "y/photo.jpg", found=False), failed(4)):
        sink.write(item)
    sink.close()
    texts = {path.name: path.read_text() for path in (tmp_path / "labels").iterdir()}
    line = "1 0.333333 0.500000 0.333333 0.500000 0.87500\n"
    assert texts == {"a_000003.txt": line, "photo.txt": line, "photo-2.txt": ""}


@pytest.mark.parametrize("size_wh", [(96, 64), (97, 65), (640, 360)])
def test_a_video_plays_with_the_sources_frames_size_and_rate(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    import av

    path = tmp_path / "out.mp4"
    sink = VideoFile(path, fps=10.0)
    for index in range(25):
        sink.write(result(index, size_wh=size_wh))
    sink.close()
    assert len(read_video(path)) == 25
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames, float(stream.average_rate or 0)) == ("h264", 25, 10.0)
        assert (stream.width, stream.height) == (size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([n / 10 for n in range(25)], abs=1e-4)


def test_a_video_of_a_program_that_dies_can_be_played_up_to_its_last_key_frames(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoFile(path, fps=10.0)
    rng = np.random.default_rng(0)
    for index in range(150):
        noisy = result(index)
        assert noisy.frame.image is not None
        noisy.frame.image[:] = rng.integers(0, 256, noisy.frame.image.shape)
        sink.write(noisy)
    snapshot = tmp_path / "copy.mp4"
    snapshot.write_bytes(path.read_bytes())
    assert count_playable(snapshot) >= 40
    sink.close()
    assert len(read_video(path)) == 150


def test_frames_that_could_not_be_read_leave_a_gap_in_the_video(tmp_path: Path) -> None:
    sink = VideoFile(tmp_path / "out.mp4", fps=10.0)
    for item in (result(0), failed(1), result(2)):
        sink.write(item)
    sink.close()
    assert len(read_video(tmp_path / "out.mp4")) == 2


def test_a_folder_takes_pictures_and_videos_alike(tmp_path: Path) -> None:
    sink = AnnotatedFolder(tmp_path / "out", OutputNames(), {0: 10.0, 1: None})
    for index in range(3):
        sink.write(result(index, "in/a.mp4"))
    sink.write(result(0, "in/b.mp4"))
    sink.write(result(0, "in/p.png", source_id=1))
    sink.write(result(1, "other/p.png", source_id=1))
    sink.close()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.mp4", "b.mp4", "p-2.png", "p.png"]
    assert len(read_video(tmp_path / "out" / "a.mp4")) == 3


def test_the_drawing_is_on_a_copy_and_shows_box_label_and_throughput() -> None:
    item = result(size_wh=(640, 360))
    assert item.frame.image is not None
    before = item.frame.image.copy()
    plain, full = annotate(item), annotate(item, throughput_fps=123.4)
    np.testing.assert_array_equal(item.frame.image, before)
    changed = (plain != before).any(axis=2)
    assert changed[16, 20:44].all() and changed[48, 20:44].all() and changed[20:44, 16].all()
    assert not changed[100:, :].any()
    added = (full != plain).any(axis=2)
    assert added[:40, :200].any() and not added[60:, :].any()


def test_the_meter_counts_frames_between_the_first_and_the_last() -> None:
    meter = ThroughputMeter(window=3)
    assert [meter.add(ns) for ns in (0, 100_000_000, 200_000_000, 210_000_000)] == pytest.approx(
        [0, 10, 10, 18.18], 0.01
    )


def test_outputs_that_cannot_be_made_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    blocked = tmp_path / "file" / "below"
    for make in (
        lambda: JsonLines(blocked / "out.jsonl"),
        lambda: JsonLines(tmp_path),
        lambda: VideoFile(blocked / "out.mp4", 10),
        lambda: ImageFile(blocked / "out.png"),
        lambda: AnnotatedFolder(blocked, OutputNames(), {}),
        lambda: YoloTxt(blocked, OutputNames()),
    ):
        with pytest.raises(SinkError) as caught:
            make()
        assert str(tmp_path) in caught.value.message and caught.value.hint


@contextmanager
def disk_with(num_bytes: int) -> Iterator[None]:
    """No file may grow above a size: what a full disk is to a program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_reported_and_keeps_what_was_written(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "out.jsonl")
    with disk_with(1000), pytest.raises(SinkError, match="cannot be written") as caught:
        for index in range(100):
            sink.write(result(index))
    sink.close()
    assert "disk full" in (caught.value.hint or "")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines[:-1]]) >= 4


def test_a_full_disk_leaves_a_video_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoFile(path, fps=10.0)
    rng = np.random.default_rng(0)
    with disk_with(400_000):
        with pytest.raises(SinkError, match=r"out\.mp4: cannot be written"):
            for index in range(2000):
                noisy = result(index)
                assert noisy.frame.image is not None
                noisy.frame.image[:] = rng.integers(0, 256, noisy.frame.image.shape)
                sink.write(noisy)
        with pytest.raises(SinkError):
            sink.close()
    assert count_playable(path) >= 20


class Recorder:
    def __init__(self, stop_at: int | None = None, fail_at: int | None = None) -> None:
        self.indices: list[int] = []
        self.num_closed = 0
        self.stop_at, self.fail_at = stop_at, fail_at

    def write(self, item: Result) -> None:
        if item.frame.index == self.stop_at:
            raise StopRun
        if item.frame.index == self.fail_at:
            raise ZeroDivisionError("scripted")
        self.indices.append(item.frame.index)

    def close(self) -> None:
        self.num_closed += 1


def test_the_runner_writes_everything_in_order_and_closes_once() -> None:
    sinks = [Recorder(), Recorder()]
    with SinkRunner(sinks, RunStats()) as runner:
        assert all(runner.put(result(index)) for index in range(50))
    for sink in sinks:
        assert sink.indices == list(range(50))
        assert sink.num_closed == 1


def test_a_failing_sink_stops_the_run_and_every_sink_is_finished() -> None:
    bad, good = Recorder(fail_at=3), Recorder()
    taken = 0
    with pytest.raises(SinkError, match="Recorder: scripted"), SinkRunner([bad, good], RunStats()) as runner:
        while runner.put(result(taken)):
            taken += 1
    assert taken < 20
    assert bad.num_closed == good.num_closed == 1
    assert good.indices == [0, 1, 2, 3]


def test_a_sink_may_ask_for_the_end() -> None:
    window = Recorder(stop_at=2)
    with SinkRunner([window], RunStats()) as runner:
        taken = 0
        while runner.put(result(taken)):
            taken += 1
    assert window.indices == [0, 1] and window.num_closed == 1


def test_an_error_of_the_program_still_finishes_the_sinks() -> None:
    sink = Recorder()
    with pytest.raises(ZeroDivisionError), SinkRunner([sink], RunStats()) as runner:
        runner.put(result(0))
        raise ZeroDivisionError
    assert sink.indices == [0] and sink.num_closed == 1
