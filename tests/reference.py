"""YOLOv5's detection, straight from its definition in float64 with plain loops: slow, and independent of keepbusy.

Letterbox: scale to fit, round the size, centre on grey 114. Inference: RGB, / 255, NCHW. Decoding: each row's best
class, confidence = objectness x probability; greedy suppression within each class; boxes back to the frame.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

Detection = tuple[int, float, tuple[float, float, float, float]]


def infer(model: Path, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The stock graph's own output, from a float input prepared here."""
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    _, _, height, width = compiled.input(0).shape
    laid, _, _, _ = lay(picture, (height, width))
    blob = laid[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
    output: NDArray[np.float32] = compiled([blob])[compiled.output(0)].copy()
    return output


def lay(picture: NDArray[np.uint8], input_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], float, int, int]:
    """The letterboxed picture, the scale, and where it begins (left, top)."""
    height, width = picture.shape[:2]
    scale = min(input_hw[0] / height, input_hw[1] / width)
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    left = round((input_hw[1] - new_w) / 2 - 0.1)
    top = round((input_hw[0] - new_h) / 2 - 0.1)
    laid = np.full((*input_hw, 3), 114, np.uint8)
    laid[top : top + new_h, left : left + new_w] = cv2.resize(
        picture, (new_w, new_h), interpolation=cv2.INTER_LINEAR
    ).reshape(new_h, new_w, 3)
    return laid, scale, left, top


def detect(
    output: NDArray[np.float32],
    frame_hw: tuple[int, int],
    input_hw: tuple[int, int],
    *,
    conf: float = 0.25,
    iou: float = 0.45,
    max_det: int = 300,
    agnostic: bool = False,
) -> list[Detection]:
    """Detections in the frame's pixels, most confident first."""
    scale = min(input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
    left = round((input_hw[1] - max(1, round(frame_hw[1] * scale))) / 2 - 0.1)
    top = round((input_hw[0] - max(1, round(frame_hw[0] * scale))) / 2 - 0.1)
    candidates: list[Detection] = []
    for row in output[0].astype(np.float64):
        class_id = int(np.argmax(row[5:] * row[4]))
        confidence = float(row[4] * row[5 + class_id])
        if confidence > conf:
            cx, cy, w, h = (float(value) for value in row[:4])
            candidates.append((class_id, confidence, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
    candidates.sort(key=lambda item: -item[1])
    kept: list[Detection] = []
    for candidate in candidates:
        rivals = [other for other in kept if agnostic or other[0] == candidate[0]]
        if all(overlap(candidate[2], other[2]) <= iou for other in rivals):
            kept.append(candidate)
    height, width = frame_hw
    return [
        (
            class_id,
            confidence,
            (
                min(max((box[0] - left) / scale, 0), width),
                min(max((box[1] - top) / scale, 0), height),
                min(max((box[2] - left) / scale, 0), width),
                min(max((box[3] - top) / scale, 0), height),
            ),
        )
        for class_id, confidence, box in kept[:max_det]
    ]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
