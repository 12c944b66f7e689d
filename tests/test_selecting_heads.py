"""Heads that select their rows themselves (YOLOv10, 26), put back: the same rows, in any shape."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.embedded import embedded_clip
from keepbusy.models import load_model
from keepbusy.models.head import Head, find_head, tail_graph
from keepbusy.optimize import OptimizeConfig, optimize
from keepbusy.optimize.frames import open_frames
from keepbusy.postprocess.candidates import Outputs
from tests.head_graphs import NUM_BINS, NUM_SELECTED, STRIDES, SelectingKind, head_graph, head_model
from tests.test_heads import same

KINDS: tuple[SelectingKind, ...] = get_args(SelectingKind)
HW = (192, 256)
EXACT: Any = {"precision": "f32", "conf": 0.05, "max_det": 40}


def found_head(path: Path) -> Head | None:
    model = load_model(path)
    assert model.output.family == "yolov10"
    return find_head(model.graph, model.output, model.input_hw)


def rows(graph: ov.Model, image: Any) -> Outputs:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return tuple(compiled(image).values())


def assert_same_rows(found: Any, expected: Any) -> None:
    """In any order, but for the last ones: of equal scores either may be taken."""
    assert found.shape == expected.shape
    gaps = np.abs(found[0][:, None] - expected[0][None]).max(axis=2)
    assert (gaps.min(axis=1) < 1e-2).sum() >= found.shape[1] - 2
    assert (gaps.min(axis=0) < 1e-2).sum() >= found.shape[1] - 2


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_found(kind: SelectingKind, tmp_path: Path) -> None:
    head = found_head(head_model(tmp_path / "m.xml", kind, input_hw=HW))
    assert head is not None
    assert tuple(level.stride_px for level in head.levels) == STRIDES
    assert head.num_bins == (1 if kind.startswith("yolo26") else NUM_BINS)
    assert head.num_selected == NUM_SELECTED
    assert head.form.point_scale == (1 if kind.endswith("pose") else 2)


def test_boxes_and_classes_of_equal_width_are_told_apart(tmp_path: Path) -> None:
    model = load_model(head_model(tmp_path / "m.xml", "yolo26-selecting", input_hw=HW, num_classes=4))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None and head.num_bins == 1
    graph, _ = tail_graph(model.graph, head, [1, 3, *HW])
    image = np.random.default_rng(2).random((1, 3, *HW), np.float32)
    assert_same_rows(rows(graph, image)[0], rows(model.graph, image)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("input_hw", [(192, 256), (128, 256), (64, 96)])
def test_the_rows_are_those_of_a_graph_exported_in_that_shape(
    kind: SelectingKind, input_hw: tuple[int, int], tmp_path: Path
) -> None:
    model = load_model(head_model(tmp_path / "m.xml", kind, input_hw=HW))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    image = np.random.default_rng(1).random((1, 3, *input_hw), np.float32)
    graph, form = tail_graph(model.graph, head, [1, 3, *input_hw])
    assert form == dataclasses.replace(head.form, is_rewritten=True)
    found, expected = rows(graph, image), rows(head_graph(kind, input_hw=input_hw), image)
    assert len(found) == len(expected)
    assert_same_rows(found[0], expected[0])
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    # Several classes of one cell are rows of their own.
    assert len(np.unique(expected[0][0, :, :4], axis=0)) < expected[0].shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_detections_are_those_of_the_graph_as_exported(kind: SelectingKind, tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", kind, input_hw=HW)
    stock = kb.Detector(path, head="stock", **EXACT)
    tail = kb.Detector(path, head="tail", shape="square", **EXACT)
    for seed in range(3):
        # Without grey bars: cells in them are equal, and which of these are selected is left to chance.
        picture = np.random.default_rng(seed).integers(0, 256, (*HW, 3), np.uint8)
        expected = stock(picture)
        assert len(expected) > 10
        same(expected, tail(picture))


@pytest.mark.parametrize("options", [{"head": "host"}, {"head": "tail", "multi_label": True}])
def test_there_is_only_the_tail(options: dict[str, Any], tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", "yolov10", input_hw=HW)
    with kb.Pipeline(path, **EXACT, **options) as pipeline:
        pipeline.plan()
        assert pipeline.head == "tail"


def test_auto_knows_it_and_it_takes_the_rectangle(tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", "yolov10", input_hw=(256, 256))
    with kb.Pipeline(path, **EXACT) as pipeline:
        pipeline.plan()
        assert pipeline.head in ("stock", "tail")
    detector = kb.Detector(path, head="tail", **EXACT)
    detector(np.zeros((90, 160, 3), np.uint8))
    assert detector.input_hw == (192, 256)


@pytest.mark.parametrize("what", ["scores", "order of columns"])
def test_a_selection_of_another_kind_is_left_alone(what: str, tmp_path: Path) -> None:
    graph = head_graph("yolov10", input_hw=HW)
    found = graph.outputs[0].get_node().input_value(0)
    if what == "scores":
        boxes, score, class_id = ops.variadic_split(found, np.array(2), np.array([4, 1, 1])).outputs()
        found = ops.concat([boxes, ops.multiply(score, np.float32(0.9)), class_id], 2).output(0)
    else:
        found = ops.gather(found, np.array([1, 0, 3, 2, 4, 5]), np.int32(2)).output(0)
    changed = ov.Model([found], graph.get_parameters())
    changed.set_rt_info("yolov10", ["model_info", "family"])
    ov.save_model(changed, tmp_path / "m.xml", compress_to_fp16=False)
    model = load_model(tmp_path / "m.xml", family="yolov10", task="detect")
    assert find_head(model.graph, model.output, model.input_hw) is None


@pytest.mark.parametrize("kind", ["yolov10", "yolov10-seg"])
def test_a_saved_one_is_rewritten_once_and_gives_the_same(kind: SelectingKind, tmp_path: Path) -> None:
    path = head_model(tmp_path / "m.xml", kind, input_hw=(256, 256))
    saved = tmp_path / "saved" / "m-192x256.xml"
    with (
        kb.Pipeline(path, head="tail", **EXACT) as pipeline,
        pipeline.run(embedded_clip(), limit=1) as run,
    ):
        expected = [result.detections for result in run]
        assert pipeline.input_hw == (192, 256)
    frames = open_frames(str(embedded_clip()), 1)
    report = optimize(path, saved.parent, frames, config=OptimizeConfig(force=True, rounds=1, seconds=0.1))
    assert [Path(name).name for name in report.files] == [saved.name]
    model = load_model(saved)
    assert [output.any_name for output in model.graph.outputs] == ["detections", "prototypes"][
        : len(model.graph.outputs)
    ]
    assert model.output.is_rewritten and find_head(model.graph, model.output, model.input_hw) is None
    with kb.Pipeline(saved, **EXACT) as pipeline, pipeline.run(embedded_clip(), limit=1) as run:
        for result, before in zip(run, expected, strict=True):
            same(before, result.detections)
