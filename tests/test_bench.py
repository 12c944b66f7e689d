"""The benchmark's parts on scripted devices and known numbers; no speed is asserted."""

from __future__ import annotations

import io
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import keepbusy as kb
from keepbusy.bench import baseline, environment, report, rounds, samples, tables
from keepbusy.bench.cost import measuring_cost_s
from keepbusy.bench.measure import evaluate
from keepbusy.bench.windows import StageWindow, Window, measure_end_to_end, measure_model_only
from keepbusy.config import Mode, RunConfig
from keepbusy.device.engine import Request
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.errors import STAGES, ConfigError, SinkError, SourceError
from keepbusy.flow.stats import RunStats
from keepbusy.testing import ManualClock, ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.threads.cores import cgroup_quota_cores
from keepbusy.values.result import Timings

MS = 1_000_000


def test_the_interval_holds_the_true_ratio_and_is_repeatable() -> None:
    random = np.random.default_rng(3)
    num_covered = 0
    for _ in range(100):
        bottoms = random.normal(100, 10, 9)
        tops = bottoms * 2 * random.normal(1, 0.03, 9)
        found = samples.ratio(list(tops), list(bottoms))
        assert found == samples.ratio(list(tops), list(bottoms))
        assert found.low is not None and found.high is not None and found.low <= found.median <= found.high
        num_covered += found.low <= 2 <= found.high
    assert num_covered >= 90


def test_too_few_rounds_have_no_interval() -> None:
    assert samples.ratio([2.0, 4.0], [1.0, 2.0]) == samples.Ratio(2.0)
    assert samples.ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == samples.Ratio(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100, 95, 90, 86, 80, 75], -0.205),
        ([100, 99, 101, 100, 99, 100], 0.0),
        ([100, 130, 90, 120, 95, 118], 0.0),
        ([100, 110, 121], 0.21),
        ([100, 50], 0.0),
    ],
)
def test_drift_is_what_goes_one_way(values: list[float], expected: float) -> None:
    assert samples.drift(values) == pytest.approx(expected, abs=0.005)


def test_latencies_of_known_values() -> None:
    found = samples.latency(number * MS for number in range(1, 1001))
    assert found.num_frames == 1000
    values = (found.min_ms, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms)
    assert values == pytest.approx((1, 500, 900, 990, 1000), rel=2e-3)
    assert sum(count for _, _, count in found.bins) == 1000
    assert all(a[1] == b[0] for a, b in zip(found.bins, found.bins[1:], strict=False))
    assert samples.latency([]).num_frames == 0
    assert sum(count for _, _, count in samples.latency([5 * MS] * 7).bins) == 7


