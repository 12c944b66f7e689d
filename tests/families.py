"""Detections of every family, straight from its definition in float64 with plain loops: independent of keepbusy.

Each function takes what a model gives and returns its candidates as (class, confidence, box in pixels of the input);
`finish` suppresses them where that is due and maps them to the frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tests.reference import Detection, overlap

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]


def by_classes(
    box: Box, scores: Iterable[float], conf: float, multi_label: bool, factor: float = 1.0
) -> Iterable[Detection]:
    """A box under its best class, or under each one that passes."""
    products = [float(score) * factor for score in scores]
    chosen = range(len(products)) if multi_label else [max(range(len(products)), key=lambda i: products[i])]
    for class_id in chosen:
        if products[class_id] > conf:
            yield class_id, products[class_id], box


def corners(cx: float, cy: float, w: float, h: float) -> Box:
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def yolov8(output: Array, num_classes: int, conf: float, multi_label: bool) -> list[Detection]:
    """(1, 4 + classes, cells)."""
    found: list[Detection] = []
    for column in range(output.shape[2]):
        cell = output[0, :, column].astype(np.float64)
        found += by_classes(corners(*cell[:4]), cell[4 : 4 + num_classes], conf, multi_label)
    return found


def objectness_rows(output: Array, num_classes: int, conf: float, multi_label: bool) -> list[Detection]:
    """YOLOv5, YOLOv7 and YOLOX decoded: (1, rows, 5 + classes)."""
    found: list[Detection] = []
    for row in output[0].astype(np.float64):
        found += by_classes(corners(*row[:4]), row[5 : 5 + num_classes], conf, multi_label, factor=float(row[4]))
    return found


def anchor_heads(
    heads: list[Array], anchors_px: list[list[tuple[float, float]]], strides: list[int], conf: float, multi_label: bool
) -> list[Detection]:
    """YOLOv5's heads (1, 3, h, w, 5 + classes), logits."""
    found: list[Detection] = []
    for head, anchors, stride in zip(heads, anchors_px, strides, strict=True):
        for anchor in range(3):
            for y in range(head.shape[2]):
                for x in range(head.shape[3]):
                    s = [logistic(float(value)) for value in head[0, anchor, y, x]]
                    box = corners(
                        (2 * s[0] - 0.5 + x) * stride,
                        (2 * s[1] - 0.5 + y) * stride,
                        (2 * s[2]) ** 2 * anchors[anchor][0],
                        (2 * s[3]) ** 2 * anchors[anchor][1],
                    )
                    found += by_classes(box, s[5:], conf, multi_label, factor=s[4])
    return found


def yolox_raw(output: Array, input_hw: tuple[int, int], conf: float, multi_label: bool) -> list[Detection]:
    """(1, cells, 5 + classes), offsets and log sizes in cells, strides 8, 16, 32."""
    found: list[Detection] = []
    index = 0
    for stride in (8, 16, 32):
        for y in range(input_hw[0] // stride):
            for x in range(input_hw[1] // stride):
                row = [float(value) for value in output[0, index]]
                index += 1
                box = corners(
                    (row[0] + x) * stride, (row[1] + y) * stride, math.exp(row[2]) * stride, math.exp(row[3]) * stride
                )
                found += by_classes(box, row[5:], conf, multi_label, factor=row[4])
    assert index == output.shape[1]
    return found


def yolov10(output: Array, conf: float) -> list[Detection]:
    """(1, N, 6): corners, confidence, class."""
    return [
        (int(row[5]), float(row[4]), (float(row[0]), float(row[1]), float(row[2]), float(row[3])))
        for row in output[0]
        if float(row[4]) > conf
    ]


def yolov7_nms(output: Array, conf: float) -> list[Detection]:
    """(N, 7): picture, corners, class, confidence."""
    return [
        (int(row[5]), float(row[6]), (float(row[1]), float(row[2]), float(row[3]), float(row[4])))
        for row in output
        if float(row[6]) > conf
    ]


def detr(
    boxes: Array, scores: Array, input_hw: tuple[int, int], kind: str, conf: float, multi_label: bool
) -> list[Detection]:
    """Boxes (1, N, 4) as shares; scores (1, N, C) as `probabilities`, `logits`, or logits with `no object` last."""
    found: list[Detection] = []
    height, width = input_hw
    for box, row in zip(boxes[0], scores[0], strict=True):
        cx, cy, w, h = (float(value) for value in box)
        values = [float(value) for value in row]
        if kind == "logits":
            values = [logistic(value) for value in values]
        if kind == "no object":
            total = sum(math.exp(value) for value in values)
            values = [math.exp(value) / total for value in values][:-1]
        found += by_classes(corners(cx * width, cy * height, w * width, h * height), values, conf, multi_label)
    return found


def rt_detr(
    labels: Array, boxes: Array, scores: Array, conf: float, scale_wh: tuple[float, float] = (1, 1)
) -> list[Detection]:
    """Labels (1, N), boxes (1, N, 4) as corners, scores (1, N)."""
    sides = (*scale_wh, *scale_wh)
    return [
        (int(label), float(score), tuple(float(value) * side for value, side in zip(box, sides, strict=True)))  # type: ignore[misc]
        for label, box, score in zip(labels[0], boxes[0], scores[0], strict=True)
        if float(score) > conf
    ]


def ssd(output: Array, input_hw: tuple[int, int], conf: float, has_background: bool) -> list[Detection]:
    """(1, 1, N, 7): picture, class, confidence, corners as shares; a negative picture ends the list."""
    found: list[Detection] = []
    height, width = input_hw
    for row in output[0, 0]:
        if row[0] < 0:
            break
        if float(row[2]) > conf:
            x1, y1, x2, y2 = (float(value) for value in row[3:])
            found.append(
                (int(row[1]) - has_background, float(row[2]), (x1 * width, y1 * height, x2 * width, y2 * height))
            )
    return found


def finish(
    candidates: list[Detection],
    frame_hw: tuple[int, int],
    input_hw: tuple[int, int],
    fit: str,
    *,
    suppressed: bool,
    iou: float = 0.45,
    max_det: int = 300,
    classes: tuple[int, ...] | None = None,
) -> list[Detection]:
    """Most confident first, suppressed within their class, mapped to the frame and clipped to it."""
    left = sorted((c for c in candidates if classes is None or c[0] in classes), key=lambda item: -item[1])
    kept: list[Detection] = []
    for one in left:
        if suppressed or all(overlap(one[2], other[2]) <= iou for other in kept if other[0] == one[0]):
            kept.append(one)
    (height, width), (in_height, in_width) = frame_hw, input_hw
    scale_x, scale_y, left_px, top_px = in_width / width, in_height / height, 0, 0
    if fit != "stretch":
        scale_x = scale_y = min(scale_x, scale_y)
    if fit == "letterbox":
        left_px = (in_width - max(1, round(width * scale_x))) // 2
        top_px = (in_height - max(1, round(height * scale_y))) // 2

    def to_frame(box: Box) -> Box:
        xs = [min(max((x - left_px) / scale_x, 0), width) for x in box[0::2]]
        ys = [min(max((y - top_px) / scale_y, 0), height) for y in box[1::2]]
        return xs[0], ys[0], xs[1], ys[1]

    return [(class_id, confidence, to_frame(box)) for class_id, confidence, box in kept[:max_det]]
