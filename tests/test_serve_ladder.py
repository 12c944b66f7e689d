"""The ladder under lasting overload: when steps are taken and taken back, by a clock that stands still; and what they
do to streams, to the device and to what is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepbusy.embedded import embedded_model
from keepbusy.errors import ModelError
from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import SettingsError, check_settings, check_stream, load_settings, parse_settings
from keepbusy.serve.configuration.settings import OverloadSettings, ServeSettings
from keepbusy.serve.http.metrics import HttpCounts, Metrics, Reloads
from keepbusy.serve.http.report import engine_report, stream_report
from keepbusy.serve.supervise import overload
from keepbusy.serve.supervise.ladder import (
    KEPT,
    MAX_WAIT_S,
    NUM_RATES,
    ROOM,
    Ladder,
    Load,
    Rung,
    rates_by_weight,
    rungs_of,
)
from keepbusy.serve.supervise.source import Capped, Lowered
from keepbusy.serve.supervise.wall import Wall
from keepbusy.testing import ScriptedDevice, ScriptedSource
from tests.test_serve_wall import Clock, Scripted, num_results, walls
from tests.waiting import wait_until

RUNGS = (Rung("shed"), Rung("rate"), Rung("rate"), Rung("imgsz", imgsz=320, gain=4.0))

LOSES = Load(is_held_back=True, lost=0.5, arriving_fps=100, fps=50, busy=1.0)
FULL = Load(is_held_back=False, lost=0.0, arriving_fps=100, fps=45, busy=0.9)
IDLE = Load(is_held_back=False, lost=0.0, arriving_fps=30, fps=30, busy=0.3)


def ladder_of(clock: Clock, rungs: tuple[Rung, ...] = RUNGS, after_s: float = 30, back_after_s: float = 120) -> Ladder:
    return Ladder(rungs, after_s, back_after_s, clock)


def changes(ladder: Ladder, clock: Clock, load: Load | None, seconds: int) -> list[int]:
    """The steps after each change in some seconds."""
    steps = []
    for _ in range(seconds):
        clock.now_s += 1
        if ladder.look(load):
            steps.append(ladder.step)
    return steps


def test_a_step_is_taken_only_after_lasting_overload_and_one_at_a_time() -> None:
    clock = Clock()
    ladder = ladder_of(clock)
    assert changes(ladder, clock, LOSES, 30) == [] and ladder.step == 0
    assert changes(ladder, clock, FULL, 1) == [], "one good second begins it anew"
    assert changes(ladder, clock, LOSES, 31) == [1]
    assert changes(ladder, clock, LOSES, 30) == [] and changes(ladder, clock, LOSES, 1) == [2]
    assert changes(ladder, clock, LOSES, 1000) == [3, 4] and [one.kind for one in ladder.taken][-1] == "imgsz"


def test_nothing_is_said_of_seconds_that_nobody_saw() -> None:
    clock = Clock()
    ladder = ladder_of(clock)
    assert changes(ladder, clock, LOSES, 30) == [] and changes(ladder, clock, None, 1) == []
    assert changes(ladder, clock, LOSES, 30) == [] and changes(ladder, clock, LOSES, 1) == [1]


@pytest.mark.parametrize(
    "load",
    [
        Load(is_held_back=True, lost=0.01, arriving_fps=100, fps=99, busy=1.0),
        Load(is_held_back=False, lost=0.5, arriving_fps=100, fps=50, busy=0.2),
    ],
)
def test_few_losses_and_losses_for_other_reasons_are_no_overload(load: Load) -> None:
    clock = Clock()
    assert changes(ladder_of(clock), clock, load, 1000) == []


def test_lowered_rates_let_pass_what_the_device_did_and_steps_are_taken_back_only_where_all_fits_in() -> None:
    clock = Clock()
    ladder = ladder_of(clock)
    changes(ladder, clock, LOSES, 62)
    assert ladder.step == 2 and ladder.limit_fps == KEPT * 50
    assert changes(ladder, clock, FULL, 10_000) == [], "twice as many frames arrive as the device can do"
    fits = Load(is_held_back=False, lost=0.0, arriving_fps=ROOM * 50 - 1, fps=42, busy=0.8)
    assert changes(ladder, clock, fits, 120) == [] and changes(ladder, clock, fits, 1) == [1]
    assert ladder.limit_fps == math.inf
    assert changes(ladder, clock, fits, 121) == [0]


def test_a_device_that_has_become_faster_is_seen_by_how_little_it_works() -> None:
    clock = Clock()
    ladder = ladder_of(clock)
    changes(ladder, clock, LOSES, 62)
    faster = Load(is_held_back=False, lost=0.0, arriving_fps=100, fps=45, busy=0.3)
    assert changes(ladder, clock, faster, 121) == [1]


def test_a_larger_input_comes_back_only_where_the_device_has_time_for_its_gain() -> None:
    clock = Clock()
    ladder = ladder_of(clock, (Rung("imgsz", imgsz=320, gain=4.0),))
    assert changes(ladder, clock, LOSES, 31) == [1]
    half = Load(is_held_back=False, lost=0.0, arriving_fps=100, fps=100, busy=0.5)
    assert changes(ladder, clock, half, 1000) == []
    little = Load(is_held_back=False, lost=0.0, arriving_fps=100, fps=100, busy=0.2)
    assert changes(ladder, clock, little, 121) == [0]


def test_a_gain_that_is_more_than_was_expected_is_seen() -> None:
    clock = Clock()
    ladder = ladder_of(clock, (Rung("model", model="small.xml", gain=3.0),))
    assert changes(ladder, clock, LOSES, 31) == [1]
    tenfold = Load(is_held_back=False, lost=0.0, arriving_fps=100, fps=100, busy=0.2)
    assert changes(ladder, clock, tenfold, 1000) == [], "the model before did 50 frames/s, not a third of 500"
    fewer = Load(is_held_back=False, lost=0.0, arriving_fps=40, fps=40, busy=0.08)
    assert changes(ladder, clock, fewer, 121) == [0]


def test_a_step_that_is_needed_again_soon_waits_twice_as_long_each_time() -> None:
    clock = Clock()
    ladder = ladder_of(clock, (Rung("shed"),))
    waits = []
    for _ in range(8):
        changes(ladder, clock, LOSES, 31)
        assert ladder.step == 1
        begin_s = clock.now_s
        while ladder.step:
            changes(ladder, clock, IDLE, 1)
        waits.append(round(clock.now_s - begin_s) - 1)
    assert waits == [120, 240, 480, 960, 1920, MAX_WAIT_S, MAX_WAIT_S, MAX_WAIT_S]
    changes(ladder, clock, IDLE, 3 * round(MAX_WAIT_S))
    changes(ladder, clock, LOSES, 31)
    assert ladder.wait_s(0) == 120, "it was good for long"


def test_a_step_that_would_change_nothing_is_passed_over() -> None:
    clock = Clock()
    ladder = ladder_of(clock)
    for _ in range(31):
        clock.now_s += 1
        ladder.look(LOSES, lambda rung: rung.kind != "shed")
    assert ladder.step == 2 and [one.kind for one in ladder.taken] == ["rate"]
    lowest = Load(is_held_back=True, lost=0.5, arriving_fps=100, fps=50, busy=1.0, floor_fps=45)
    assert changes(ladder, clock, lowest, 31) == [4], "no stream's rate can be lowered any more"
    assert ladder.limit_fps == math.inf, "a smaller input may have time for all frames"


def test_what_could_not_be_done_is_undone() -> None:
    clock = Clock()
    ladder = ladder_of(clock, (Rung("shed"), Rung("imgsz", imgsz=320, gain=4.0)))
    assert changes(ladder, clock, LOSES, 62) == [1, 2]
    ladder.undo()
    assert ladder.step == 1 and changes(ladder, clock, LOSES, 1000) == []
    assert changes(ladder, clock, IDLE, 121) == [0]
    ladder.undo()
    assert ladder.step == 1 and ladder.wait_s(0) == 240
    ladder.undo()
    assert ladder.step == 1


@given(st.lists(st.sampled_from([LOSES, FULL, IDLE, None]), max_size=300))
def test_it_never_swings_faster_than_its_waits(loads: list[Load | None]) -> None:
    clock = Clock()
    ladder, last_s, step = ladder_of(clock, after_s=5, back_after_s=10), clock.now_s, 0
    for load in loads:
        clock.now_s += 1
        change = ladder.look(load)
        if change:
            assert clock.now_s - last_s >= (5 if change > 0 else 10)
            assert ladder.step > step if change > 0 else ladder.step < step
            last_s, step = clock.now_s, ladder.step


def test_the_ladder_of_a_configuration() -> None:
    kinds = [rung.kind for rung in rungs_of(OverloadSettings())]
    assert kinds == ["throughput", "shed", *["rate"] * NUM_RATES], "accuracy is lost only where that was asked for"
    whole = rungs_of(OverloadSettings(imgsz=[480, (192, 320)], model="int8.xml"), 640)
    rates = [Rung("rate")] * NUM_RATES
    first, second = Rung("imgsz", imgsz=480, gain=640**2 / 480**2), whole[2 + NUM_RATES * 2 + 1]
    assert whole[2:] == (*rates, first, *rates, second, *rates, Rung("model", model="int8.xml", gain=3.0), *rates)
    assert second.imgsz == (192, 320) and second.gain == 480**2 / (192 * 320)
    assert rungs_of(OverloadSettings(steps=[])) == ()


def test_rates_are_lowered_by_weight() -> None:
    assert rates_by_weight([30, 30, 30], [1, 1, 2], 40, 1) == [10, 10, 20]
    assert rates_by_weight([30, 5, 30], [1, 1, 1], 45, 1) == [20, 5, 20], "what one does not need is the others'"
    assert rates_by_weight([30, 30], [1, 9], 20, 4) == [4, 18], "nobody is lowered below `min_fps`"
    assert rates_by_weight([0.5, 30], [1, 1], 2, 4) == [0.5, 4], "but for who has less"
    assert rates_by_weight([30, 30], [1, 1], 1000, 1) == [30, 30] and rates_by_weight([], [], 5, 1) == []


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0.01, 100)), min_size=1, max_size=16),
    st.floats(0, 2000),
    st.floats(0.1, 10),
)
def test_rates_add_up(streams: list[tuple[float, float]], limit_fps: float, min_fps: float) -> None:
    arriving, weights = [one[0] for one in streams], [one[1] for one in streams]
    rates = rates_by_weight(arriving, weights, limit_fps, min_fps)
    assert all(-1e-9 <= rate <= fps + 1e-9 for rate, fps in zip(rates, arriving, strict=True))
    floor = sum(min(min_fps, fps) for fps in arriving)
    assert sum(rates) <= min(limit_fps, sum(arriving)) + floor + 1e-6
    assert sum(rates) >= min(limit_fps, sum(arriving)) - 1e-6


class Camera(ScriptedSource):
    """30 frames/s by a clock that stands still."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None, is_live=True)
        self.clock = clock
        self.told: list[Any] = []
        self.dropped: dict[Any, int] = {}

    def skip(self) -> bool:
        self.clock.now_s += 1 / 30
        return super().skip()

    def read(self) -> Any:
        self.clock.now_s += 1 / 30
        return super().read()

    def spare(self, *, is_enough: bool) -> None:
        self.told.append(("spare", is_enough))

    def want(self, fps: float | None) -> None:
        self.told.append(("want", fps))

    def take_dropped(self) -> Any:
        dropped, self.dropped = self.dropped, {}
        return dropped


