from __future__ import annotations

import dataclasses
import json
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.errors import ConfigError, FrameError, SinkError
from keepbusy.flow.stats import RunStats
from keepbusy.records import record
from keepbusy.sinks import Sink, SinkRunner, StopRun, drain
from keepbusy.sinks.draw import Style, ThroughputMeter, annotate
from keepbusy.sinks.images import AnnotatedFolder, ImageFile
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.outlet import MAX_WAITING
from keepbusy.sinks.video import VideoFile
from keepbusy.sinks.window import why_no_window
from keepbusy.sinks.yolo_txt import YoloTxt, join_polygons
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.threads.channel import Gate
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.masks import Masks
from keepbusy.values.result import Result, Timings
from tests.build import count_playable, read_video, square_picture

NAMES = ("red", "stop sign")


def test_records_tell_streams_apart_and_say_when_live_frames_arrived(tmp_path: Path) -> None:
    with scripted_run(None, ScriptedDevice(), to_detections=lambda *_: Detections.empty()) as run:
        for name in ("A", "B"):
            run.add(ScriptedSource(2, name="clip.mp4"), kb.StreamConfig(name=name))
        run.add(ScriptedSource(1, name="camera", is_live=True))
        run.end()
        kb.drain(run, [JsonLines(tmp_path / "out.jsonl")])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    found = sorted((line.get("stream", ""), line["source"], line["index"]) for line in lines)
    assert found == [("", "camera", 0), *((name, "clip.mp4", index) for name in "AB" for index in range(2))]
    times = [line["time"] for line in lines if "time" in line]
    assert len(times) == 1
    age = datetime.now(UTC) - datetime.fromisoformat(times[0])
    assert -1 < age.total_seconds() < 60


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
    timings = Timings(postprocess_end_ns=(index + 1) * 10_000_000)
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
    common = {"source": "a.mp4", "source_id": 0, "width": 96, "height": 64}
    box = {"class_id": 1, "name": "stop sign", "confidence": 0.875, "box_xyxy": [16.0, 16.0, 48.0, 48.0]}
    assert lines == [
        {**common, "index": 0, "timestamp_s": 0.0, "detections": [box]},
        {**common, "index": 1, "timestamp_s": 0.1, "detections": []},
        {
            **{"source": "a.mp4", "source_id": 0, "index": 2, "width": 0, "height": 0},
            "error": {"stage": "read", "message": "is damaged"},
        },
    ]


def test_a_record_has_no_time_that_nobody_knows() -> None:
    assert record(result(1))["timestamp_s"] == 0.1
    assert "timestamp_s" not in record(result(1, "folder/photo.jpg"))
    assert "timestamp_s" not in record(failed(2))
    known = FrameError("is damaged", stage="read", source="a.mp4", frame_index=2, timestamp_s=0.2)
    unread = Frame(None, 2, 0.2, 3, "a.mp4")
    told = record(Result(unread, Detections.empty(), Timings(), known))
    assert (told["timestamp_s"], told["source_id"]) == (0.2, 3)
    later = FrameError("the device failed", stage="infer", source="a.mp4", frame_index=2)
    assert record(Result(unread, Detections.empty(), Timings(), later))["timestamp_s"] == 0.2
    live = dataclasses.replace(unread, is_live=True, source="http://camera/now.jpg")
    assert record(Result(live, Detections.empty(), Timings()))["timestamp_s"] == 0.2


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
        sink.close()  # What failed was told.
    assert count_playable(path) >= 20


def test_a_video_plays_wherever_in_its_end_the_disk_is_full(tmp_path: Path) -> None:
    def write(path: Path) -> VideoFile:
        sink = VideoFile(path, fps=10.0)
        for index in range(45):
            sink.write(result(index))
        return sink

    whole = tmp_path / "whole.mp4"
    sink = write(whole)
    num_written_bytes = whole.stat().st_size
    sink.close()
    num_failed = 0
    for num_bytes in range(num_written_bytes, whole.stat().st_size, 27):
        path = tmp_path / f"{num_bytes}.mp4"
        sink = write(path)
        with disk_with(num_bytes):
            try:
                sink.close()
            except SinkError:
                num_failed += 1
        assert count_playable(path) >= 20, num_bytes
        assert path.stat().st_size >= num_written_bytes
    assert num_failed > 100


class Recorder(Sink):
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


def test_a_failing_sink_stops_the_run_and_the_others_write_all_that_was_taken() -> None:
    bad, good, other = Recorder(fail_at=3), Recorder(), Recorder()
    taken = 0
    with pytest.raises(SinkError, match="Recorder: scripted"), SinkRunner([good, bad, other], RunStats()) as runner:
        while runner.put(result(taken)):
            taken += 1
    assert 3 <= taken < 20
    assert bad.indices == [0, 1, 2]
    assert [sink.num_closed for sink in (good, bad, other)] == [1, 1, 1]
    assert good.indices[:taken] == other.indices[:taken] == list(range(taken))


