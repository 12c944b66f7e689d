"""The model as exported, as `benchmark_app` runs it, beside the graph that keepbusy runs; no speed is asserted."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

import keepbusy as kb
from keepbusy.bench import run, windows
from keepbusy.bench.exported import Exported, runs_as_exported
from keepbusy.bench.run import bench_model
from keepbusy.bench.windows import measure_first_idle
from keepbusy.config import DetectConfig, DeviceConfig, Mode, Options
from keepbusy.device.compiler import Compiler
from keepbusy.device.engine import IdleRequests, OpenVINODevice
from keepbusy.errors import DeviceError, ModelError
from keepbusy.models import load_model
from keepbusy.models.prepare import Prepared, as_exported
from keepbusy.testing import ManualClock
from tests.build import blob_graph
from tests.head_graphs import head_model

MODES: tuple[Mode, ...] = ("sync", "async")
MS = 1_000_000


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Prepared, dict[str, Any], Mode]]:
    """What is compiled meanwhile: the graph, the device's options, the mode."""
    found: list[tuple[Prepared, dict[str, Any], Mode]] = []
    real = OpenVINODevice.__init__

    def watched(
        self: OpenVINODevice, model: Prepared, config: DeviceConfig, mode: Mode, *rest: Any, **more: Any
    ) -> None:
        found.append((model, {"hint": config.hint, "nstreams": config.nstreams, "threads": config.threads}, mode))
        real(self, model, config, mode, *rest, **more)

    monkeypatch.setattr(OpenVINODevice, "__init__", watched)
    return found


