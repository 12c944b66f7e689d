"""Streams: they come and go, take turns by weight, are opened again, and are stopped in bounded time."""

from __future__ import annotations

import contextlib
import http.server
import logging
import threading
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.config import Retry, RunConfig, SelectConfig, StreamConfig
from keepbusy.errors import ConfigError, FrameError, KeepbusyError, SourceError
from keepbusy.flow.counters import StreamCounters
from keepbusy.flow.intake import MAX_LAG_TURNS, Intake
from keepbusy.flow.repeats import ALL_S, Repeats
from keepbusy.flow.run import Run
from keepbusy.flow.stats import MAX_ENDED, RunStats
from keepbusy.flow.stream import StreamState
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.sinks import Sink, SinkRunner
from keepbusy.sources import Source, SourceInfo
from keepbusy.testing import (
    ManualClock,
    ScriptedDevice,
    ScriptedSource,
    index_detected,
    numbered_image,
    scripted_run,
)
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from tests.build import write_video
from tests.http_server import serving
from tests.schedules import play
from tests.waiting import wait_until

MODES = ["async", "sync"]


def config(mode: str, **more: object) -> RunConfig:
    return RunConfig(mode=mode, nireq=None if mode == "sync" else 2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_schedules_of_streams_that_come_and_go(first: int) -> None:
    # `make schedules` plays more of them.
    for number in range(first, first + 50):
        play(1, number)


@pytest.mark.parametrize("mode", MODES)
def test_streams_are_added_while_the_run_goes_on(mode: str) -> None:
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        first = run.add(ScriptedSource(3, name="first"))
        assert [next(run).frame.source_id for _ in range(3)] == [0, 0, 0]
        second = run.add(ScriptedSource(2, name="second"), StreamConfig(name="called"))
        assert [next(run).frame.source_id for _ in range(2)] == [1, 1]
        run.end()
        assert next(run, None) is None
    assert (first.name, first.state, second.name, second.state) == ("first", "ended", "called", "ended")
    assert second.info == SourceInfo("second", num_frames=2, fps=30.0)
    assert [(one.name, one.num_arrived, one.num_results) for one in run.stats.snapshot().streams] == [
        ("first", 3, 3),
        ("called", 2, 2),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_was_ended_or_closed_takes_no_streams_and_closes_what_it_was_given(mode: str) -> None:
    run = scripted_run([ScriptedSource(1)], ScriptedDevice(), config(mode))
    for _ in range(2):
        late = ScriptedSource(1)
        with pytest.raises(KeepbusyError, match="takes no more streams"):
            run.add(late)
        assert late.is_closed
        run.close()


def test_names_that_were_chosen_are_unique_among_the_streams_that_go_on() -> None:
    with scripted_run(None, ScriptedDevice()) as run:
        door = run.add(ScriptedSource(None, is_live=True), StreamConfig(name="door"))
        twin = ScriptedSource(1)
        with pytest.raises(ConfigError, match="there is a stream door already"):
            run.add(twin, StreamConfig(name="door"))
        assert twin.is_closed
        run.remove(door)
        while not door.is_over:
            time.sleep(0.001)
        run.add(ScriptedSource(1), StreamConfig(name="door"))


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_can_be_removed_and_the_others_go_on(mode: str) -> None:
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        endless, short = run.add(ScriptedSource(None, name="endless")), run.add(ScriptedSource(30, name="short"))
        for _ in range(10):
            next(run)
        run.remove(endless)
        run.remove(endless)
        run.end()
        rest = Counter(result.frame.source_id for result in run)
    assert endless.state == "removed" and short.state == "ended"
    assert rest[endless.id] <= 20
    numbers = endless.stats
    assert numbers.num_arrived == numbers.num_results + numbers.num_dropped


def test_a_stream_of_another_run_is_not_removed() -> None:
    with scripted_run(None, ScriptedDevice()) as run, scripted_run(None, ScriptedDevice()) as other:
        stream = other.add(ScriptedSource(None))
        with pytest.raises(KeepbusyError, match="another run's"):
            run.remove(stream)


def test_each_illegal_step_says_why() -> None:
    with scripted_run([ScriptedSource(1)], ScriptedDevice()) as run:
        list(run)
    stream = run.streams[0]
    for state, why in (("running", "its source has ended"), ("opening", "its source has ended")):
        with pytest.raises(KeepbusyError, match=f"stream scripted: cannot become {state}: {why}"):
            stream.move_to(state)  # type: ignore[arg-type]


def test_turns_are_taken_by_weight() -> None:
    intake: Intake[str] = Intake()
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    for name, weight in weights.items():
        inlet = intake.open(3500, weight)
        for _ in range(3500):
            inlet.put(name)
    taken = Counter(intake.get() for _ in range(3500))
    assert {name: taken[name] / 1000 for name in weights} == pytest.approx(weights, rel=0.05)


def test_who_waits_for_room_is_woken_when_one_is_left() -> None:
    intake: Intake[int] = Intake()
    inlet = intake.open(4)
    put: list[int] = []

    def feed() -> None:
        for number in range(8):
            inlet.put(number)
            put.append(number)
        inlet.end()

    feeder = threading.Thread(target=feed)
    feeder.start()
    wait_until(lambda: len(put) == 4)
    assert [intake.get(), intake.get()] == [0, 1] and len(put) == 4
    assert intake.get() == 2
    wait_until(lambda: len(put) == 7)
    assert [intake.get() for _ in range(5)] == [3, 4, 5, 6, 7]
    feeder.join()
    intake.end()
    assert intake.get() is None


def test_a_stream_that_was_empty_saves_up_a_few_turns_at_most() -> None:
    intake: Intake[str] = Intake()
    busy, idle = intake.open(100), intake.open(100)
    for _ in range(100):
        busy.put("busy")
    assert [intake.get() for _ in range(50)] == ["busy"] * 50
    for _ in range(50):
        idle.put("idle")
    counts = Counter(intake.get() for _ in range(50))
    assert 0 <= counts["idle"] - counts["busy"] <= MAX_LAG_TURNS + 1


def test_what_is_worth_nothing_any_more_costs_no_turn() -> None:
    intake: Intake[str] = Intake(lambda item: item == "stale")
    one, other = intake.open(100), intake.open(100)
    for _ in range(50):
        one.put("stale")
    for _ in range(40):
        one.put("fresh")
        other.put("other")
    counts = Counter(intake.get() for _ in range(60))
    assert counts == {"fresh": 30, "other": 30}


def test_of_a_live_stream_only_the_newest_frame_waits() -> None:
    intake: Intake[int] = Intake()
    inlet = intake.open(4)
    assert [inlet.put_freshest(number) for number in range(3)] == [(True, []), (True, [0]), (True, [1])]
    assert intake.get() == 2
    inlet.end()
    intake.end()
    assert intake.get() is None and inlet.put_freshest(3) == (False, [])


def test_sync_takes_turns_by_weight_too() -> None:
    with scripted_run(None, ScriptedDevice(), config("sync")) as run:
        for weight in (1.0, 3.0):
            run.add(ScriptedSource(None), StreamConfig(weight=weight))
        counts = Counter(next(run).frame.source_id for _ in range(400))
    assert counts[1] / counts[0] == pytest.approx(3, rel=0.05)


class Flaky:
    """A source that breaks after some frames, and can be opened so many times."""

    name = "flaky"

    def __init__(self, lives: list[ScriptedSource | Exception]) -> None:
        self.lives = lives
        self.num_opened = 0

    def open(self) -> Source:
        life = self.lives[min(self.num_opened, len(self.lives) - 1)]
        self.num_opened += 1
        if isinstance(life, Exception):
            raise life
        return life


SOON = Retry(first_wait_s=0.001, max_wait_s=0.002)


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_broke_is_opened_again_also_with_frames_of_another_size(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    flaky = Flaky(
        [
            ScriptedSource(None, breaks_at=3, name="flaky"),
            SourceError("no route to the camera"),
            ScriptedSource(None, breaks_at=2, size_wh=(64, 48), name="flaky"),
            ScriptedSource(2, name="flaky"),
        ]
    )
    with scripted_run(None, ScriptedDevice(), config(mode)) as run, caplog.at_level(logging.WARNING):
        stream = run.add(flaky, StreamConfig(retry=SOON))
        run.end()
        results = list(run)
    assert [result.frame.index for result in results] == list(range(7))
    assert [result.frame.width for result in results] == [32] * 3 + [64] * 2 + [32] * 2
    assert all(result.error is None for result in results)
    assert stream.state == "ended" and stream.stats.num_reopened == 2
    assert caplog.text.count("opening it again in") == 3 and "no route to the camera" in caplog.text


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_gives_up_after_so_many_failures_in_a_row(mode: str) -> None:
    flaky = Flaky([SourceError("gone", hint="look for it")])
    with scripted_run(None, ScriptedDevice(), config(mode, on_error="skip")) as run:
        stream = run.add(flaky, StreamConfig(retry=Retry(first_wait_s=0.0, max_wait_s=0.0, max_attempts=3)))
        run.end()
        (result,) = run
    assert flaky.num_opened == 4 and stream.state == "failed"
    assert result.error is not None and result.error.reason == "gone" and result.error.hint == "look for it"


def test_waits_double_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(gate: object, timeout_s: float) -> bool:
        waits.append(timeout_s)
        return False

    monkeypatch.setattr("keepbusy.flow.reader.Gate.wait", wait)
    flaky = Flaky([SourceError("gone")])
    with scripted_run(None, ScriptedDevice(), config("sync", on_error="skip")) as run:
        run.add(flaky, StreamConfig(retry=Retry(first_wait_s=1.0, max_wait_s=4.0, max_attempts=5)))
        run.end()
        list(run)
    assert len(waits) == 5
    for wait_s, longest_s in zip(waits, (1, 2, 4, 4, 4), strict=True):
        assert longest_s / 2 <= wait_s <= longest_s


def test_an_open_source_cannot_be_opened_again() -> None:
    source = ScriptedSource(1)
    with scripted_run(None, ScriptedDevice()) as run:
        with pytest.raises(ConfigError, match="retry: a source that was opened already"):
            run.add(source, StreamConfig(retry=SOON))
        assert source.is_closed


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_frame_ends_its_stream_only_where_that_is_asked_for(mode: str) -> None:
    with scripted_run(None, ScriptedDevice(), config(mode)) as run:
        run.add(ScriptedSource(9, fails={2}, name="ends"), StreamConfig(on_error="end"))
        run.add(ScriptedSource(9, fails={2}, name="skips"), StreamConfig(on_error="skip"))
        run.end()
        counts = Counter(result.frame.source_id for result in run)
    assert counts == {0: 3, 1: 9}
    assert run.streams[0].state == "failed"
    assert isinstance(run.streams[0].error, FrameError)


class Blocking(ScriptedSource):
    """A source that is being opened for a long time."""

    def __init__(self) -> None:
        super().__init__(None, name="blocking")
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def open(self) -> Source:
        self.entered.set()
        self.let_go.wait(60)
        return self


def test_a_source_that_is_slow_to_open_holds_up_nobody() -> None:
    slow = Blocking()
    with scripted_run(None, ScriptedDevice()) as run:
        spec = type("Spec", (), {"name": "slow", "open": slow.open})()
        stream = run.add(spec)
        slow.entered.wait(60)
        run.add(ScriptedSource(5, name="quick"))
        assert [next(run).frame.source_id for _ in range(5)] == [1] * 5
        state: StreamState = stream.state
        assert state == "opening" and stream.info is None
        slow.let_go.set()
    assert stream.state == "removed" and slow.is_closed


def test_closing_interrupts_a_read_that_waits() -> None:
    source = ScriptedSource(None, stalls_at=2)
    run = scripted_run([source], ScriptedDevice())
    assert [next(run).frame.index, next(run).frame.index] == [0, 1]
    begin_s = time.monotonic()
    run.close()
    assert time.monotonic() - begin_s < 10
    assert source.is_closed


class Watched(ScriptedSource):
    """Knows whether it was closed while it was read."""

    is_read = False
    was_closed_in_a_read = False

    def read(self) -> Frame | None:
        self.is_read = True
        try:
            return super().read()
        finally:
            time.sleep(0.01)
            self.is_read = False

    def close(self) -> None:
        self.was_closed_in_a_read |= self.is_read
        super().close()


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("when", ["in a read", "on the device"])
def test_a_run_that_another_thread_closes_ends_at_once_and_is_no_failure(mode: str, when: str) -> None:
    source = Watched(None, stalls_at=2 if when == "in a read" else None)
    device = ScriptedDevice(stalls=(2,) if when == "on the device" else ())
    run = scripted_run([source], device, config(mode))
    begin_s = time.monotonic()
    closer = threading.Timer(0.3, run.close)
    closer.start()
    indices = [result.frame.index for result in run]
    closer.join()
    assert time.monotonic() - begin_s < 10
    assert indices == [0, 1] and source.is_closed and not source.was_closed_in_a_read
    assert device.num_in_flight == 0
    numbers = run.stats.snapshot()
    assert numbers.is_finished and numbers.streams[0].num_in_flight == 0


def test_a_sync_run_closed_by_another_thread_leaves_a_read_behind_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("keepbusy.flow.run_sync.READ_TIMEOUT_S", 0.2)
    deaf = Watched(None, stalls_at=1, ignores_interrupt=True)
    run = scripted_run([deaf], ScriptedDevice(), config("sync"))
    consumer = threading.Thread(target=lambda: list(run))
    consumer.start()
    wait_until(lambda: deaf.num_read == 2)
    run.close()
    assert "does not end: it is left behind" in caplog.text
    is_closed_before = deaf.is_closed
    deaf.unblock()
    consumer.join(60)
    assert (is_closed_before, deaf.is_closed, deaf.was_closed_in_a_read) == (False, True, False)
    assert run.stats.snapshot().is_finished


def test_closing_leaves_a_read_behind_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("keepbusy.flow.run_async.READ_TIMEOUT_S", 0.5)
    deaf = ScriptedSource(None, stalls_at=1, ignores_interrupt=True, name="deaf")
    others = [ScriptedSource(None, name=f"s{number}") for number in range(3)]
    run = scripted_run([deaf, *others], ScriptedDevice())
    next(run)
    begin_s = time.monotonic()
    run.close()
    assert 0.5 <= time.monotonic() - begin_s < 10
    begin_s = time.monotonic()
    run.close()
    assert time.monotonic() - begin_s < 0.5, "it has been waited for once"
    assert caplog.text.count("deaf: does not end its read; it is left behind") == 1
    assert [one.is_closed for one in (*others, deaf)] == [*[True] * len(others), False]
    deaf.unblock()
    wait_until(lambda: deaf.is_closed)
    numbers = run.stats.snapshot().streams[0]
    assert numbers.num_in_flight == 0


class Paced(ScriptedSource):
    """A camera: a frame every few milliseconds, whoever looks."""

    def __init__(self, num_frames: int, period_s: float) -> None:
        super().__init__(num_frames, read_s=period_s, is_live=True, name="camera")


class Slow(Sink):
    """A sink that takes its time, and notes how old what it gets is."""

    def __init__(self, run: Run, write_s: float) -> None:
        self.ages_s: list[float] = []
        self.indices: list[int] = []
        self._now_ns = run.stats.clock.now_ns
        self._write_s = write_s

    def write(self, result: Result) -> None:
        self.ages_s.append((self._now_ns() - result.timings.read_end_ns) / 1e9)
        self.indices.append(result.frame.index)
        time.sleep(self._write_s)

    def close(self) -> None:
        pass


def test_a_slow_sink_gets_fresh_results_of_a_camera_and_others_get_all_they_can() -> None:
    run = scripted_run([Paced(300, 0.005)], ScriptedDevice(0.001), RunConfig(nireq=4))
    slow, quick = Slow(run, 0.05), Slow(run, 0.0)
    with SinkRunner([slow, quick], run.stats) as runner:
        for result in run:
            assert runner.put(result)
    # Without that, twenty results wait before it: a second. One may be written while one waits: two writes, and slack.
    assert max(slow.ages_s) < 0.5, slow.ages_s
    assert slow.indices == sorted(set(slow.indices)) and quick.indices == sorted(set(quick.indices))
    assert slow.indices[-1] == 299
    assert len(quick.indices) > 2 * len(slow.indices)


def test_a_slow_consumer_gets_the_freshest_result_of_a_camera() -> None:
    run = scripted_run([Paced(200, 0.002)], ScriptedDevice(0.0005), RunConfig(nireq=4))
    ages_s, indices = [], []
    for result in run:
        ages_s.append((run.stats.clock.now_ns() - result.timings.read_end_ns) / 1e9)
        indices.append(result.frame.index)
        time.sleep(0.03)
    assert max(ages_s) < 0.3, ages_s
    assert indices == sorted(set(indices)) and indices[-1] == 199
    (stream,) = run.stats.snapshot().streams
    assert stream.num_results == len(indices)
    assert stream.num_arrived == 200 and stream.dropped["overload"] == 200 - len(indices)
    assert 0 < stream.age_p50_ms <= stream.age_p99_ms < 300


def test_a_frame_that_waited_too_long_takes_no_slot() -> None:
    clock = ManualClock()
    device = ScriptedDevice(0.0, clock=clock)
    waiting, go_on = threading.Event(), threading.Event()

    def decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
        waiting.set()
        go_on.wait(60)
        return index_detected(outputs, letterbox)

    def read_s(index: int) -> float:
        if index:  # The others come while the first is on the device.
            waiting.wait(60)
        return 0.0

    with scripted_run(None, device, RunConfig(nireq=1), stats=RunStats(clock), to_detections=decode) as run:
        source = ScriptedSource(6, is_live=True, read_s=read_s)
        stream = run.add(source, StreamConfig(max_age_ms=100.0))
        while stream.stats.num_arrived < 6:
            time.sleep(0.001)
        clock.advance(0.2)
        go_on.set()
        run.end()
        assert list(run) == []
    numbers = stream.stats
    # The one on the device was too old when it was handed over; of the others the freshest was left, too old by then.
    assert device.num_started == 1
    assert numbers.dropped == {"stale": 2, "overload": 4} and numbers.num_arrived == 6


def test_a_result_that_grew_old_is_not_handed_over() -> None:
    clock = ManualClock()
    device = ScriptedDevice(0.150, clock=clock)
    with scripted_run(None, device, config("sync"), stats=RunStats(clock)) as run:
        stream = run.add(ScriptedSource(4, is_live=True), StreamConfig(max_age_ms=100.0))
        run.add(ScriptedSource(1, is_live=True), StreamConfig(max_age_ms=200.0))
        run.end()
        results = list(run)
    assert [result.frame.source_id for result in results] == [1]
    assert stream.stats.dropped == {"stale": 4} and stream.stats.num_results == 0
    assert run.stats.snapshot().num_frames == 1


def test_selections_are_the_streams_own() -> None:
    with scripted_run(None, ScriptedDevice()) as run:
        run.add(ScriptedSource(9), StreamConfig(select=SelectConfig(stride=4)))
        run.add(ScriptedSource(2), StreamConfig(select=SelectConfig(loop=True, limit=5)))
        run.end()
        found: dict[int, list[int]] = {0: [], 1: []}
        for result in run:
            found[result.frame.source_id].append(result.frame.index)
    assert found == {0: [0, 4, 8], 1: [0, 1, 2, 3, 4]}


def test_numbers_of_streams_that_ended_long_ago_are_added_up() -> None:
    stats = RunStats()
    for number in range(MAX_ENDED + 5):
        counters = stats.stream(number, f"s{number}")
        counters.arrived()
        counters.done(2, is_error=False)
        stats.stream_ended(number)
    streams = stats.snapshot().streams
    assert len(streams) == MAX_ENDED + 1
    assert (streams[0].name, streams[0].num_results, streams[0].num_detections) == ("earlier streams", 5, 10)
    assert [one.stream_id for one in streams[1:]] == list(range(5, MAX_ENDED + 5))


def test_what_comes_behind_the_end_of_a_run_is_counted_once() -> None:
    counters = StreamCounters(0, "x")
    counters.arrived()
    counters.stop()
    counters.dropped("stopping")
    counters.arrived()
    counters.dropped("stopping")
    numbers = counters.snapshot()
    assert (numbers.num_arrived, numbers.dropped, numbers.num_in_flight) == (2, {"stopping": 2}, 0)


# On a real model.


def test_streams_have_thresholds_of_their_own(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model, conf=0.25) as pipeline, pipeline.start() as run:
        for detect in (None, kb.DetectConfig(classes=(1,)), kb.DetectConfig(conf=1.0)):
            run.add(clip, kb.StreamConfig(detect=detect, select=kb.SelectConfig(limit=3)))
        run.end()
        counts: Counter[int] = Counter()
        for result in run:
            counts[result.frame.source_id] += len(result.detections)
    assert counts[0] > 0 and counts[1] == 0 and counts[2] <= counts[0]
    with (
        kb.Pipeline(blob_model) as pipeline,
        pipeline.start() as run,
        pytest.raises(ConfigError, match="beyond the model's last class"),
    ):
        run.add(clip, kb.StreamConfig(detect=kb.DetectConfig(classes=(99,))))


def boxes_of(run: Run) -> dict[tuple[int, int], np.ndarray]:
    return {(result.frame.source_id, result.frame.index): result.detections.boxes_xyxy for result in run}


def test_a_run_with_added_streams_gives_what_a_run_over_sources_gives(blob_model: Path, tmp_path: Path) -> None:
    clips = [write_video(tmp_path / f"{number}.mp4", num_frames=6 + number) for number in range(3)]
    with kb.Pipeline(blob_model) as pipeline:
        together = boxes_of(pipeline.run(*clips))
        with pipeline.start() as run:
            for clip in clips:
                run.add(clip)
            run.end()
            added = boxes_of(run)
    assert together.keys() == added.keys()
    for key, boxes in together.items():
        np.testing.assert_array_equal(boxes, added[key])


def test_the_documented_source_of_ones_own_works(blob_model: Path) -> None:
    class Microscope(kb.Source):
        def __init__(self) -> None:
            self.info = kb.SourceInfo("microscope", is_live=True)
            self._index = 0

        def read(self) -> Frame | None:
            self._index += 1
            if self._index > 3:
                return None
            return Frame(numbered_image(self._index, (96, 64)), self._index - 1, time.monotonic(), 0, self.info.name)

    with kb.Pipeline(blob_model) as pipeline:
        results = list(pipeline.run(Microscope()))
    assert results and all(result.frame.is_live and result.error is None for result in results)
    assert results[-1].frame.index == 2


def test_what_is_no_source_is_told_what_one_is(blob_model: Path) -> None:
    class Old:
        def read(self) -> None: ...

        def close(self) -> None: ...

    with kb.Pipeline(blob_model) as pipeline, pytest.raises(ConfigError) as caught:
        pipeline.run(Old())  # type: ignore[arg-type]
    assert "derived from keepbusy.Source" in str(caught.value.hint)


def test_a_camera_that_drops_its_connection_is_opened_again(blob_model: Path) -> None:
    connections: list[int] = []

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            connections.append(len(connections))
            size_wh = (96, 64) if len(connections) == 1 else (128, 96)
            jpeg = cv2.imencode(".jpg", numbered_image(200, size_wh))[1].tobytes()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                    self.wfile.write(jpeg + b"\r\n")
                    time.sleep(0.01)

        def log_message(self, *args: object) -> None:
            pass

    sizes, indices = set(), []
    with serving(Camera) as address, kb.Pipeline(blob_model) as pipeline, pipeline.start() as run:
        camera = run.add(f"{address}/camera?token=secret", kb.StreamConfig(retry=SOON))
        for result in run:
            assert result.error is None
            sizes.add((result.frame.width, result.frame.height))
            indices.append(result.frame.index)
            if len(connections) >= 3 and len(sizes) == 2:
                run.remove(camera)
                run.end()
    assert sizes == {(96, 64), (128, 96)}
    assert indices == sorted(set(indices)) and indices[-1] > 40
    assert camera.state == "removed" and camera.stats.num_reopened >= 2
    assert camera.error is not None and "the stream ended after" in str(camera.error)
    assert "secret" not in camera.name and "secret" not in str(camera.error)


def test_the_same_failure_again_and_again_is_told_less_and_less_often() -> None:
    now_s = 0.0
    repeats = Repeats(lambda: now_s)
    told = [repeats.told("refused") for _ in range(40)]
    assert [number for number, one in enumerate(told, 1) if one is not None] == [1, 2, 3, 4, 8, 16, 32]
    assert told[0] == "refused" and told[31] == "refused (32 times now)"
    assert [repeats.told(one) for one in ("gone", "refused")] == ["gone", "refused"]
    for _ in range(10):
        repeats.told("refused")
    now_s += ALL_S
    assert repeats.told("refused") == "refused"
