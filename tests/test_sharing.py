"""Inference and the other stages on the cores of one CPU."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.device import sharing
from keepbusy.device.slots import create_slots
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.candidates import Outputs
from keepbusy.testing import ScriptedDevice, ScriptedSource, index_detected, scripted_run
from keepbusy.threads import cores
from keepbusy.threads.cores import allowed_cores, stay_on, taken_cores
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="threads cannot be bound here"
)


@pytest.mark.parametrize(
    ("num_cores", "inference_ms", "wanted"),
    [
        (2, 10.0, 0),
        (7, 10.0, 0),
        (8, 12.5, 2),
        (16, 12.5, 4),
        (16, 28.0, 2),
        (16, 60.0, 1),
        (16, 400.0, 0),
        (64, 1, 16),
    ],
)
def test_stages_get_cores_by_their_part_of_the_work(num_cores: int, inference_ms: float, wanted: int) -> None:
    assert sharing.cores_for_stages(num_cores, inference_ms) == wanted


@needs_affinity
def test_a_core_is_taken_while_a_thread_is_bound_to_it() -> None:
    # In a process of its own: devices that other tests have used may have threads that are still bound.
    code = """
import threading, time
from keepbusy.threads.cores import allowed_cores, stay_on, taken_cores

before, core = taken_cores(), max(allowed_cores())
is_bound, may_end = threading.Event(), threading.Event()

def stay():
    stay_on({core})
    assert allowed_cores() == {core}
    is_bound.set()
    may_end.wait()

thread = threading.Thread(target=stay)
thread.start()
is_bound.wait()
meanwhile = taken_cores()
may_end.set()
thread.join()
# The system's thread ends a moment after Python's.
until_s = time.monotonic() + 10
while core in taken_cores() and core not in before and time.monotonic() < until_s:
    time.sleep(0.001)
print(core in meanwhile, core in before, core in taken_cores())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    single = len(allowed_cores()) == 1  # Then every thread is bound to it.
    assert done.stdout.split() == ["True", str(single), str(single)]


@needs_affinity
def test_nothing_is_bound_without_cores_or_to_cores_that_are_not_there() -> None:
    before = allowed_cores()
    stay_on(())
    stay_on({1 << 20})
    assert allowed_cores() == before


@needs_affinity
def test_only_threads_that_start_and_collect_frames_are_bound() -> None:
    allowed = allowed_cores()
    core = max(allowed)
    of_reader: set[frozenset[int]] = set()
    of_preprocessor: set[frozenset[int]] = set()
    of_postprocessor: set[frozenset[int]] = set()

    class Source(ScriptedSource):
        def read(self) -> Frame | None:
            of_reader.add(allowed_cores())
            return super().read()

    def latency_s(ordinal: int) -> float:
        of_preprocessor.add(allowed_cores())
        return 0.0

    def decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
        of_postprocessor.add(allowed_cores())
        return index_detected(outputs, letterbox)

    device = ScriptedDevice(latency_s)
    slots = create_slots(device, 3)
    run = scripted_run([Source(20)], device, slots=slots, to_detections=decode, own_cores=frozenset({core}))
    assert sum(1 for _ in run) == 20
    assert of_reader == {allowed}
    assert of_preprocessor == of_postprocessor == {frozenset({core})}
    assert allowed_cores() == allowed


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's cores count as many, and half of them as the stages'."""
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    monkeypatch.setattr(cores, "MANY_CORES", 2)
    monkeypatch.setattr(sharing, "LARGEST_SHARE", 2)
    monkeypatch.setattr(sharing, "HOST_MS", 1e6)
    monkeypatch.setattr(sharing, "whole_cores", lambda: 2)


@needs_affinity
def test_inference_leaves_cores_to_the_stages(
    few_are_many: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepbusy")
    with kb.Pipeline(embedded_model(), head="tail") as pipeline:
        with pipeline.run(embedded_clip(), limit=30) as run:
            boxes = [result.detections.boxes_xyxy for result in run]
        assert pipeline.device.describe()["threads"] == "1"
        own = pipeline._slots.own_cores
    assert len(boxes) == 30
    said = [record.message for record in caplog.records if "cores" in record.message]
    assert said == ["1 of 2 cores are left to reading, preprocessing and postprocessing"]
    # Where OpenVINO binds its one thread, the core that it is on is not among them.
    assert own <= allowed_cores() and len(own) in (0, len(allowed_cores()) - 1)

    # What an inference costs was measured once.
    monkeypatch.setattr(sharing, "inference_cost_ms", lambda device: pytest.fail("measured again"))
    with kb.Pipeline(embedded_model(), head="tail") as again, again.run(embedded_clip(), limit=30) as run:
        for result, expected in zip(run, boxes, strict=True):
            assert (result.detections.boxes_xyxy == expected).all()


@pytest.mark.parametrize("options", [{"threads": 2}, {"nstreams": 1}, {"mode": "sync"}])
def test_what_the_user_sets_stays(few_are_many: None, options: dict[str, Any]) -> None:
    with kb.Pipeline(embedded_model(), head="tail", **options) as pipeline:
        pipeline.plan(embedded_clip())
        assert pipeline.device.describe()["threads"] == "2"


def test_few_wanted_cores_need_no_look() -> None:
    device = ScriptedDevice()
    slots = create_slots(device, 2)
    assert sharing.cores_beside(slots, 0) == frozenset()
    assert device.num_started == 0
    # Threads of the inferences of other tests may stay bound for a moment after these have ended.
    end_s = time.monotonic() + 30
    while taken_cores() and time.monotonic() < end_s:
        time.sleep(0.01)
    # Nothing is bound to anything here, so that nothing is known.
    assert sharing.cores_beside(slots, 1) == frozenset()
    assert device.num_started == 2 and device.num_in_flight == 0
