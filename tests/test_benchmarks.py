"""Tests of the comparison's parts; no speed is asserted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import openvino as ov
import pytest

import keepbusy as kb
from benchmarks import model_only, run_all
from benchmarks.peers import compare, exports
from benchmarks.peers.article_picture import letterbox, to_blob, to_frame
from benchmarks.peers.bound import parse
from benchmarks.peers.environment import preprocess_python
from benchmarks.peers.figures import Contender, bootstrap_interval, ratios, rows_of
from benchmarks.peers.protocol import Done, Frames, measure
from benchmarks.peers.report import to_markdown, to_svg
from benchmarks.peers.video import looped
from benchmarks.peers.worker import ContenderError, Worker
from keepbusy.device.engine import infer_once
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.pictures.letterbox import Letterbox, Letterboxer
from tests.build import square_picture
from tests.head_graphs import head_model

CONTENDERS = [
    Contender("keepbusy async", "net", "alone"),
    Contender("loop", "net", "alone"),
    Contender("alone", "net"),
    Contender("other", "other net", "other alone"),
    Contender("other alone", "other net"),
    Contender("absent", "net", "alone"),
]
ROUNDS = {
    "keepbusy async": [{"fps": 90.0, "latency_ms_p50": 30.0, "boxes_per_frame": 2.0, "cpu_ms_per_frame": 20.0}] * 3,
    "loop": [{"fps": fps, "latency_ms_p50": 20.0} for fps in (45.0, 50.0, 36.0)],
    "alone": [{"fps": 100.0}] * 3,
    "other": [{"fps": 60.0}] * 3,
    "other alone": [{"fps": 80.0}] * 3,
}


# The article's programs.


@pytest.mark.parametrize("frame_hw", [(64, 96), (48, 96), (33, 77), (250, 90), (7, 200)])
def test_articles_letterbox_is_keepbusys(frame_hw: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*frame_hw, 3), np.uint8)
    picture, fit = letterbox(frame, (64, 96))
    tensor = np.zeros((64, 96, 3), np.uint8)
    ours = Letterboxer(tensor).write(frame)
    assert (fit.scale, fit.left_px, fit.top_px) == (ours.scale_xy[0], ours.left_px, ours.top_px)
    assert np.array_equal(picture, tensor)


def test_articles_blob_is_rgb_planes_from_0_to_1() -> None:
    blob = to_blob(square_picture())
    assert blob.shape == (1, 3, 64, 96) and blob.dtype == np.float32
    assert blob[0, 0].max() == 1 and blob[0, 1:].max() == 0


def test_articles_boxes_go_back_to_the_frame_as_keepbusys() -> None:
    boxes = np.array([[-5, 10, 40, 30], [0, 0, 96, 64]], np.float32)
    ours = Letterbox.fit((100, 320), (64, 96)).boxes_to_frame(boxes.copy())
    _, fit = letterbox(np.zeros((100, 320, 3), np.uint8), (64, 96))
    assert np.allclose(to_frame(boxes, fit, (100, 320)), ours, atol=1e-3)


def test_articles_programs_find_the_boxes_that_the_detector_finds() -> None:
    pytest.importorskip("torch")
    from benchmarks.peers.article_async import Lane
    from benchmarks.peers.article_sync import detect

    detector = kb.Detector(embedded_model(), precision="f32", shape="square", head="stock")
    net = ov.Core().compile_model(str(embedded_model()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    lane = Lane(net)
    frames = looped(embedded_clip())
    num_boxes = 0
    for index in range(61):
        frame = next(frames)
        if index % 30:
            continue
        ours = detector(frame)
        boxes, confidence, class_id = detect(net, frame)
        assert class_id.tolist() == ours.class_id.tolist()
        assert np.abs(boxes - ours.boxes_xyxy).max(initial=0) < 0.5
        assert np.abs(confidence - ours.confidence).max(initial=0) < 0.01
        lane.start(frame)
        lane.wait()
        assert np.array_equal(lane.boxes()[0], boxes)
        num_boxes += len(boxes)
    frames.close()
    assert num_boxes > 10


def test_articles_suppression_stays_within_a_class() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.peers.article_boxes import boxes_of, suppress

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert suppress(boxes, torch.tensor([0, 0, 1, 0])).tolist() == [0, 2, 3]
    found, confidence, class_id = boxes_of(torch.zeros(1, 5, 8))
    assert found.shape == (0, 4) and len(confidence) == len(class_id) == 0


# The workers.


def test_a_measurement_counts_after_the_warm_up_and_closes() -> None:
    is_closed = False

    def frames() -> Frames:
        nonlocal is_closed
        try:
            while True:
                yield Done(0.002, 3)
        finally:
            is_closed = True

    found = measure(frames(), 0.01, warm_up_s=0.0)
    assert 0 < found["fps"] <= found["frames"] / 0.01
    assert found["latency_ms_p50"] == pytest.approx(2) and found["boxes_per_frame"] == 3
    assert is_closed


def test_a_video_begins_again(clip: Path) -> None:
    frames = looped(clip)
    shown = [next(frames).copy() for _ in range(43)]
    frames.close()
    assert np.array_equal(shown[0], shown[40]) and np.array_equal(shown[2], shown[42])
    with pytest.raises(RuntimeError, match="no frame"):
        next(looped(clip.with_suffix(".none")))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_worker_loads_once_and_runs_when_told(blob_model: Path, clip: Path, mode: str) -> None:
    words = ["--video", str(clip), "--model", str(blob_model), "--mode", mode]
    with Worker(Path(sys.executable), "keepbusy_run", words) as worker:
        assert worker.versions["openvino"]
        for _ in range(2):
            found = worker.run(0.1)
            assert found["fps"] > 0 and found["frames"] >= 1 and found["boxes_per_frame"] > 0
            assert found["latency_ms_p50"] > 0 and found["cpu_ms_per_frame"] > 0


def test_a_worker_that_cannot_load_says_why_in_one_line(clip: Path, tmp_path: Path) -> None:
    words = ["--video", str(clip), "--model", str(tmp_path / "none.xml")]
    with pytest.raises(ContenderError, match=r"^ModelError: .*none.xml: no such model file$"):
        Worker(Path(sys.executable), "keepbusy_run", words)
    with pytest.raises(ContenderError, match="No module named"):
        Worker(Path(sys.executable), "nobody", [])
    with pytest.raises(ContenderError, match="No such file"):
        Worker(tmp_path / "python", "keepbusy_run", words)


def test_an_interpreter_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContenderError, match=r"--peers-python: .*none: no such file"):
        preprocess_python(tmp_path / "none")


def test_benchmark_apps_report_is_read() -> None:
    text = "[ INFO ] Latency:\n[ INFO ]    Median:        21.50 ms\n[ INFO ] Throughput:   88.25 FPS\n"
    assert parse(text) == {"fps": 88.25, "latency_ms_p50": 21.5}
    with pytest.raises(ContenderError, match="no such device"):
        parse("[ ERROR ] no such device\n\n")


def test_benchmark_app_is_given_the_graph_that_runs(tmp_path: Path) -> None:
    model = head_model(tmp_path / "model.xml", "yolov5")
    with kb.Pipeline(model, head="host", precision="f32") as pipeline:
        (request, *_) = pipeline.warm_requests()
        graph = ov.Core().read_model(model_only.save_graph(pipeline, tmp_path / "graph.xml"))
        assert list(graph.inputs[0].shape) == [1, *pipeline.input_hw, 3]
        assert graph.inputs[0].element_type == ov.Type.u8
        # The raw heads of three levels, not the rows of the file.
        assert len(graph.outputs) == len(request.outputs) == 3
        pixels = np.random.default_rng(0).integers(0, 256, (*pipeline.input_hw, 3), np.uint8)
        request.input[...] = pixels
        infer_once(request, "CPU")
        found = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels[None])
        for index, output in enumerate(request.outputs):
            np.testing.assert_allclose(found[index], output, rtol=1e-4, atol=1e-4)


def test_our_loop_and_benchmark_app_measure_one_graph(tmp_path: Path) -> None:
    model = head_model(tmp_path / "model.xml", "yolov5")
    ours, theirs = model_only.as_exported(model, "sync", "CPU")
    assert ours(0.1) > 0 and theirs(1.0) > 0
    ours, theirs = model_only.as_run(model, "async", "CPU", tmp_path)
    assert ours(0.1) > 0 and theirs(1.0) > 0


def test_a_contender_that_fails_in_a_round_is_out_and_named() -> None:
    field = compare.Field(argparse.Namespace())
    answers = iter([{"fps": 1.0}])

    def work() -> dict[str, float]:
        try:
            return next(answers)
        except StopIteration:
            raise ContenderError("gone") from None

    field.add(Contender("loop", "net"), work)
    found = {"loop": [field.measures["loop"](), field.measures["loop"](), field.measures["loop"]()]}
    assert found["loop"] == [{"fps": 1.0}, None, None]
    assert field.not_measured == {"loop": "failed in a round: gone"}
    assert compare.finished_rounds(found, field.not_measured) == {}


# The figures.


def test_ratios_are_made_round_by_round() -> None:
    assert ratios(ROUNDS, "loop", "keepbusy async") == [0.5, 50 / 90, 0.4]


def test_the_bootstrap_interval_holds_the_median_and_repeats() -> None:
    values = list(np.random.default_rng(1).normal(1.0, 0.1, 15))
    low, high = bootstrap_interval(values)
    assert min(values) <= low < np.median(values) < high <= max(values)
    assert (low, high) == bootstrap_interval(values)
    assert bootstrap_interval([0.7]) == (0.7, 0.7)


def test_rows_compare_with_the_same_model_only() -> None:
    rows = {row.contender.name: row for row in rows_of(CONTENDERS, ROUNDS)}
    assert list(rows) == ["keepbusy async", "loop", "alone", "other", "other alone"]
    loop, other = rows["loop"], rows["other"]
    assert loop.ratio is not None and loop.ratio.median == 0.5
    assert loop.efficiency is not None and loop.efficiency.median == 0.45
    assert other.ratio is None and other.efficiency is not None and other.efficiency.median == 0.75
    assert rows["alone"].efficiency is None and rows["other"].latency_ms is None


def test_rows_without_the_reference_have_no_ratio() -> None:
    rows = rows_of(CONTENDERS, {"loop": ROUNDS["loop"]})
    assert len(rows) == 1 and rows[0].ratio is None and rows[0].efficiency is None


def test_the_table_names_everybody() -> None:
    table = to_markdown(rows_of(CONTENDERS, ROUNDS), {"absent": "needs a | b"}, ["A note."])
    lines = table.splitlines()
    assert lines[2] == "| **keepbusy async** | net | 90.0 (90.0 to 90.0) | 30.0 | 20.0 | 2.0 | 1 | 0.90 [0.90, 0.90] |"
    assert lines[7] == r"| absent | not measured here: needs a \| b | – | – | – | – | – | – |"
    assert len({line.replace(r"\|", "").count("|") for line in lines[:8]}) == 1
    assert lines[-1] == "A note."


def test_the_chart_is_svg_with_a_bar_for_each_end_to_end_contender() -> None:
    root = ElementTree.fromstring(to_svg(rows_of(CONTENDERS, ROUNDS), "video & device"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 3
    words = [text.text for text in root.findall(f"{space}text")]
    assert "loop" in words and "alone" not in words and "video & device" in words
    ElementTree.fromstring(to_svg([], "nothing"))


# The document.


def test_figures_are_replaced_between_their_markers() -> None:
    document = "a\n<!-- figures:memory begin -->\nold\n<!-- figures:memory end -->\nb\n"
    renewed = run_all.replace_figures(document, "memory", r"new \1" + "\n")
    assert renewed == "a\n<!-- figures:memory begin -->\nnew \\1\n<!-- figures:memory end -->\nb\n"
    assert run_all.replace_figures(renewed, "memory", "old") == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "<!-- figures:peers begin --> is missing"),
        ("<!-- figures:peers begin -->", "<!-- figures:peers end --> is missing"),
        ("<!-- figures:peers end --><!-- figures:peers begin -->", "stands before"),
        ("<!-- figures:peers begin --><!-- figures:peers begin -->", "stands twice"),
    ],
)
def test_a_wrong_marker_is_an_error_that_names_it(document: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_all.check_markers(document, ["peers"])


def test_quick_leaves_the_document_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "performance.md"
    text = "<!-- figures:environment begin -->\n<!-- figures:environment end -->\n"
    document.write_text(text)
    monkeypatch.setattr(run_all, "OUTPUT", tmp_path / "output")
    words = ["run_all", "--only", "environment", "--document", str(document)]
    monkeypatch.setattr(sys, "argv", [*words, "--quick"])
    run_all.main()
    assert document.read_text() == text
    assert "OpenVINO" in (tmp_path / "output" / "performance.md").read_text()
    monkeypatch.setattr(sys, "argv", words)
    run_all.main()
    assert "OpenVINO" in document.read_text()
    monkeypatch.setattr(sys, "argv", [*words, "--only", "memory"])
    with pytest.raises(SystemExit, match="figures:memory begin --> is missing"):
        run_all.main()
    capsys.readouterr()


def test_commands_and_outputs_name_no_folders_of_the_machine() -> None:
    options = run_all.parse_options(["--quick"])
    for name in run_all.NAMES[1:]:
        for command in run_all.commands(name, options):
            assert str(run_all.ROOT) not in run_all.without_paths(" ".join(command), options)


def test_a_line_of_the_exports_has_medians_and_ratios_by_round(tmp_path: Path) -> None:
    model = tmp_path / "yolov8n.xml"
    model.write_text('<layer type="FakeQuantize"/>')
    rounds = {
        exports.KEEPBUSY: [{"fps": 90.0}, {"fps": 100.0}, {"fps": 110.0}],
        "Ultralytics predict": [{"fps": 45.0}, {"fps": 40.0}, {"fps": 50.0}],
        "bound": [{"fps": 60.0}, {"fps": 50.0}, {"fps": 55.0}],
    }
    assert exports.to_row(model, Path("people.mp4"), rounds, "bound") == (
        "| yolov8n INT8 | people | **100.0** | 45.0 | – | 55.0 | 2.00 (1.50 to 2.00) | 2.20 (2.00 to 2.50) |"
    )


def test_exports_are_measured_where_some_are_named() -> None:
    options = run_all.parse_options(["--quick", "--exports", "a.xml", "b.xml", "--videos", "c.mp4"])
    (command,) = run_all.commands("exports", options)
    assert [Path(word).name for word in command[2:7]] == ["--models", "a.xml", "b.xml", "--videos", "c.mp4"]
