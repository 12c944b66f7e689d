"""Crowds: suppression by a sweep picks what OpenCV's picks, in the same order."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.postprocess import nms
from keepbusy.postprocess.candidates import Candidates
from keepbusy.postprocess.nms import pick_by_opencv, pick_by_sweep, suppress

Kind = Literal["scattered", "grid", "whole numbers", "pairs"]


def crowd(kind: Kind, num: int, *, num_classes: int, seed: int) -> Candidates:
    rng = np.random.default_rng(seed)
    centres: NDArray[Any]
    sides: NDArray[Any]
    if kind == "grid":
        centres = np.stack((np.arange(num) % 40 * 16.0, np.arange(num) // 40 * 16.0), 1)
        sides = rng.uniform(8, 30, (num, 2))
    elif kind == "whole numbers":  # Overlaps of exactly 1/2, 1/3 ... are common.
        centres, sides = rng.integers(0, 300, (num, 2)) * 2, rng.integers(1, 6, (num, 2)) * 4
    elif kind == "pairs":
        centres = np.repeat(rng.uniform(0, 640, (num // 2 + 1, 2)), 2, 0)[:num] + rng.uniform(-1, 1, (num, 2))
        sides = rng.uniform(9, 11, (num, 2))
    else:
        centres, sides = rng.uniform(-20, 660, (num, 2)), rng.uniform(2, 40, (num, 2))
    boxes: NDArray[np.float32] = np.concatenate((centres - sides / 2, centres + sides / 2), 1).astype(np.float32)
    # Two digits: many have the same confidence.
    confidence = rng.uniform(0.05, 1, num).round(2).astype(np.float32)
    return Candidates(boxes, confidence, rng.integers(0, num_classes, num), np.empty((num, 0), np.float32))


@pytest.mark.parametrize("iou", [0.0, 1 / 3, 0.45, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_sweep_picks_what_opencv_picks(kind: Kind, iou: float) -> None:
    num_swept = 0
    for seed, num in enumerate((1, 2, 50, 300, 1000, 1000)):
        for num_classes, agnostic in ((1, False), (8, False), (80, False), (8, True)):
            candidates = crowd(kind, num, num_classes=num_classes, seed=seed)
            config = DetectConfig(conf=0.05, iou=iou, agnostic_nms=agnostic, max_det=400 if seed == 5 else 1000)
            expected = pick_by_opencv(candidates, config)
            found = pick_by_sweep(candidates, config)
            if found is not None:
                num_swept += 1
                assert found.tolist() == expected.tolist()
            np.testing.assert_array_equal(suppress(candidates, config).boxes_xyxy, candidates.boxes_xyxy[expected])
    assert num_swept >= 12


def test_what_a_sweep_does_not_pay_for_is_left_to_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    config = DetectConfig(conf=0.05)
    heap = crowd("scattered", 1000, num_classes=1, seed=1)
    heap = Candidates(heap.boxes_xyxy * 0 + heap.boxes_xyxy[:1], heap.confidence, heap.class_id, heap.extra)
    flat = crowd("scattered", 1000, num_classes=1, seed=2)
    flat.boxes_xyxy[7, 2] = flat.boxes_xyxy[7, 0]
    for candidates in (heap, flat):
        assert pick_by_sweep(candidates, config) is None
        assert len(suppress(candidates, config)) == len(pick_by_opencv(candidates, config))
    few: list[Any] = []
    monkeypatch.setattr(nms, "pick_by_sweep", lambda *args: few.append(args))
    suppress(crowd("scattered", nms.SWEPT_CANDIDATES - 1, num_classes=1, seed=3), config)
    assert not few
