"""KeyboardInterrupt at every step of building and closing: nothing leaks, nothing hangs, outputs are whole."""

from __future__ import annotations

import gc
import threading

import pytest

from keepbusy.config import RunConfig
from keepbusy.sinks import SinkRunner
from keepbusy.stats import RunStats
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.types import Detections, Frame, Result, Timings
from tests.interrupts import interrupted_everywhere


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
        with scripted_run([source], device, config) as run:
            for _, _ in zip(range(3), run, strict=False):
                pass

    num_places = 0
    for place, (source, device) in interrupted_everywhere(prepare, work):
        num_places += 1
        assert threads_left() == [], place
        assert device.num_in_flight == 0, place
        assert source.is_closed or source.num_read == 0, place
    assert num_places > 100


class Recorder:
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
    def work(parts: tuple[Recorder, list[int]]) -> None:
        recorder, given = parts
        with SinkRunner([recorder], RunStats()) as runner:
            for index in range(3):
                assert runner.put(result_of(index))
                given.append(index)

    num_places = 0
    for place, (recorder, given) in interrupted_everywhere(lambda: (Recorder(), []), work):
        num_places += 1
        assert threads_left() == [], place
        assert recorder.num_closed <= 1, place
        assert recorder.num_closed == 1 or not given, place
        assert recorder.written[: len(given)] == given, place
    assert num_places > 50
