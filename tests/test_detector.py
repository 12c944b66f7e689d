"""A Detector of a real model: many callers, asyncio, closing, how it shows itself."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.device.slots import EXTRA_REQUESTS
from tests.build import square_picture

WAIT_S = 60.0


def pictures(number: int) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [square_picture(index % 60, index % 30) for index in range(number)]


def bytes_of(found: kb.Detections) -> bytes:
    return found.boxes_xyxy.tobytes() + found.confidence.tobytes() + found.class_id.tobytes()


def have_many_callers(detector: kb.Detector, num_slots: int) -> None:
    """Call from several threads until more requests are there."""
    end_s = time.monotonic() + WAIT_S
    with ThreadPoolExecutor(4) as callers:
        while detector.num_slots < num_slots:
            assert time.monotonic() < end_s, f"{detector} has no more requests"
            list(callers.map(detector, pictures(8)))


@pytest.fixture
def detector(blob_model: Path) -> Iterator[kb.Detector]:
    with kb.Detector(blob_model) as made:
        yield made


def test_many_callers_find_what_one_finds_and_use_a_graph_of_their_own(detector: kb.Detector) -> None:
    given = pictures(60)
    expected = [bytes_of(detector(one)) for one in given]
    assert detector.num_slots == 1
    few = 1 + EXTRA_REQUESTS
    have_many_callers(detector, few + 1)
    num_slots = detector.num_slots
    for _ in range(3):
        with ThreadPoolExecutor(20) as callers:
            assert [bytes_of(found) for found in callers.map(detector, given)] == expected
    assert detector.num_slots == num_slots, "nothing is made twice"
    assert bytes_of(detector(given[7])) == expected[7]


def test_many_callers_with_frames_of_many_sizes_find_what_one_finds(blob_model: Path) -> None:
    sizes = [(96, 64), (64, 96), (200, 100), (96, 64), (50, 50)]
    given = [square_picture(5 + index, 6, size_wh=sizes[index % 5]) for index in range(40)]
    with kb.Detector(blob_model) as alone:
        expected = [bytes_of(alone(one)) for one in given]
    with kb.Detector(blob_model) as detector:
        detector(given[0])
        for one in given[1:5]:
            detector(one)
        have_many_callers(detector, 1 + EXTRA_REQUESTS + 1)
        with ThreadPoolExecutor(8) as callers:
            assert [bytes_of(found) for found in callers.map(detector, given)] == expected


@pytest.mark.parametrize(
    ("options", "num_slots"),
    [
        ({"mode": "sync"}, 1),
        ({"nireq": 1}, 1),
        ({"hint": "latency", "nireq": 4}, 4),
        ({"mode": "async", "nireq": 3}, 3),
    ],
)
def test_how_many_requests_there_are_can_be_said(blob_model: Path, options: dict[str, Any], num_slots: int) -> None:
    with kb.Detector(blob_model, **options) as detector:
        detector(square_picture())
        assert detector.num_slots == 1
        if num_slots > 1:
            have_many_callers(detector, num_slots)
        with ThreadPoolExecutor(8) as callers:
            assert len(list(callers.map(detector, pictures(40)))) == 40
        assert detector.num_slots == num_slots


def test_the_first_calls_may_come_at_once(blob_model: Path) -> None:
    given = pictures(16)
    with kb.Detector(blob_model) as detector, ThreadPoolExecutor(16) as callers:
        found = [bytes_of(one) for one in callers.map(detector, given)]
        assert found == [bytes_of(detector(one)) for one in given]


def test_a_long_list_and_a_stream_are_in_order(detector: kb.Detector) -> None:
    given = pictures(50)
    expected = [bytes_of(detector(one)) for one in given]
    assert [bytes_of(one) for one in detector(given)] == expected
    assert [bytes_of(one) for one in detector(tuple(given[:5]))] == expected[:5]
    assert [bytes_of(one) for one in detector.stream(iter(given))] == expected


def test_awaiting_leaves_the_loop_free_and_finds_the_same(detector: kb.Detector) -> None:
    given = pictures(40)
    expected = [bytes_of(detector(one)) for one in given]

    async def main() -> tuple[list[kb.Detections], list[kb.Detections], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        one_by_one = [await detector.detect(one) for one in given]
        at_once = await detector.detect(given)
        ticking.cancel()
        return one_by_one, at_once, ticks

    one_by_one, at_once, ticks = asyncio.run(main())
    assert [bytes_of(one) for one in one_by_one] == expected
    assert [bytes_of(one) for one in at_once] == expected
    assert ticks > 40


def test_errors_come_to_who_awaits(detector: kb.Detector, tmp_path: Path) -> None:
    async def main() -> list[Any]:
        gone = str(tmp_path / "gone.jpg")
        given: list[Any] = [square_picture(), gone, None, square_picture()]
        return await asyncio.gather(*(detector.detect(one) for one in given), return_exceptions=True)

    first, gone, wrong, last = asyncio.run(main())
    assert bytes_of(first) == bytes_of(last)
    assert isinstance(gone, kb.FrameError) and "gone.jpg" in gone.message
    assert isinstance(wrong, kb.ConfigError) and "NoneType" in wrong.message


def test_a_cancelled_call_is_not_waited_for_and_one_that_has_not_begun_never_begins(
    detector: kb.Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, may_go_on = threading.Semaphore(0), threading.Event()
    num_begun = 0
    read = detector._read

    def slow(image: Any, index: int) -> Any:
        nonlocal num_begun
        num_begun += 1
        at_work.release()
        assert may_go_on.wait(WAIT_S)
        return read(image, index)

    monkeypatch.setattr(detector, "_read", slow)

    async def main() -> int:
        tasks = [asyncio.create_task(detector.detect(square_picture())) for _ in range(100)]
        await asyncio.to_thread(at_work.acquire)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        begun = num_begun
        may_go_on.set()
        return begun

    begun = asyncio.run(main())
    assert len(detector([square_picture()])) == 1
    assert num_begun <= begun + 1 + detector._num_threads < 100


def test_closing_while_calls_are_awaited_is_an_error_for_each(
    blob_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = kb.Detector(blob_model)
    detector(square_picture())
    begun, may_go_on = threading.Event(), threading.Event()
    read = detector._read

    def slow(image: Any, index: int) -> Any:
        begun.set()
        assert may_go_on.wait(WAIT_S)
        return read(image, index)

    monkeypatch.setattr(detector, "_read", slow)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(detector.detect(square_picture())) for _ in range(30)]
        await asyncio.to_thread(begun.wait)
        closing = asyncio.create_task(asyncio.to_thread(detector.close))
        while not detector._calls.is_closed:
            await asyncio.sleep(0.001)
        may_go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await closing
        return results

    results = asyncio.run(main())
    assert len(results) == 30
    assert all(isinstance(one, kb.KeepbusyError) and "closed" in one.message and one.hint for one in results)


def test_a_closed_detector_says_so(blob_model: Path) -> None:
    with kb.Detector(blob_model) as detector:
        assert len(detector(square_picture()))
        stream = detector.stream(iter(pictures(3)))
    detector.close()
    for use in (
        lambda: detector(square_picture()),
        lambda: detector([]),
        lambda: detector.stream([]),
        lambda: next(stream),
        lambda: asyncio.run(detector.detect(square_picture())),
    ):
        with pytest.raises(kb.KeepbusyError, match="the detector is closed") as caught:
            use()
        assert "make a new Detector" in (caught.value.hint or "")
    assert detector.num_slots == 0
    kb.Detector(blob_model).close()


def test_it_is_forgotten_with_all_it_has_when_it_is_dropped(blob_model: Path) -> None:
    detector = kb.Detector(blob_model)
    have_many_callers(detector, 1 + EXTRA_REQUESTS + 1)
    assert len(detector(pictures(20))) == 20
    known = weakref.ref(detector)
    (slot, *_) = detector._calls.places.slots
    known_request = weakref.ref(slot.request)
    del detector, slot, _
    gc.collect()
    assert known() is None and known_request() is None


def test_how_it_shows_itself(blob_model: Path, clip: Path) -> None:
    with kb.Detector(blob_model, "cpu") as detector:
        assert repr(detector) == "Detector(blob.xml on CPU, input 96x64, not compiled yet)"
        detector(square_picture())
        assert repr(detector) == f"Detector(blob.xml on CPU, input 96x64, head {detector.head}, idle, 1 request)"
    assert repr(detector) == "Detector(blob.xml on CPU, input 96x64, closed)"
    with kb.Pipeline(blob_model, nireq=3) as pipeline:
        assert repr(pipeline) == "Pipeline(blob.xml on CPU, input 96x64, not compiled yet)"
        run = pipeline.run(clip)
        next(run)
        known = f"Pipeline(blob.xml on CPU, input 96x64, head {pipeline.head}"
        assert repr(pipeline) == f"{known}, running, 3 requests)"
        list(run)
        assert repr(pipeline) == f"{known}, idle, 3 requests)"
    assert repr(pipeline) == "Pipeline(blob.xml on CPU, input 96x64, closed)"


def test_a_call_at_work_is_shown(blob_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        begun.set()
        assert may_go_on.wait(WAIT_S)

    with kb.Detector(blob_model) as detector:
        detector(square_picture())
        monkeypatch.setattr("keepbusy.flow.stages.wait", wait)
        caller = threading.Thread(target=detector, args=(square_picture(),))
        caller.start()
        assert begun.wait(WAIT_S)
        assert "1 call at work, 1 request" in repr(detector)
        may_go_on.set()
        caller.join(WAIT_S)
        monkeypatch.undo()


def test_ctrl_c_ends_a_call_that_waits() -> None:
    program = """
