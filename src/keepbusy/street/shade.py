"""Soft shadows and glows, blended with integer arithmetic only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.street.camera import SHIFT, Ints
from keepbusy.street.canvas import Box, Image, bounds, overlap

_SMALL_PX = 1200


def shadow_table(darkness: float) -> NDArray[np.uint8]:
    """Return the lookup table uint8 (1, 256, 3) of one of three nested shadow layers."""
    levels = np.arange(256, dtype=np.int64)
    keep = [int((1.0 - darkness * share) * 4096.0) for share in (0.30, 0.37, 0.39)]
    table = np.stack([(levels * k + 2048) // 4096 for k in keep], axis=1)
    return table.astype(np.uint8).reshape(1, 256, 3)


def cast(frame: Image, outline: Ints, table: NDArray[np.uint8]) -> Box | None:
    """Darken the frame under an outline, softly towards its rim.

    Args:
        frame: BGR uint8 (H, W, 3), changed in place.
        outline: Convex polygon, fixed-point int32 (N, 2).
        table: Table of :func:`shadow_table`.

    Returns:
        The changed box, or None if it is outside the frame.
    """
    middle = (outline.min(axis=0) + outline.max(axis=0)) // 2
    arms = outline - middle
    wide = middle + arms * 35 // 32
    box = overlap(bounds(wide), (0, 0, frame.shape[1], frame.shape[0]))
    if box is None:
        return None
    x1, y1, x2, y2 = box
    part = frame[y1:y2, x1:x2]
    move = np.array([x1 << SHIFT, y1 << SHIFT], np.int32)
    small = (x2 - x1) * (y2 - y1) < _SMALL_PX
    for outer in (outline,) if small else (wide, outline, middle + arms * 28 // 32):
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        cv2.fillConvexPoly(mask, (outer - move).astype(np.int32), 255, cv2.LINE_8, SHIFT)
        dark = cv2.LUT(part, table)
        cv2.copyTo(cv2.LUT(dark, table) if small else dark, mask, part)
    return box


def make_glow(colour: tuple[int, int, int], size_px: int = 64) -> Image:
    """Return a round glow uint8 (size, size, 3) that fades to black."""
    axis = np.arange(size_px, dtype=np.int64) * 2 - (size_px - 1)
    far = axis[:, None] ** 2 + axis[None, :] ** 2
    level = np.maximum(0, size_px * size_px - far) * 256 // (size_px * size_px)
    level = level * level // 256
    level = level * level // 256
    return np.stack([level * c // 256 for c in colour], axis=2).astype(np.uint8)


def add_glow(frame: Image, glow: Image, centre: tuple[int, int], radius: tuple[int, int]) -> None:
    """Add a glow to the frame.

    Args:
        frame: BGR uint8 (H, W, 3), changed in place.
        glow: Picture of :func:`make_glow`.
        centre: Pixel column and row.
        radius: Half width and half height in pixels.
    """
    rx, ry = radius
    if rx < 1 or ry < 1:
        return
    box = (centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry)
    seen = overlap(box, (0, 0, frame.shape[1], frame.shape[0]))
    if seen is None or rx * ry > frame.shape[0] * frame.shape[1]:
        return
    big = cv2.resize(glow, (2 * rx, 2 * ry), interpolation=cv2.INTER_LINEAR_EXACT)
    x1, y1, x2, y2 = seen
    part = frame[y1:y2, x1:x2]
    cv2.add(part, big[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]], part)
