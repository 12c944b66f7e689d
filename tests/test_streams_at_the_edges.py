"""Streams at their edges: odd sources, odd moments, slips, and what is said of them."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import sys
import threading
import time
from typing import Any

import pytest

import keepbusy as kb
from keepbusy.config import Mode
from keepbusy.flow import stats
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run

MODES = pytest.mark.parametrize("mode", ["async", "sync"])


def config(mode: Mode, **more: Any) -> kb.RunConfig:
    return kb.RunConfig(mode=mode, nireq=2 if mode == "async" else None, **more)


@MODES
def test_waiting_for_the_device_is_not_work_of_postprocessing(mode: Mode) -> None:
    run = scripted_run([ScriptedSource(20)], ScriptedDevice(0.02), config(mode))
    assert sum(1 for _ in run) == 20
    stages = {one.stage: one for one in run.stats.snapshot().stages}
    assert stages["infer"].busy_s > 0.3
    assert stages["postprocess"].busy_s < 0.1 < stages["postprocess"].wait_input_s


@MODES
def test_a_stream_is_known_until_its_last_result_is_taken(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MAX_ENDED", 2)
    ended: list[str] = []
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.watch(lambda stream: ended.append(stream.name))
        for number in range(9):
            run.add(ScriptedSource(2, name="source"), kb.StreamConfig(name=f"job {number}"))
        run.end()
        if mode == "async":
            time.sleep(0.2)  # All readers are done.
        names = [run.streams[result.frame.source_id].name for result in run]
        numbers = run.stats.snapshot()
    assert sorted(names) == sorted(f"job {number}" for number in range(9) for _ in range(2))
    assert sorted(ended) == [f"job {number}" for number in range(9)]
    assert len(run.streams) == 2 and sum(one.num_results for one in numbers.streams) == 18
    assert all(one.num_in_flight == 0 for one in numbers.streams)


def test_the_first_failure_of_many_streams_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MAX_ENDED", 2)
    with scripted_run(None, ScriptedDevice()) as run:
        for number in range(9):
            run.add(ScriptedSource(1, breaks_at=0, name=f"s{number}"))
        time.sleep(0.2)
        with pytest.raises(kb.FrameError, match="scripted break"):
            next(run)


@MODES
def test_a_stream_that_was_taken_is_read_whenever_the_run_is_ended(mode: Mode) -> None:
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(150):
            run = scripted_run(None, ScriptedDevice(), config(mode))
            added: list[kb.Stream] = []
            barrier = threading.Barrier(2)

            def add(run: kb.Run = run, added: list[kb.Stream] = added, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                with contextlib.suppress(kb.KeepbusyError):
                    added.append(run.add(ScriptedSource(3)))

            thread = threading.Thread(target=add)
            thread.start()
            barrier.wait()
            for _ in range(number % 9):
                pass
            run.end()
            thread.join()
            assert sum(1 for _ in run) == 3 * len(added)
    finally:
        sys.setswitchinterval(interval_s)


@MODES
def test_a_source_that_was_given_is_closed_whenever_the_run_is(mode: Mode) -> None:
    for number in range(100):
        run = scripted_run(None, ScriptedDevice(), config(mode))
        source = ScriptedSource(None)
        barrier = threading.Barrier(2)

        def add(run: kb.Run = run, source: ScriptedSource = source, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                run.add(source)
            except kb.KeepbusyError:
                return

        thread = threading.Thread(target=add)
        thread.start()
        barrier.wait()
        for _ in range(number % 9):
            pass
        run.close()
        thread.join()
        run.close()
        assert source.is_closed


class NoInfo(ScriptedSource):
    def __init__(self) -> None:
        super().__init__(3)
        del self.info


class OddCount(ScriptedSource):
    def __init__(self) -> None:
        super().__init__(3)
        self.info = kb.SourceInfo("odd", num_frames="many")  # type: ignore[arg-type]


class Opens:
    """A source that is opened in its stream's thread."""

    name = "opens"

    def __init__(self, source: object) -> None:
        self.source = source

    def open(self) -> kb.Source:
        return self.source  # type: ignore[return-value]


@MODES
@pytest.mark.parametrize("make", [lambda: None, lambda: "text", NoInfo, OddCount])
def test_an_odd_source_is_its_own_streams_failure(mode: Mode, make: Any) -> None:
    odd = make()
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        failed = run.add(Opens(odd), kb.StreamConfig(on_error="skip"))
        run.add(ScriptedSource(5, name="good"))
        run.end()
        results = list(run)
    assert sorted(one.frame.source for one in results if one.error is None) == ["good"] * 5
    assert [one.error.stage for one in results if one.error is not None] == ["read"]
    assert failed.state == "failed" and failed.error is not None
    assert not isinstance(odd, ScriptedSource) or odd.is_closed