def read_for(source: Capped, camera: Camera, num_frames: int) -> tuple[int, int]:
    """How many of the next frames of a camera are read, and how many are left out and counted."""
    until, num_read = camera.num_read + num_frames, 0
    while camera.num_read < until:
        num_read += source.read() is not None
    return num_read, source.take_dropped().get("rate", 0)


def test_a_rate_is_lowered_and_raised_while_the_source_is_read_and_what_is_left_out_is_counted() -> None:
    clock, lowered = Clock(), Lowered()
    camera = Camera(clock)
    source = Capped(camera, None, clock, lowered)
    assert read_for(source, camera, 150) == (150, 0) and camera.told == []
    lowered.max_fps = 10
    num_read, num_left_out = read_for(source, camera, 150)
    assert 48 <= num_read <= 52 and 150 <= num_read + num_left_out <= 152
    assert camera.told == [("spare", True), ("want", 10)], "two of three are not needed: what can be is not decoded"
    lowered.max_fps = 20
    num_read, num_left_out = read_for(source, camera, 150)
    assert 97 <= num_read <= 103 and 150 <= num_read + num_left_out <= 152
    lowered.max_fps = None
    assert read_for(source, camera, 150) == (150, 0)
    assert camera.told[-2:] == [("want", 20), ("want", None)] and ("spare", False) in camera.told
    assert source.info.fps == 30, "what the stream brings has not changed"


