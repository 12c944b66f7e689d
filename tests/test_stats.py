"""Clocks and counters, on a clock that is moved by hand: known times must give exactly known numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from keepbusy.config import RunConfig
from keepbusy.flow.counters import StreamCounters
from keepbusy.flow.percentiles import Recorder, values_at
from keepbusy.flow.stats import DeviceTime, Lane, RunStats
from keepbusy.testing import ManualClock, ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.values.result import Timings

MS = 1_000_000


def test_a_lane_splits_all_its_time_into_three() -> None:
    clock = ManualClock()
    lane = Lane("preprocess", clock)
    lane.begin()
    clock.advance(0.003)
    lane.waited_for_input()
    clock.advance(0.005)
    lane.was_busy()
    clock.advance(0.002)
    lane.waited_for_output()
    assert (lane.wait_input_ns, lane.busy_ns, lane.wait_output_ns) == (3 * MS, 5 * MS, 2 * MS)


def test_the_device_is_busy_while_any_frame_is_on_it_and_idle_gaps_have_a_reason() -> None:
    device = DeviceTime(start_ns=0)
    # Two overlapping spans, a gap without a frame, a gap of which 3 ms had no free slot.
    device.add(Timings(infer_start_ns=2 * MS, infer_end_ns=6 * MS))
    device.add(Timings(infer_start_ns=4 * MS, infer_end_ns=8 * MS))
    device.add(Timings(infer_start_ns=10 * MS, infer_end_ns=11 * MS, slot_wanted_ns=1 * MS, slot_free_ns=5 * MS))
    device.add(Timings(infer_start_ns=16 * MS, infer_end_ns=17 * MS, slot_wanted_ns=9 * MS, slot_free_ns=14 * MS))
    assert device.busy_ns == (6 + 1 + 1) * MS
    assert device.wait_output_ns == 3 * MS
    assert device.wait_input_ns == (2 + 2 + 2) * MS


def test_percentiles_and_throughput_of_known_latencies() -> None:
    clock = ManualClock()
    stats = RunStats(clock)
    for number in range(1, 101):
        stats.frame_done(Timings(read_end_ns=1, postprocess_end_ns=1 + number * MS), 2, is_error=False)
    stats.frame_done(Timings(), 0, is_error=True)
    clock.advance(2.0)
    stats.finish()
    clock.advance(5.0)
    numbers = stats.snapshot()
    assert (numbers.num_frames, numbers.num_errors, numbers.num_detections) == (101, 1, 200)
    assert numbers.wall_s == pytest.approx(2.0) and numbers.throughput_fps == pytest.approx(50.5)
    # Three significant digits are what the histogram keeps.
    assert numbers.latency_p50_ms == pytest.approx(50, rel=1e-3)
    assert numbers.latency_p90_ms == pytest.approx(90, rel=1e-3)
    assert numbers.latency_p99_ms == pytest.approx(99, rel=1e-3)
    assert numbers.latency_max_ms == pytest.approx(100, rel=1e-3)


def test_a_snapshot_before_the_first_frame_is_all_zeros() -> None:
    numbers = RunStats(ManualClock()).snapshot()
    assert (numbers.num_frames, numbers.latency_p99_ms, numbers.device_busy_share) == (0, 0.0, 0.0)
    assert not numbers.is_finished and len(numbers.stages) == 5


def test_a_synchronous_run_on_a_scripted_clock_is_busy_for_exactly_its_share() -> None:
    clock = ManualClock()
    device = ScriptedDevice(0.004, clock=clock)
    source = ScriptedSource(25)
    reading = source.read

    def read_in_six_ms():  # type: ignore[no-untyped-def]
        clock.advance(0.006)
        return reading()

    source.read = read_in_six_ms  # type: ignore[method-assign]
    run = scripted_run([source], device, RunConfig(mode="sync"), stats=RunStats(clock))
    assert len(list(run)) == 25
    numbers = run.stats.snapshot()
    # 25 x (6 + 4) ms, and 6 ms for the read that found the end.
    assert numbers.wall_s == pytest.approx(0.256)
    assert numbers.device_busy_share == pytest.approx(0.100 / 0.256)
    assert numbers.latency_p50_ms == pytest.approx(4.0, rel=1e-3)
    stages = {stage.stage: stage for stage in numbers.stages}
    assert stages["read"].busy_s == pytest.approx(0.156)
    assert stages["infer"].busy_per_frame_ms == pytest.approx(4.0)
    assert stages["infer"].wait_input_s == pytest.approx(0.150)
    assert stages["infer"].wait_output_s == 0.0


@given(values=st.lists(st.integers(1, 3_600_000_000), max_size=60), percentile=st.floats(0.001, 100))
def test_percentiles_are_those_of_the_histogram_itself(values: list[int], percentile: float) -> None:
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    for value in values:
        histogram.record_value(value)
    found = values_at(histogram, (percentile, 50.0))
    assert found == [histogram.get_value_at_percentile(one) if values else 0 for one in (percentile, 50.0)]


@given(marks=st.lists(st.integers(0, 24), min_size=1, max_size=4))
def test_windows_of_a_run_have_the_numbers_of_their_own_time(marks: list[int]) -> None:
    clock = ManualClock()
    # Ten frames of 2 ms, then fifteen of 8 ms.
    device = ScriptedDevice(lambda ordinal: 0.002 if ordinal < 10 else 0.008, clock=clock)
    with scripted_run([ScriptedSource(25)], device, RunConfig(mode="sync"), stats=RunStats(clock)) as run:
        before, spans = run.stats.snapshot(), []
        for index, _ in enumerate(run):
            if index in marks:
                spans.append(run.stats.snapshot().since(before))
                before = run.stats.snapshot()
        spans.append(run.stats.snapshot().since(before))
    ends = sorted({*marks})
    firsts = [0, *(end + 1 for end in ends)]
    for first, end, span in zip(firsts, [*ends, 24], spans, strict=True):
        latencies_ms = [2.0 if index < 10 else 8.0 for index in range(first, end + 1)]
        assert span.num_frames == span.streams[0].num_results == len(latencies_ms)
        assert span.wall_s == pytest.approx(max(sum(latencies_ms) / 1e3, 1e-9))
        if latencies_ms:
            assert span.device_busy_share == pytest.approx(1.0)
            assert span.latency_max_ms == pytest.approx(max(latencies_ms), rel=1e-3)
            middle_ms = float(np.percentile(latencies_ms, 50, method="inverted_cdf"))
            assert span.latency_p50_ms == pytest.approx(middle_ms, rel=1e-3)
        else:
            assert span.latency_p50_ms == span.throughput_fps == 0


def test_a_window_of_a_live_stream_has_its_own_ages() -> None:
    counters = StreamCounters(0, "camera")
    for _ in range(10):
        counters.aged(1_000_000)
    before = counters.snapshot()
    for _ in range(10):
        counters.aged(50_000_000)
    counters.dropped("stale", 3)
    span = counters.snapshot().since(before)
    assert before.age_p50_ms == pytest.approx(1, rel=0.02)
    assert span.age_p50_ms == pytest.approx(50, rel=0.02) and span.dropped == {"stale": 3}


def test_values_that_wait_to_be_recorded_count_at_once() -> None:
    rng = np.random.default_rng(1)
    values = [int(value) for value in rng.integers(1, 50_000, 1000)]
    direct, recorder = HdrHistogram(1, 100_000, 3), Recorder(HdrHistogram(1, 100_000, 3))
    for number, value in enumerate(values):
        direct.record_value(value)
        recorder.add(value)
        if number % 97 == 0:
            found, counts = recorder.values_at((50.0, 99.0, 100.0))
            assert found == values_at(direct, (50.0, 99.0, 100.0)) and counts.sum() == number + 1


def test_an_idle_device_waits_for_frames_or_for_slots() -> None:
    device = DeviceTime(0)
    device.add(Timings(slot_wanted_ns=10, slot_free_ns=30, infer_start_ns=40, infer_end_ns=60))
    assert (device.busy_ns, device.wait_output_ns, device.wait_input_ns) == (20, 20, 20)
    device.add(Timings(slot_wanted_ns=20, slot_free_ns=25, infer_start_ns=50, infer_end_ns=80))  # Overlaps.
    assert (device.busy_ns, device.wait_output_ns, device.wait_input_ns) == (40, 20, 20)
    device.add(Timings(slot_wanted_ns=70, slot_free_ns=90, infer_start_ns=85, infer_end_ns=95))
    assert (device.busy_ns, device.wait_output_ns, device.wait_input_ns) == (50, 25, 20)