def test_rounds_rotate_and_everybody_goes_first_once() -> None:
    order: list[str] = []

    def measure(name: str) -> int:
        order.append(name)
        return len(order)

    found, is_interrupted = rounds.measure_rounds({name: partial(measure, name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab" and not is_interrupted
    assert found == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_an_interrupt_keeps_the_finished_rounds() -> None:
    calls: list[int] = []

    def measure() -> int:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return len(calls)

    found, is_interrupted = rounds.measure_rounds({"a": measure, "b": measure}, 9)
    assert is_interrupted and found == {"a": [1, 4], "b": [2, 3]}
    calls[:] = [1, 1, 1, 1, 1]
    with pytest.raises(KeyboardInterrupt):
        rounds.measure_rounds({"a": measure}, 9)


@pytest.mark.parametrize(("num_requests", "num_servers", "fps", "latency_ms"), [(1, 1, 250, 4), (4, 2, 500, 8)])
def test_model_only_on_a_scripted_device_is_exact(
    num_requests: int, num_servers: int, fps: float, latency_ms: float
) -> None:
    clock = ManualClock()
    device = ScriptedDevice(0.004, num_servers=num_servers, clock=clock)
    requests = [device.create_request() for _ in range(num_requests)]
    for request in requests:  # The warm-up.
        request.start()
        request.wait(1)
    window = measure_model_only(requests, 2.0, now_ns=clock.now_ns)
    assert window.fps == pytest.approx(fps, rel=0.01)
    assert statistics.median(window.latencies_ns) == latency_ms * MS
    assert window.device_busy_s == pytest.approx(window.wall_s, rel=0.01)
    assert device.num_in_flight == 0 and device.max_in_flight == num_requests


class Counted(np.ndarray[Any, Any]):
    """An array that counts its copies."""

    num_copies = 0

    def copy(self, order: Any = "C") -> Any:
        Counted.num_copies += 1
        return super().copy(order)


@pytest.mark.parametrize("copies", [False, True])
def test_results_are_copied_where_the_other_tool_copies_them(copies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with kb.Pipeline(embedded_model(), mode="sync", shape="square") as pipeline:
        requests = pipeline.warm_requests()
        seen = [output.view(Counted) for output in requests[0].outputs]
        monkeypatch.setattr(type(requests[0]), "outputs", property(lambda _: seen))
        monkeypatch.setattr(Counted, "num_copies", 0)
        window = measure_model_only(requests, 0.1, copies_results=copies)
    if copies:
        assert Counted.num_copies > window.num_frames * len(seen) > 0
    else:
        assert Counted.num_copies == 0


def test_the_model_alone_sees_noise_and_a_run_after_it_what_it_would_have_seen() -> None:
    with kb.Pipeline(embedded_model(), shape="square", precision="f32") as pipeline:
        found = [result.detections.boxes_xyxy for result in pipeline.run(embedded_clip(), stride=100)]
        seen: list[float] = []
        requests = pipeline.warm_requests()
        start = type(requests[0]).start
        with pytest.MonkeyPatch.context() as patch:

            def watched(self: Request) -> None:
                seen.append(float(self.input.std()))
                start(self)

            patch.setattr(type(requests[0]), "start", watched)
            measure_model_only(requests, 0.1)
        again = [result.detections.boxes_xyxy for result in pipeline.run(embedded_clip(), stride=100)]
    assert min(seen) > 70
    assert sum(len(boxes) for boxes in found) > 10
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_end_to_end_leaves_the_warm_up_out() -> None:
    clock = ManualClock()
    slow_start = ScriptedDevice(lambda ordinal: 0.100 if ordinal < 4 else 0.004, clock=clock)
    source = ScriptedSource(None)
    reading = source.read

    def read_in_six_ms():  # type: ignore[no-untyped-def]
        clock.advance(0.006)
        return reading()

    source.read = read_in_six_ms  # type: ignore[method-assign]
    run = scripted_run([source], slow_start, RunConfig(mode="sync"), stats=RunStats(clock))
    window = measure_end_to_end(run, 2.0)
    assert window.fps == pytest.approx(100, rel=0.01)
    assert window.device_busy_s / window.wall_s == pytest.approx(0.4, rel=0.01)
    stages = {stage.stage: stage for stage in window.stages}
    assert stages["read"].busy_s / stages["read"].num_frames == pytest.approx(0.006)
    assert window.num_detections == window.num_frames == len(window.latencies_ns)
    assert source.is_closed and len(window.timings) == 96


def test_an_async_window_has_the_cpu_time_of_each_stages_threads() -> None:
    run = scripted_run([ScriptedSource(None)], ScriptedDevice(0.001), RunConfig(nireq=2))
    window = measure_end_to_end(run, 0.1)
    stages = {stage.stage: stage for stage in window.stages}
    for name in ("read", "preprocess", "postprocess"):
        cpu_s = stages[name].cpu_s
        assert cpu_s is None or 0 < cpu_s <= window.cpu_s


def test_a_source_that_ends_is_an_error() -> None:
    run = scripted_run([ScriptedSource(10)], ScriptedDevice(), RunConfig(mode="sync"))
    with pytest.raises(SourceError, match="ended while it was being measured"):
        measure_end_to_end(run, 5.0)


def test_measuring_costs_little_enough_to_be_timed() -> None:
    assert 0 < measuring_cost_s(50) < 0.01


def make_window(fps: float, *, num_detections: int = 5, is_end_to_end: bool = True) -> Window:
    num_frames = round(fps)
    stages = tuple(StageWindow(stage, num_frames, 1, 0.002 * fps, 0.3, 0.1, 0.001 * fps) for stage in STAGES[:4])
    timings = [Timings(*(1 + (n * 10 + k) * MS for k in (0, 1, 1, 1, 1, 2, 2, 9, 9, 10))) for n in range(60)]
    if not is_end_to_end:
        return Window(num_frames, 1.0, 0.5, 0.9, [4 * MS] * num_frames)
    stages = (*stages, StageWindow("sink", 0, 1, 0.0, 0.0, 0.0))
    return Window(num_frames, 1.0, 0.6, 0.8, [9 * MS] * num_frames, num_detections, stages, timings)


ENVIRONMENT = {
    "cpu_model": "Some CPU",
    "usable_cores": 4.0,
    "device": "CPU",
    "device_name": "Some CPU",
    "model": "model.xml",
    "model_sha256": "0123456789",
    "precision": "f32",
    "head": "tail",
    "quantized": None,
    "decoding": [],
    "input_hw": [384, 640],
    "exported_hw": [640, 640],
    "sources": ["street.mp4"],
    "streams": "2",
    "requests": 4,
    "openvino": "2026.0.0-1",
}


NUM_REQUESTS: dict[str, int] = {name: 1 if "sync" in name.split() else 4 for name in report.NAMES}
NUM_REQUESTS["model as exported async"] = 2


def make_report(
    fps: tuple[float, ...] = (100, 100, 100), num_detections: int = 5, one_measurement: tuple[Mode, ...] = ()
) -> report.Report:
    windows = {
        "model as exported sync": [make_window(0.4 * value, is_end_to_end=False) for value in fps],
        "model as exported async": [make_window(0.625 * value, is_end_to_end=False) for value in fps],
        "model as run sync": [make_window(0.8 * value, is_end_to_end=False) for value in fps],
        "model as run async": [make_window(1.25 * value, is_end_to_end=False) for value in fps],
        "end-to-end sync": [make_window(0.5 * value, num_detections=num_detections) for value in fps],
        "end-to-end async": [make_window(value, num_detections=num_detections) for value in fps],
    }
    for mode in one_measurement:
        del windows[f"model as exported {mode}"]
    return evaluate(
        windows,
        ENVIRONMENT,
        seconds=1.0,
        num_requests=NUM_REQUESTS,
        num_servers=2,
        one_measurement=one_measurement,
    )


def test_a_report_has_the_ratios_the_stages_and_a_verdict() -> None:
    found = make_report()
    assert found.speed_up == samples.Ratio(2.0, 2.0, 2.0)
    assert found.efficiency_async.median == pytest.approx(0.8)
    assert found.efficiency_sync.median == pytest.approx(50 / 80)
    assert found.to_exported_async is not None and found.to_exported_sync is not None
    # 62.5 frames a second are 62 whole frames in the window of a second.
    assert found.to_exported_async.median == pytest.approx(100 / 62)
    assert found.to_exported_async.low == found.to_exported_async.high == found.to_exported_async.median
    assert found.to_exported_sync.median == pytest.approx(50 / 40)
    assert found.seconds == 1.0 and found.model_seconds == 0.5
    assert found.measurements["model as exported async"].num_requests == 2
    assert found.verdict.sentence.endswith("End to end it is 1.61 times what the model as exported does alone.")
    assert [row.stage for row in found.stages] == ["read", "preprocess", "infer", "postprocess"]
    assert found.stages[0].async_ms == pytest.approx(2) and found.stages[0].cpu_ms == pytest.approx(1)
    assert found.stages[1].wait_output_share == pytest.approx(0.1)
    # The device alone does 125 frames/s with two servers: 16 ms each.
    assert found.verdict.bottleneck == "infer" and found.verdict.predicted_fps == pytest.approx(125)
    assert found.warnings == []
    assert found.measurements["end-to-end async"].cpu_ms_per_frame == pytest.approx(6)


def test_a_ratio_to_the_model_as_exported_is_computed_round_by_round() -> None:
    names = [name for name in report.NAMES if name != "model as exported sync"]
    windows: dict[str, list[Window]] = {name: [make_window(100, is_end_to_end="end" in name)] * 3 for name in names}
    windows["model as exported async"] = [make_window(fps, is_end_to_end=False) for fps in (25, 50, 40)]
    found = evaluate(windows, ENVIRONMENT, seconds=1.0, num_requests=NUM_REQUESTS, num_servers=2)
    assert found.to_exported_async == samples.Ratio(2.5, 2.0, 4.0)


def test_a_graph_that_runs_as_exported_is_one_measurement() -> None:
    found = make_report(one_measurement=("sync",))
    assert found.names == list(report.NAMES) and found.one_measurement == ["sync"]
    assert found.measurements["model as exported sync"] is found.measurements["model as run sync"]
    assert found.to_exported_sync == found.efficiency_sync
    assert found.is_the_same("model as run sync") and not found.is_the_same("model as run async")
    both = make_report(one_measurement=("sync", "async"))
    assert both.to_exported_async == both.efficiency_async
    assert "as exported" not in both.verdict.sentence


def test_an_exported_graph_that_does_not_compile_leaves_its_rows_and_ratios_out(tmp_path: Path) -> None:
    names = [name for name in report.NAMES if "exported" not in name]
    windows: dict[str, list[Window]] = {name: [make_window(100, is_end_to_end="end" in name)] * 3 for name in names}
    found = evaluate(windows, ENVIRONMENT, seconds=1.0, num_requests=NUM_REQUESTS, num_servers=2)
    assert found.names == names and found.to_exported_async is None and found.to_exported_sync is None
    path = tmp_path / "report.json"
    report.write_json(found, path)
    assert report.read_json(path)["to_exported_async"] is None


def test_warnings_say_what_to_distrust() -> None:
    (line,) = make_report((100, 100)).warnings
    assert line.startswith("2 rounds: too few for an interval") and "--rounds 3" in line
    lines = make_report((100, 90, 80)).warnings
    assert len(lines) == 2 and "slowed down by 20%" in lines[0] and "model as run sync" in lines[0]
    (line,) = make_report((100, 60, 100, 100)).warnings
    assert line.startswith("the machine is not quiet") and "1.67 times its worst" in line
    (line,) = make_report(num_detections=0).warnings
    assert line.startswith("no detections at all")


def test_a_report_survives_its_json(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report.write_json(make_report(), path)
    content = report.read_json(path)
    assert content["environment"] == ENVIRONMENT
    assert content["measurements"]["end-to-end async"]["fps"] == 100
    assert content["speed_up"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert content["verdict"]["bottleneck"] == "infer"
    assert content["version"] == 2 and list(content["measurements"]) == list(report.NAMES)
    assert content["measurements"]["model as exported async"]["fps"] == 62
    assert content["to_exported_async"] == {key: pytest.approx(100 / 62) for key in ("median", "low", "high")}
    assert content["one_measurement"] == [] and (content["seconds"], content["model_seconds"]) == (1.0, 0.5)
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    with pytest.raises(SinkError, match="cannot be written"):
        report.write_json(make_report(), tmp_path / "missing" / "report.json")


def in_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """A report as it was written before the model was measured as exported, too."""
    earlier = {key: value for key, value in content.items() if "exported" not in key}
    del earlier["one_measurement"], earlier["model_seconds"]
    earlier["measurements"] = {
        name.replace("model as run", "model-only"): one
        for name, one in content["measurements"].items()
        if "exported" not in name
    }
    return {**earlier, "version": 1}


def test_a_report_of_version_1_is_read_and_compared(tmp_path: Path) -> None:
    path, earlier_path = tmp_path / "report.json", tmp_path / "earlier.json"
    report.write_json(make_report(), path)
    now = report.read_json(path)
    earlier_path.write_text(json.dumps(in_version_1(now)))
    assert "model-only sync" in json.loads(earlier_path.read_text())["measurements"]
    earlier = report.read_json(earlier_path)
    assert list(earlier["measurements"]) == list(report.NEEDED)
    assert earlier["measurements"]["model as run async"]["fps"] == 125
    baseline.check_comparable(ENVIRONMENT, earlier, earlier_path, force=False)
    assert baseline.ratio_to_baseline(90.0, earlier) == pytest.approx(0.9)
    console = Console(width=120, file=io.StringIO(), highlight=False)
    console.print(tables.compare_table(earlier, now, ("earlier", "now")))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    rows = {line[:38].strip(): line[38:].split() for line in lines}
    assert rows["model as exported async"] == ["–", "62.0", "–", "–", "–"]
    assert rows["model as run async"][:3] == ["125.0", "125.0", "1.000"]
    assert rows["end-to-end async ÷ model as exported"] == ["–", "1.613"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a report"),
        ('{"format": "keepbusy-bench", "version": 99}', "version 99"),
        ('{"format": "keepbusy-bench", "version": 1}', "incomplete"),
        ('{"format": "keepbusy-bench", "version": 1, "measurements": []}', "incomplete"),
        ('{"format": "keepbusy-bench", "version": 2}', "incomplete"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        report.read_json(path)
    assert caught.value.hint and str(path) in caught.value.message


def test_a_baseline_from_elsewhere_is_refused_with_all_differences(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report.write_json(make_report(), path)
    earlier = report.read_json(path)
    baseline.check_comparable(ENVIRONMENT, earlier, path, force=False)
    assert baseline.ratio_to_baseline(90.0, earlier) == pytest.approx(0.9)
    here = {**ENVIRONMENT, "cpu_model": "Other CPU", "usable_cores": 16.0, "model_sha256": "ff", "precision": "bf16"}
    with pytest.raises(ConfigError) as caught:
        baseline.check_comparable(here, earlier, path, force=False)
    for part in (
        "CPU: Other CPU here, Some CPU there",
        "usable cores: 16.0 here",
        "model: model.xml (ff)",
        "precision",
    ):
        assert part in caught.value.message
    assert "--force" in str(caught.value.hint)
    baseline.check_comparable(here, earlier, path, force=True)


def test_the_environment_is_described(tmp_path: Path, blob_model: Path) -> None:
    found = environment.describe(
        blob_model,
        ["some/folder/street.mp4", "0"],
        device="CPU",
        head="stock",
        quantized="drop",
        decoding=["fast_decode"],
        input_hw=(64, 96),
        exported_hw=(64, 96),
        nireq=3,
        properties={},
    )
    json.dumps(found)
    assert found["quantized"] == "drop" and found["decoding"] == ["fast_decode"]
    assert found["sources"] == ["street.mp4", "0"] and found["input_hw"] == [64, 96] and found["cpu_model"]
    assert 0 < found["usable_cores"] <= found["num_cores"]
    assert environment.differences(found, found) == []


def test_the_cgroup_quota_is_read_in_both_versions(tmp_path: Path) -> None:
    assert cgroup_quota_cores(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_quota_cores(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert cgroup_quota_cores(tmp_path) == 2.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_quota_cores(tmp_path) is None