def test_an_interrupt_that_fails_while_a_source_is_being_opened_harms_nobody() -> None:
    begun, let_go = threading.Event(), threading.Event()

    class Slow(Opens):
        def open(self) -> kb.Source:
            begun.set()
            let_go.wait(60)
            return super().open()

    class Broken(ScriptedSource):
        def interrupt(self) -> None:
            raise RuntimeError("interrupt")

    with scripted_run(None, ScriptedDevice()) as run:
        stream = run.add(Slow(Broken(3)))
        begun.wait(60)
        run.remove(stream)
        let_go.set()
        run.add(ScriptedSource(2, name="good"))
        run.end()
        assert [one.frame.source for one in run] == ["good", "good"]


@MODES
def test_a_stream_is_removed_at_once_and_its_name_is_free(mode: Mode) -> None:
    class Camera(ScriptedSource):
        """Its `read` gives None where it is interrupted, as the end of a file does."""

        def read(self) -> kb.Frame | None:
            return None if self._unblocked.is_open else super().read()

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        camera = Camera(None, name="door")
        first = run.add(camera, kb.StreamConfig(name="door"))
        next(run)
        run.remove(first)
        assert first.state == "removed"
        second = run.add(ScriptedSource(2, name="again"), kb.StreamConfig(name="door"))
        run.end()
        assert [one.frame.source for one in run if one.frame.source_id == second.id] == ["again", "again"]
    assert first.state == "removed" and second.state == "ended" and camera.is_closed


@MODES
def test_a_stream_that_ends_at_an_error_has_failed(mode: Mode) -> None:
    with scripted_run(None, ScriptedDevice(fails=(1,)), config(mode)) as run:
        stream = run.add(ScriptedSource(None), kb.StreamConfig(on_error="end"))
        run.end()
        errors = [one.error for one in run if one.error is not None]
    assert stream.state == "failed" and stream.error in errors


@MODES
def test_a_source_is_read_by_one_stream(mode: Mode) -> None:
    source = ScriptedSource(None)
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(source)
        with pytest.raises(kb.ConfigError, match="is read by another stream of this run"):
            run.add(source)
        assert [next(run).frame.index for _ in range(20)] == list(range(20)) and not source.is_closed


def test_what_is_no_source_no_configuration_and_no_stream_is_said() -> None:
    with scripted_run(None, ScriptedDevice()) as run:
        for wrong in (None, ["a.mp4"], 1.5, object()):
            with pytest.raises(kb.ConfigError, match=r"add: \w+ is no source"):
                run.add(wrong)  # type: ignore[arg-type]
        with pytest.raises(kb.ConfigError, match="add: dict is no StreamConfig"):
            run.add(ScriptedSource(1), {"name": "x"})  # type: ignore[arg-type]
        with pytest.raises(kb.ConfigError, match="remove: str is no stream"):
            run.remove("door")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 5},
        {"steps": (kb.Step(),)},
        {"steps": kb.Step()},
        {"select": None},
        {"select": {"limit": 3}},
        {"detect": {"conf": 0.5}},
        {"retry": 3},
        {"retry": True},
        {"name": 5},
        {"max_age_ms": -1},
    ],
)
def test_slips_in_a_streams_options_are_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(kb.ConfigError, match=f"^{next(iter(wrong))}: "):
        kb.StreamConfig(**wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_adds_nothing() -> None:
    with scripted_run(None, ScriptedDevice()) as run:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run.add(ScriptedSource(1))
            except kb.KeepbusyError as error:
                code = 0 if "belongs to the process" in error.message else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "error",
    [
        kb.FrameError("x", stage="infer", source="a.mp4", frame_index=3, hint="h", timestamp_s=0.5, shape_hw=(2, 3)),
        kb.MissingExtraError("evaluating", extra="eval"),
        kb.ConfigError("conf: 2 is above 1", hint="give a share"),
        kb.DeviceTimeoutError("no answer"),
    ],
)
def test_errors_travel_to_other_processes(copied: Any, error: kb.KeepbusyError) -> None:
    other = copied(error)
    assert type(other) is type(error) and str(other) == str(error) and vars(other) == vars(error)


def test_an_error_of_somebodys_program_keeps_its_type() -> None:
    class Odd(ScriptedSource):
        def read(self) -> kb.Frame | None:
            raise KeyError("zone")

    with scripted_run([Odd(1)], ScriptedDevice()) as run, pytest.raises(kb.FrameError, match="KeyError: 'zone'"):
        next(run)