def test_a_slow_sink_holds_up_no_other_within_what_may_wait() -> None:
    begin, quick = Gate(), Recorder()

    class Slow(Recorder):
        def write(self, result: Result) -> None:
            begin.wait()
            super().write(result)

    slow = Slow()
    with SinkRunner([slow, quick], RunStats()) as runner:
        for index in range(MAX_WAITING):
            assert runner.put(result(index))
        while len(quick.indices) < MAX_WAITING:
            time.sleep(0.001)
        assert slow.indices == []
        begin.open()
    assert slow.indices == quick.indices == list(range(MAX_WAITING))


def test_the_frames_of_a_stage_are_counted_once_however_many_sinks_write_them() -> None:
    stats = RunStats()
    given = [result(index) for index in range(5)]
    with SinkRunner([Recorder(), Recorder(), Recorder()], stats) as runner:
        assert all(runner.put(one) for one in given)
    emit = next(stage for stage in stats.snapshot().stages if stage.stage == "sink")
    assert emit.num_frames == 5
    assert all(0 < one.timings.sink_start_ns <= one.timings.sink_end_ns for one in given)


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


def task_result(*, size_wh: tuple[int, int] = (96, 64), num: int = 1, **fields: Any) -> Result:
    """A grey picture with one or more detections that carry what a task adds."""
    frame = Frame(np.full((size_wh[1], size_wh[0], 3), 120, np.uint8), 0, 0.0, 0, "a.jpg")
    box = np.array([[16, 16, 48, 48]] * num, np.float32)
    detections = Detections(box, np.full(num, 0.875, np.float32), np.ones(num, np.int64), NAMES, **fields)
    return Result(frame, detections, Timings(postprocess_end_ns=1))


def masks_of(window: NDArray[np.float32], frame_hw: tuple[int, int] = (64, 96)) -> Masks:
    """One mask, given in cells of 4 pixels of the frame, for the box (16, 16, 48, 48)."""
    box = np.array([[16, 16, 48, 48]], np.float32)
    return Masks((window,), np.array([[4, 4]], np.int32), (4.0, 4.0), (0.0, 0.0), box, frame_hw)


def two_parts() -> Masks:
    """The left quarter and the right half of the box."""
    window = np.full((8, 8), -1, np.float32)
    window[:, :2] = window[:, 4:] = 1
    return masks_of(window)


def written(result: Result, folder: Path, *, with_confidence: bool = False) -> str:
    sink = YoloTxt(folder, OutputNames(), with_confidence=with_confidence)
    sink.write(result)
    sink.close()
    return (folder / "a.txt").read_text()


def test_json_lines_carry_what_each_task_adds(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "out.jsonl")
    keypoints = np.array([[[1.5, 2.25, 0.5], [-3, 70, 1]]], np.float32)
    rotated = np.array([[32, 32, 40, 20.5, 0.25]], np.float32)
    sink.write(task_result(masks=two_parts()))
    sink.write(task_result(keypoints=keypoints))
    sink.write(task_result(boxes_xywhr=rotated))
    sink.write(task_result(num=0, probabilities=np.array([0.125, 0.875], np.float32)))
    sink.close()
    masks, pose, obb, classes = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    common = {"class_id": 1, "name": "stop sign", "confidence": 0.875, "box_xyxy": [16.0, 16.0, 48.0, 48.0]}
    (found,) = masks["detections"]
    polygons = found.pop("segmentation")
    assert found == common
    assert [sorted(zip(flat[::2], flat[1::2], strict=True)) for flat in polygons] == [
        [(32, 16), (32, 47), (47, 16), (47, 47)],
        [(16, 16), (16, 47), (23, 16), (23, 47)],
    ]
    assert pose["detections"] == [{**common, "keypoints": [[1.5, 2.25, 0.5], [-3.0, 70.0, 1.0]]}]
    assert obb["detections"] == [{**common, "box_xywhr": [32.0, 32.0, 40.0, 20.5, 0.25]}]
    assert classes["detections"] == []
    assert classes["probabilities"] == [
        {"class_id": 1, "name": "stop sign", "probability": 0.875},
        {"class_id": 0, "name": "red", "probability": 0.125},
    ]


