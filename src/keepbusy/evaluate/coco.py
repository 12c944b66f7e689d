"""COCO's mean average precision (Lin et al. 2014), computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import MissingExtraError
from keepbusy.evaluate.confusion import Confusion, count_confusion
from keepbusy.evaluate.curves import Curves, make_curves
from keepbusy.values.detections import Detections

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
        by_class: By class name; a name that two classes share has the class id added.
        num_frames: Frames.
        num_objects: Objects in the truth, without crowds.
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
        max_det: Detections of a frame that count.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """

    def __init__(self, names: Sequence[str], max_det: int = MAX_DETECTIONS) -> None:
        try:
            import faster_coco_eval  # noqa: F401 - asked for early, before the work is done
        except ImportError as error:
            raise MissingExtraError("the evaluation", extra="eval") from error
        self.names = _distinct(names)
        self._max_det = max_det
        self._images: list[dict[str, Any]] = []
        self._image_ids: list[int | str] = []
        self._objects: list[dict[str, Any]] = []
        self._found: list[NDArray[np.float64]] = []

    def add(
        self,
        size_wh: tuple[int, int],
        boxes_xyxy: NDArray[np.floating],
        class_id: NDArray[np.int64],
        detections: Detections,
        *,
        image_id: int | str | None = None,
        is_crowd: NDArray[np.bool_] | None = None,
        area_px: NDArray[np.float64] | None = None,
    ) -> None:
        """Add one frame.

        Args:
            size_wh: Width and height of the frame, pixels.
            boxes_xyxy: The truth's boxes, floating point (N, 4), pixels of the frame.
            class_id: The truth's classes, int64 (N,).
            detections: What was found.
            image_id: What `results` calls the frame; by default its place, from 1.
            is_crowd: bool (N,): regions of many objects, in which detections are neither right nor wrong.
            area_px: float64 (N,), square pixels: what small, medium and large are judged by; by default the boxes'.
        """
        number = len(self._images) + 1
        self._images.append({"id": number, "width": size_wh[0], "height": size_wh[1]})
        self._image_ids.append(number if image_id is None else image_id)
        boxes = _xywh(boxes_xyxy)
        areas = boxes[:, 2] * boxes[:, 3] if area_px is None else area_px
        crowds = np.zeros(len(boxes), np.bool_) if is_crowd is None else is_crowd
        for box, own_class, area, crowd in zip(
            boxes.tolist(), class_id.tolist(), areas.tolist(), crowds.tolist(), strict=True
        ):
            self._objects.append(
                {
                    **{"id": len(self._objects) + 1, "image_id": number, "category_id": own_class + 1},
                    **{"bbox": box, "area": area, "iscrowd": int(crowd)},
                }
            )
        columns = (detections.confidence[:, None], detections.class_id[:, None] + 1)
        ids = np.full((len(detections), 1), number)
        self._found.append(np.hstack((ids, _xywh(detections.boxes_xyxy), *columns)).astype(np.float64))

    def accuracy(self) -> Accuracy:
        """Score all frames added so far."""
        if not self._can_be_scored():
            return self._nothing_found()
        scorer = self._scorer()
        scorer.evaluate()
        scorer.accumulate()
        # Axes: overlap (0.50 to 0.95), recall, class, area (all, small, medium, large), limit of detections.
        precision: NDArray[np.float64] = scorer.eval["precision"]
        counts = self._counts()
        return Accuracy(
            map50_95=_mean(precision[:, :, :, 0, -1]),
            map50=_mean(precision[0, :, :, 0, -1]),
            map75=_mean(precision[5, :, :, 0, -1]),
            by_area={name: _mean(precision[:, :, :, number, -1]) for number, name in enumerate(_AREAS, start=1)},
            by_class={
                name: ClassAccuracy(
                    _mean(precision[:, :, number, 0, -1]), _mean(precision[0, :, number, 0, -1]), counts[number]
                )
                for number, name in enumerate(self.names)
            },
            num_frames=len(self._images),
            num_objects=sum(counts),
        )

    def curves(self) -> Curves | None:
        """Precision and recall against each other and against confidence, at an overlap of 0.50.

        None where nothing was found, or where there is nothing to find.
        """
        if not self._can_be_scored():
            return None
        # One overlap and one size, so that each detection that the library calls matched is a hit at 0.50: with all
        # overlaps it mixes their matches.
        scorer = self._scorer(extra_calc=True)
        scorer.params.iouThrs = np.array([0.5])
        scorer.params.areaRng = scorer.params.areaRng[:1]
        scorer.params.areaRngLbl = scorer.params.areaRngLbl[:1]
        scorer.evaluate()
        scorer.accumulate()
        return make_curves(scorer, self._counts())

    def confusion(self) -> Confusion:
        """Which classes are taken for which, at the confidence that people look at pictures with."""
        return count_confusion(self.names, self._objects, np.concatenate([np.empty((0, 7)), *self._found]))

    def results(self, category_ids: Sequence[int | str] | None = None) -> list[dict[str, Any]]:
        """All detections as COCO results, ready for JSON.

        Args:
            category_ids: By class id, the id to write; -1 leaves the class out. By default the class ids themselves.
        """
        ids = category_ids if category_ids is not None else range(len(self.names))
        return [
            {
                "image_id": self._image_ids[int(row[0]) - 1],
                "category_id": ids[int(row[6]) - 1],
                "bbox": [round(value, 3) for value in row[1:5]],
                "score": round(row[5], 5),
            }
            for frame in self._found
            for row in frame.tolist()
            if ids[int(row[6]) - 1] != -1
        ]

    def _can_be_scored(self) -> bool:
        return sum(self._counts()) > 0 and any(len(frame) for frame in self._found)

    def _scorer(self, *, extra_calc: bool = False) -> Any:
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": number + 1, "name": name} for number, name in enumerate(self.names)]
        truth = COCO({"images": self._images, "annotations": self._objects, "categories": categories})
        found = np.concatenate(self._found)
        scorer = COCOeval_faster(truth, truth.loadRes(found), "bbox", extra_calc=extra_calc)
        scorer.params.maxDets = sorted({1, min(100, self._max_det), self._max_det})
        return scorer

    def _counts(self) -> list[int]:
        """Objects of each class, without crowds."""
        classes = [item["category_id"] - 1 for item in self._objects if not item["iscrowd"]]
        counts: list[int] = np.bincount(np.array(classes, np.int64), minlength=len(self.names)).tolist()
        return counts

    def _nothing_found(self) -> Accuracy:
        counts = self._counts()
        score = 0.0 if any(counts) else None
        by_class = {
            name: ClassAccuracy(0.0 if count else None, 0.0 if count else None, count)
            for name, count in zip(self.names, counts, strict=True)
        }
        by_area: dict[str, float | None] = dict.fromkeys(_AREAS, score)
        return Accuracy(score, score, score, by_area, by_class, len(self._images), sum(counts))


def _xywh(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    boxes = boxes_xyxy.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _mean(precision: NDArray[np.float64]) -> float | None:
    """COCO's mean: entries of -1 stand for classes without objects and do not count."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None


def _distinct(names: Sequence[str]) -> list[str]:
    listed = list(names)
    return [name if listed.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(listed)]
