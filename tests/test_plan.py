"""How many cameras fit: the arithmetic with scripted machines, and short runs of the real one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from keepbusy.bench.possible import Possible
from keepbusy.config import RunConfig
from keepbusy.errors import ConfigError, SourceError
from keepbusy.flow.run import Run
from keepbusy.plan.cameras import Kind, counts_of, replayed, wanted_fps
from keepbusy.plan.cores import CoreTimes, core_times, cores_between
from keepbusy.plan.costs import costs_of, rates_of, share_out
from keepbusy.plan.recording import Recording, filled, record_frames
from keepbusy.plan.sampling import sample_kinds
from keepbusy.plan.search import found, next_num
from keepbusy.plan.text import cores_table, helps, sentences, table
from keepbusy.plan.watching import Seen, watch
from keepbusy.plan.whole import helps_of, limit_of, plan_cameras, predicted_rates
from keepbusy.serve.configuration.load import check_settings
from keepbusy.serve.configuration.settings import ServeSettings, StreamSettings
from keepbusy.serve.supervise.backend import DeviceFacts
from keepbusy.serve.supervise.kept import Kept
from keepbusy.sources import Source, SourceInfo, open_source
from keepbusy.testing import ScriptedDevice, numbered_image, scripted_run
from keepbusy.values.frame import Frame
from tests.rtsp_server import rtsp_camera
from tests.starter import run_program
from tests.waiting import wait_until

Machine = Callable[[Sequence[Kind], Sequence[int]], Seen]


def kind(fps: float = 10.0, count: int = 1, weight: float = 1.0, max_fps: float | None = None) -> Kind:
    settings = StreamSettings(source="clip.mp4", weight=weight, max_fps=max_fps)
    return Kind("clip.mp4", 1280, 720, fps, settings, count, tuple(f"c{number}" for number in range(count)))


def machine(
    cores: float, decoding: float = 0.05, result_s: float = 0.01, device_fps: float = math.inf, others: float = 0.0
) -> Machine:
    """A machine on which one camera's decoding takes so many cores, and one result so many seconds of a core."""

    def seen(kinds: Sequence[Kind], counts: Sequence[int]) -> Seen:
        num, wanted = sum(counts), wanted_fps(kinds, counts)
        had = cores - others
        for_decoding = min(num * decoding, 0.9 * had)
        fps = min(wanted, (had - for_decoding) / result_s, device_fps)
        each = share_out(
            fps,
            [one.fps * count for one, count in zip(kinds, counts, strict=True)],
            [one.settings.weight * count for one, count in zip(kinds, counts, strict=True)],
        )
        return Seen(
            num=num,
            wanted_fps=wanted,
            arrived_fps=wanted * for_decoding / (num * decoding) if decoding else wanted,
            fps=fps,
            dropped=1 - fps / wanted,
            worst_dropped=1 - fps / wanted,
            kinds_fps=tuple(got / count if count else 0.0 for got, count in zip(each, counts, strict=True)),
            cores={
                "decoding": for_decoding,
                "preprocessing": 0.1 * fps * result_s,
                "device": 0.8 * fps * result_s,
                "postprocessing": 0.1 * fps * result_s,
            },
            other_cores=others,
            device_busy=min(1.0, fps / device_fps) if device_fps < math.inf else 0.5,
            device="a device",
            input_wh=(640, 640),
        )

    return seen


def searched(does: Machine, kinds: Sequence[Kind], cores: float, max_tries: int = 12) -> tuple[int, int]:
    """How many cameras are found to fit, and in how many tries."""
    tries: dict[int, Seen] = {}
    num: int | None = sum(one.count for one in kinds)
    while num is not None and len(tries) < max_tries:
        assert num not in tries
        tries[num] = does(kinds, counts_of(kinds, num))
        num = next_num(tries, cores, 1024)
    what = found(tries, cores)
    assert what.is_tried
    return what.num, len(tries)


# Counts and shares.


def test_cameras_are_taken_in_the_shares_of_the_given_set() -> None:
    kinds = [kind(30, 1), kind(5, 3)]
    assert [counts_of(kinds, num) for num in (0, 1, 2, 4, 6, 8)] == [[0, 0], [0, 1], [1, 1], [1, 3], [2, 4], [2, 6]]
    assert wanted_fps(kinds, [1, 3]) == 45
    streams, places = replayed(kinds, [2, 3])
    assert places == [0, 1, 0, 1, 1]
    assert len({stream.name for stream in streams}) == 5


