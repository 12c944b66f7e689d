"""The bounds and the verdict, against an exact simulation of the pipeline: no clock, no threads."""

from __future__ import annotations

import math

import pytest

from benchmarks.predicted_bound import PROFILES
from keepbusy.bench.verdict import Profile, StageCost, bounds, judge, sync_fps, without
from keepbusy.errors import Stage

CHANNEL_FRAMES, RESULTS_BUFFERED = 4, 4


def simulate_fps(
    *,
    read_ms: float,
    preprocess_ms: float,
    infer_ms: float,
    postprocess_ms: float,
    sink_ms: float = 0.0,
    num_sources: int = 1,
    num_servers: int = 1,
    num_slots: int = 2,
    num_frames: int = 3000,
) -> float:
    """Throughput of the pipeline with constant stage times, to the nanosecond: each frame's events from earlier ones.

    Readers fill a channel, the preprocessor takes a free slot and the oldest frame, the device serves slots in order of
    their starts, the postprocessor takes the oldest slot, and a consumer empties the results.
    """
    read_done: list[float] = []
    put: list[float] = []
    taken: list[float] = []
    start_done: list[float] = []
    released: list[float] = []
    delivered: list[float] = []
    consumed: list[float] = []
    server_free = [0.0] * num_servers
    for k in range(num_frames):
        # Reader k % num_sources: begins when its frame before was put; puts when its queue has room.
        own = k - num_sources
        read_done.append((put[own] if own >= 0 else 0.0) + read_ms)
        room = k - CHANNEL_FRAMES * num_sources
        put.append(max(read_done[k], taken[room] if room >= 0 else 0.0))
        # Preprocessor: done with the frame before, a slot free, a frame there.
        slot_free = released[k - num_slots] if k >= num_slots else 0.0
        taken.append(max(put[k], slot_free, start_done[k - 1] if k else 0.0))
        start_done.append(taken[k] + preprocess_ms)
        # Device: the server that is free first.
        server = min(range(num_servers), key=server_free.__getitem__)
        server_free[server] = infer_done = max(start_done[k], server_free[server]) + infer_ms
        # Collector: done with the frame before (delivered, too), then decodes and frees the slot.
        released.append(max(infer_done, delivered[k - 1] if k else 0.0) + postprocess_ms)
        waiting = k - RESULTS_BUFFERED
        delivered.append(max(released[k], consumed[waiting] if waiting >= 0 else 0.0))
        consumed.append(max(delivered[k], consumed[k - 1] if k else 0.0) + sink_ms)
    half = num_frames // 2
    return (num_frames - 1 - half) / (consumed[-1] - consumed[half]) * 1e3


def profile_of(row: tuple[float, float, float, float, int, int, int, str]) -> Profile:
    read_ms, preprocess_ms, infer_ms, postprocess_ms, num_sources, num_servers, num_slots, _ = row
    stages: dict[Stage, StageCost] = {
        "read": StageCost(read_ms / 1e3, num_sources),
        "preprocess": StageCost(preprocess_ms / 1e3),
        "infer": StageCost(infer_ms / 1e3, num_servers),
        "postprocess": StageCost(postprocess_ms / 1e3),
    }
    return Profile(stages, num_slots)


def simulated(profile: Profile) -> float:
    stages = profile.stages
    return simulate_fps(
        read_ms=stages["read"].service_s * 1e3,
        preprocess_ms=stages["preprocess"].service_s * 1e3,
        infer_ms=stages["infer"].service_s * 1e3,
        postprocess_ms=stages["postprocess"].service_s * 1e3,
        num_sources=stages["read"].num_servers,
        num_servers=stages["infer"].num_servers,
        num_slots=min(profile.num_slots, 10_000),
    )


@pytest.mark.parametrize("row", PROFILES, ids=lambda row: "-".join(map(str, row)))
def test_the_predicted_bound_is_what_an_exact_pipeline_reaches(row: tuple) -> None:  # type: ignore[type-arg]
    profile = profile_of(row)
    verdict = judge(profile, simulated(profile))
    assert verdict.predicted_fps == pytest.approx(simulated(profile), rel=0.03)
    assert verdict.bottleneck == row[-1]
    assert verdict.explained == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("row", PROFILES, ids=lambda row: "-".join(map(str, row)))
def test_what_the_removal_promises_is_what_it_brings(row: tuple) -> None:  # type: ignore[type-arg]
    profile = profile_of(row)
    verdict = judge(profile)
    assert verdict.removed_fps is not None
    better = without(profile, verdict.bottleneck)
    assert verdict.removed_fps == pytest.approx(simulated(better), rel=0.03)
    assert verdict.removed_fps >= verdict.predicted_fps