def kinds(graph: ov.Model) -> list[str]:
    return sorted(node.get_type_name() for node in graph.get_ops())


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_nothing_stands_before_the_graph_but_the_pixels_number_type(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "blob.xml"
    ov.save_model(blob_graph(layout=layout), path, compress_to_fp16=False)
    model = load_model(path)
    graph = as_exported(model).graph
    shape = [1, 3, 64, 96] if layout == "NCHW" else [1, 64, 96, 3]
    assert list(graph.inputs[0].shape) == shape and graph.inputs[0].element_type == ov.Type.u8
    assert kinds(graph) == sorted([*kinds(ov.Core().read_model(path)), "Convert"])
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    ours = ov.Core().compile_model(graph, "CPU", options)(pixels)[0]
    theirs = ov.Core().compile_model(str(path), "CPU", options)(pixels.astype(np.float32))[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert model.graph.inputs[0].element_type == ov.Type.f32  # As loaded.


def test_the_exported_graph_is_compiled_in_its_own_square_with_the_hints_of_benchmark_app(
    tmp_path: Path, clip: Path, compiled: list[tuple[Prepared, dict[str, Any], Mode]]
) -> None:
    path = head_model(tmp_path / "model.xml", "yolov5", input_hw=(96, 96))
    options = Options(head="host", shape=(64, 96), precision="f32")
    of_async = Options(nireq=3, nstreams=1)
    report = bench_model(path, [str(clip)], options=options, options_async=of_async, num_rounds=1, seconds=0.1)
    assert report.environment["exported_hw"] == [96, 96] and report.environment["input_hw"] == [64, 96]
    plain = [(model, config, mode) for model, config, mode in compiled if model.is_exported]
    assert [mode for _, _, mode in plain] == ["sync", "async"]
    for model, config, _ in plain:
        assert list(model.graph.inputs[0].shape) == [1, 3, 96, 96]
        assert config == {"hint": None, "nstreams": None, "threads": None}
        file = ov.Core().read_model(path)
        assert kinds(model.graph) == sorted([*kinds(file), "Convert"])
        assert [port.shape for port in model.graph.outputs] == [port.shape for port in file.outputs]
    others = [list(model.graph.inputs[0].shape) for model, _, _ in compiled if not model.is_exported]
    assert others[-1] == [1, 64, 96, 3]
    assert report.one_measurement == [] and set(report.measurements) == set(report.names)
    assert report.measurements["model as exported async"].num_requests != 3
    assert report.to_exported_sync is not None and report.to_exported_async is not None


@pytest.mark.parametrize("mode", MODES)
def test_what_the_device_says_of_it_is_what_benchmark_app_would_compile(blob_model: Path, mode: Mode) -> None:
    core = ov.Core()
    model = load_model(blob_model)
    config = DeviceConfig(cache_dir=False)
    ours = Compiler(model, config, DetectConfig(), None, core).compile(as_exported(model), mode)
    hint = "THROUGHPUT" if mode == "async" else "LATENCY"
    theirs = core.compile_model(core.read_model(blob_model), "CPU", {"PERFORMANCE_HINT": hint})
    found = ours.describe()
    assert found["hint"].rpartition(".")[2] == hint
    assert found["streams"] == str(theirs.get_property("NUM_STREAMS"))
    assert found["threads"] == str(theirs.get_property("INFERENCE_NUM_THREADS"))
    num_optimal = theirs.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    one = Exported(model, "CPU", mode, Options(cache_dir=False, nireq=7, nstreams=1))
    assert one.num_requests == (1 if mode == "sync" else num_optimal == len(ours.create_queue()) and num_optimal)
    window = one.measure(0.1)
    assert window.num_frames > 0 and 0 < window.device_busy_s <= window.wall_s and min(window.latencies_ns) > 0


def test_what_is_measured_alone_sees_noise(blob_model: Path) -> None:
    model = load_model(blob_model)
    core = ov.Core()
    device = Compiler(model, DeviceConfig(cache_dir=False), DetectConfig(), None, core).compile(
        as_exported(model), "async"
    )
    queue = device.create_queue()
    for request in queue._queue:
        pixels = request.get_input_tensor().data
        assert pixels.dtype == np.uint8 and pixels.std() > 70


class ScriptedQueue:
    """Two requests of 4 and 6 ms that do not wait for each other."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.times_ms = (4, 6)
        self.done_ns: dict[int, int] = {}
        self.order: list[int] = []

    def __len__(self) -> int:
        return 2

    def wait_idle(self) -> int:
        if len(self.done_ns) < 2:
            return len(self.done_ns)
        index = min(self.done_ns, key=lambda one: self.done_ns[one])
        self.clock.advance(max(self.done_ns[index] - self.clock.now_ns(), 0) / 1e9)
        return index

    def start(self) -> int:
        index = self.wait_idle()
        self.order.append(index)
        self.done_ns[index] = self.clock.now_ns() + self.times_ms[index] * MS
        return index

    def latency_ns(self, index: int) -> int:
        return self.times_ms[index] * MS

    def wait_all(self) -> None:
        self.done_ns.clear()


def test_whichever_is_idle_is_started_next() -> None:
    clock = ManualClock()
    queue = ScriptedQueue(clock)
    protocol: IdleRequests = queue
    window = measure_first_idle(protocol, 1.2, now_ns=clock.now_ns)
    # 250 and 167 frames a second: waiting for the oldest first would hold both to the slower one's.
    assert window.fps == pytest.approx(1000 / 4 + 1000 / 6, rel=0.02)
    assert queue.order[:6] == [0, 1, 0, 1, 0, 0]
    assert window.device_busy_s == pytest.approx(window.wall_s, rel=0.01)
    assert queue.done_ns == {}


def test_a_failed_inference_is_the_devices_error(blob_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __iter__(self) -> Any:
            return iter(())

        def __len__(self) -> int:
            return 1

        def get_idle_request_id(self) -> int:
            raise RuntimeError("the driver is gone\nand more")

        def wait_all(self) -> None:
            return

    from keepbusy.device.engine import OpenVINOQueue

    with pytest.raises(DeviceError, match=r"device CPU: an inference failed: the driver is gone$"):
        measure_first_idle(OpenVINOQueue(Failing(), "CPU"), 0.1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"hint": "throughput"}, True),
        ({"hint": "latency"}, False),
        ({"nireq": 2}, False),
        ({"nstreams": 1}, False),
        ({"threads": 1}, False),
        ({"head": "host", "shape": (64, 64)}, False),
        ({"head": "host", "shape": "square"}, False),
    ],
)
def test_when_the_graph_runs_as_exported(tmp_path: Path, options: Options, expected: bool) -> None:
    path = head_model(tmp_path / "model.xml", "yolov5")
    of_run: Options = {"head": "stock", **options}
    with kb.Pipeline(path, "CPU", **of_run) as pipeline:
        pipeline.plan()
        assert runs_as_exported(pipeline, "async", of_run) is expected


def test_the_graph_as_exported_is_measured_once(
    blob_model: Path, clip: Path, compiled: list[tuple[Prepared, dict[str, Any], Mode]]
) -> None:
    begun: list[str] = []
    report = bench_model(
        blob_model, [str(clip)], num_rounds=1, seconds=0.1, on_begin=lambda _index, name: begun.append(name)
    )
    assert begun == ["model as run sync", "end-to-end sync", "model as run async", "end-to-end async"]
    assert not any(model.is_exported for model, _, _ in compiled)
    assert report.one_measurement == ["sync", "async"]
    assert report.measurements["model as exported async"] is report.measurements["model as run async"]
    assert report.to_exported_async == report.efficiency_async


def test_all_rows_take_turns_and_the_model_alone_half_the_time(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = head_model(tmp_path / "model.xml", "yolov5")
    lengths: list[float] = []
    real = windows._keep_in_flight

    def watched(flight: Any, seconds: float, now_ns: Any) -> Any:
        lengths.append(seconds)
        return real(flight, seconds, now_ns)

    monkeypatch.setattr(windows, "_keep_in_flight", watched)
    begun: list[str] = []
    options = Options(head="host")
    report = bench_model(
        path,
        [str(clip)],
        options=options,
        num_rounds=2,
        seconds=0.2,
        on_begin=lambda _index, name: begun.append(name),
    )
    assert sorted(begun[:6]) == sorted(begun[6:]) == sorted(report.names) and begun[6:] == [*begun[1:6], begun[0]]
    assert lengths == [0.1] * 8 and report.model_seconds == 0.1
    # As long as two of four rows of the whole length each: the sum of the six is five halves of that of two.
    assert sum(lengths) / 2 == pytest.approx(2 * report.seconds)


def test_a_graph_that_compiles_only_with_its_head_replaced_is_measured_all_the_same(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = head_model(tmp_path / "model.xml", "yolov5")
    real = Compiler.compile

    def refused(self: Compiler, graph: Prepared, mode: Mode, **more: Any) -> OpenVINODevice:
        if graph.is_exported:
            raise ModelError("model.xml: does not compile for device CPU: no such layer")
        return real(self, graph, mode, **more)

    monkeypatch.setattr(Compiler, "compile", refused)
    report = bench_model(path, [str(clip)], options=Options(head="host"), num_rounds=1, seconds=0.1)
    assert report.names == [name for name in report.names if "exported" not in name] and len(report.names) == 4
    assert report.to_exported_sync is None and report.to_exported_async is None
    told = [line for line in report.warnings if "as exported is not measured" in line]
    assert len(told) == 2 and "sync: model.xml: does not compile" in told[0]


def test_what_was_compiled_for_measuring_is_freed(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = head_model(tmp_path / "model.xml", "yolov5")
    alive: list[weakref.ref[Exported]] = []
    real = Exported

    def watched(*arguments: Any) -> Exported:
        one = real(*arguments)
        alive.append(weakref.ref(one))
        return one

    monkeypatch.setattr(run, "Exported", watched)
    report = bench_model(path, [str(clip)], options=Options(head="host"), num_rounds=1, seconds=0.1)
    gc.collect()
    assert len(alive) == 2 and all(one() is None for one in alive) and report.names


def test_the_exported_graph_has_a_compiled_model_of_its_own_in_the_cache(blob_model: Path, tmp_path: Path) -> None:
    options = Options(cache_dir=tmp_path, head="stock")
    for _ in range(2):
        with kb.Pipeline(blob_model, "CPU", **options) as pipeline:
            pipeline.plan()
            Exported(pipeline.model, "CPU", "async", options)
    notes = list(tmp_path.glob("*/*.json"))
    assert len(notes) == 2
    assert sorted("true" in json.dumps(json.loads(note.read_text())) for note in notes) == [False, True]