def test_what_the_cap_of_the_stream_itself_leaves_out_is_not_counted() -> None:
    clock, lowered = Clock(), Lowered()
    camera = Camera(clock)
    source = Capped(camera, 15, clock, lowered)
    assert read_for(source, camera, 120)[1] == 0
    lowered.max_fps = 5
    num_read, num_left_out = read_for(source, camera, 300)
    assert 48 <= num_read <= 52 and 145 <= num_read + num_left_out <= 155


def test_shedding_has_the_source_leave_out_what_costs_nothing_else() -> None:
    clock, lowered = Clock(), Lowered()
    camera = Camera(clock)
    source = Capped(camera, 20, clock, lowered)
    lowered.sheds = True
    read_for(source, camera, 30)
    assert camera.told == [("spare", True)]
    lowered.sheds, lowered.max_fps = False, 16
    read_for(source, camera, 30)
    camera.dropped = {"nonkey": 30, "decode_error": 1}
    assert source.take_dropped() == {"nonkey": 20, "decode_error": 1}, "the cap would have let 20 of 30 pass"
    lowered.max_fps = None
    read_for(source, camera, 30)
    assert camera.told[-1] == ("want", None) and camera.told[-2] != ("spare", True)


class Sized(Scripted):
    """Takes a time for each frame that grows with its input, and does not compile what it is told not to."""

    asked: ClassVar[list[tuple[Any, Any]]] = []
    refused: ClassVar[set[Any]] = set()
    other_names: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, settings: ServeSettings, device: str) -> None:
        self.asked.append((settings.imgsz, settings.model))
        small = settings.imgsz is not None or settings.model is not None
        if small and settings.imgsz in self.refused:
            raise ModelError("does not compile")
        if small and self.other_names is not None:
            self.names = self.other_names
        super().__init__(settings.device, device, ScriptedDevice(0.001 if small else 0.05, optimal_requests=1), 5.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last seconds are the last half."""
    for place in ("view.WINDOW_S", "served.WINDOW_S"):
        monkeypatch.setattr(f"keepbusy.serve.supervise.{place}", 0.5)
    monkeypatch.setattr(overload, "SETTLES_S", 1.0)
    monkeypatch.setattr(Sized, "asked", [])
    monkeypatch.setattr(Sized, "refused", set())


def crowd(num_streams: int = 2, **of_ladder: Any) -> ServeSettings:
    """Twice as many frames as the device can do."""
    streams = [{"source": f"synth:street?size=64x64&fps=20&seed={seed}"} for seed in range(num_streams)]
    return check_settings({"streams": streams, "overload": {"after_s": 1, "back_after_s": 1, **of_ladder}})


def look_until(wall: Wall, is_so: Callable[[], bool]) -> None:
    def looked() -> bool:
        wall.look()
        return is_so()

    wait_until(looked)


def told_of(wall: Wall) -> str:
    return " / ".join(event["text"] for event in wall.events.after(0)[0] if event["kind"] == "overload")


def is_balanced(wall: Wall) -> bool:
    return all(
        one.arrived == one.results + sum(one.dropped.values()) + one.in_flight
        for one in (served.totals for served in wall.streams)
    )


@pytest.mark.usefixtures("quick")
def test_rates_are_lowered_step_by_step_without_opening_streams_anew_and_all_is_told() -> None:
    with walls(crowd(steps=["shed", "rate"]), Sized) as wall:
        look_until(wall, lambda: wall.overload.told().kind == "rate")
        before = [served.totals for served in wall.streams]
        look_until(wall, lambda: all(served.totals.dropped["rate"] > 5 for served in wall.streams))
        assert "frames that no other refers to are not decoded" in told_of(wall) and "lowering the rates" in told_of(
            wall
        )
        report = engine_report(wall)["overload"]
        assert report["kind"] == "rate" and report["step"] >= 2 and report["num_steps"] == 1 + NUM_RATES
        assert "by weight" in report["sentence"] and report["figures"]["limit"] > 0
        for served, earlier in zip(wall.streams, before, strict=True):
            assert served.state == "running" and served.totals.reopened == 0 == earlier.reopened
            assert served.lowered.sheds and 1 <= (stream_report(served, wall)["lowered_fps"] or 0) < 20
        assert is_balanced(wall) and len(Sized.asked) == 1, "the model has not been compiled again"
        text = Metrics(wall, HttpCounts(), Reloads(), lambda: 0).text().decode()
        assert f"keepbusy_overload_step {float(report['step'])}" in text and 'cause="rate"' in text
        wall.apply(crowd(steps=[]))
        wall.look()
        assert wall.overload.told().step == 0 and all(served.lowered == Lowered() for served in wall.streams)


@pytest.mark.usefixtures("quick")
def test_a_smaller_input_is_made_beside_the_run_and_streams_keep_their_numbers() -> None:
    with walls(crowd(steps=["imgsz"], imgsz=[320]), Sized) as wall:
        look_until(wall, lambda: wall.overload.told().kind == "imgsz")
        arrived = [served.totals.arrived for served in wall.streams]
        before = num_results(wall)
        look_until(wall, lambda: len(Sized.asked) == 2 and num_results(wall) > before + 60)
        assert Sized.asked == [(None, None), (320, None)]
        assert all(served.totals.arrived > earlier for served, earlier in zip(wall.streams, arrived, strict=True))
        assert is_balanced(wall) and wall.engine.counts.failures == 0
        assert "going on with the input size 320" in told_of(wall)
        # Both streams fit into what the larger input can do when one of them has gone.
        wall.remove(wall.streams[0].name)
        wall.change(wall.streams[0].name, check_stream({"name": "b", "source": "synth:street?size=64x64&fps=5"}))
        look_until(wall, lambda: wall.overload.told().step == 0)
        look_until(wall, lambda: Sized.asked[-1] == (None, None))
        assert "going back to the larger input" in told_of(wall)


@pytest.mark.usefixtures("quick")
def test_a_step_that_cannot_be_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sized, "refused", {320})
    with walls(crowd(steps=["imgsz", "model"], imgsz=[320], model="small.xml"), Sized) as wall:
        look_until(wall, lambda: "that cannot be done: does not compile" in told_of(wall))
        look_until(wall, lambda: wall.overload.told().kind == "model")
        before = num_results(wall)
        look_until(wall, lambda: num_results(wall) > before + 20)
        assert Sized.asked == [(None, None), (320, None), (None, "small.xml")] and wall.engine.counts.failures == 0


@pytest.mark.usefixtures("quick")
def test_a_model_with_other_classes_does_not_take_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sized, "other_names", ("cat",))
    with walls(crowd(steps=["model"], model="cats.xml"), Sized) as wall:
        look_until(wall, lambda: "its classes are not those" in told_of(wall))
        assert wall.overload.told().step == 0 and wall.names == Scripted.names and wall.engine.state == "running"


def test_a_device_that_keeps_up_stays_at_the_bottom() -> None:
    with walls(check_settings({"streams": [{"source": "synth:street?size=64x64&fps=10"}]})) as wall:
        wait_until(lambda: num_results(wall) > 3)
        for _ in range(5):
            wall.look()
        assert engine_report(wall)["overload"]["step"] == 0 and wall.streams[0].lowered == Lowered()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("  steps: [shed, fast]", "x.yaml:2: overload.steps[1]: must be"),
        ("  steps: [shed, rate, shed]", "x.yaml:2: overload.steps[2]: shed is there twice"),
        ("  steps: [shed, imgsz]", "x.yaml:2: overload.steps[1]: imgsz: needs overload.imgsz, which is missing"),
        (
            "  after_s: 5\n  steps: [rate]\n  imgsz: [320]",
            "x.yaml:4: overload.imgsz: is given, and overload.steps does",
        ),
        ("  imgsz: [480, 640]", "x.yaml:2: overload.imgsz[1]: must be smaller than 480, the one before"),
        ("  imgsz: [640]\nimgsz: 640", "x.yaml:2: overload.imgsz[0]: must be smaller than 640"),
        ("  imgsz: [8]", "x.yaml:2: overload.imgsz[0]: must be 32 or more"),
        ("  min_fps: 0", "x.yaml:2: overload.min_fps: must be 0.001 or more"),
        ("  after: 3", "x.yaml:2: overload.after: is no key here: did you mean after_s?"),
    ],
)
def test_a_mistake_in_the_ladder_is_told_with_its_line_and_key(lines: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(f"overload:\n{lines}\n", "x.yaml")
    assert any(line.startswith(told) for line in caught.value.lines), caught.value.lines


def test_models_and_sizes_of_the_ladder_are_tried_before_they_are_needed(tmp_path: Path, blob_model: Path) -> None:
    path = tmp_path / "wall.yaml"
    path.write_text(
        f"model: {blob_model}\noverload:\n  after_s: 10\n  model: {tmp_path / 'none.xml'}\n", encoding="utf-8"
    )
    with pytest.raises(SettingsError) as caught:
        check_all(load_settings(path), file=str(path))
    assert caught.value.lines[0].startswith(f"{path}:4: overload.model: ") and "none.xml" in caught.value.lines[0]
    path.write_text(f"model: {blob_model}\noverload:\n  model: {embedded_model()}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        check_all(load_settings(path), file=str(path))
    assert caught.value.lines[0].startswith(f"{path}:3: overload.model: has other classes than the model")
    path.write_text("overload:\n  imgsz: [320, [192, 320]]\n", encoding="utf-8")
    assert check_all(load_settings(path), file=str(path))
