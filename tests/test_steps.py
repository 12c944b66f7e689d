"""Steps of streams: made anew for each, in order, told of the end once, and a failure is one frame's."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.config import Mode
from keepbusy.steps import Step, StreamInfo
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run

MODES = pytest.mark.parametrize("mode", ["async", "sync"])


def config(mode: Mode) -> kb.RunConfig:
    return kb.RunConfig(mode=mode, nireq=3 if mode == "async" else None)


class Watcher(Step):
    """Remembers what it has seen, and fails where it is told to."""

    def __init__(self, info: StreamInfo, fails: tuple[int, ...] = ()) -> None:
        self.info = info
        self.fails = fails
        self.seen: list[int] = []
        self.threads: set[str] = set()
        self.num_ended = 0

    def process(self, result: kb.Result) -> kb.Result:
        assert not self.num_ended
        self.threads.add(threading.current_thread().name)
        self.seen.append(result.frame.index)
        if result.frame.index in self.fails:
            raise ValueError("scripted")
        return result

    def end(self) -> None:
        self.num_ended += 1


class Makers:
    """Makes watchers, and keeps them."""

    def __init__(self, fails: tuple[int, ...] = ()) -> None:
        self.fails = fails
        self.made: list[Watcher] = []

    def __call__(self, info: StreamInfo) -> Watcher:
        self.made.append(Watcher(info, self.fails))
        return self.made[-1]


class Nothing(Step):
    def process(self, result: kb.Result) -> kb.Result:
        keep = np.zeros(len(result.detections), np.bool_)
        return dataclasses.replace(result, detections=result.detections[keep])


@MODES
def test_each_stream_has_steps_of_its_own_that_see_its_results_in_order(mode: Mode) -> None:
    makers = Makers()
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        for number in range(3):
            source = ScriptedSource(5 + number, name=f"s{number}", size_wh=(64, 48))
            run.add(source, kb.StreamConfig(steps=(makers,)))
        run.end()
        num_results = sum(1 for _ in run)
        ended = [one.num_ended for one in makers.made]
    assert num_results == 18 and ended == [1, 1, 1]
    by_name = {one.info.name: one for one in makers.made}
    assert {name: one.seen for name, one in by_name.items()} == {f"s{n}": list(range(5 + n)) for n in range(3)}
    assert by_name["s1"].info == StreamInfo(id=1, name="s1", source="s1", num_frames=6, fps=30.0, size_wh=(64, 48))
    assert len({name for one in makers.made for name in one.threads}) == 1


@MODES
def test_steps_are_taken_in_their_order_and_what_they_leave_is_counted(mode: Mode) -> None:
    makers = Makers()
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(4, name="none"), kb.StreamConfig(steps=(Watcher, lambda _: Nothing(), makers)))
        run.add(ScriptedSource(4, name="all"))
        run.end()
        found = {(one.frame.source, one.frame.index): len(one.detections) for one in run}
        numbers = run.stats.snapshot()
    assert found == {(name, index): int(name == "all") for name in ("none", "all") for index in range(4)}
    assert [one.num_detections for one in numbers.streams] == [0, 4] and numbers.num_detections == 4
    assert makers.made[0].seen == [0, 1, 2, 3]


@MODES
def test_a_step_that_fails_fails_one_frame(mode: Mode) -> None:
    makers = Makers(fails=(1,))
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(4, name="odd"), kb.StreamConfig(steps=(makers,), on_error="skip"))
        run.add(ScriptedSource(4, name="even"))
        run.end()
        results = list(run)
    failed = [one for one in results if one.error is not None]
    assert [(one.frame.source, one.frame.index, str(one.error)) for one in failed] == [
        ("odd", 1, "step: odd: frame 1: scripted")
    ]
    assert failed[0].error is not None and failed[0].error.stage == "step" and len(failed[0].detections) == 0
    assert len(results) == 8 and makers.made[0].seen == [0, 1, 2, 3] and makers.made[0].num_ended == 1


@MODES
def test_a_step_that_cannot_be_made_is_each_frames_error(mode: Mode) -> None:
    def fail(info: StreamInfo) -> Step:
        raise kb.ConfigError("no tracker", hint="install one")

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(3), kb.StreamConfig(steps=(fail,), on_error="end"))
        run.end()
        errors = [one.error for one in run]
    assert errors[0] is not None and errors[0].stage == "step" and errors[0].hint == "install one"


@MODES
def test_frames_that_failed_before_are_not_given_to_steps(mode: Mode) -> None:
    makers = Makers()
    with scripted_run(None, ScriptedDevice(fails=(2,)), config(mode)) as run:
        run.add(ScriptedSource(5, fails=(1,)), kb.StreamConfig(steps=(makers,), on_error="skip"))
        run.end()
        errors = [one.frame.index for one in run if one.error is not None]
    assert errors == [1, 3] and makers.made[0].seen == [0, 2, 4]


@MODES
def test_steps_are_told_of_the_end_of_a_run_that_is_broken_off(mode: Mode) -> None:
    makers = Makers()
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(None), kb.StreamConfig(steps=(makers,)))
        next(run)
    assert [one.num_ended for one in makers.made] == [1]


def test_a_stream_that_is_opened_again_keeps_its_steps() -> None:
    lives = [ScriptedSource(5, breaks_at=2), ScriptedSource(3)]

    class Spec:
        name = "flaky"

        def open(self) -> kb.Source:
            return lives.pop(0)

    makers = Makers()
    with scripted_run(None, ScriptedDevice()) as run:
        retry = kb.Retry(first_wait_s=0.001)
        run.add(Spec(), kb.StreamConfig(steps=(makers,), retry=retry))
        run.end()
        indices = [one.frame.index for one in run]
    assert len(makers.made) == 1 and makers.made[0].seen == indices and len(indices) == 5


@MODES
def test_a_step_cannot_put_another_frame_or_other_times_in_place(mode: Mode) -> None:
    class Forger(Step):
        def process(self, result: kb.Result) -> kb.Result:
            frame = dataclasses.replace(result.frame, index=99)
            return kb.Result(frame, result.detections, kb.Timings())

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(2), kb.StreamConfig(steps=(lambda _: Forger(),)))
        run.end()
        results = list(run)
    assert [one.frame.index for one in results] == [0, 1]
    assert all(one.timings.postprocess_end_ns >= one.timings.infer_end_ns > 0 for one in results)


def test_what_is_documented_can_be_done() -> None:
    class OnlyLarge(Step):
        def process(self, result: kb.Result) -> kb.Result:
            boxes = result.detections.boxes_xyxy
            is_large = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) > 10_000
            return dataclasses.replace(result, detections=result.detections[is_large])

    with scripted_run(None, ScriptedDevice()) as run:
        for side_px in (50, 200):
            source = ScriptedSource(2, size_wh=(side_px, side_px))
            run.add(source, kb.StreamConfig(steps=(lambda info: OnlyLarge(),)))
        run.end()
        counts = {(one.frame.source_id, len(one.detections)) for one in run}
    assert counts == {(0, 0), (1, 1)}


@MODES
def test_steps_are_told_of_the_end_while_the_other_streams_go_on(mode: Mode) -> None:
    makers = Makers()
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(2, name="short"), kb.StreamConfig(steps=(makers,)))
        run.add(ScriptedSource(None, name="long"))
        run.end()
        told: list[int] = []
        run.watch(lambda stream: told.append(makers.made[0].num_ended))
        for number, _ in enumerate(run):
            if told or number > 1000:
                break
    assert told == [1]


@MODES
def test_steps_that_were_made_before_one_that_cannot_be_are_made_and_ended_once(mode: Mode) -> None:
    makers = Makers()

    def fail(info: StreamInfo) -> Step:
        raise kb.ConfigError("no tracker")

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(4), kb.StreamConfig(steps=(makers, fail), on_error="skip"))
        run.end()
        errors = [str(one.error) for one in run]
    assert len(errors) == 4 and all("no tracker" in one for one in errors)
    assert [(one.seen, one.num_ended) for one in makers.made] == [([], 1)]


@MODES
@pytest.mark.parametrize("odd", [None, "result", 5])
def test_a_step_that_gives_no_result_fails_the_frame(mode: Mode, odd: object) -> None:
    class Odd(Step):
        def process(self, result: kb.Result) -> kb.Result:
            if odd == 5:
                return dataclasses.replace(result, detections=odd)  # type: ignore[arg-type]
            return odd  # type: ignore[return-value]

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(2), kb.StreamConfig(steps=(lambda _: Odd(),), on_error="skip"))
        run.end()
        errors = [one.error for one in run]
    assert [error is not None and error.stage for error in errors] == ["step", "step"]


@MODES
@pytest.mark.parametrize("name", ["boxes_xyxy", "confidence", "keypoints", "boxes_xywhr", "probabilities"])
def test_a_step_that_makes_numbers_that_are_none_fails_the_frame(mode: Mode, name: str) -> None:
    class Filter(Step):
        def process(self, result: kb.Result) -> kb.Result:
            odd: Any = {name: np.full((1, 4), np.nan, np.float32)}
            return dataclasses.replace(result, detections=dataclasses.replace(result.detections, **odd))

    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(1, name="odd"), kb.StreamConfig(steps=(lambda _: Filter(),), on_error="skip"))
        run.end()
        (error,) = [one.error for one in run]
    assert error is not None and error.stage == "step" and error.hint
    assert error.reason.startswith(f"{name}: row 0 has numbers that are not finite")
