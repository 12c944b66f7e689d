"""Small networks of convolutions with YOLO's heads behind them, as exporters write them: random, and quick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from tests.attention_graphs import AttentionKind, attention

STRIDES = (8, 16, 32)
ANCHORS = (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)), ((116, 90), (156, 198), (373, 326)))
NUM_BINS = 16
NUM_PROTOTYPES = 4
NUM_KEYPOINTS = 5

Kind = Literal["yolov5", "yolov5-seg", "yolov8", "yolov8-seg", "yolov8-pose", "yolo26", "yolo26-pose"]
SelectingKind = Literal["yolov10", "yolov10-seg", "yolo26-selecting", "yolo26-selecting-pose"]

NUM_SELECTED = 300


def head_model(
    path: Path, kind: Kind | SelectingKind, *, input_hw: tuple[int, int] = (64, 96), num_classes: int = 3
) -> Path:
    """Save one as IR, with the task in its metadata."""
    model = head_graph(kind, input_hw=input_hw, num_classes=num_classes)
    task = {"seg": "segment", "pose": "pose"}.get(kind.rpartition("-")[2], "detect")
    model.set_rt_info(task, ["model_info", "task"])
    model.set_rt_info(" ".join(f"c{index}" for index in range(num_classes)), ["model_info", "labels"])
    if task == "pose":
        model.set_rt_info(f"[{NUM_KEYPOINTS}, 3]", ["model_info", "kpt_shape"])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def head_graph(
    kind: Kind | SelectingKind,
    *,
    input_hw: tuple[int, int] = (64, 96),
    num_classes: int = 3,
    attentions: Sequence[AttentionKind] = (),
) -> ov.Model:
    """The graph: input [1, 3, H, W] f32, 0 to 1. The numbers in it do not depend on the input's size, but for those
    of reshapes in the finest levels' attention."""
    rng = np.random.default_rng(7)
    image = ops.parameter([1, 3, *input_hw], np.float32, name="images")
    image.output(0).get_tensor().set_names({"images"})
    features = [_features(image, stride, rng) for stride in STRIDES]
    for level, own in enumerate(attentions):
        features[level] = attention(features[level], own, rng)
    if kind.startswith("yolov5"):
        outputs = [_yolov5(kind, features, num_classes, NUM_PROTOTYPES if kind.endswith("seg") else 0, rng)]
    else:
        num_extra = {"seg": NUM_PROTOTYPES, "pose": 3 * NUM_KEYPOINTS}.get(kind.rpartition("-")[2], 0)
        num_bins = 1 if kind.startswith("yolo26") else NUM_BINS
        outputs = [_yolov8(kind, features, num_classes, num_bins, num_extra, rng)]
        if kind in get_args(SelectingKind):
            outputs = [_selected(outputs[0], num_classes, num_extra)]
    if kind.endswith("seg"):
        outputs.append(_conv(_pool(image, 4), NUM_PROTOTYPES, rng))
    return ov.Model(outputs, [image], kind)


def _features(image: Any, stride: int, rng: np.random.Generator) -> Any:
    return ops.relu(_conv(_pool(image, stride), 8, rng))


def _pool(image: Any, stride: int) -> Any:
    return ops.avg_pool(image, [stride, stride], [0, 0], [0, 0], [stride, stride], exclude_pad=True)


