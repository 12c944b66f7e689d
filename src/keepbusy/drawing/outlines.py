"""Where a mask ends: its outlines, as lines and for records."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def outlines(mask: NDArray[np.bool_], corner_xy: tuple[int, int] = (0, 0)) -> list[NDArray[np.int32]]:
    """The outer outlines of a mask's parts, largest area first.

    Args:
        mask: bool (h, w).
        corner_xy: Where its top left pixel lies.

    Returns:
        int32 (P, 2) each: (x, y) of pixels on the edge.
    """
    if mask.size == 0:
        return []
    found, _ = cv2.findContours(
        mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(int(corner_xy[0]), int(corner_xy[1]))
    )
    ordered = sorted(found, key=cv2.contourArea, reverse=True)
    return [np.asarray(outline, np.int32).reshape(-1, 2) for outline in ordered]
