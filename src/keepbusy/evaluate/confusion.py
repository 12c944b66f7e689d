"""Which classes are taken for which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFUSION_CONF = 0.25
"""Only detections that a person would be shown."""

CONFUSION_IOU = 0.45
"""A detection and an object that overlap by more than this belong together: the field's value."""


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Objects by what they are and by what they were taken for.

    Attributes:
        names: The class names, N.
        counts: int64 (N + 1, N + 1): row = true class, column = class detected. The last column counts objects
            that were missed, the last row detections with nothing there.
    """

    names: Sequence[str]
    counts: NDArray[np.int64]


def count_confusion(names: Sequence[str], objects: Sequence[dict[str, Any]], found: NDArray[np.float64]) -> Confusion:
    """Pair objects with detections of any class, and count the pairs by class.

    In COCO's order: the most confident detection first, each with the free object that it overlaps most. A detection
    without a partner that lies in a crowd of its class is not counted.

    Args:
        names: The class names.
        objects: COCO annotations, with class id + 1 as the category.
        found: float64 (M, 7): image id, left, top, width, height, confidence, class id + 1.
    """
    background = len(names)
    counts = np.zeros((background + 1, background + 1), np.int64)
    objects_by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in objects:
        objects_by_image[item["image_id"]].append(item)
    found = found[found[:, 5] >= CONFUSION_CONF]
    found = found[np.lexsort((-found[:, 5], found[:, 0]))]
    starts = np.searchsorted(found[:, 0], sorted({*objects_by_image, *found[:, 0].astype(int).tolist()}))
    for rows in np.split(found, starts):
        if len(rows):
            _count_image(objects_by_image.pop(int(rows[0, 0]), []), rows, counts)
    for left in objects_by_image.values():
        _count_image(left, np.empty((0, 7)), counts)
    return Confusion(names, counts)


def _count_image(objects: list[dict[str, Any]], rows: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
    background = len(counts) - 1
    single = [item for item in objects if not item["iscrowd"]]
    crowds = [item for item in objects if item["iscrowd"]]
    true_class = [item["category_id"] - 1 for item in single]
    found_class = (rows[:, 6].astype(np.int64) - 1).tolist()
    overlaps = _overlaps(rows, single, is_crowd=False)
    paired: set[int] = set()
    taken: set[int] = set()
    if single:
        for row in range(len(rows)):
            column = int(overlaps[row].argmax())
            if overlaps[row, column] > CONFUSION_IOU:
                counts[true_class[column], found_class[row]] += 1
                paired.add(row)
                taken.add(column)
                overlaps[:, column] = 0
    for column, own_class in enumerate(true_class):
        if column not in taken:
            counts[own_class, background] += 1
    in_crowd = _overlaps(rows, crowds, is_crowd=True) > CONFUSION_IOU
    crowd_class = np.array([item["category_id"] - 1 for item in crowds], np.int64)
    for row, own_class in enumerate(found_class):
        if row not in paired and not (in_crowd[row] & (crowd_class == own_class)).any():
            counts[background, own_class] += 1


def _overlaps(rows: NDArray[np.float64], objects: list[dict[str, Any]], *, is_crowd: bool) -> NDArray[np.float64]:
    """Intersection over union, or with a crowd over the detection alone; float64 (detections, objects)."""
    if not len(rows) or not objects:
        return np.zeros((len(rows), len(objects)))
    from faster_coco_eval.core import mask

    boxes = [item["bbox"] for item in objects]
    found: NDArray[np.float64] = np.asarray(mask.iou(rows[:, 1:5].tolist(), boxes, [int(is_crowd)] * len(boxes)))
    return found