@pytest.mark.parametrize("num_given", range(1, 6))
@pytest.mark.parametrize("num", [1, 7, 50])
def test_counts_add_up(num_given: int, num: int) -> None:
    kinds = [kind(5, count) for count in range(1, num_given + 1)]
    counts = counts_of(kinds, num)
    assert sum(counts) == num
    total = sum(one.count for one in kinds)
    assert all(abs(count - num * one.count / total) < 1 for one, count in zip(kinds, counts, strict=True))


@pytest.mark.parametrize(
    ("fps", "wanted", "weights", "got"),
    [
        (30, [10, 10], [1, 1], [10, 10]),
        (12, [10, 10], [1, 1], [6, 6]),
        (12, [10, 10], [3, 1], [9, 3]),
        (12, [4, 10], [3, 1], [4, 8]),
        (0, [4, 10], [3, 1], [0, 0]),
        (5, [], [], []),
    ],
)
def test_results_are_shared_out_by_weight(
    fps: float, wanted: list[float], weights: list[float], got: list[float]
) -> None:
    assert share_out(fps, wanted, weights) == pytest.approx(got)


@pytest.mark.parametrize(
    ("fps", "dropped", "worst", "fits"),
    [
        (100, 0.0, 0.0, True),
        (99, 0.015, 0.1, True),
        (99, 0.06, 0.1, True),  # It dropped frames that its cap would have passed over.
        (90, 0.0, 0.0, True),  # The cameras give less than they say.
        (90, 0.1, 0.1, False),
        (99, 0.0, 1.0, False),  # One has not begun.
    ],
)
def test_cameras_fit_where_a_result_comes_of_every_frame(fps: float, dropped: float, worst: float, fits: bool) -> None:
    seen = Seen(num=10, wanted_fps=100, arrived_fps=100, fps=fps, dropped=dropped, worst_dropped=worst, cores={})
    assert seen.fits is fits


def test_text_and_table_go_by_one_rule() -> None:
    """A window that cuts a frame off has lost none; a kind that loses frames keeps a set from fitting."""
    cut = Seen(num=4, wanted_fps=40, arrived_fps=38, fps=38.1, kinds_fps=(9.52,), kinds_lost=(0.0,), cores={})
    assert cut.fits and cut.gets_fps(0, 10.0) == 10.0
    uneven = Seen(
        num=9, wanted_fps=90, arrived_fps=90, fps=89, dropped=0.01, kinds_fps=(10, 9), kinds_lost=(0, 0.1), cores={}
    )
    assert not uneven.fits and uneven.gets_fps(1, 10.0) == 9.0


def test_cameras_are_called_what_the_configuration_calls_them() -> None:
    one = kind(count=2)
    assert one.label == "c0 + 1 more" and dataclasses.replace(one, names=("door",), count=1).label == "door"
    assert dataclasses.replace(one, names=("stream-1", "stream-2")).label == "clip.mp4"


# The model of costs.


def test_costs_of_a_set_that_loses_frames_tell_how_many_fit() -> None:
    # One camera: 0.05 cores for decoding and 10 frames/s of 10 ms: 0.15 cores of 2.
    costs = costs_of(machine(2.0)([kind(10, 20)], [20]), 2.0)
    assert costs.num == pytest.approx(2.0 / 0.15)
    assert (costs.decoding, costs.result, costs.fps) == pytest.approx((0.05, 0.01, 10))
    assert costs.works == pytest.approx({"preprocessing": 0.001, "device": 0.008, "postprocessing": 0.001})
    assert costs.cores_of(4) == pytest.approx(0.6)


def test_half_the_frames_cost_half_of_what_is_behind_decoding() -> None:
    costs = costs_of(machine(2.0)([kind(10, 20)], [20]), 2.0)
    assert costs.with_fps(5).num == pytest.approx(2.0 / 0.10)
    assert costs.without_decoding().num == pytest.approx(2.0 / 0.10)


def test_what_other_programs_take_is_not_to_be_had() -> None:
    costs = costs_of(machine(2.0, others=0.5)([kind(10, 20)], [20]), 2.0)
    assert costs.num == pytest.approx(1.5 / 0.15)


