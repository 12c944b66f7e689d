"""Frames of other streams flow while a model is compiled for what nobody foresaw, and detections stay the same."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.config import DetectConfig, RunConfig, StreamConfig
from keepbusy.device.compiler import Compiler
from keepbusy.device.engine import OpenVINODevice
from keepbusy.errors import FrameError, ModelError
from keepbusy.flow.run import Run
from keepbusy.flow.stream import Stream
from keepbusy.models.prepare import Prepared
from keepbusy.sources import Source, SourceInfo
from keepbusy.testing import ScriptedDevice, scripted_run
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from tests.head_graphs import head_model
from tests.waiting import wait_until

NOMINAL_HW = (128, 128)
FLAT_HW = (64, 128)
MEANWHILE = 150
"""Results of a stream while a graph is held back: many more than fit between its source and its consumer."""

# With these, the random weights' candidates are a crowd at any threshold that lets something pass.
OPTIONS: dict[str, Any] = {"head": "tail", "precision": "f32", "iou": 1.0, "max_det": 1000}
CROWDED: dict[str, Any] = {**OPTIONS, "conf": 0.01}
NOTHING = DetectConfig(conf=0.999999)


class Pictures(Source):
    """Random pictures of some sizes, one after the other; from the last size on for ever where there is no end."""

    def __init__(
        self, sizes_hw: Sequence[tuple[int, int]], *, is_endless: bool = False, name: str = "pictures"
    ) -> None:
        self.info = SourceInfo(name, num_frames=None if is_endless else len(sizes_hw), fps=30.0)
        self._sizes_hw = sizes_hw
        self._is_endless = is_endless
        self._index = 0

    def read(self) -> Frame | None:
        index = self._index
        if index >= len(self._sizes_hw) and not self._is_endless:
            return None
        self._index += 1
        return Frame(picture(self._sizes_hw[min(index, len(self._sizes_hw) - 1)]), index, index / 30, 0, "pictures")


def picture(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The same random picture for each size: uint8 (H, W, 3)."""
    return np.random.default_rng(size_hw[0]).integers(0, 256, (*size_hw, 3), np.uint8)


class Held:
    """Compiling that does not get done until it is let go.

    Attributes:
        has_begun: Set when the first graph that is held is to be compiled.
        threads: The names of the threads that compile, by the strategy and the input's (height, width).
    """

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.threads: dict[tuple[str, tuple[int, int]], str] = {}
        self._may_go_on = threading.Event()

    def let_go(self) -> None:
        self._may_go_on.set()

    @property
    def is_held(self) -> bool:
        return not self._may_go_on.is_set()

    def install(self, monkeypatch: pytest.MonkeyPatch, is_held: Callable[[Prepared], bool]) -> None:
        compile_at_once = Compiler.compile

        def compile_later(compiler: Compiler, graph: Prepared, *args: Any, **options: Any) -> OpenVINODevice:
            self.threads[strategy_of(graph), graph.input_hw] = threading.current_thread().name
            if is_held(graph):
                self.has_begun.set()
                assert self._may_go_on.wait(60)
            return compile_at_once(compiler, graph, *args, **options)

        monkeypatch.setattr(Compiler, "compile", compile_later)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go()


def strategy_of(graph: Prepared) -> str:
    return "tail" if graph.output.is_tail else "host" if graph.output.family.endswith("raw") else "stock"


def is_second_graph(graph: Prepared) -> bool:
    return strategy_of(graph) == "host"


def take(run: Run, stream: Stream, num_results: int) -> list[Result]:
    """So many results of one stream; those of others are passed over."""
    found: list[Result] = []
    while len(found) < num_results:
        result = next(run)
        if result.frame.source_id == stream.id:
            found.append(result)
    return found


def model(folder: Path) -> Path:
    return head_model(folder / "m.xml", "yolov5", input_hw=NOMINAL_HW)


def bytes_of(detections: Detections) -> tuple[bytes, ...]:
    return tuple(part.tobytes() for part in (detections.boxes_xyxy, detections.confidence, detections.class_id))


def one_by_one(path: Path, sizes_hw: Sequence[tuple[int, int]], options: dict[str, Any]) -> list[tuple[bytes, ...]]:
    """What a sync run finds that nothing was planned for."""
    with kb.Pipeline(path, mode="sync", **options) as pipeline, pipeline.start() as run:
        run.add(Pictures(sizes_hw))
        run.end()
        return [bytes_of(result.detections) for result in run]


