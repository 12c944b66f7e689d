"""Keypoints of the input → keypoints of the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.pictures.letterbox import Letterbox


def make_keypoints(
    numbers: NDArray[np.float32], keypoints: tuple[int, int], letterbox: Letterbox
) -> NDArray[np.float32]:
    """Keypoints in the frame's pixels; not clipped: a hidden hand may lie outside.

    Args:
        numbers: float32 (N, K*D): for each keypoint x and y in pixels of the input and, where D is 3, its confidence.
        keypoints: K and D.
        letterbox: How the frame was laid into the input.

    Returns:
        float32 (N, K, 3): x, y, confidence; 1 where the model has none.

    Raises:
        ValueError: The numbers do not make so many keypoints.
    """
    num_keypoints, num_dimensions = keypoints
    if numbers.shape[1] != num_keypoints * num_dimensions or num_dimensions not in (2, 3):
        raise ValueError(
            f"{numbers.shape[1]} numbers a detection do not make {num_keypoints} keypoints of {num_dimensions}"
        )
    given = numbers.reshape(-1, num_keypoints, num_dimensions)
    found = np.ones((len(given), num_keypoints, 3), np.float32)
    found[..., :num_dimensions] = given
    letterbox.points_to_frame(found[..., :2])
    return found