def test_a_device_that_is_full_while_cores_are_idle_is_the_limit() -> None:
    does = machine(16.0, device_fps=100)
    seen = does([kind(10, 20)], [20])
    assert costs_of(seen, 16.0).num == pytest.approx(10)
    assert limit_of(seen, 16.0) == ("device", False)


def test_decoders_that_are_behind_cost_what_they_would_take() -> None:
    # Thirty cameras' decoding takes more than all cores.
    costs = costs_of(machine(1.0, decoding=0.05)([kind(10, 30)], [30]), 1.0)
    assert costs.decoding == pytest.approx(0.05)


def test_a_set_of_which_no_results_come_is_tried_with_fewer() -> None:
    cores: Any = {"decoding": 1.5, "device": 0.4}
    seen = Seen(num=20, wanted_fps=200, arrived_fps=0, fps=0, dropped=1, worst_dropped=1, cores=cores, wall_s=2)
    assert 0 <= costs_of(seen, 2.0).num < 20
    num = next_num({20: seen}, 2.0, 1024)
    assert num is not None
    assert 1 <= num < 20
    idle = Seen(num=1, wanted_fps=1, arrived_fps=0, fps=0, dropped=1, worst_dropped=1, cores={})
    assert found({1: idle}, 2.0).num == 0


def test_rates_of_a_set_that_is_too_large_are_shared_by_weight() -> None:
    kinds = [kind(10, 10, weight=3), kind(10, 10, weight=1)]
    seen = machine(2.0)(kinds, [10, 10])  # One core for decoding, the other for 100 frames/s.
    assert rates_of(costs_of(seen, 2.0), kinds, 20) == pytest.approx([7.5, 2.5])
    assert rates_of(costs_of(seen, 2.0), kinds, 20) == pytest.approx(list(seen.kinds_fps))


@pytest.mark.parametrize(
    ("busiest", "limit"), [("decoding", "decoding"), ("device", "device"), ("preprocessing", "preprocessing")]
)
def test_full_cores_name_what_takes_most_of_them(busiest: Any, limit: str) -> None:
    seen = Seen(num=1, wanted_fps=10, arrived_fps=10, fps=5, cores={"decoding": 0.5, "device": 0.5, busiest: 1.0})
    assert limit_of(seen, 1.6) == (limit, True)


# The search.


@pytest.mark.parametrize(
    ("does", "cores", "kinds", "fit"),
    [
        (machine(2.0), 2.0, [kind(10)], 13),
        (machine(2.0), 2.0, [kind(10, 4)], 13),
        (machine(2.0), 2.0, [kind(10, 100)], 13),
        (machine(2.0, others=0.5), 2.0, [kind(10)], 10),
        (machine(16.0, device_fps=100), 16.0, [kind(10)], 10),
        (machine(2.0, decoding=0.3), 2.0, [kind(30)], 3),
        (machine(2.0, decoding=1.9), 2.0, [kind(30)], 0),
        (machine(64.0, decoding=0.2, result_s=0.02), 64.0, [kind(10)], 160),
    ],
)
def test_the_search_finds_how_many_fit_in_few_tries(does: Machine, cores: float, kinds: list[Kind], fit: int) -> None:
    num, num_tries = searched(does, kinds, cores)
    assert num == pytest.approx(fit, abs=1, rel=0.04)
    assert num_tries <= 6


def test_where_there_was_no_time_to_try_it_is_computed() -> None:
    what = found({20: machine(2.0)([kind(10, 20)], [20])}, 2.0)
    assert (what.num, what.is_tried) == (13, False)


def test_a_try_that_fits_counts_for_more_than_one_below_it_that_did_not() -> None:
    # Something else took the cores when ten were tried.
    tries = {10: machine(2.0, others=1.0)([kind(10)], [10]), 12: machine(2.0)([kind(10)], [12])}
    assert found(tries, 2.0).num >= 12


# The whole, on a scripted machine.


def scripted(does: Machine) -> Any:
    return lambda settings, kinds, counts, seconds: does(kinds, counts)


def scenes(*words: str, **more: Any) -> ServeSettings:
    return check_settings({"streams": [{"source": f"synth:street?size=96x64&{one}"} for one in words], **more})


