"""Which boxes stand in a region of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import Point
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.candidates import Candidates


def in_region(
    candidates: Candidates, letterbox: Letterbox, region: tuple[Point, ...], *, is_rotated: bool
) -> Candidates:
    """Those whose foot, the middle of the box's lower side, lies in a polygon; of rotated boxes, whose centre does.

    The lower side is where people and vehicles touch the ground, which is what regions are drawn on.

    Args:
        candidates: Boxes in pixels of the input.
        letterbox: How the frame was laid into the input.
        region: The polygon's corners as shares of the frame's width and height, 0 to 1.
        is_rotated: Boxes are rotated around their centres.
    """
    boxes = letterbox.boxes_to_frame(candidates.boxes_xyxy.copy())
    height, width = letterbox.frame_hw
    x = (boxes[:, 0] + boxes[:, 2]) / 2 / width
    y = ((boxes[:, 1] + boxes[:, 3]) / 2 if is_rotated else boxes[:, 3]) / height
    return candidates.take(_inside(x, y, np.array(region, np.float32)))


def _inside(x: NDArray[np.floating], y: NDArray[np.floating], corners: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether points lie in a polygon: a ray to the right crosses its sides an odd number of times.

    A point on the lower or right border of the frame counts as just inside of it, as a box that reaches the border ends
    there.
    """
    x, y = np.minimum(x, 1 - 1e-6), np.minimum(y, 1 - 1e-6)
    is_inside = np.zeros(len(x), np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        is_inside ^= crosses
    return is_inside
