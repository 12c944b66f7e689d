"""What may become a detection: one row for each box that passed the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import ClassConf, DetectConfig
from keepbusy.postprocess.finite import check_finite

Outputs = tuple[NDArray[np.float32], ...]
"""A model's outputs for one frame, in the order of `OutputForm.outputs`; read in place, not kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes in pixels of the model's input.

    Attributes:
        boxes_xyxy: float32 (N, 4). Of rotated boxes: before the rotation around their centre.
        confidence: float32 (N,), 0 to 1.
        class_id: int64 (N,).
        extra: float32 (N, E): what the task adds, as the model gives it: mask coefficients, keypoints, the angle.
    """

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    extra: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.confidence)

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Candidates:
        """Some of them, by position or by mask."""
        return Candidates(self.boxes_xyxy[chosen], self.confidence[chosen], self.class_id[chosen], self.extra[chosen])


def no_candidates(num_extra: int) -> Candidates:
    """None at all."""
    extra = np.empty((0, num_extra), np.float32)
    return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), extra)


def make_candidates(
    boxes_xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int64] | NDArray[np.intp],
    extra: NDArray[np.float32] | None,
    config: DetectConfig,
) -> Candidates:
    """Put the columns together: only the wanted classes above their own thresholds, and only finite numbers.

    Raises:
        ValueError: A number is not finite.
    """
    if extra is None:
        extra = np.empty((len(confidence), 0), np.float32)
    check_finite(confidence)  # First: which class a NaN is of means nothing.
    wanted = _wanted(confidence, class_id, config)
    if wanted is not None:
        boxes_xyxy, confidence, class_id = boxes_xyxy[wanted], confidence[wanted], class_id[wanted]
        extra = extra[wanted]
    check_finite(boxes_xyxy, extra)
    return Candidates(
        boxes_xyxy.astype(np.float32, copy=False),
        confidence.astype(np.float32, copy=False),
        class_id.astype(np.int64, copy=False),
        extra.astype(np.float32, copy=False),
    )


def _wanted(
    confidence: NDArray[np.float32], class_id: NDArray[np.int64] | NDArray[np.intp], config: DetectConfig
) -> NDArray[np.bool_] | None:
    """Which rows are of a wanted class and above its own threshold; None for all."""
    wanted = None if config.classes is None else np.isin(class_id, config.classes)
    if isinstance(config.class_conf, ClassConf):
        threshold = np.full(len(class_id), config.class_conf.others, np.float32)
        for one, conf in config.class_conf.by_id:
            threshold[class_id == one] = conf
        is_above: NDArray[np.bool_] = confidence > threshold
        wanted = is_above if wanted is None else wanted & is_above
    return wanted


def pick_classes(
    scores: NDArray[np.float32], config: DetectConfig
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
    """Which rows and classes pass the threshold: each row's best class, or with `multi_label` every one.

    `not <=` keeps NaN, so that it is reported later instead of being lost.

    Args:
        scores: float32 (N, classes).
        config: `conf` and `multi_label`.

    Returns:
        Row, confidence and class of each candidate.
    """
    if config.multi_label:
        row, class_id = np.nonzero(~(scores <= config.conf))
        return row, scores[row, class_id], class_id
    best = scores.argmax(axis=1)
    confidence = np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
    row = np.flatnonzero(~(confidence <= config.conf))
    return row, confidence[row], best[row]


def cxcywh_to_xyxy(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes as centre and size → corners; float32 (N, 4), same units."""
    half = boxes[:, 2:] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