def test_a_plan_says_how_many_fit_and_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.plan.whole.usable_cores", lambda: 2.0)
    told: list[str] = []
    plan = plan_cameras(scenes("fps=10"), watch=scripted(machine(2.0)), on_step=told.append)
    assert (plan.num, plan.counts, plan.fps, plan.limit, plan.is_full) == (13, (13,), 130, "device", True)
    assert "running 13 cameras" in told
    text = list(sentences(plan))
    assert text[0] == "13 of these cameras fit: 13 x 96x64 at 10 frames/s, 130 frames/s together."
    assert "The limit is the device: the cores are full" in text[1]
    assert any(line.startswith("The given camera fits") for line in text)
    assert any(line.startswith("max_fps: half the frames (5 frames/s): 20 fit") for line in helps(plan))
    shown = StringIO()
    Console(file=shown, width=120).print(table(plan), cores_table(plan))
    assert "of all" in shown.getvalue()
    assert "13 cameras" in shown.getvalue()
    numbers = json.loads(json.dumps(plan.to_dict()))
    assert (numbers["fits"], numbers["cameras"][0]["fits"], numbers["limit"]) == (13, 13, "device")
    assert predicted_rates(plan, 13) == [10]
    assert predicted_rates(plan, 20) == pytest.approx([5], rel=0.01)


def test_a_set_that_does_not_fit_is_told_with_what_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.plan.whole.usable_cores", lambda: 2.0)
    plan = plan_cameras(scenes(*["fps=10"] * 20), watch=scripted(machine(2.0)))
    assert plan.num == 13
    assert not plan.given.fits
    assert any("200 frames/s are wanted, and 100 get a result" in line for line in sentences(plan))
    plan = plan_cameras(scenes("fps=30"), watch=scripted(machine(2.0, decoding=1.9)))
    assert plan.num == 0
    assert next(iter(sentences(plan))).startswith("Not even one fits")


def test_what_helps_is_what_can_be_changed() -> None:
    seen = machine(2.0, decoding=0.3)([kind(30, 4)], [4])
    what = found({4: seen, 3: machine(2.0, decoding=0.3)([kind(30, 4)], [3])}, 2.0)
    nothing = Possible(smaller_imgsz="", can_be_int8=False)
    told = {one.option: one.num for one in helps_of(what, [kind(30, 4)], nothing, is_full=True)}
    assert told == {"max_fps": 4, "source": 6}
    everything = Possible(other_devices=("GPU",))
    options = [one.option for one in helps_of(what, [kind(30, 4)], everything, is_full=True)]
    assert options == ["max_fps", "source", "imgsz", "keepbusy optimize --int8", "device"]


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("keepbusy.plan.whole.time.monotonic", lambda: now_s[0])

    def slow(settings: ServeSettings, kinds: Sequence[Kind], counts: Sequence[int], seconds: float) -> Seen:
        now_s[0] += seconds + 10
        return machine(64.0)(kinds, counts)

    assert plan_cameras(scenes("fps=10"), seconds=40, watch=slow).seconds <= 40


# Sources.


def test_cores_are_told_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.plan.cores.usable_cores", lambda: 2.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    begin = CoreTimes(0.0, 0.0, {"decoding": 1.0, "device": 2.0}, 10.0)
    end = CoreTimes(2.0, 3.0, {"decoding": 2.0, "device": 4.0}, 14.0)
    works, others = cores_between(begin, end)
    assert works == {"decoding": 0.5, "preprocessing": 0.0, "device": 1.0, "postprocessing": 0.0}
    assert others == 0.5
    monkeypatch.setattr("keepbusy.plan.cores.usable_cores", lambda: 1.0)
    assert cores_between(begin, end)[1] == 0.0
    works, others = cores_between(CoreTimes(0.0, 0.0, {}, None), CoreTimes(2.0, 3.0, {}, None))
    assert (works["device"], others) == (1.5, 0.0)


def test_cores_are_known_where_the_system_says_nothing(tmp_path: Path) -> None:
    times = core_times(tmp_path / "none", tmp_path / "none")
    assert (times.works_s, times.machine_s) == ({}, None)


