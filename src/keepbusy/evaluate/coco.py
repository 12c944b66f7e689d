"""COCO's mean average precision (Lin et al. 2014), computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import MissingExtraError
from keepbusy.types import Detections

MAX_DETECTIONS = 300
"""Detections of a frame that count, the field's setting for YOLO models."""

_AREAS = ("small", "medium", "large")
"""COCO's sizes of objects: below 32x32 pixels of the frame, below 96x96, and above."""


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """One row of the table of classes; None where there is no object of the class.

    Attributes:
        map50_95: Mean over overlaps of 0.50 to 0.95.
        map50: At an overlap of 0.50.
        num_objects: Objects of the class in the truth.
    """

    map50_95: float | None
    map50: float | None
    num_objects: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean average precision over some frames, 0 to 1; None where there is nothing to find.

    Attributes:
        map50_95: Mean over classes and over overlaps of 0.50 to 0.95.
        map50: At an overlap of 0.50.
        map75: At an overlap of 0.75.
        by_area: `map50_95` of small, medium and large objects.
        by_class: By class name.
        num_frames: Frames.
        num_objects: Objects in the truth.
    """

    map50_95: float | None
    map50: float | None
    map75: float | None
    by_area: dict[str, float | None]
    by_class: dict[str, ClassAccuracy]
    num_frames: int
    num_objects: int


class CocoEvaluation:
    """Collects frames with their truth and detections, then scores them all. Not thread-safe.

    For figures comparable with the field's, detect with conf 0.001, iou 0.6, max_det 300 and multi_label.

    Args:
        names: Class names; the truth's and the detections' class ids index them.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """

    def __init__(self, names: Sequence[str]) -> None:
        try:
            import faster_coco_eval  # noqa: F401 - asked for early, before the work is done
        except ImportError as error:
            raise MissingExtraError("the evaluation", extra="eval") from error
        self._names = list(names)
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._found: list[NDArray[np.float64]] = []

    def add(
        self,
        size_wh: tuple[int, int],
        boxes_xyxy: NDArray[np.float32],
        class_id: NDArray[np.int64],
        detections: Detections,
    ) -> None:
        """Add one frame.

        Args:
            size_wh: Width and height of the frame, pixels.
            boxes_xyxy: The truth's boxes, float32 (N, 4), pixels of the frame.
            class_id: The truth's classes, int64 (N,).
            detections: What was found.
        """
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "width": size_wh[0], "height": size_wh[1]})
        for box, own_class in zip(_xywh(boxes_xyxy).tolist(), class_id.tolist(), strict=True):
            self._objects.append(
                {
                    **{"id": len(self._objects) + 1, "image_id": image_id, "category_id": own_class + 1},
                    **{"bbox": box, "area": box[2] * box[3], "iscrowd": 0},
                }
            )
        columns = (detections.confidence[:, None], detections.class_id[:, None] + 1)
        ids = np.full((len(detections), 1), image_id)
        self._found.append(np.hstack((ids, _xywh(detections.boxes_xyxy), *columns)).astype(np.float64))

    def accuracy(self) -> Accuracy:
        """Score all frames added so far."""
        found = np.concatenate(self._found) if self._found else np.empty((0, 7))
        if not len(found) or not self._objects:
            return self._nothing_found()
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": number + 1, "name": name} for number, name in enumerate(self._names)]
        truth = COCO({"images": self._images, "annotations": self._objects, "categories": categories})
        scorer = COCOeval_faster(truth, truth.loadRes(found), "bbox")
        scorer.params.maxDets = [1, 100, MAX_DETECTIONS]
        scorer.evaluate()
        scorer.accumulate()
        # Axes: overlap (0.50 to 0.95), recall, class, area (all, small, medium, large), limit of detections.
        precision: NDArray[np.float64] = scorer.eval["precision"]
        return Accuracy(
            map50_95=_mean(precision[:, :, :, 0, -1]),
            map50=_mean(precision[0, :, :, 0, -1]),
            map75=_mean(precision[5, :, :, 0, -1]),
            by_area={name: _mean(precision[:, :, :, number, -1]) for number, name in enumerate(_AREAS, start=1)},
            by_class={
                name: ClassAccuracy(_mean(precision[:, :, number, 0, -1]), _mean(precision[0, :, number, 0, -1]), count)
                for number, (name, count) in enumerate(self._counts().items())
            },
            num_frames=len(self._images),
            num_objects=len(self._objects),
        )

    def _counts(self) -> dict[str, int]:
        return {
            name: sum(item["category_id"] == number + 1 for item in self._objects)
            for number, name in enumerate(self._names)
        }

    def _nothing_found(self) -> Accuracy:
        score = 0.0 if self._objects else None
        by_class = {
            name: ClassAccuracy(0.0 if count else None, 0.0 if count else None, count)
            for name, count in self._counts().items()
        }
        by_area: dict[str, float | None] = dict.fromkeys(_AREAS, score)
        return Accuracy(score, score, score, by_area, by_class, len(self._images), len(self._objects))


def _xywh(boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    boxes = boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _mean(precision: NDArray[np.float64]) -> float | None:
    """COCO's mean: entries of -1 stand for classes without objects and do not count."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