def test_yolo_labels_of_masks_are_one_polygon_a_line(tmp_path: Path) -> None:
    item = task_result(masks=two_parts())
    class_id, *numbers, confidence = written(item, tmp_path / "labels", with_confidence=True).split()
    assert (class_id, confidence) == ("1", "0.87500")
    points = np.array(numbers, float).reshape(-1, 2) * (96, 64)
    filled = np.zeros((64, 96), np.uint8)
    cv2.fillPoly(filled, [points.round().astype(np.int32)], 1)
    assert item.detections.masks is not None
    mask = item.detections.masks.to_array()[0]
    assert mask.sum() == 32 * 24
    # The parts, and one thin line that joins them.
    assert not (mask & (filled == 0)).any()
    assert 0 < ((filled == 1) & ~mask).sum() <= 16


def test_a_mask_without_pixels_has_no_label_line(tmp_path: Path) -> None:
    item = task_result(masks=masks_of(np.full((8, 8), -1, np.float32)))
    assert written(item, tmp_path / "labels") == ""


def test_parts_are_joined_where_they_are_nearest() -> None:
    first = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.int32)
    second = np.array([[30, 10], [30, 0], [12, 0]], np.int32)
    speck = np.array([[50, 50], [51, 50]], np.int32)
    joined = join_polygons([first, second, speck])
    assert joined.tolist() == [
        *([0, 0], [10, 0]),
        *([12, 0], [30, 10], [30, 0], [12, 0]),
        *([10, 0], [10, 10], [0, 10]),
    ]
    assert join_polygons([speck]).shape == (0, 2)


def test_yolo_labels_of_keypoints_rotated_boxes_and_classes(tmp_path: Path) -> None:
    keypoints = np.array([[[24, 16, 0.5], [-3, 70, 1]]], np.float32)
    pose = written(task_result(keypoints=keypoints), tmp_path / "pose", with_confidence=True)
    box = "0.333333 0.500000 0.333333 0.500000"
    # Outside of the picture is not allowed in a label.
    assert pose == f"1 {box} 0.250000 0.250000 0.500000 0.000000 1.000000 1.000000 0.87500\n"
    rotated = np.array([[48, 32, 24, 16, np.pi / 6]], np.float32)
    class_id, *numbers = written(task_result(boxes_xywhr=rotated), tmp_path / "obb").split()
    corners = np.array(numbers, float).reshape(4, 2) * (96, 64)
    centre, size, angle = cv2.minAreaRect(corners.astype(np.float32))
    assert class_id == "1" and centre == pytest.approx((48, 32), abs=1e-3)
    assert sorted(size) == pytest.approx([16, 24], abs=1e-3) and angle % 90 in (pytest.approx(30, abs=0.01),)
    classes = task_result(num=0, probabilities=np.array([0.125, 0.875], np.float32))
    assert written(classes, tmp_path / "classes", with_confidence=True) == "0.87500 stop sign\n0.12500 red\n"


def test_a_mask_is_drawn_translucent_and_only_in_its_box() -> None:
    item = task_result(masks=two_parts())
    assert item.frame.image is not None
    picture, plain = annotate(item), annotate(task_result())
    changed = (picture != plain).any(axis=2)
    inside = np.zeros_like(changed)
    inside[14:50, 14:50] = True
    assert not changed[~inside].any()
    # Away from the outline: one tint, between the picture's grey and the box's colour; none where the mask is not.
    tint = picture[36:44, 36:44].reshape(-1, 3)
    assert (tint == tint[0]).all()
    # The label's ground is the largest area of the box's own colour.
    colours, counts = np.unique(plain[(plain != 120).any(axis=2)], axis=0, return_counts=True)
    colour = colours[counts.argmax()].astype(int)
    np.testing.assert_allclose(tint[0], 120 + (colour - 120) * 0.45, atol=1.5)
    assert not changed[28:44, 27:29].any()


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 3), (1, 4), (4, 1), (3, 2)])
def test_the_smallest_masks_can_be_drawn(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    box = np.array([[5, 5, 5 + width, 5 + height]], np.float32)
    masks = Masks((np.ones((2, 2), np.float32),), np.array([[1, 1]], np.int32), (4.0, 4.0), (0.0, 0.0), box, (64, 96))
    frame = Frame(np.full((64, 96, 3), 120, np.uint8), 0, 0.0, 0, "a.jpg")
    detections = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), NAMES, masks=masks)
    assert (annotate(Result(frame, detections, Timings())) != 120).any()


def test_a_rotated_box_is_drawn_as_it_stands() -> None:
    rotated = np.array([[200, 150, 120, 60, 0.5]], np.float32)
    item = task_result(size_wh=(400, 300), boxes_xywhr=rotated)
    changed = (annotate(item) != 120).any(axis=2)
    corners = cv2.boxPoints(((200, 150), (120, 60), np.degrees(0.5)))
    line = np.zeros(changed.shape, np.uint8)
    cv2.polylines(line, [corners.round().astype(np.int32)], True, 1, 5)
    hit = changed & (line == 1)
    assert hit.sum() > 2 * (120 + 60) * 0.8
    # What else is drawn is the label, above the highest corner.
    assert not changed[int(corners[:, 1].min()) + 4 :][line[int(corners[:, 1].min()) + 4 :] == 0].any()


