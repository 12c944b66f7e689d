"""The search for the fastest options: with a scripted machine that is noisy and drifts, and with a real one."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keepbusy as kb
from keepbusy.api.options import split_options
from keepbusy.bench.drawing import to_svg
from keepbusy.bench.samples import Ratio
from keepbusy.cli.tune import tune
from keepbusy.config import Options
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import ConfigError, DeviceError, KeepbusyError, SourceError
from keepbusy.threads import cores
from keepbusy.tune.frontier import Point, choose, finalists, frontier, scorer
from keepbusy.tune.plot import draw_frontier
from keepbusy.tune.profile import load_profile
from keepbusy.tune.report import mark_of, report_of, text_plot, to_profile
from keepbusy.tune.rounds import Book, Cost, Sample, Standing, halve, num_affordable, num_measurements, plan_rungs
from keepbusy.tune.search import Search
from keepbusy.tune.space import (
    DEFAULT,
    Candidate,
    Machine,
    graph_candidates,
    host_candidates,
    request_candidates,
    stream_candidates,
)
from keepbusy.tune.trials import RealTrials, check_sources
from tests.build import square_picture, write_picture

# ---- the halving, over a scripted objective


class Noisy:
    """An objective: the truth, a machine that slows down more and more, and noise that longer windows average out."""

    def __init__(self, truth: dict[str, float], seed: int, *, noise: float = 0.06, drift: float = 0.5) -> None:
        self.truth = truth
        self.random = random.Random(seed)
        self.noise = noise
        self.drift = drift
        self.time_s = 0.0
        self.calls: list[str] = []

    def __call__(self, name: str, window_s: float) -> Sample | None:
        self.calls.append(name)
        self.time_s += 0.1 + 1.5 * window_s
        speed = 1 - self.drift * min(self.time_s / 60, 1) + 0.1 * math.sin(self.time_s / 5)
        noise = self.random.gauss(1, self.noise * math.sqrt(0.2 / window_s))
        return Sample(self.truth[name] * speed * noise, 1000 / self.truth[name])


def truth_of(seed: int, num: int = 24) -> dict[str, float]:
    """Throughputs from 50 to 100, and one of 110 somewhere among them; the reference has 80."""
    draw = random.Random(seed)
    names = [f"c{index}" for index in range(num)]
    truth = {name: draw.uniform(50, 100) for name in names}
    truth[draw.choice(names)] = 110.0
    return {"reference": 80.0, **truth}


def search_with(objective: Noisy, *, time_s: float = 60.0) -> tuple[list[str], Book[str]]:
    names = [name for name in objective.truth if name != "reference"]
    book: Book[str] = Book()
    ranking = halve(
        names,
        "reference",
        objective,
        rungs=plan_rungs(len(names), time_s, Cost()),
        score=lambda standing: standing.gain.median,
        book=book,
    )
    return ranking, book


def test_halving_finds_the_best_despite_noise_and_drift() -> None:
    num_found, num_found_at_once = 0, 0
    for seed in range(40):
        truth = truth_of(seed)
        best = max(truth, key=lambda name: truth[name])
        ranking, _ = search_with(Noisy(truth, seed))
        num_found += ranking[0] == best
        assert truth[ranking[0]] >= 95
        # The same machine, each measured once and the highest number taken.
        naive = Noisy(truth, seed)
        numbers = {name: sample.fps for name in truth if (sample := naive(name, 60 / 24 / 1.6)) is not None}
        num_found_at_once += max(numbers, key=lambda name: numbers[name]) == best
    assert num_found >= 37
    assert num_found_at_once <= 20


def test_gains_are_of_the_moment_and_not_of_the_speed_that_the_machine_had_later() -> None:
    truth = {"reference": 100.0, **{f"c{index}": 100.0 + index for index in range(12)}}
    _, book = search_with(Noisy(truth, 1, noise=0.0, drift=0.8))
    assert min(sample.fps for sample in book.references) < 40
    for index in range(12):
        assert book.standing(f"c{index}").gain.median == pytest.approx(1 + index / 100, abs=0.03)


def test_the_better_half_stays_and_is_measured_longer() -> None:
    truth = {"reference": 80.0, **{f"c{index}": 50.0 + 5 * index for index in range(12)}}
    objective = Noisy(truth, 0, noise=0.0, drift=0.0)
    ranking, book = search_with(objective, time_s=40)
    assert ranking[:2] == ["c11", "c10"] and len(ranking) == 12 and set(ranking) == set(truth) - {"reference"}
    counts = {name: book.standing(name).num_rounds for name in ranking}
    assert counts["c11"] > counts["c7"] > counts["c3"] >= 1
    assert book.standing("c11").num_rounds == objective.calls.count("c11")


def test_one_that_cannot_be_run_is_out_and_asked_once() -> None:
    objective = Noisy({"reference": 80.0, "good": 90.0, "bad": 200.0, "other": 70.0}, 0)

    def measure(name: str, window_s: float) -> Sample | None:
        sample = objective(name, window_s)
        return None if name == "bad" else sample

    book: Book[str] = Book()
    rungs = plan_rungs(3, 20, Cost())
    ranking = halve(
        ["bad", "good", "other"], "reference", measure, rungs=rungs, score=lambda one: one.gain.median, book=book
    )
    assert ranking == ["good", "other"] and book.failed == {"bad"} and objective.calls.count("bad") == 1


@pytest.mark.parametrize("num_before", [1, 2, 4, 9, 30])
def test_an_interruption_keeps_what_was_measured_before_it(num_before: int) -> None:
    objective = Noisy(truth_of(3), 3)

    def measure(name: str, window_s: float) -> Sample | None:
        if len(objective.calls) == num_before:
            raise KeyboardInterrupt
        return objective(name, window_s)

    book: Book[str] = Book()
    names = [name for name in objective.truth if name != "reference"]
    with pytest.raises(KeyboardInterrupt):
        halve(names, "reference", measure, rungs=plan_rungs(24, 60, Cost()), score=lambda _: 0.0, book=book)
    num_recorded = sum(len(gains) for gains in book.gains.values()) + len(book.references)
    assert num_recorded == num_before


def test_the_halving_ends_when_the_time_is_over() -> None:
    objective = Noisy(truth_of(5), 5)
    book: Book[str] = Book()
    names = [name for name in objective.truth if name != "reference"]
    ranking = halve(
        names,
        "reference",
        objective,
        rungs=plan_rungs(24, 60, Cost()),
        score=lambda one: one.gain.median,
        book=book,
        is_over=lambda: objective.time_s > 4,
    )
    assert objective.time_s < 5 and 1 < len(ranking) < 24
    gains = [book.standing(name).gain.median for name in ranking]
    assert gains == sorted(gains, reverse=True)


@given(st.integers(2, 60), st.floats(1, 600), st.floats(0, 2), st.floats(0, 1))
def test_rungs_fit_into_the_time(num: int, time_s: float, compile_s: float, overhead_s: float) -> None:
    cost = Cost(overhead_s=overhead_s, compile_s=compile_s)
    fitting = num_affordable(num, time_s, cost)
    rungs = plan_rungs(fitting, time_s, cost)
    assert 2 <= fitting <= num
    assert [rung.num_kept for rung in rungs] == sorted((rung.num_kept for rung in rungs), reverse=True)
    windows = [rung.window_s * rung.num_rounds for rung in rungs]
    assert all(a <= b * 1.5 for a, b in itertools.pairwise(windows))
    sizes = [fitting, *(rung.num_kept for rung in rungs)]
    taken_s = fitting * compile_s + sum(
        rung.num_rounds * num_measurements(size) * cost.of(rung.window_s)
        for size, rung in zip(sizes, rungs, strict=False)
    )
    assert taken_s <= 1.06 * time_s or fitting == 2


# ---- the frontier and the choice


def point(fps: float, latency_ms: float, *, low: float | None = None, rounds: int = 5, level: int = 1) -> Point:
    gain = fps / 100
    low = gain if low is None else low
    interval = (low, 2 * gain - low) if rounds >= 3 else (None, None)
    candidate = Candidate.of(nireq=round(fps * 1000 + latency_ms))
    return Point(candidate, Standing(Ratio(gain, *interval), latency_ms, rounds), fps, level)


DEFAULT_POINT = Point(DEFAULT, Standing(Ratio(1.0, 1.0, 1.0), 40.0, 9), 100.0, 1)
PLACES = st.tuples(st.integers(1, 30).map(float), st.integers(1, 30).map(float))


@given(st.lists(PLACES, max_size=30))
def test_the_frontier_is_what_nothing_beats(places: list[tuple[float, float]]) -> None:
    found = [(one.fps, one.latency_ms) for one in frontier([point(*place) for place in places])]
    expected = {
        (fps, ms)
        for fps, ms in places
        if not any(other != (fps, ms) and other[0] >= fps and other[1] <= ms for other in places)
    }
    assert set(found) == expected and len(found) == len(expected)
    assert found == sorted(found, reverse=True)


def test_the_default_wins_ties() -> None:
    assert choose([point(130, 50)], DEFAULT_POINT) == point(130, 50)
    assert choose([point(110, 50, low=0.97)], DEFAULT_POINT) == DEFAULT_POINT
    assert choose([point(100.5, 20)], DEFAULT_POINT) == DEFAULT_POINT
    assert choose([], DEFAULT_POINT) == DEFAULT_POINT
    # Few rounds are often all on one side by chance: then it takes more.
    assert choose([point(108, 50, rounds=3)], DEFAULT_POINT) == DEFAULT_POINT
    assert choose([point(108, 50, rounds=2)], DEFAULT_POINT) == DEFAULT_POINT
    assert choose([point(115, 50, rounds=3)], DEFAULT_POINT) == point(115, 50, rounds=3)
    assert choose([point(115, 50, rounds=2)], DEFAULT_POINT) == DEFAULT_POINT
    assert choose([point(130, 50, rounds=1)], DEFAULT_POINT) == point(130, 50, rounds=1)


def test_a_limit_comes_before_throughput() -> None:
    points = [point(150, 60), point(90, 25), point(80, 10), point(70, 30)]
    assert choose(points, DEFAULT_POINT, 100) == points[0]
    assert choose(points, DEFAULT_POINT, 40) == DEFAULT_POINT
    assert choose(points, DEFAULT_POINT, 30) == points[1]
    assert choose(points, DEFAULT_POINT, 24) == points[2]
    assert choose(points, DEFAULT_POINT, 9) is None


def test_what_the_final_has_measured_comes_before_what_was_lucky_earlier() -> None:
    lucky, sure = point(180, 50, level=0), point(120, 50)
    assert choose([lucky, sure], DEFAULT_POINT) == sure
    # And after the duel only who was in it.
    assert choose([lucky, sure, point(105, 50, low=0.99, level=2)], DEFAULT_POINT) == DEFAULT_POINT
    low = point(60, 5, level=0)
    assert choose([sure, low], DEFAULT_POINT, 6) == low


def test_finalists_are_the_best_and_some_of_the_frontier() -> None:
    points = [point(100 + index, 100 + index) for index in range(10)] + [point(50, 20), point(70, 50)]
    chosen = finalists(points, None, 6)
    assert [one.candidate for one in points[9:6:-1]] == chosen[:3]
    assert {points[10].candidate, points[11].candidate} & set(chosen) and len(chosen) == 6
    limited = finalists(points, 60, 4)
    assert points[11].candidate in limited
    score = scorer(60)
    assert score(points[11].standing) > score(points[9].standing) > 0


# ---- what there is to try


@pytest.mark.parametrize("num_cores", [1, 2, 16])
@pytest.mark.parametrize("is_limited", [False, True])
@pytest.mark.parametrize("has_latency_limit", [False, True])
def test_candidates_keep_within_the_cores(num_cores: int, is_limited: bool, has_latency_limit: bool) -> None:
    machine = Machine(
        device="CPU",
        cores=num_cores,
        is_limited=is_limited,
        num_streams=1,
        head="tail",
        other_heads=("host", "stock"),
        has_other_shape=True,
        other_precisions=("f32",),
    )
    first = stream_candidates(machine, is_latency_limited=has_latency_limit)
    everything = list(first)
    for best in first:
        everything += request_candidates(machine, best) + graph_candidates(machine, best)
        everything += host_candidates(machine, best, is_latency_limited=has_latency_limit)
        assert best not in request_candidates(machine, best)
    for one in everything:
        split_options(one.options)
        assert (one.get("nstreams") or 1) <= num_cores and (one.get("threads") or 1) <= num_cores
        assert (one.get("nireq") or 1) >= 1 and one != DEFAULT
        if is_limited and one in first and one.get("mode") is None:
            assert one.get("threads") == num_cores
    assert len(set(first)) == len(first)
    assert any(one.get("mode") == "sync" for one in first) == has_latency_limit
    graphs = {one.graph for one in graph_candidates(machine, machine.base)}
    assert Candidate.of(head="tail", precision="f32") in graphs and Candidate.of(head="host", shape="square") in graphs
    assert Candidate.of(head="stock", shape="square") not in graphs


@pytest.mark.parametrize(("device", "streams"), [("GPU.1", {1, 2, 3, 4}), ("NPU", {None}), ("AUTO:GPU,CPU", {None})])
def test_other_devices_have_other_options(device: str, streams: set[int | None]) -> None:
    machine = Machine(device=device, cores=4)
    found = [*stream_candidates(machine, is_latency_limited=False), *request_candidates(machine, machine.base)]
    assert {one.get("nstreams") for one in found if one.get("hint") is None and one.get("nireq") != 5} >= streams
    assert all(one.get("threads") is None for one in found)
    assert len({one.get("nireq") for one in found}) >= 3


# ---- the whole search, on a scripted machine


class Scripted:
    """A machine with a clock: throughput and latency by formula, noise, drift; some detections differ."""

    def __init__(self, seed: int = 0, *, noise: float = 0.03, is_flat: bool = False) -> None:
        self.random = random.Random(seed)
        self.noise = noise
        self.is_flat = is_flat
        self.now_s = 1000.0
        self.measured: list[Candidate] = []
        self.checked: list[Candidate] = []
        self.stop_after: int | None = None

    def truth(self, one: Candidate) -> Sample:
        if self.is_flat:
            return Sample(100.0, 40.0)
        streams, requests = one.get("nstreams") or 4, one.get("nireq") or 6
        fps = 100 * {1: 0.7, 2: 1.2, 4: 1.0, 8: 0.9}.get(streams, 0.8) * (1 if requests > streams else 0.85)
        fps *= {None: 1.0, "f32": 0.5, "f16": 1.6}[one.get("precision")]
        fps *= 1.15 if one.get("read_threads") == 2 else 1.0
        waiting: float = requests + (one.get("channel_frames") or 4)
        if one.get("mode") == "sync":
            fps, waiting = 60.0, 0.5
        return Sample(fps, 1000 * waiting / fps)

    def measure(self, candidate: Candidate, seconds: float) -> Sample | None:
        if self.stop_after is not None and len(self.measured) >= self.stop_after:
            raise KeyboardInterrupt
        self.now_s += 0.05 + 1.5 * seconds
        self.measured.append(candidate)
        if candidate.get("hint") == "latency":
            return None
        truth = self.truth(candidate)
        speed = (0.8 + 0.2 * math.cos(self.now_s / 30)) * self.random.gauss(1, self.noise)
        return Sample(truth.fps * speed, truth.latency_ms / speed)

    def objection(self, candidate: Candidate) -> str | None:
        self.checked.append(candidate)
        self.now_s += 1.0
        return "boxes differ" if candidate.get("precision") == "f16" else None


EIGHT_CORES = Machine(
    device="CPU",
    cores=8,
    num_streams=4,
    num_slots=6,
    head="tail",
    other_heads=("host", "stock"),
    other_precisions=("f32", "f16"),
)


def searched(trials: Scripted, **options: Any) -> Search:
    search = Search(trials, EIGHT_CORES, clock=lambda: trials.now_s, **options)
    try:
        search.run()
    except KeyboardInterrupt:
        assert trials.stop_after is not None
    return search


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_the_best_within_its_budget(seed: int) -> None:
    trials = Scripted(seed)
    search = searched(trials, budget_s=120.0)
    assert search.is_finished and trials.now_s - 1000 <= 120 * 1.1
    chosen = search.found.chosen
    assert chosen is not None and chosen.level == 2
    # The best there is: 2 streams, more requests than these, two reading threads; f16 would be faster, and differs.
    assert trials.truth(chosen.candidate).fps == pytest.approx(138)
    assert chosen.standing.gain.median == pytest.approx(1.38, abs=0.06)
    assert chosen.standing.gain.low is not None and chosen.standing.gain.low > 1.2
    assert not any(one.get("precision") == "f16" for one in trials.measured)
    assert {one.get("hint") for one in search.found.failed} == {"latency"}


def test_what_changes_detections_is_checked_before_it_is_measured_and_not_twice() -> None:
    trials = Scripted()
    search = searched(trials)
    assert len(trials.checked) == len(set(trials.checked))
    assert [one for one in trials.checked if one.get("precision") == "f16"] == [
        Candidate.of(head="tail", precision="f16")
    ]
    assert search.found.objections[Candidate.of(head="tail", precision="f16")] == "boxes differ"
    for one in trials.measured:
        assert one.graph in (DEFAULT, EIGHT_CORES.base) or one.graph in trials.checked


@pytest.mark.parametrize("seed", range(8))
def test_noise_does_not_choose(seed: int) -> None:
    search = searched(Scripted(seed, is_flat=True, noise=0.05), budget_s=90.0)
    assert search.found.chosen is not None and search.found.chosen.candidate == DEFAULT
    assert len(search.found.points) > 10


def test_a_latency_limit_is_kept_and_throughput_is_the_highest_under_it() -> None:
    trials = Scripted(1, noise=0.01)
    search = searched(trials, max_latency_ms=50.0)
    chosen = search.found.chosen
    assert chosen is not None and chosen.latency_ms <= 50
    truth = trials.truth(chosen.candidate)
    assert truth.fps >= 0.95 * max(
        trials.truth(one).fps for one in trials.measured if trials.truth(one).latency_ms / 0.9 <= 50
    )
    tight = searched(Scripted(1, noise=0.01), max_latency_ms=16.0)
    assert tight.found.chosen is not None and tight.found.chosen.candidate.get("mode") == "sync"
    assert searched(Scripted(1), max_latency_ms=3.0).found.chosen is None


@pytest.mark.parametrize("num_measured", [0, 1, 2, 3, 8, 40, 90, 150])
def test_an_interrupted_search_keeps_what_it_has_found(num_measured: int) -> None:
    trials = Scripted(2)
    trials.stop_after = num_measured
    search = searched(trials)
    assert not search.is_finished
    assert search.found.has_any == (num_measured > 3)
    if search.found.has_any:
        report = report_of(search, {}, {}, percentile=90)
        profile = to_profile(report)
        assert profile.measured["is_finished"] is False
        assert report.chosen is not None and profile.options == report.chosen.candidate.options
        assert {one.candidate for one in search.found.points} == {
            one for one in trials.measured if one not in (DEFAULT, *search.found.failed)
        }
        json.dumps(to_dict_of(search))
    if num_measured >= 90:
        assert search.found.chosen is not None and search.found.chosen.candidate.get("nstreams") == 2


def to_dict_of(search: Search) -> dict[str, Any]:
    from keepbusy.tune.report import to_dict

    return to_dict(report_of(search, {"device": "CPU"}, {}, percentile=90))


@pytest.mark.parametrize("limit_ms", [None, 60.0, 3.0])
def test_the_report_shows_the_frontier_and_the_choice(limit_ms: float | None) -> None:
    search = searched(Scripted(1), max_latency_ms=limit_ms)
    report = report_of(search, {"model": "m.xml", "device": "CPU", "sources": ["a&b.mp4"]}, {}, percentile=90)
    plot = text_plot(report)
    field = [line for line in plot.splitlines() if "│" in line]
    assert "".join(field).count("★") == (report.chosen is not None) and "d default" in plot
    assert len({line.index("│") for line in field}) == 1
    marks = [mark_of(one, report) for one in report.frontier]
    assert sum("→" in mark for mark in marks) <= 1
    svg = to_svg(draw_frontier(report))
    assert "a&amp;b.mp4" in svg and ("limit 60 ms" in svg) == (limit_ms == 60.0) and "NaN" not in svg
    assert svg.count("(chosen)") == (report.chosen is not None)
    content = to_dict_of(search)
    assert (content["chosen"] is None) == (limit_ms == 3.0)
    assert content["rejected"] == {"head=tail precision=f16": "boxes differ"}
    assert len(content["points"]) == len(search.found.points)


# ---- cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_quota_is_the_least_of_the_groups_around_the_process(tmp_path: Path) -> None:
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    quota: Callable[[], float | None] = lambda: cores.cgroup_quota_cores(root, membership)  # noqa: E731
    assert quota() is None
    write(membership, "0::/slice/service\n")
    write(root / "slice" / "service" / "cpu.max", "max 100000\n")
    assert quota() is None
    write(root / "slice" / "cpu.max", "350000 100000\n")
    assert quota() == 3.5
    write(root / "slice" / "service" / "cpu.max", "50000 100000\n")
    assert quota() == 0.5
    # In a container only the own group is visible, as the root; paths that lead out of it are not followed.
    write(membership, "0::/../elsewhere\n")
    write(root / "cpu.max", "200000 100000\n")
    assert quota() == 2.0
    write(root / "cpu.max", "nonsense\n")
    assert quota() is None


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_version_1(tmp_path: Path, mount: str) -> None:
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    write(membership, "4:memory:/other\n3:cpuacct,cpu:/docker/abc\n0::/\n")
    group = root / mount / "docker" / "abc"
    write(group / "cpu.cfs_quota_us", "-1\n")
    write(group / "cpu.cfs_period_us", "100000\n")
    assert cores.cgroup_quota_cores(root, membership) is None
    write(group / "cpu.cfs_quota_us", "150000\n")
    assert cores.cgroup_quota_cores(root, membership) == 1.5
    write(root / mount / "docker" / "cpu.cfs_quota_us", "100000\n")
    write(root / mount / "docker" / "cpu.cfs_period_us", "100000\n")
    assert cores.cgroup_quota_cores(root, membership) == 1.0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_counts() -> None:
    first = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, [{first}]); from keepbusy.threads import cores; print(cores.whole_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "1"
    assert 1 <= cores.whole_cores() <= max(1, cores.usable_cores()) <= (os.cpu_count() or 1)


# ---- a real machine


def test_candidates_are_measured_kept_and_given_up(blob_model: Path, clip: Path) -> None:
    with RealTrials(blob_model, "CPU", [str(clip)], max_open=3) as trials:
        machine = trials.machine()
        assert machine.num_slots >= 1 and machine.cores == cores.whole_cores() and machine.kind == "CPU"
        some = [DEFAULT, *(Candidate.of(nstreams=1, nireq=number) for number in (1, 2, 3, 4))]
        for one in some:
            sample = trials.measure(one, 0.05)
            assert sample is not None and sample.fps > 0 and sample.latency_ms > 0
            assert len(trials.open_candidates) <= 3 and DEFAULT in trials.open_candidates
        assert trials.open_candidates[-1] == some[-1]
        bad = Candidate.of(hint="nonsense")
        assert trials.measure(bad, 0.05) is None
        assert "nonsense" in trials.reasons[bad] and bad not in trials.open_candidates
        origin = trials.environment()
        assert origin["frame_hw"] == [64, 96] and origin["sources"] == ["clip.mp4"] and origin["device"] == "CPU"
    assert trials.open_candidates == []


def test_a_default_that_fails_is_an_error(blob_model: Path, clip: Path) -> None:
    with (
        RealTrials(blob_model, "CPU", [str(clip)], fixed={"classes": (99,)}) as trials,
        pytest.raises(ConfigError, match="classes: 99"),
    ):
        trials.machine()


def test_memory_limits_what_is_kept(blob_model: Path, clip: Path) -> None:
    sizes = iter([0, *[1 << 40] * 10])
    with RealTrials(blob_model, "CPU", [str(clip)], resident_bytes=lambda: next(sizes)) as trials:
        for one in (DEFAULT, Candidate.of(nireq=1), Candidate.of(nireq=2)):
            trials.measure(one, 0.05)
        assert trials.open_candidates == [DEFAULT, Candidate.of(nireq=2)]


def test_detections_are_compared_on_the_source_itself(tmp_path: Path) -> None:
    with RealTrials(embedded_model(), "CPU", [str(embedded_clip())]) as trials:
        machine = trials.machine()
        assert machine.other_heads and machine.head not in machine.other_heads
        assert trials.objection(Candidate.of(head=machine.head, precision="f32")) is None
        wrong = trials.objection(Candidate.of(head=machine.head, shape=(160, 160)))
        assert wrong is not None and "detections" in wrong
    grey = tmp_path / "grey.png"
    write_picture(grey, np.full((64, 96, 3), 114, np.uint8))
    with RealTrials(embedded_model(), "CPU", [str(grey)], fixed={"head": "host"}) as trials:
        nothing = trials.objection(Candidate.of(head="host"))
        assert nothing is not None and "nothing to compare" in nothing


def test_a_live_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path) -> None:
    from keepbusy.sources import SourceInfo
    from keepbusy.sources.images import ImageFiles

    picture = tmp_path / "a.png"
    write_picture(picture, square_picture())
    check_sources([str(picture), str(clip)])
    monkeypatch.setattr(
        ImageFiles, "info", property(lambda _: SourceInfo("a.png", is_live=True), lambda *_: None), False
    )
    with pytest.raises(ConfigError, match=r"a\.png: is live"):
        check_sources([str(clip), str(picture)])


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("tune")(tune)
    return app


def run_tune(app: typer.Typer, *arguments: object, exit_code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160", "NO_COLOR": "1"})
    if isinstance(result.exception, KeepbusyError):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout, result.stderr


def test_tuning_what_the_package_carries(app: typer.Typer, tmp_path: Path) -> None:
    profile, plot, numbers = tmp_path / "p.yaml", tmp_path / "out" / "f.svg", tmp_path / "n.json"
    out, err = run_tune(app, "--budget", 6, "-o", profile, "--plot", plot, "--json", numbers)
    assert "frames/s" in out and "p90 ms" in out and "default" in out and "end to end" in out
    assert "streams: best of" in err and f"wrote {profile}" in err and "streams: best of" not in out
    content = json.loads(numbers.read_text())
    assert content["is_finished"] and content["points"] and content["default"]["fps"] > 0
    found = load_profile(profile)
    assert found.device == "CPU" and found.tuned_for["model"] == embedded_model().name
    assert dict(found.options) == {
        name: tuple(value) if isinstance(value, list) else value for name, value in content["chosen"]["options"].items()
    }
    assert plot.read_text().startswith("<svg")
    # What was found runs, and finds what the default finds.
    counts = []
    tried: list[Options] = [{}, found.options]
    for options in tried:
        with kb.Pipeline(embedded_model(), **options) as pipeline:
            counts.append(sum(len(result.detections) for result in pipeline.run(embedded_clip(), limit=20)))
    assert counts[0] > 0 and counts[1] == pytest.approx(counts[0], rel=0.05)


def test_numbers_on_standard_output(app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path) -> None:
    out, err = run_tune(
        app,
        *(clip, "-m", blob_model, "--budget", 2, "-o", tmp_path / "p.yaml", "--json", "-"),
        *("--percentile", 50, "--max-latency-ms", 10000, "--quiet"),
    )
    content = json.loads(out)
    assert content["percentile"] == 50 and content["max_latency_ms"] == 10000
    assert "p50 ms" in err and "streams: best of" not in err
    assert "latency_p50_ms" in load_profile(tmp_path / "p.yaml").measured


def test_a_limit_that_nothing_keeps(app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    # No frame of this is read, inferred and decoded in a tenth of a millisecond on every one of a hundred frames.
    with pytest.raises(KeepbusyError, match=r"--max-latency-ms: nothing that was tried keeps 0\.1 ms") as caught:
        run_tune(
            app,
            *(clip, "-m", blob_model, "--budget", 2, "-o", profile, "--max-latency-ms", 0.1, "--percentile", 100),
        )
    assert caught.value.hint and not profile.exists()


def test_bad_input_is_told_before_anything_is_measured(
    app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cases: Sequence[tuple[type[KeepbusyError], str, tuple[object, ...]]] = [
        (KeepbusyError, "cannot be made", (clip, "-m", blob_model, "-o", file / "p.yaml")),
        (ConfigError, "unknown kind of picture", (clip, "-m", blob_model, "--plot", tmp_path / "a.gif")),
        (SourceError, "no such file", (tmp_path / "none.mp4", "-m", blob_model)),
        (DeviceError, "there is no", (clip, "-m", blob_model, "-d", "GPU.7")),
        (ConfigError, "precision: 'f8'", (clip, "-m", blob_model, "--precision", "f8")),
    ]
    for kind, message, arguments in cases:
        with pytest.raises(kind, match=message) as caught:
            run_tune(app, "-o", tmp_path / "p.yaml", *arguments)
        assert "\n" not in caught.value.message
    assert not (tmp_path / "p.yaml").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_the_best_until_then(tmp_path: Path, number: signal.Signals, code: int) -> None:
    profile = tmp_path / "p.yaml"
    command = [sys.executable, "-m", "keepbusy", "tune", "--budget", "90", "-o", str(profile)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    # The first stage is over, and something was found; most of the budget is still to come.
    before = []
    for line in process.stderr:
        before.append(line)
        if line.startswith("streams: best of"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, "".join(before) + err
    assert "Traceback" not in err and "interrupted after" in err and str(profile) in err
    assert "interrupted: the best until then" in out.replace("\n", " ").replace("  ", " ")
    found = load_profile(profile)
    assert found.measured["is_finished"] is False and found.measured["fps"] > 0


def test_ctrl_c_before_anything_is_known_says_so(
    app: typer.Typer, clip: Path, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Sample | None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RealTrials, "measure", interrupted)
    profile = tmp_path / "p.yaml"
    _, err = run_tune(app, clip, "-m", blob_model, "-o", profile, exit_code=130)
    assert "nothing was written" in err and not profile.exists()