def _conv(node: Any, num_out: int, rng: np.random.Generator, *, kernel: int = 3, spread: float = 4.5) -> Any:
    num_in = int(node.output(0).get_shape()[1])
    weights = rng.normal(0, spread / kernel, (num_out, num_in, kernel, kernel)).astype(np.float32)
    biases = rng.normal(0, 0.5, (1, num_out, 1, 1)).astype(np.float32)
    pads = [kernel // 2] * 2
    return ops.add(ops.convolution(node, ops.constant(weights), [1, 1], pads, pads, [1, 1]), biases)


def _last_kernel(kind: str) -> int:
    """Heads end in 1x1 convolutions; the ones with masks do not here, so that this is tried, too."""
    return 3 if kind.endswith("seg") else 1


def _yolov5(kind: str, features: list[Any], num_classes: int, num_extra: int, rng: np.random.Generator) -> Any:
    rows = []
    width = 5 + num_classes + num_extra
    for feature, stride, anchors in zip(features, STRIDES, ANCHORS, strict=True):
        _, _, height, grid_w = feature.output(0).get_shape()
        raw = _conv(feature, 3 * width, rng, kernel=_last_kernel(kind), spread=0.7)
        raw = ops.reshape(raw, np.array([1, 3, width, height, grid_w]), special_zero=False)
        raw = ops.transpose(raw, np.array([0, 1, 3, 4, 2]))
        known, extra = _split(raw, 4, [5 + num_classes, num_extra])
        xy, wh, scores = _split(ops.sigmoid(known), 4, [2, 2, 1 + num_classes])
        grid = np.stack(np.meshgrid(np.arange(grid_w), np.arange(height)), -1).astype(np.float32)
        xy = ops.multiply(ops.add(ops.multiply(xy, np.float32(2)), grid - 0.5), np.float32(stride))
        sizes = np.array(anchors, np.float32)[None, :, None, None]
        wh = ops.multiply(ops.power(ops.multiply(wh, np.float32(2)), np.float32(2)), sizes)
        parts = [xy, wh, scores, *([extra] if num_extra else [])]
        rows.append(ops.reshape(ops.concat(parts, 4), np.array([1, -1, width]), special_zero=False))
    return ops.concat(rows, 1)


def _yolov8(
    kind: str, features: list[Any], num_classes: int, num_bins: int, num_extra: int, rng: np.random.Generator
) -> Any:
    def joined(num_channels: int, spread: float = 0.3) -> Any:
        parts = [_conv(feature, num_channels, rng, kernel=_last_kernel(kind), spread=spread) for feature in features]
        return ops.concat([ops.reshape(p, np.array([1, num_channels, -1]), special_zero=False) for p in parts], 2)

    sides, classes = joined(4 * num_bins, 0.2), joined(num_classes)
    centres, strides = _cells(features)
    if num_bins > 1:
        bins = ops.reshape(sides, np.array([1, 4, num_bins, -1]), special_zero=False)
        bins = ops.softmax(ops.transpose(bins, np.array([0, 2, 1, 3])), 1)
        weights = ops.constant(np.arange(num_bins, dtype=np.float32).reshape(1, num_bins, 1, 1))
        sides = ops.convolution(bins, weights, [1, 1], [0, 0], [0, 0], [1, 1])
        sides = ops.reshape(sides, np.array([1, 4, -1]), special_zero=False)
    low, high = _split(sides, 1, [2, 2])
    first, last = ops.subtract(centres, low), ops.add(centres, high)
    if kind in get_args(SelectingKind):
        sizes = [first, last]
    else:
        sizes = [ops.divide(ops.add(first, last), np.float32(2)), ops.subtract(last, first)]
    boxes = ops.multiply(ops.concat(sizes, 1), strides)
    parts = [boxes, ops.sigmoid(classes)]
    if kind.endswith("pose"):
        points = ops.reshape(joined(num_extra), np.array([1, NUM_KEYPOINTS, 3, -1]), special_zero=False)
        xy, seen = _split(points, 2, [2, 1])
        scale, origins = (1, centres) if kind.startswith("yolo26") else (2, centres - np.float32(0.5))
        xy = ops.multiply(ops.add(ops.multiply(xy, np.float32(scale)), origins[None]), strides[None])
        points = ops.concat([xy, ops.sigmoid(seen)], 2)
        parts.append(ops.reshape(points, np.array([1, num_extra, -1]), special_zero=False))
    elif num_extra:
        parts.append(joined(num_extra))
    return ops.concat(parts, 1)


def _selected(decoded: Any, num_classes: int, num_extra: int) -> Any:
    """The best rows of (1, 4 + classes + extra, cells), as the exporter of YOLOv10 and 26 picks them."""

    def picked(rows: Any, chosen: Any) -> Any:
        width = int(_shape(rows)[2])
        places = ops.broadcast(ops.unsqueeze(chosen, 2), np.array([1, int(_shape(chosen)[1]), width]))
        return ops.gather_elements(rows, places, 1).output(0)

    num_cells = int(decoded.output(0).get_shape()[2])
    rows = ops.transpose(decoded, np.array([0, 2, 1]))
    boxes, classes, extra = (
        _split(rows, 2, [4, num_classes, num_extra]) if num_extra else [*_split(rows, 2, [4, num_classes]), None]
    )
    number = np.int32(min(NUM_SELECTED, num_cells))
    best = ops.topk(ops.reduce_max(classes, np.array([2])), number, 1, "max", "value", index_element_type="i64")
    boxes, classes = picked(boxes, best.output(1)), picked(classes, best.output(1))
    every = ops.reshape(classes, np.array([1, -1]), special_zero=False)
    number = np.int32(min(NUM_SELECTED, num_classes * num_cells))
    top = ops.topk(every, number, 1, "max", "value", index_element_type="i64")
    cell = ops.divide(top.output(1), np.int64(num_classes))
    class_id = ops.convert(ops.floor_mod(top.output(1), np.int64(num_classes)), "f32")
    columns = [picked(boxes, cell), ops.unsqueeze(top.output(0), 2), ops.unsqueeze(class_id, 2)]
    columns += [picked(picked(extra, best.output(1)), cell)] if num_extra else []
    return ops.concat(columns, 2)


def _cells(features: list[Any]) -> tuple[Any, Any]:
    """Centres of the cells, (1, 2, N) in cells, and their strides, (1, 1, N)."""
    centres, strides = [], []
    for feature, stride in zip(features, STRIDES, strict=True):
        _, _, height, width = feature.output(0).get_shape()
        centres.append(np.stack(np.meshgrid(np.arange(width), np.arange(height))).reshape(2, -1) + 0.5)
        strides.append(np.full(height * width, stride))
    return np.concatenate(centres, 1)[None].astype(np.float32), np.concatenate(strides)[None, None].astype(np.float32)


def _split(node: Any, axis: int, lengths: list[int]) -> list[Any]:
    if lengths[-1] == 0:
        return [node, None]
    parts = ops.variadic_split(node, np.array(axis), np.array(lengths))
    return [parts.output(index) for index in range(len(lengths))]


def _shape(node: Any) -> Any:
    return node.get_shape() if isinstance(node, ov.Output) else node.get_output_shape(0)
