"""KeyboardInterrupt at every step of building and closing: nothing leaks, nothing hangs, outputs are whole."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from keepbusy.api import Detector, Pipeline
from keepbusy.config import RunConfig
from keepbusy.errors import KeepbusyError
from keepbusy.flow.run_async import AsyncRun
from keepbusy.flow.stats import RunStats
from keepbusy.sinks import Sink, SinkRunner, drain
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.sinks.video import VideoFile
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings
from tests.build import write_video
from tests.interrupts import NUM_PLACES, interrupted_everywhere


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """What the tests before have left is not looked through again at each of some thousand steps."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def threads_left() -> list[threading.Thread]:
    """Our threads that are still there when all had time to end."""
    gc.collect()
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("keepbusy-")]
    for thread in ours:
        if thread.is_alive():
            thread.join(20)
    return [thread for thread in ours if thread.is_alive()]


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("num_frames", [None, 3])
def test_a_run_interrupted_anywhere_leaves_no_thread_no_source_and_nothing_in_flight(
    mode: str, num_frames: int | None
) -> None:
    config = RunConfig(mode=mode, nireq=2 if mode == "async" else None)  # type: ignore[arg-type]

    def prepare() -> tuple[ScriptedSource, ScriptedDevice]:
        return ScriptedSource(num_frames), ScriptedDevice(0.0001)

    def work(parts: tuple[ScriptedSource, ScriptedDevice]) -> None:
        source, device = parts
        with scripted_run([source], device, config, in_background=[lambda: None]) as run:
            for _, _ in zip(range(3), run, strict=False):
                pass

    num_places = 0
    for place, (source, device) in interrupted_everywhere(prepare, work):
        num_places += 1
        assert threads_left() == [], place
        assert device.num_in_flight == 0, place
        assert source.is_closed or source.num_read == 0, place
    assert num_places > 100


class Recorder(Sink):
    """A sink that knows what was done to it."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.num_closed = 0

    def write(self, result: Result) -> None:
        assert self.num_closed == 0
        self.written.append(result.frame.index)

    def close(self) -> None:
        self.num_closed += 1


def result_of(index: int) -> Result:
    return Result(Frame(None, index, 0.0, 0, "scripted"), Detections.empty(), Timings())


def test_a_sink_runner_interrupted_anywhere_closes_its_sinks_once() -> None:
    def work(parts: tuple[list[Recorder], list[int]]) -> None:
        recorders, given = parts
        with SinkRunner(recorders, RunStats()) as runner:
            for index in range(3):
                assert runner.put(result_of(index))
                given.append(index)

    num_places = 0

    def prepare() -> tuple[list[Recorder], list[int]]:
        return [Recorder(), Recorder()], []

    for place, (recorders, given) in interrupted_everywhere(prepare, work):
        num_places += 1
        assert threads_left() == [], place
        first, second = recorders
        assert first.num_closed == second.num_closed <= 1, place
        assert first.num_closed == 1 or not given, place
        assert first.written == second.written and first.written[: len(given)] == given, place
    assert num_places > 50


def test_a_run_interrupted_right_behind_its_start_has_joined_its_threads_before_it_closes_what_they_read(
    blob_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = AsyncRun.start

    def begin_and_interrupt(run: AsyncRun) -> None:
        begin(run)
        time.sleep(0.002)
        raise KeyboardInterrupt

    with Pipeline(blob_model) as pipeline:
        monkeypatch.setattr(AsyncRun, "start", begin_and_interrupt)
        for _ in range(30):
            with pytest.raises(KeyboardInterrupt):
                pipeline.run(clip)
            assert threads_left() == []
        monkeypatch.undo()
        assert sum(1 for _ in pipeline.run(clip)) == 40


@pytest.mark.parametrize("num_started", range(4))
def test_a_system_without_threads_is_an_error_and_the_threads_there_are_end(
    monkeypatch: pytest.MonkeyPatch, num_started: int
) -> None:
    begin, left = threading.Thread.start, [num_started]

    def start(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    source = ScriptedSource(None)
    if num_started < 3:
        with pytest.raises(KeepbusyError, match="a thread cannot be started: can't start new thread"):
            scripted_run([source], ScriptedDevice())
    else:
        with scripted_run([source], ScriptedDevice()) as run:
            next(run)
    assert threads_left() == []
    assert source.is_closed


def test_a_sink_runner_that_is_made_and_never_entered_closes_its_sinks() -> None:
    recorder = Recorder()
    runner = SinkRunner([recorder], RunStats())
    assert threads_left() == []
    del runner
    assert recorder.num_closed == 1


def is_whole(video: Path) -> bool:
    """Whether a video is not there, or can be played to its end."""
    if not video.exists():
        return True
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0)) > 0


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # One that was opened and not handed over yet.
def test_a_pipeline_interrupted_anywhere_leaves_outputs_whole_and_can_run_again(
    blob_model: Path, tmp_path: Path, mode: str
) -> None:
    clip = write_video(tmp_path / "clip.mp4", num_frames=5)
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"

    def prepare() -> Pipeline:
        lines.unlink(missing_ok=True)
        video.unlink(missing_ok=True)
        return Pipeline(blob_model, mode=mode, nireq=2 if mode == "async" else None)  # type: ignore[arg-type]

    def work(pipeline: Pipeline) -> None:
        drain(pipeline.run(clip), [JsonLines(lines), VideoFile(video, 10.0)], lambda result: None)

    work(prepare())
    whole = lines.read_text()
    for place, pipeline in interrupted_everywhere(prepare, work, num_places=NUM_PLACES):
        assert threads_left() == [], place
        assert is_whole(video), place
        written = lines.read_text() if lines.exists() else ""
        indices = [json.loads(line)["index"] for line in written.splitlines()]
        assert indices == list(range(len(indices))), place
        assert written == "" or written.endswith("\n"), place
        work(pipeline)
        assert lines.read_text() == whole, place


@pytest.mark.timeout(600)
def test_making_a_pipeline_and_a_detector_can_be_interrupted_anywhere(blob_model: Path) -> None:
    def work(made: list[Pipeline | Detector]) -> None:
        made.append(Pipeline(blob_model))
        made.append(Detector(blob_model))

    for place, _ in interrupted_everywhere(list[Pipeline | Detector], work, num_places=NUM_PLACES):
        assert threads_left() == [], place


@pytest.mark.timeout(600)
def test_a_detector_interrupted_anywhere_detects_the_next_time(blob_model: Path) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[16:48, 32:64] = (0, 0, 255)
    right = Detector(blob_model)(picture)
    assert len(right.boxes_xyxy) > 0

    def work(detector: Detector) -> None:
        detector(picture)

    for place, detector in interrupted_everywhere(lambda: Detector(blob_model), work, num_places=NUM_PLACES):
        np.testing.assert_array_equal(detector(picture).boxes_xyxy, right.boxes_xyxy, err_msg=place)


def test_a_run_that_is_kept_by_its_own_pipeline_ends_when_both_are_dropped(blob_model: Path, clip: Path) -> None:
    pipeline = Pipeline(blob_model)
    pipeline.last_run = pipeline.run(clip, loop=True)  # type: ignore[attr-defined]
    next(pipeline.last_run)  # type: ignore[attr-defined]
    del pipeline
    assert threads_left() == []
