"""A training run small enough for a test: a few letterboxed frames of the street, and a calm recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from keepbusy.street import StreetScene
from training.config import AugmentConfig, Recipe
from training.data import FrameSet
from training.render import letterbox

CPU = torch.device("cpu")
SIZE = 160


def small_set(count: int = 12, size: int = SIZE) -> FrameSet:
    """Make a letterboxed set of a few frames of four scenes."""
    images = np.zeros((count, size, size, 3), np.uint8)
    labels = np.full((count, 64, 5), -1, np.float32)
    content = np.zeros((count, 4), np.float32)
    scenes = [StreetScene(seed=10_000 + s, width=320, height=240, fps=30.0) for s in range(4)]
    for row in range(count):
        image, truth = scenes[row % 4].render(row * 20)
        square, scale, left, top = letterbox(image, size)
        images[row] = square[..., ::-1]
        n = min(64, len(truth.class_id))
        labels[row, :n, 0] = truth.class_id[:n]
        labels[row, :n, 1:] = truth.boxes_xyxy[:n] * scale + np.array((left, top, left, top))
        content[row] = (left, top, left + round(320 * scale), top + round(240 * scale))
    return FrameSet(images, labels, content, CPU)


def small_recipe(**changes: object) -> Recipe:
    calm = AugmentConfig(mosaic=0.5, untouched=0.5, min_sides=(2.0, 2.0))
    base = Recipe(
        batch=6, lr=4e-3, warmup_steps=2, ema_ramp=5.0, image_size=SIZE, augment=calm,
        mosaic_until=0.5,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]