@pytest.mark.parametrize("row", PROFILES, ids=lambda row: "-".join(map(str, row)))
def test_the_named_bottleneck_is_the_true_one(row: tuple) -> None:  # type: ignore[type-arg]
    profile = profile_of(row)
    before = simulated(profile)
    named = judge(profile).bottleneck
    assert simulated(without(profile, named)) > 1.05 * before
    if named == "slots":
        return  # Everything that a slot waits for counts into its bound: shortening any of it helps, too.
    for other in ("read", "preprocess", "infer", "postprocess", "slots"):
        if other != named:
            assert simulated(without(profile, other)) == pytest.approx(before, rel=0.01)


def test_a_slow_consumer_is_the_bottleneck() -> None:
    stages: dict[Stage, StageCost] = {
        "preprocess": StageCost(0.001),
        "infer": StageCost(0.004),
        "postprocess": StageCost(0.001),
        "sink": StageCost(0.007),
    }
    measured = simulate_fps(read_ms=1, preprocess_ms=1, infer_ms=4, postprocess_ms=1, sink_ms=7, num_slots=3)
    verdict = judge(Profile(stages, 3), measured)
    assert verdict.bottleneck == "sink" and verdict.explained == pytest.approx(1, abs=0.03)


def test_shared_cores_bound_all_stages_together() -> None:
    stages: dict[Stage, StageCost] = {
        "read": StageCost(0.004, 1, 0.004),
        "infer": StageCost(0.010, 1, 0.018),
        "postprocess": StageCost(0.001, 1, 0.001),
    }
    profile = Profile(stages, 4, num_cores=2, cpu_s=0.023)
    verdict = judge(profile, 80.0)
    assert verdict.bottleneck == "cores"
    assert verdict.predicted_fps == pytest.approx(2 / 0.023)
    assert verdict.removed_fps == pytest.approx(100) and verdict.next_limit == "infer"
    assert "2 cores ÷ 23.00 ms of CPU time (read 4.00, infer 18.00, postprocess 1.00)" in verdict.sentence
    assert verdict.flag == "--imgsz 480"
    host_heavy = Profile({**stages, "infer": StageCost(0.010, 1, 0.004)}, 4, num_cores=1, cpu_s=0.0125)
    assert judge(host_heavy).bottleneck == "cores" and judge(host_heavy).flag == "--stride 2"
    assert judge(host_heavy).advice.startswith("read costs most of the stages around the device (4.00 ms")
    # A device that costs no CPU time leaves the cores to the others.
    without_infer = without(profile, "infer")
    assert without_infer.cpu_s == pytest.approx(0.005)


def test_confidence_is_the_margin_to_the_next_bound_and_falls_when_the_bound_explains_little() -> None:
    def confidence(second_s: float, measured_fps: float | None = None) -> str:
        profile = Profile({"read": StageCost(second_s), "infer": StageCost(0.010)}, 100)
        return judge(profile, measured_fps).confidence

    assert confidence(0.0098) == "a near tie"
    assert confidence(0.009) == "likely"
    assert confidence(0.005) == "certain"
    assert confidence(0.005, 95.0) == "certain"
    assert confidence(0.005, 60.0) == "likely"
    profile = Profile({"infer": StageCost(0.010)}, 100)
    assert judge(profile).removed_fps is None and math.isinf(judge(Profile({"read": StageCost(0.01)}, 1)).margin)


def test_the_words_name_the_bottleneck_the_bound_and_the_flag() -> None:
    verdict = judge(profile_of((0.5, 2.0, 4.0, 2.0, 1, 1, 1, "slots")), 124.0)
    assert verdict.flag == "--nireq 3"
    assert "the number of slots" in verdict.sentence and "1 slot ÷ (2.00 + 4.00 + 2.00) ms" in verdict.sentence
    assert "125.0 frames/s" in verdict.sentence and "infer would allow 250.0" in verdict.sentence
    poor = judge(profile_of((0.5, 0.5, 8.0, 0.5, 1, 1, 4, "infer")), 60.0)
    assert "only 48%" in poor.sentence and poor.flag == "--imgsz 480"


def test_one_after_the_other_is_the_sum() -> None:
    assert sync_fps(profile_of((1.0, 2.0, 4.0, 3.0, 1, 1, 1, ""))) == pytest.approx(100)
    assert [b.limit for b in bounds(Profile({"read": StageCost(0.0), "infer": StageCost(0.01)}, 5))] == [
        "infer",
        "slots",
    ]


def test_a_run_above_its_bound_makes_the_verdict_doubtful() -> None:
    profile = Profile({"read": StageCost(0.001), "infer": StageCost(0.010)}, num_slots=4)
    assert judge(profile, measured_fps=99.0).confidence == "certain"
    verdict = judge(profile, measured_fps=150.0)
    assert verdict.confidence == "doubtful" and "cannot be" in verdict.sentence
