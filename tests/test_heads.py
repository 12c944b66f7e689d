"""Heads that are taken off the graph give what the graph gave."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.cache.notes import Notebook
from keepbusy.config import DetectConfig, HeadChoice
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.earning import ENOUGH_FRAMES
from keepbusy.device.heads import Contender, choose_head
from keepbusy.device.slots import create_slots
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.models import load_model
from keepbusy.models.head import Head, find_head, raw_graph, tail_graph
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import TooManyCandidatesError, to_detections
from keepbusy.testing import ScriptedDevice, numbered_image
from keepbusy.values.detections import Detections
from keepbusy.values.forms import HeadStrategy
from tests.graphs import nan_model
from tests.head_graphs import ANCHORS, NUM_BINS, STRIDES, Kind, head_graph, head_model

KINDS: tuple[Kind, ...] = get_args(Kind)
# Nothing suppressed: which of two equals goes would depend on their order.
EXACT = {"precision": "f32", "iou": 1.0, "max_det": 1000}


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 96), (100, 40), (33, 200))]


def found_head(path: Path) -> Head | None:
    model = load_model(path)
    return find_head(model.graph, model.output, model.input_hw)


def same(one: Detections, other: Detections) -> None:
    """The same set, but for the rounding of float32 sums; equals may come in any order."""
    assert len(one) == len(other)
    gaps = np.abs(one.boxes_xyxy[:, None] - other.boxes_xyxy[None]).max(axis=2)
    gaps += 100 * np.abs(one.confidence[:, None] - other.confidence[None])
    gaps[one.class_id[:, None] != other.class_id[None]] = np.inf
    if one.keypoints is not None and other.keypoints is not None:
        points = [side.reshape(len(one), -1) for side in (one.keypoints, other.keypoints)]
        gaps += np.abs(points[0][:, None] - points[1][None]).max(axis=2)
    if one.masks is not None and other.masks is not None:
        masks = [side.to_array().reshape(len(one), -1).astype(np.float32) for side in (one.masks, other.masks)]
        # The share of pixels in one of two masks only. As differences of all pairs it would take gigabytes.
        areas = [side.sum(axis=1) for side in masks]
        gaps += (areas[0][:, None] + areas[1][None] - 2 * masks[0] @ masks[1].T) / masks[0].shape[1]
    for index in range(len(one)):
        partner = gaps[index].argmin()
        assert gaps[index, partner] < 2e-2
        gaps[:, partner] = np.inf


@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_found_with_their_strides_anchors_and_bins(kind: Kind, tmp_path: Path) -> None:
    head = found_head(head_model(tmp_path / "m.xml", kind))
    assert head is not None
    assert tuple(level.stride_px for level in head.levels) == STRIDES
    if kind.startswith("yolov5"):
        found = np.array([level.anchors_px for level in head.levels])
        np.testing.assert_allclose(found, np.array(ANCHORS), rtol=1e-5)
    else:
        assert head.num_bins == (1 if kind.startswith("yolo26") else NUM_BINS)
        assert head.form.point_scale == (1 if kind == "yolo26-pose" else 2)


@pytest.mark.parametrize("strategy", ["tail", "host"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("conf", [0.25, 0.7])
def test_every_strategy_finds_what_the_stock_graph_finds(
    kind: Kind, strategy: HeadStrategy, conf: float, tmp_path: Path
) -> None:
    path = head_model(tmp_path / "m.xml", kind)
    stock = kb.Detector(path, head="stock", conf=conf, **EXACT)  # type: ignore[arg-type]
    other = kb.Detector(path, head=strategy, shape="square", conf=conf, **EXACT)  # type: ignore[arg-type]
    num_found = 0
    for picture in pictures():
        expected = stock(picture)
        same(expected, other(picture))
        num_found += len(expected)
    assert num_found > 10


@pytest.mark.parametrize("kind", ["yolov5", "yolov8-seg"])
def test_tail_and_host_agree_in_the_rectangle_too(kind: Kind, tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", kind, input_hw=(128, 128))
    picture = pictures()[2]
    tail, host = (kb.Detector(path, head=head, shape="rect", **EXACT) for head in ("tail", "host"))  # type: ignore[arg-type]
    same(host(picture), tail(picture))
    assert tail.input_hw == host.input_hw == (64, 128)


def test_several_labels_a_box_are_left_to_the_host(tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", "yolov8")
    options: Any = {**EXACT, "conf": 0.5, "multi_label": True}
    stock, other = kb.Detector(path, head="stock", **options), kb.Detector(path, head="tail", **options)
    same(stock(pictures()[0]), other(pictures()[0]))
    with kb.Pipeline(path, head="tail", **options) as pipeline:
        pipeline.plan()
        assert pipeline.head == "host"


@pytest.mark.parametrize("kind", ["yolov5", "yolov8-pose", "yolov5-seg"])
def test_a_frame_with_too_many_candidates_is_done_again_exactly(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.device.compiler.MANY_CELLS", 5)
    path = head_model(tmp_path / "m.xml", kind)
    options: Any = {**EXACT, "conf": 0.01}
    stock, tail = kb.Detector(path, head="stock", **options), kb.Detector(path, head="tail", shape="square", **options)
    for picture in pictures():
        expected = stock(picture)
        assert len(expected) > 15
        same(expected, tail(picture))


def test_many_frames_with_too_many_candidates_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("keepbusy.device.compiler.MANY_CELLS", 5)
    monkeypatch.setattr("keepbusy.device.fallback.MANY_REDONE", 2)
    path = head_model(tmp_path / "m.xml", "yolov5")
    tail = kb.Detector(path, head="tail", shape="square", conf=0.01, **EXACT)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "keepbusy"):
        for picture in pictures():
            tail(picture)
    said = [record.message for record in caplog.records if "twice" in record.message]
    assert said == [
        "2 frames had more candidates than the tail decodes and were inferred twice: "
        "`head` host or a higher `conf` is faster"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tail_has_the_best_cells_and_says_what_it_left_out(kind: Kind, tmp_path: Path) -> None:
    model = load_model(head_model(tmp_path / "m.xml", kind, input_hw=(128, 96)))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    image = np.random.default_rng(5).random((1, 3, 128, 96), np.float32)
    found, forms = [], []
    for graph, form in (
        raw_graph(model.graph, head, [1, 3, 128, 96]),
        tail_graph(model.graph, head, [1, 3, 128, 96], max_cells=150),
    ):
        compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found.append(tuple(compiled(image).values()))
        forms.append(form)
    left_out = float(found[1][1][0])
    conf = max(0.01, 1 / (1 + np.exp(-left_out)) + 1e-4)
    num_anchors = 3 if kind.startswith("yolov5") else 1
    assert len(found[1][0]) == num_anchors * (150 + 48 + 12)
    config = DetectConfig(conf=conf, iou=1.0, max_det=1000)
    letterbox = Letterbox.fit((128, 96), (128, 96))
    names = [str(index) for index in range(3)]
    whole, tail = (
        to_detections(outputs, letterbox, form, config, names) for outputs, form in zip(found, forms, strict=True)
    )
    assert len(whole) > 5
    same(whole, tail)
    with pytest.raises(TooManyCandidatesError):
        to_detections(found[1], letterbox, forms[1], DetectConfig(conf=conf - 2e-4), names)


def test_a_head_with_another_formula_is_left_alone(tmp_path: Path) -> None:
    graph = head_graph("yolov5")
    doubled = ops.multiply(graph.outputs[0].get_node().input_value(0), np.float32(1.01))
    ov.save_model(ov.Model([doubled], graph.get_parameters()), tmp_path / "m.xml", compress_to_fp16=False)
    assert found_head(tmp_path / "m.xml") is None


def test_what_has_no_such_head_runs_as_exported_and_says_so(blob_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "keepbusy"), kb.Pipeline(blob_model, head="tail") as pipeline:
        pipeline.plan()
        assert pipeline.head == "stock"
    assert [record.message for record in caplog.records if "as exported" in record.message]


def test_the_embedded_model_finds_the_same_with_every_head() -> None:
    found: dict[str, list[Detections]] = {}
    for head in ("stock", "tail", "host"):
        with kb.Pipeline(embedded_model(), head=head, shape="square", precision="f32") as pipeline:
            found[head] = [result.detections for result in pipeline.run(embedded_clip(), stride=60)]
    for head in ("tail", "host"):
        for expected, other in zip(found["stock"], found[head], strict=True):
            same(expected, other)
    assert sum(len(detections) for detections in found["stock"]) > 30


def contender(latency_s: float) -> Contender:
    slots = create_slots(ScriptedDevice(latency_s), 2)
    return Contender([slot.seat for slot in slots], lambda seat, letterbox: Detections.empty())


def choose(
    latencies: dict[HeadStrategy, float], folder: Path, right: Sequence[str] = ("tail", "host")
) -> tuple[HeadStrategy, list[str]]:
    built: list[str] = []

    def build(strategy: HeadStrategy) -> Contender:
        built.append(strategy)
        return contender(latencies[strategy])

    chosen = choose_head(
        list(latencies), build, lambda strategy: strategy in right, lambda: numbered_image(1), {}, Notebook(folder)
    )
    return chosen, built


def test_the_fastest_right_head_is_chosen_and_remembered(tmp_path: Path) -> None:
    latencies: dict[HeadStrategy, float] = {"stock": 0.010, "tail": 0.002, "host": 0.005}
    assert choose(latencies, tmp_path)[0] == "tail"
    assert choose(latencies, tmp_path) == ("tail", [])
    assert choose(latencies, tmp_path / "wrong", right=["host"])[0] == "host"
    assert choose(latencies, tmp_path / "none", right=[])[0] == "stock"


def test_a_head_that_does_not_pay_is_not_chosen(tmp_path: Path) -> None:
    latencies: dict[HeadStrategy, float] = {"stock": 0.003, "tail": 0.006, "host": 0.009}
    assert choose(latencies, tmp_path)[0] == "stock"


def test_frames_of_a_size_that_was_not_expected_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(128, 128))
    detector = kb.Detector(path, head="tail", precision="f32")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        detector(np.zeros((64, 128, 3), np.uint8))
        assert "not expected" not in caplog.text
        # Random weights may be suspected of one thing or another.
        caplog.clear()
        detector(np.zeros((128, 64, 3), np.uint8))
    assert [record.message for record in caplog.records] == [
        "frames of 64x128 were not expected: compiling the model for an input of 64x128 (width x height)"
    ]


def test_frames_of_streams_that_are_only_added_are_no_surprise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(128, 128))
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.zeros((64, 128, 3), np.uint8))
    caplog.set_level(logging.INFO, "keepbusy")
    with kb.Pipeline(path, head="tail", precision="f32") as pipeline, pipeline.start() as run:
        run.add(picture)
        run.end()
        assert [result.error for result in run] == [None]
    told = [(one.levelno, one.message) for one in caplog.records if "frames of" in one.message]
    assert told == [(logging.INFO, "frames of 128x64: compiling the model for an input of 128x64 (width x height)")]


def test_ever_new_shapes_use_a_bounded_set(tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(256, 256))
    detector = kb.Detector(path, head="host", precision="f32")
    for height in range(16, 257, 16):
        detector(np.zeros((height, 256, 3), np.uint8))
    compiled: CompiledModel = detector._compiled
    assert len(compiled.shapes) <= 4 and (256, 256) in compiled.shapes


@pytest.mark.parametrize("head", ["auto", "stock", "tail", "host"])
def test_weights_that_are_no_numbers_are_an_error_of_each_frame(
    head: HeadChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "cache"))
    model = nan_model(tmp_path / "nan.xml")
    with kb.Pipeline(model, head=head, on_error="skip") as pipeline, pipeline.run(embedded_clip(), limit=2) as run:
        errors = [result.error for result in run]
    assert len(errors) == 2
    assert ["not finite" in str(error) for error in errors] == [True, True], errors


@pytest.fixture
def an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(Notebook, "_in_memory", {})


@pytest.mark.usefixtures("an_empty_cache")
def test_a_short_run_does_not_wait_for_a_measurement_and_a_longer_one_chooses_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(128, 128))
    asked: list[Sequence[str]] = []

    def choose_the_tail(strategies: Sequence[HeadStrategy], *_: Any) -> HeadStrategy:
        asked.append(strategies)
        return "tail"

    monkeypatch.setattr("keepbusy.device.heads.choose_head", choose_the_tail)
    picture = np.zeros((64, 128, 3), np.uint8)
    with kb.Pipeline(path, precision="f32") as pipeline:
        assert len(list(pipeline.run(picture, picture))) == 2
        assert (pipeline.head, pipeline.shapes, asked) == ("stock", [(128, 128)], [])
        assert len(list(pipeline.run(picture, loop=True, limit=ENOUGH_FRAMES))) == ENOUGH_FRAMES
        assert (pipeline.head, pipeline.shapes, len(asked)) == ("tail", [(64, 128)], 1)
        # What was chosen by measurement stays.
        assert len(list(pipeline.run(picture))) == 1
        assert (pipeline.head, len(asked)) == ("tail", 1)


@pytest.mark.usefixtures("an_empty_cache")
@pytest.mark.parametrize("is_one_program", [True, False])
def test_short_runs_are_added_up_until_measuring_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_one_program: bool
) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(128, 128))
    monkeypatch.setattr("keepbusy.device.heads.choose_head", lambda *_: "tail")
    clip = np.zeros((64, 128, 3), np.uint8)
    num_frames = ENOUGH_FRAMES // 2 - 1
    heads = []

    def run(pipeline: kb.Pipeline) -> None:
        assert len(list(pipeline.run(clip, loop=True, limit=num_frames))) == num_frames
        heads.append(pipeline.head)

    if is_one_program:
        with kb.Pipeline(path, precision="f32") as pipeline:
            for _ in range(4):
                run(pipeline)
    else:
        for _ in range(4):
            with kb.Pipeline(path, precision="f32") as pipeline:
                run(pipeline)
    # In another program the measurement would be remembered; this one is asked again each time.
    assert heads == ["stock", "stock", "tail", "tail"]


@pytest.mark.usefixtures("an_empty_cache")
def test_short_runs_of_other_shapes_are_added_up_in_one_program_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5", input_hw=(128, 128))
    monkeypatch.setattr("keepbusy.device.heads.choose_head", lambda *_: "tail")
    clips = [np.zeros((height, 128, 3), np.uint8) for height in (64, 32, 96)]
    num_frames = ENOUGH_FRAMES // 2 - 1
    heads = []
    for clip in clips:
        with kb.Pipeline(path, precision="f32") as pipeline:
            list(pipeline.run(clip, loop=True, limit=num_frames))
            heads.append(pipeline.head)
    assert heads == ["stock"] * 3
    monkeypatch.setattr(Notebook, "_in_memory", {})
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "another"))
    with kb.Pipeline(path, precision="f32") as pipeline:
        for clip in clips:
            list(pipeline.run(clip, loop=True, limit=num_frames))
        assert pipeline.head == "tail"


@pytest.mark.usefixtures("an_empty_cache")
def test_a_short_run_takes_the_head_that_was_measured_before(tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", "yolov5")
    with kb.Pipeline(path, precision="f32") as pipeline:
        pipeline.plan()
        measured = pipeline.head
    with kb.Pipeline(path, precision="f32") as pipeline:
        list(pipeline.run(pictures()[0]))
        assert pipeline.head == measured
