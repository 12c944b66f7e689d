"""The ground truth of a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASS_NAMES: tuple[str, ...] = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "bus",
    "truck",
    "traffic light",
    "stop sign",
)
"""Names of the classes, by class id."""

PERSON, BICYCLE, CAR, MOTORCYCLE, BUS, TRUCK, TRAFFIC_LIGHT, STOP_SIGN = range(8)

MIN_VISIBLE_SHARE = 0.25
"""An object is labelled only if at least this share of its silhouette in the frame is visible."""

MIN_FULL_SHARE = 0.1
"""And only if this share of its full silhouette is, so that the frame does not cut off nearly all."""

MIN_LONG_SIDE_PX = 8.0
"""Smallest longer side of a labelled box in a frame of 640 pixels or less."""

MIN_SHORT_SIDE_PX = 4.0
"""Smallest shorter side of a labelled box in a frame of 640 pixels or less."""


@dataclass(frozen=True)
class Truth:
    """What is visible in one frame.

    The rule: an object is labelled if and only if at least 25 % of what lies of it in the frame is
    visible (the rest is hidden by other objects; a gap in the silhouette, as between the tubes of a
    bicycle, belongs to neither), at least 10 % of its full silhouette is, and the box around its
    visible pixels has a longer side of at least ``8 * k`` pixels and a shorter side of at least
    ``4 * k`` pixels, where ``k = max(1, longer side of the frame / 640)``.

    Attributes:
        boxes_xyxy: float32 (N, 4), x1, y1, x2, y2 in pixels of the visible part; x2 and y2 are
            exclusive, so a box that covers the whole frame is (0, 0, width, height).
        class_id: int64 (N,), index into CLASS_NAMES.
        visible_share: float32 (N,), visible share of what lies of each object in the frame, 0..1.
    """

    boxes_xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]
    visible_share: NDArray[np.float32]