@pytest.mark.parametrize("num_points", [17, 5])
def test_keypoints_are_drawn_where_the_model_is_sure(num_points: int) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate((rng.uniform(150, 280, (num_points, 2)), np.full((num_points, 1), 0.9)), axis=1)
    points[0] = (350, 40, 0.49)
    points[1] = (-2000, 1e9, 0.9)
    item = task_result(size_wh=(400, 300), keypoints=points[None].astype(np.float32))
    drawn, plain = annotate(item), annotate(task_result(size_wh=(400, 300)))
    changed = (drawn != plain).any(axis=2)
    assert all(changed[round(y), round(x)] for x, y, _ in points[2:])
    assert not changed[30:50, 340:360].any()
    if num_points == 17:
        # The skeleton: halfway between left shoulder and left elbow.
        x, y = (points[5, :2] + points[7, :2]) / 2
        assert changed[round(y), round(x)]


def test_the_throughput_is_small_and_can_be_left_out() -> None:
    item = result(0, size_wh=(1280, 720), found=False)
    plain, stamped = annotate(item), annotate(item, throughput_fps=1234.5)
    changed = (plain != stamped).any(axis=2)
    assert changed.any() and not changed[40:].any() and not changed[:, 200:].any()
    assert np.array_equal(plain, annotate(item, 1234.5, Style(has_throughput=False)))


def test_a_window_says_what_it_lacks() -> None:
    with_gui, without = "  GUI:   QT5\n", "  GUI:                           NONE\n"
    screen = {"DISPLAY": ":0"}
    assert why_no_window(with_gui, screen, "linux") == ""
    assert why_no_window(with_gui, {}, "darwin") == why_no_window(with_gui, {}, "win32") == ""
    assert "pip install opencv-python" in why_no_window(without, screen, "linux")
    assert "pip install opencv-python" in why_no_window("", screen, "linux")
    assert "there is no screen" in why_no_window(with_gui, {"DISPLAY": ""}, "linux")


def test_classes_are_listed_below_the_throughput() -> None:
    item = task_result(size_wh=(400, 300), num=0, probabilities=np.array([0.125, 0.875], np.float32))
    plain, full = annotate(item), annotate(item, throughput_fps=30.0)
    changed = (plain != 120).any(axis=2)
    assert changed[:40, :60].any() and not changed[100:].any() and not changed[:, 250:].any()
    rows = np.flatnonzero((full != 120).any(axis=(1, 2)))
    assert rows.max() > np.flatnonzero(changed.any(axis=1)).max()


def test_a_runner_takes_one_sink_or_several_and_nothing_else() -> None:
    class Own(Sink):
        num_written = num_closed = 0

        def write(self, result: Result) -> None:
            self.num_written += 1

        def close(self) -> None:
            self.num_closed += 1

    one = Own()
    drain(scripted_run([ScriptedSource(3)], ScriptedDevice()), one)
    assert (one.num_written, one.num_closed) == (3, 1)
    own, twice = [Own() for _ in range(4)], Own()
    for wrong, said in (
        ("out.jsonl", "sinks: out.jsonl only names a sink"),
        (Path("out.jsonl"), "sinks: out.jsonl only names a sink"),
        ([own[0], "out.mp4"], "sinks: out.mp4 only names a sink"),
        ([own[1], None, own[2]], "cannot be made of NoneType"),
        ([own[3], Own], "cannot be made of the class Own"),
        ([twice, twice], "is given twice"),
        (None, "cannot be made of NoneType"),
    ):
        source = ScriptedSource(3)
        with pytest.raises(ConfigError, match=said):
            drain(scripted_run([source], ScriptedDevice()), wrong)  # type: ignore[arg-type]
        assert source.is_closed
    assert [(one.num_written, one.num_closed) for one in [*own, twice]] == [(0, 1)] * 5


def test_all_videos_of_a_folder_are_closed_whatever_one_fails_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    def close(self: VideoFile) -> None:
        real(self)
        closed.append(self.name)
        raise ZeroDivisionError(self.name)

    real = VideoFile.close
    sink = AnnotatedFolder(tmp_path, OutputNames(), {0: 10.0, 1: 10.0}, encoder="mpeg4")
    sink.write(result(source="a.mp4"))
    sink.write(result(source="b.mp4", source_id=1))
    monkeypatch.setattr(VideoFile, "close", close)
    with pytest.raises(ZeroDivisionError, match=r"a\.mp4"):
        sink.close()
    assert [Path(name).name for name in closed] == ["a.mp4", "b.mp4"]
