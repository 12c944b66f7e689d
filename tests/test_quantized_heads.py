"""Heads that a quantizer has changed are known by their formula, with what it has done to it; others are left alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.cache.notes import Notebook
from keepbusy.models import load_model
from keepbusy.models.head import Head, can_reshape, find_head
from keepbusy.models.head.memory import recall_head
from keepbusy.values.compare import agree
from keepbusy.values.detections import Detections
from keepbusy.values.forms import HeadStrategy
from tests.head_graphs import Kind, SelectingKind, head_model
from tests.quantized_graphs import GRID, STEP, Weights, bins_sum, by_nncf, only, with_bins, with_rounding
from tests.test_heads import EXACT, pictures

HIGHEST = 0.94
"""Of the shares that are rounded; 0 to 1 is what calibration gives, or a little less."""

WITH_BINS: tuple[Kind | SelectingKind, ...] = ("yolov8", "yolov8-seg", "yolov8-pose", "yolov10", "yolov10-seg")
EVERY: tuple[Kind | SelectingKind, ...] = (*get_args(Kind), *get_args(SelectingKind))


def saved(folder: Path, kind: Kind | SelectingKind, change: Callable[[ov.Model], Any], **options: Any) -> Path:
    """A small model whose graph is changed before it is saved."""
    path = head_model(folder / "float.xml", kind, **options)
    graph = ov.Core().read_model(path)
    ov.save_model(change(graph) or graph, folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


def found_head(path: Path) -> Head | None:
    model = load_model(path)
    return find_head(model.graph, model.output, model.input_hw)


def quantized(graph: ov.Model) -> ov.Model:
    """Bins in INT8, and the shares rounded: what Ultralytics' exporter leaves of a head's quantization."""
    return with_rounding(with_bins(graph), only(graph, "Softmax"), 0, HIGHEST)


def nearly_all_the_same(expected: Detections, found: Detections, box_px: float = 2e-2) -> None:
    """But for one in fifty, for which a share lay between two of its steps."""
    assert len(expected) == len(found) > 0
    gaps = np.abs(expected.boxes_xyxy[:, None] - found.boxes_xyxy[None]).max(axis=2) / box_px
    gaps = np.maximum(gaps, np.abs(expected.confidence[:, None] - found.confidence[None]) / 2e-3)
    if expected.keypoints is not None and found.keypoints is not None:
        points = [side.reshape(len(side), -1) for side in (expected.keypoints, found.keypoints)]
        gaps = np.maximum(gaps, np.abs(points[0][:, None] - points[1][None]).max(axis=2) / 2e-2)
    gaps[expected.class_id[:, None] != found.class_id[None]] = np.inf
    assert (gaps.min(axis=1) < 1).mean() >= 0.98
    assert (gaps.min(axis=0) < 1).mean() >= 0.98


@pytest.mark.parametrize("weights", get_args(Weights))
@pytest.mark.parametrize("kind", ["yolov8", "yolov10"])
def test_bins_on_a_grid_are_read_from_the_graph(kind: Kind, weights: Weights, tmp_path: Path) -> None:
    head = found_head(saved(tmp_path, kind, lambda graph: with_bins(graph, weights)))
    assert head is not None and head.num_bins == 16
    np.testing.assert_allclose(head.form.bins, GRID, rtol=1e-3)
    assert head.form.share_steps[2] == 0 and head.num_dropped == 0


def test_bins_of_a_float_graph_stay_what_they_are(tmp_path: Path) -> None:
    head = found_head(head_model(tmp_path / "m.xml", "yolov8"))
    assert head is not None and head.form.bins == () and head.form.share_steps == (0.0, 0.0, 0)


@pytest.mark.parametrize("strategy", ["tail", "host"])
@pytest.mark.parametrize("kind", WITH_BINS)
def test_rounded_shares_are_rounded_in_the_same_way(kind: Kind, strategy: HeadStrategy, tmp_path: Path) -> None:
    path = saved(tmp_path, kind, quantized)
    head = found_head(path)
    assert head is not None and head.num_dropped == 0
    assert head.form.share_steps == pytest.approx((0, HIGHEST, 256))
    options: Any = {**EXACT, "conf": 0.25}
    stock = kb.Detector(path, head="stock", **options)
    other = kb.Detector(path, head=strategy, shape="square", **options)
    for picture in pictures():
        nearly_all_the_same(stock(picture), other(picture))
        assert other._compiled.strategy == ("tail" if kind.startswith("yolov10") else strategy)


def test_what_is_known_of_them_is_remembered(tmp_path: Path) -> None:
    path = saved(tmp_path, "yolov8", quantized)
    heads = [recall_head(load_model(path), Notebook(tmp_path / "notes")) for _ in range(2)]
    facts = [json.dumps(dataclasses.asdict(head)) for head in heads if head is not None]
    assert len(facts) == 2 and facts[0] == facts[1] and '"share_steps": [0.0, 0.9' in facts[0]


@pytest.mark.parametrize(
    ("low", "high", "options"),
    [
        (0, HIGHEST, {"levels": 16}),
        (0, HIGHEST, {"levels": 2}),
        (0, HIGHEST, {"gain": 1.01}),
        (0, 0, {}),
        (0.5, 0.25, {}),
        (0, np.inf, {}),
        (0, np.nan, {}),
        (-np.inf, HIGHEST, {}),
        (np.zeros((1, 16, 1, 1)), np.linspace(0.5, 1, 16).reshape(1, 16, 1, 1), {}),
    ],
)
def test_a_rounding_that_is_none_is_not_understood(low: Any, high: Any, options: Any, tmp_path: Path) -> None:
    def change(graph: ov.Model) -> None:
        with_rounding(with_bins(graph), only(graph, "Softmax"), low, high, **options)

    assert found_head(saved(tmp_path, "yolov8", change)) is None


@pytest.mark.parametrize(
    "options",
    [
        {"steps": [0, 10, *range(17, 127, 8)]},
        {"scale": STEP * 1.05, "steps": np.round(np.arange(16) / STEP)},
        {"scale": 1.5},
        {"scale": 0.0, "steps": range(16)},
        {"scale": np.inf, "steps": range(16)},
        {"scale": np.nan, "steps": range(16)},
        {"weights": "plain", "steps": np.round(np.arange(16) / STEP) + (np.arange(16) == 9)},
    ],
)
def test_bins_that_are_not_on_the_grid_are_not_understood(options: Any, tmp_path: Path) -> None:
    head = found_head(saved(tmp_path, "yolov8", lambda graph: with_bins(graph, **options)))
    assert head is None


def test_a_quantized_head_with_another_formula_is_left_alone(tmp_path: Path) -> None:
    def change(graph: ov.Model) -> None:
        quantized(graph)
        node = only(graph, "Divide")
        node.input(1).replace_source_output(ops.constant(np.float32(2.02)).output(0))

    assert found_head(saved(tmp_path, "yolov8", change)) is None


def test_what_is_rounded_further_on_is_left_out_and_counted(tmp_path: Path) -> None:
    """Boxes then differ by what the graph rounds: half a step of 12 / 255 cells, of at most 32 pixels."""

    def change(graph: ov.Model) -> None:
        quantized(graph)
        with_rounding(graph, bins_sum(graph), 0, 12)

    path = saved(tmp_path, "yolov8", change)
    head = found_head(path)
    assert head is not None and head.num_dropped == 1
    stock = kb.Detector(path, head="stock", **EXACT)  # type: ignore[arg-type]
    other = kb.Detector(path, head="host", shape="square", **EXACT)  # type: ignore[arg-type]
    for picture in pictures():
        scale = max(picture.shape[0] / 64, picture.shape[1] / 96)
        nearly_all_the_same(stock(picture), other(picture), box_px=scale * (32 * 12 / 255 / 2 + 0.05))
        assert other._compiled.strategy == "host"


@pytest.mark.parametrize("kind", EVERY)
def test_heads_that_nncf_has_quantized_are_known(kind: Kind | SelectingKind, tmp_path: Path) -> None:
    input_hw = (64, 96)
    model = load_model(saved(tmp_path, kind, lambda graph: by_nncf(graph, input_hw), input_hw=input_hw))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None and can_reshape(model.graph, head, model.input_hw, model.input.shape)
    if kind in WITH_BINS:
        np.testing.assert_allclose(head.form.bins, GRID, rtol=1e-3)
        assert head.form.share_steps[2] == 256
    else:
        assert head.form.bins == () and head.form.share_steps[2] == 0


MODELS = (
    "hands_int8_openvino_model/best.xml",
    "yolo11n_int8_openvino_model/yolo11n.xml",
    "yolo11n_openvino_model/yolo11n.xml",
    "yolov5n.xml",
    "yolov8n-pose_int8_openvino_model/yolov8n-pose.xml",
    "yolov8n-pose_openvino_model/yolov8n-pose.xml",
    "yolov8n_int8_openvino_model/yolov8n.xml",
    "yolov8n_openvino_model/yolov8n.xml",
)


@pytest.mark.parametrize("name", MODELS)
def test_heads_of_trained_models_are_known_in_any_shape(name: str, data: Path) -> None:
    model = load_model(data / "models" / name)
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None and head.num_dropped == 0
    assert can_reshape(model.graph, head, model.input_hw, model.input.shape)


@pytest.mark.parametrize("is_whole", [False, True], ids=["the head alone", "as it runs"])
@pytest.mark.parametrize("strategy", ["tail", "host"])
@pytest.mark.parametrize("name", ["yolov8n_int8_openvino_model", "yolov8n-pose_int8_openvino_model"])
def test_trained_int8_models_find_what_their_exported_heads_find(
    name: str, strategy: HeadStrategy, is_whole: bool, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_whole:
        monkeypatch.setattr("keepbusy.models.prepare.without_zero_points", lambda graph: 0)
    # Without zero points the sums are the same to float32's last digits. A few are then rounded to the next number, and
    # the network carries that on.
    min_iou, max_drift, max_gap = (0.93, 0.04, 0.01) if is_whole else (0.98, 0.005, 0.001)
    path = data / "models" / name
    options: Any = {"precision": "f32", "conf": 0.15}
    stock = kb.Detector(path, head="stock", shape="square", **options)
    other = kb.Detector(path, head=strategy, shape="square", **options)
    for picture in ("bus.jpg", "zidane.jpg"):
        image = data / "images" / picture
        expected, found = stock(image), other(image)
        agreement = agree(expected, found, conf=0.25)
        assert agreement.num_reference >= 2 and not len(agreement.missing) and not len(agreement.extra)
        assert agreement.iou.min() > min_iou and np.abs(agreement.drift).max() < max_drift
        if expected.keypoints is not None and found.keypoints is not None:
            # Two whose confidences are nearly equal may have changed places.
            apart = np.abs(expected.boxes_xyxy[:, None] - found.boxes_xyxy[None]).sum(-1)
            gaps = expected.keypoints[..., :2] - found.keypoints[apart.argmin(1)][..., :2]
            heights = expected.boxes_xyxy[:, 3] - expected.boxes_xyxy[:, 1]
            assert np.median(np.hypot(gaps[..., 0], gaps[..., 1]) / heights[:, None]) < max_gap