def test_cameras_that_differ_in_their_names_only_are_of_one_kind(clip: Path) -> None:
    settings = check_settings(
        {
            "streams": [
                {"source": str(clip), "name": "door"},
                {"source": f"{clip}?realtime", "name": "gate"},
                {"source": str(clip), "name": "yard"},
                {"source": str(clip), "name": "slow", "max_fps": 4},
            ]
        }
    )
    with ExitStack() as keep:
        kinds, left_out = sample_kinds(settings, 1.0, keep)
    assert not left_out
    assert [(one.names, one.fps, one.width, one.height) for one in kinds] == [
        (("door", "yard"), 10, 96, 64),
        (("gate",), 10, 96, 64),
        (("slow",), 4, 96, 64),
    ]


def test_a_live_camera_is_recorded_and_replayed_and_a_dead_one_is_named(
    blob_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with rtsp_camera(fps=20) as url, ExitStack() as keep:
        settings = check_settings(
            {"streams": [{"source": url, "name": "door"}, {"source": "rtsp://u:secret@127.0.0.1:9/x", "name": "gate"}]}
            | {"model": str(blob_model)}
        )
        kinds, left_out = sample_kinds(settings, 1.0, keep)
        assert [one.names for one in kinds] == [("door",)]
        assert (kinds[0].width, kinds[0].height) == (96, 64)
        assert 5 < kinds[0].fps < 30
        assert kinds[0].name == url
        assert [one.name for one in left_out] == ["gate"]
        assert "gate: left out" in caplog.text
        assert "secret" not in caplog.text
        seen = watch(settings, kinds, [2], 1.0)
    assert seen.num == 2
    assert seen.fps > 0


def test_a_camera_of_this_machine_is_kept_as_motion_jpeg() -> None:
    class Grabbed(Source):
        """Pictures at 50 frames/s."""

        def __init__(self) -> None:
            self.info = SourceInfo("0", is_live=True)
            self._index = 0

        def read(self) -> Frame:
            time.sleep(0.02)
            self._index += 1
            return Frame(numbered_image(self._index), self._index - 1, 0.0, 0, "0")

    recording = Recording()
    try:
        fps = record_frames(Grabbed(), recording, 0.3)
        source = open_source(recording.path)
        frames = [frame for frame in iter(source.read, None) if frame is not None]
        source.close()
    finally:
        recording.close()
    recording.close()
    assert 1 < fps <= 50
    assert len(frames) >= 3
    assert frames[0].shape_hw == numbered_image(0).shape[:2]


@pytest.mark.parametrize(
    ("times_s", "steps_s"),
    [
        ([0.0, 0.1, 0.2, 0.3], [0.1, 0.1, 0.1]),
        ([None, 0.0, 0.1, None, 0.3], [0.1, 0.1, 0.1, 0.1]),
        ([80_000.0, 0.0, 0.1, 0.2], [0.1, 0.1, 0.1]),  # The camera's clock is set when its first report comes.
        ([0.0, 0.1, 0.1, 0.2, 900.0, 900.2], [0.1, 0.1, 0.1, 0.1, 0.2]),
        ([None, None], [1 / 30]),
        ([], []),
    ],
)
def test_times_of_packets_rise_whatever_the_camera_says(times_s: list[float | None], steps_s: list[float]) -> None:
    found_s = filled(times_s)
    assert len(found_s) == len(times_s)
    assert [later - earlier for earlier, later in pairwise(found_s)] == pytest.approx(steps_s)


@pytest.mark.parametrize("source", ["absent.mp4", "rtsp://127.0.0.1:9/none"])
def test_sources_of_which_none_can_be_read_are_an_error(source: str) -> None:
    with ExitStack() as keep, pytest.raises(SourceError):
        sample_kinds(check_settings({"streams": [{"source": source}]}), 1.0, keep)


def test_files_without_a_pace_and_files_read_at_full_speed_are_no_cameras(clip: Path, tmp_path: Path) -> None:
    for stream in ({"source": str(clip), "realtime": False}, {"source": str(tmp_path)}):
        with ExitStack() as keep, pytest.raises(SourceError):
            sample_kinds(check_settings({"streams": [stream]}), 1.0, keep)


def test_a_configuration_without_streams_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no streams"):
        plan_cameras(check_settings({"streams": []}))
    with pytest.raises(ConfigError, match="seconds"):
        plan_cameras(scenes("fps=10"), seconds=1)


# Real runs.


class Scripted:
    """A model on a device that takes 10 ms for a frame, and no time of the cores."""

    names: tuple[str, ...] = ("red", "green", "blue")

    def __init__(self, settings: ServeSettings, device: str) -> None:
        self._device = device

    def start(self, live_fps: float | None = None) -> Run:
        return scripted_run(None, ScriptedDevice(0.01), RunConfig(on_error="skip", nireq=2))

    def facts(self) -> DeviceFacts:
        return DeviceFacts(wanted=self._device, device=self._device, full_name="scripted", hint="throughput")

    def close(self) -> None:
        pass


def test_a_device_of_100_frames_per_second_has_room_for_no_more() -> None:
    plan = plan_cameras(scenes("fps=10"), seconds=10, watch=partial(watch, make=Scripted))
    # A device that sleeps oversleeps on a busy machine: there it does less.
    assert plan.num <= 10
    assert plan.tries[0].num == 1
    assert all(one.fps <= 110 for one in plan.tries)


def test_a_real_plan(blob_model: Path, clip: Path) -> None:
    settings = check_settings({"model": str(blob_model), "streams": [{"source": str(clip)}, {"source": str(clip)}]})
    plan = plan_cameras(settings, seconds=5)
    assert plan.tries[0].num == 2
    assert plan.given.fps == pytest.approx(20, rel=0.5)
    assert plan.num >= 1
    assert plan.given.cores["device"] > 0
    assert plan.given.cores["decoding"] > 0


def test_the_program_prints_a_plan_and_writes_nothing(blob_model: Path, tmp_path: Path) -> None:
    source = "synth:street?size=96x64&fps=10"
    done = run_program("plan", source, "-m", blob_model, "--max-fps", "4", "--seconds", "5", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert numbers["cameras"][0]["fps"] == 4
    assert numbers["given"]["num"] == 1
    assert not done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("", "no configuration and no source"),
        ("absent.mp4", "absent.mp4"),
        ("empty.yaml", "is empty"),
        ("bad.yaml", "bad.yaml:2"),
        ("none.yaml", "has no streams"),
    ],
)
def test_the_program_says_what_is_wrong(word: str, told: str, tmp_path: Path) -> None:
    files = {"empty.yaml": "", "bad.yaml": "streams:\n  - sorce: x\n", "none.yaml": "streams: []\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = run_program("plan", *([word] if word else []), cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_streams_that_clients_have_added_are_left_alone(blob_model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "added.json"
    Kept(kept).write([StreamSettings(name="b", source="synth:street?size=64x64")])
    before = kept.read_bytes()
    settings = scenes("fps=5", model=str(blob_model), server={"state_file": str(kept)})
    with ExitStack() as keep:
        kinds, _ = sample_kinds(settings, 0.5, keep)
        assert watch(settings, kinds, [1], 0.5).num == 1
    assert kept.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["added.json"]


def test_a_pipe_that_nobody_writes_to_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepbusy.plan.sampling.TIMEOUT_S", 1.0)
    os.mkfifo(tmp_path / "pipe")
    settings = check_settings({"streams": [{"source": str(tmp_path / "pipe")}, {"source": "synth:street?size=96x64"}]})
    with ExitStack() as keep:
        kinds, left_out = sample_kinds(settings, 0.5, keep)
    assert [one.names for one in kinds] == [("stream-2",)]
    (one,) = left_out
    assert one.name == "stream-1" and "pipe: gives nothing within 1 s" in one.reason
    with (tmp_path / "pipe").open("wb"):  # Whoever waits for it may go now.
        pass
    wait_until(lambda: not any(one.name == "keepbusy-sample" for one in threading.enumerate()))


def maps_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the process from outside")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_while_a_pipe_is_waited_for(number: int, code: int, blob_model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ["plan", str(tmp_path / "pipe"), "-m", str(blob_model)]
    with subprocess.Popen([sys.executable, "-m", "keepbusy", *words], stderr=subprocess.PIPE) as process:
        wait_until(lambda: "openvino_intel_cpu" in maps_of(process.pid))
        time.sleep(2)
        process.send_signal(number)
        begin_s = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert process.returncode == code and b"Traceback" not in err
    assert time.monotonic() - begin_s < 10


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the process from outside")
def test_an_interrupt_ends_it(blob_model: Path) -> None:
    words = ["plan", "synth:street?size=96x64&fps=10", "-m", str(blob_model)]
    with subprocess.Popen(
        [sys.executable, "-m", "keepbusy", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        wait_until(lambda: "openvino_intel_cpu" in maps_of(process.pid))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not out