def test_a_stream_of_a_new_size_holds_up_no_other(tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path)
    with kb.Pipeline(path, nireq=2, **OPTIONS) as pipeline, pipeline.start() as run:
        steady = run.add(Pictures([NOMINAL_HW], is_endless=True))
        take(run, steady, 3)
        held.install(monkeypatch, lambda graph: graph.input_hw == FLAT_HW)
        late = run.add(Pictures([FLAT_HW] * 5))
        assert held.has_begun.wait(60)
        take(run, steady, MEANWHILE)
        assert held.is_held and late.stats.num_results == 0
        held.let_go()
        found = [bytes_of(result.detections) for result in take(run, late, 5)]
        assert held.threads["tail", FLAT_HW] == held.threads["host", FLAT_HW] == f"keepbusy-read-{late.id}"
        assert pipeline.shapes == [NOMINAL_HW, FLAT_HW]
    assert found == one_by_one(path, [NOMINAL_HW] + [FLAT_HW] * 5, OPTIONS)[1:]
    assert len(found[0][1]) > 0


def test_a_size_that_changes_within_a_stream_holds_up_no_other(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sizes_hw = model(tmp_path), [NOMINAL_HW] * 3 + [FLAT_HW] * 3 + [NOMINAL_HW]
    held.install(monkeypatch, lambda graph: graph.input_hw == FLAT_HW)
    with kb.Pipeline(path, nireq=2, **OPTIONS) as pipeline, pipeline.start() as run:
        steady = run.add(Pictures([NOMINAL_HW], is_endless=True))
        changing = run.add(Pictures(sizes_hw))
        found = take(run, changing, 3)
        assert held.has_begun.wait(60)
        take(run, steady, MEANWHILE)
        assert held.is_held and changing.stats.num_results == 3
        held.let_go()
        found += take(run, changing, 4)
    assert [result.frame.index for result in found] == list(range(7))
    assert [bytes_of(result.detections) for result in found] == one_by_one(path, sizes_hw, OPTIONS)


def test_the_graph_for_crowded_frames_is_made_beside_the_run(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.device.compiler.MANY_CELLS", 5)
    path = model(tmp_path)
    held.install(monkeypatch, is_second_graph)
    with kb.Pipeline(path, nireq=2, **CROWDED) as pipeline, pipeline.start() as run:
        steady = run.add(Pictures([NOMINAL_HW], is_endless=True), StreamConfig(detect=NOTHING))
        assert held.has_begun.wait(60)
        take(run, steady, MEANWHILE)
        assert held.is_held
        # A crowded frame that comes now waits for it, and nothing is compiled where frames pass.
        crowded = run.add(Pictures([NOMINAL_HW] * 3))
        wait_until(lambda: crowded.stats.num_arrived > 0)
        held.let_go()
        found = [bytes_of(result.detections) for result in take(run, crowded, 3)]
    assert held.threads["host", NOMINAL_HW] == "keepbusy-background"
    assert found == one_by_one(path, [NOMINAL_HW] * 3, CROWDED)
    assert len(found[0][1]) > 20 * 4


def test_crowded_frames_of_a_new_size_hold_up_no_other_stream(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.device.compiler.MANY_CELLS", 5)
    path = model(tmp_path)
    held.install(monkeypatch, lambda graph: is_second_graph(graph) and graph.input_hw == FLAT_HW)
    with kb.Pipeline(path, nireq=2, **CROWDED) as pipeline, pipeline.start() as run:
        steady = run.add(Pictures([NOMINAL_HW], is_endless=True), StreamConfig(detect=NOTHING))
        crowded = run.add(Pictures([FLAT_HW] * 3))
        assert held.has_begun.wait(60)
        take(run, steady, MEANWHILE)
        assert held.is_held and crowded.stats.num_results == 0
        held.let_go()
        found = [bytes_of(result.detections) for result in take(run, crowded, 3)]
    assert held.threads["host", FLAT_HW] == f"keepbusy-read-{crowded.id}"
    assert found == one_by_one(path, [FLAT_HW] * 3, CROWDED)


@pytest.mark.parametrize("nireq", [1, 4])
def test_sync_and_async_find_the_same_in_frames_of_many_sizes(
    tmp_path: Path, nireq: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.device.compiler.MANY_CELLS", 5)
    path = model(tmp_path)
    sizes_hw = [(height, width) for height in (128, 60, 40) for width in (128, 50)] * 2
    with kb.Pipeline(path, nireq=nireq, **CROWDED) as pipeline, pipeline.start() as run:
        run.add(Pictures(sizes_hw))
        run.end()
        found = [bytes_of(result.detections) for result in run]
        shapes = pipeline.shapes
    assert len(shapes) > 2
    assert found == one_by_one(path, sizes_hw, CROWDED)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_each_stream_asks_once_for_each_change_of_size(mode: str) -> None:
    asked: list[tuple[tuple[int, int], str]] = []

    def make_ready(frame_hw: tuple[int, int]) -> None:
        asked.append((frame_hw, threading.current_thread().name))

    config = RunConfig(mode=mode, nireq=2 if mode == "async" else None)  # type: ignore[arg-type]
    with scripted_run(None, ScriptedDevice(), config, make_ready=make_ready) as run:
        for sizes_hw in ([FLAT_HW] * 3 + [NOMINAL_HW] * 3, [NOMINAL_HW] * 2):
            run.add(Pictures(sizes_hw))
        run.end()
        assert len(list(run)) == 8
    readers = ["keepbusy-read-0", "keepbusy-read-1"] if mode == "async" else ["MainThread"] * 2
    expected = [(FLAT_HW, readers[0]), (NOMINAL_HW, readers[0]), (NOMINAL_HW, readers[1])]
    assert sorted(asked) == sorted(expected)


def test_what_is_done_in_the_background_ends_with_the_run() -> None:
    done: list[str] = []
    runs: list[Run] = []
    has_results = threading.Event()

    def close() -> None:
        assert has_results.wait(60)
        runs[0].close()
        done.append("first")

    with scripted_run(None, ScriptedDevice(), in_background=[close, lambda: done.append("second")]) as run:
        runs.append(run)
        run.add(Pictures([NOMINAL_HW] * 4))
        run.end()
        assert len([next(run) for _ in range(4)]) == 4
        has_results.set()
    assert done == ["first"]


def test_a_size_that_does_not_compile_is_the_error_of_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path)
    compile_any = Compiler.compile

    def refuse(compiler: Compiler, graph: Prepared, *args: Any, **options: Any) -> OpenVINODevice:
        if graph.input_hw == FLAT_HW:
            raise ModelError("no such shape")
        return compile_any(compiler, graph, *args, **options)

    monkeypatch.setattr(Compiler, "compile", refuse)
    with kb.Pipeline(path, nireq=2, on_error="skip", **OPTIONS) as pipeline, pipeline.start() as run:
        stream = run.add(Pictures([NOMINAL_HW, FLAT_HW, NOMINAL_HW]))
        run.end()
        results = list(run)
    assert [result.error is None for result in results] == [True, False, True]
    error = results[1].error
    assert isinstance(error, FrameError) and error.stage == "preprocess" and "no such shape" in str(error)
    assert (results[1].frame.height, results[1].frame.width, results[1].frame.index) == (*FLAT_HW, 1)
    assert stream.state == "ended" and stream.stats.num_results == 3


@pytest.mark.parametrize("is_in_reader", [False, True])
def test_a_run_that_is_closed_does_not_wait_for_ever_for_a_model_to_be_compiled(
    tmp_path: Path,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_in_reader: bool,
) -> None:
    monkeypatch.setattr("keepbusy.flow.run_async.READ_TIMEOUT_S", 0.05)
    path = model(tmp_path)
    held.install(monkeypatch, (lambda graph: graph.input_hw == FLAT_HW) if is_in_reader else is_second_graph)
    before = set(threading.enumerate())
    with kb.Pipeline(path, nireq=2, **OPTIONS) as pipeline:
        with pipeline.start() as run, caplog.at_level(logging.WARNING, "keepbusy"):
            size_hw = FLAT_HW if is_in_reader else NOMINAL_HW
            run.add(Pictures([size_hw], is_endless=True), StreamConfig(detect=NOTHING))
            assert held.has_begun.wait(60)
        assert "left behind" in caplog.text
        held.let_go()
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
        # What it has made is there for the next run.
        monkeypatch.undo()
        with pipeline.start() as run:
            run.add(Pictures([FLAT_HW] * 2))
            run.end()
            assert [result.error for result in run] == [None, None]


def test_runs_in_which_nobody_else_waits_make_the_graph_for_crowded_frames_when_one_comes(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path)
    held.install(monkeypatch, lambda graph: False)
    for mode in ("sync", "async"):
        with kb.Pipeline(path, mode=mode, conf=0.999999, **OPTIONS) as pipeline:
            assert len(list(pipeline.run(picture(NOMINAL_HW)))) == 1
            assert ("host", NOMINAL_HW) not in held.threads
    with kb.Pipeline(path, **OPTIONS) as pipeline:
        pipeline.plan(picture(NOMINAL_HW))
        assert held.threads["host", NOMINAL_HW] == threading.current_thread().name


def test_sizes_that_were_planned_for_compile_nothing_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(256, 256))
    pictures = [picture((256, 256))] * 60 + [picture((200, 256))]
    with kb.Pipeline(path, conf=0.999999, **OPTIONS) as pipeline, caplog.at_level(logging.WARNING, "keepbusy"):
        assert len(list(pipeline.run(*pictures))) == 61
        # A second shape would save less than 3 % of the pixels.
        assert pipeline.shapes == [(256, 256)]
    assert "not expected" not in caplog.text
