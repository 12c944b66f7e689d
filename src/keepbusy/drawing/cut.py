"""What was found, cut out of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keepbusy.checks import check_numbers
from keepbusy.drawing.picture import Pixels


def cut_boxes(picture: Pixels, boxes_xyxy: NDArray[np.float32]) -> Iterator[Pixels]:
    """The part of a picture that each box covers, in the order of the boxes.

    Pixels that a box covers in part belong to it. A box that is thinner than a pixel, or lies outside of the picture,
    is one pixel.

    Args:
        picture: uint8 (H, W) or (H, W, C).
        boxes_xyxy: float32 (N, 4), pixels of the picture.

    Yields:
        uint8 (h, w) or (h, w, C), h and w at least 1: views of the picture, no copies.

    Raises:
        ConfigError: A coordinate is not finite (NaN or infinity).
    """
    check_numbers("boxes_xyxy", boxes_xyxy)
    height, width = picture.shape[:2]
    for left, top, right, bottom in boxes_xyxy.tolist():
        x, y = min(max(int(left), 0), width - 1), min(max(int(top), 0), height - 1)
        yield picture[y : max(y + 1, math.ceil(bottom)), x : max(x + 1, math.ceil(right))]
