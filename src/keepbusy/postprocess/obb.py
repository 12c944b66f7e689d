"""Rotated boxes: how much two overlap, and where they lie in the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.pictures.letterbox import Letterbox

_QUARTER = np.pi / 2


def covariances(boxes_xywhr: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian that stands for each box: it has the variance of an even spread over the box.

    Args:
        boxes_xywhr: float64 (N, 5): centre, width, height, angle in radians.

    Returns:
        float64 (N, 3): variance along x and along y, and covariance.
    """
    # A box without width would have no density: a thousandth of a pixel is nothing to look at.
    along, across = np.maximum(boxes_xywhr[:, 2:4], 1e-3).T ** 2 / 12
    cos, sin = np.cos(boxes_xywhr[:, 4]), np.sin(boxes_xywhr[:, 4])
    return np.stack(
        (along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin), axis=1
    )


def probiou(
    centre_xy: NDArray[np.float64],
    covariance: NDArray[np.float64],
    centres_xy: NDArray[np.float64],
    others: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The probabilistic IoU of one box with others: 1 - Hellinger distance of their Gaussians, 0 to 1.

    Llerena, Zeni, Kristen, Jung: "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union for Object
    Detection", arXiv 2106.06072, equations 7 to 9: from the Bhattacharyya distance B, sqrt(1 - exp(-B)) is Hellinger's.

    Args:
        centre_xy: float64 (2,).
        covariance: float64 (3,), from `covariances`.
        centres_xy: float64 (N, 2).
        others: float64 (N, 3).

    Returns:
        float64 (N,).
    """
    dx, dy = (centres_xy - centre_xy).T
    var_x, var_y, cov = (others + covariance).T
    both = var_x * var_y - cov**2
    distance = (var_y * dx**2 + var_x * dy**2 - 2 * cov * dx * dy) / (4 * both)
    single = (others[:, 0] * others[:, 1] - others[:, 2] ** 2) * (covariance[0] * covariance[1] - covariance[2] ** 2)
    # Rounding may bring the determinant of a very thin box to 0 or below: then nothing overlaps it.
    with np.errstate(divide="ignore"):
        spread = np.log(both / (4 * np.sqrt(np.maximum(single, 0)))) / 2
    overlap: NDArray[np.float64] = 1 - np.sqrt(-np.expm1(-np.maximum(distance + spread, 0)))
    return overlap


def rotated_to_frame(
    boxes_xyxy: NDArray[np.float32], angle: NDArray[np.float32], letterbox: Letterbox
) -> NDArray[np.float32]:
    """Rotated boxes in the frame's pixels.

    Width is the side along the angle, which lies in [0, pi/2), clockwise from the x axis (y points down). Where the
    frame was stretched, a rotated box is no rectangle any more: direction of its width and area are kept.

    Args:
        boxes_xyxy: float32 (N, 4), pixels of the input, before the rotation around their centre.
        angle: float32 (N,), radians.
        letterbox: How the frame was laid into the input.

    Returns:
        float32 (N, 5): centre, width, height, angle.
    """
    boxes = boxes_xyxy.astype(np.float64)
    centres = letterbox.points_to_frame(((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float32))
    sizes = boxes[:, 2:] - boxes[:, :2]
    turn = angle.astype(np.float64)
    scale_x, scale_y = letterbox.scale_xy
    if scale_x != scale_y:
        along_x, along_y = np.cos(turn) / scale_x, np.sin(turn) / scale_y
        longer = np.hypot(along_x, along_y)
        turn = np.arctan2(along_y, along_x)
        sizes = np.stack((sizes[:, 0] * longer, sizes[:, 1] / (scale_x * scale_y * longer)), axis=1)
    else:
        sizes /= scale_x
    num_quarters = np.floor(turn / _QUARTER)
    turn = (turn - num_quarters * _QUARTER).astype(np.float32)
    # Rounding may reach the quarter itself, which is the next one's beginning.
    is_full = turn >= np.float32(_QUARTER)
    turn[is_full] = 0
    is_odd = (num_quarters + is_full) % 2 == 1
    sizes[is_odd] = sizes[is_odd, ::-1]
    return np.concatenate((centres, sizes.astype(np.float32), np.maximum(turn, 0)[:, None]), axis=1, dtype=np.float32)