import signal, threading, time
from keepbusy.api.calls import Calls
from keepbusy.device.slots import create_slots
from keepbusy.testing import ScriptedDevice, ScriptedPostprocess, index_detected, numbered_image
from keepbusy.values.frame import Frame

device = ScriptedDevice(stalls={0})
calls = Calls(lambda _: create_slots(device, 1)[0], None, ScriptedPostprocess(index_detected), 30.0, "SCRIPTED")
frame = Frame(numbered_image(7), 7, 0.0, 0, "memory")
other = threading.Thread(target=calls, args=(frame,))
other.start()
while not device.num_in_flight:
    time.sleep(0.001)
def interrupt():
    while calls.num_now < 2:
        time.sleep(0.001)
    time.sleep(0.05)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
interrupting = threading.Thread(target=interrupt)
interrupting.start()
try:
    calls(frame)
except KeyboardInterrupt:
    print("interrupted", calls.num_now)
interrupting.join()
calls.places.slots[0].request.cancel()
other.join()
print(calls(frame).detections.class_id.tolist(), calls.num_now)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.stdout.split("\n")[:2] == ["interrupted 1", "[7] 0"], done.stderr


def test_a_fork_is_refused_by_every_way_in(blob_model: Path) -> None:
    program = f"""
import asyncio, os, sys
import keepbusy as kb
import numpy as np
picture = np.zeros((64, 96, 3), np.uint8)
detector = kb.Detector({str(blob_model)!r})
detector([picture] * 20)
child = os.fork()
if child == 0:
    told = 0
    ways = (
        lambda: detector(picture),
        lambda: detector([picture] * 20),
        lambda: detector.stream([picture]),
        lambda: asyncio.run(detector.detect(picture)),
    )
    for use in ways:
        try:
            use()
        except kb.KeepbusyError as error:
            told += "after a fork" in error.message
    detector.close()
    os._exit(told)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
detector.close()
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr


def test_a_program_that_ends_with_a_detector_open_ends(blob_model: Path) -> None:
    program = f"""
import keepbusy as kb
import numpy as np
detector = kb.Detector({str(blob_model)!r})
print(len(detector([np.zeros((64, 96, 3), np.uint8)] * 30)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "30\n", "")
