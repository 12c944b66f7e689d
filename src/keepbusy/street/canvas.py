"""Sketches (lists of flat polygons) and how they are painted on a frame and on its id buffer."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.street.camera import SHIFT, Ints

Image = NDArray[np.uint8]
Ids = NDArray[np.uint16]
Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]

DETAIL = -2
"""Part number of a polygon inside its object's outline: paints colour only."""

CLUTTER = -1
"""Part number of something solid without a label: it hides what is behind it."""

_ONE = 1 << SHIFT
_SCRATCH_AREA_PX = 1 << 20


@dataclass
class Sketch:
    """Flat polygons of one object, in painting order.

    Attributes:
        polygons: (points, BGR colour, part). Points are fixed-point int32 (N, 2) of a convex
            polygon, or a list of contours filled by the even-odd rule. Part is the index of the
            label that the polygon belongs to, or DETAIL, or CLUTTER.
        class_ids: Class of each part.
        box: Bounding box of all points, pixels, x2 and y2 exclusive, not cut to the frame.
    """

    polygons: list[tuple[Ints | list[Ints], Colour, int]] = field(default_factory=list)
    class_ids: tuple[int, ...] = ()
    box: Box = (0, 0, 0, 0)


def bounds(points: Ints) -> Box:
    """Return the pixel box around fixed-point points, one pixel of margin included."""
    x, y, w, h = cv2.boundingRect(points)
    return (x >> SHIFT) - 1, (y >> SHIFT) - 1, ((x + w) >> SHIFT) + 3, ((y + h) >> SHIFT) + 3


def measure(sketch: Sketch) -> Sketch:
    """Fill in the box of a sketch from its polygons and return the sketch."""
    flat = [p for points, _, _ in sketch.polygons for p in (points if isinstance(points, list) else [points])]
    if flat:
        sketch.box = bounds(np.concatenate(flat))
    return sketch


def overlap(a: Box, b: Box) -> Box | None:
    """Return the common part of two boxes, or None."""
    x1, y1 = max(a[0], b[0]), max(a[1], b[1])
    x2, y2 = min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def paint(frame: Image, ids: Ids, sketch: Sketch, first_id: int) -> None:
    """Paint a sketch; part p writes ``first_id + p`` to the id buffer, clutter writes 0.

    Args:
        frame: BGR uint8 (H, W, 3), changed in place.
        ids: uint16 (H, W), changed in place.
        sketch: What to paint.
        first_id: Id of the sketch's part 0.
    """
    convex, fill = cv2.fillConvexPoly, cv2.fillPoly
    for points, colour, part in sketch.polygons:
        if isinstance(points, list):
            fill(frame, points, colour, cv2.LINE_AA, SHIFT)
            if part != DETAIL:
                fill(ids, points, first_id + part if part >= 0 else 0, cv2.LINE_8, SHIFT)
        else:
            convex(frame, points, colour, cv2.LINE_AA, SHIFT)
            if part != DETAIL:
                convex(ids, points, first_id + part if part >= 0 else 0, cv2.LINE_8, SHIFT)


def silhouette(sketch: Sketch, box: Box) -> Image:
    """Return the mask uint8 (H, W), 0 or 255, of all solid polygons inside a box of the frame."""
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.uint8)
    move = np.array([box[0] * _ONE, box[1] * _ONE], np.int32)
    for points, _, part in sketch.polygons:
        if part == DETAIL:
            continue
        if isinstance(points, list):
            cv2.fillPoly(mask, [p - move for p in points], 255, cv2.LINE_8, SHIFT)
        else:
            cv2.fillConvexPoly(mask, points - move, 255, cv2.LINE_8, SHIFT)
    return mask


def find(ids: Ids, number: int, box: Box) -> tuple[int, Box] | None:
    """Find the pixels of one id inside a box of the id buffer.

    Returns:
        Their count and bounding box (x2, y2 exclusive), or None if there is none.
    """
    x1, y1, x2, y2 = box
    mask = cv2.inRange(ids[y1:y2, x1:x2], number, number)
    count = cv2.countNonZero(mask)
    if count == 0:
        return None
    x, y, w, h = cv2.boundingRect(mask)
    return count, (x1 + x, y1 + y, x1 + x + w, y1 + y + h)


def areas(sketch: Sketch, within: Box | None = None) -> list[float]:
    """Return each part's silhouette area in pixels as if nothing hid it.

    Args:
        sketch: What to measure.
        within: Count only what lies in this box; None counts everything, cut by no frame.

    Very large objects are measured on a reduced copy.
    Parts of one sketch hide nothing of each other.
    """
    found = []
    for part in range(len(sketch.class_ids)):
        mine = [p for p, _, owner in sketch.polygons if owner == part]
        flat = [q for p in mine for q in (p if isinstance(p, list) else [p])]
        if not flat:
            found.append(0.0)
            continue
        box = bounds(np.concatenate(flat))
        cut = box if within is None else overlap(box, within)
        if cut is None:
            found.append(0.0)
            continue
        x1, y1, x2, y2 = cut
        step = 1
        while (x2 - x1) * (y2 - y1) > _SCRATCH_AREA_PX * step * step:
            step += 1
        mask = np.zeros((-(-(y2 - y1) // step) + 1, -(-(x2 - x1) // step) + 1), np.uint8)
        move = np.array([x1 * _ONE, y1 * _ONE], np.int32)
        for p in mine:
            if isinstance(p, list):
                cv2.fillPoly(mask, [(q - move) // step for q in p], 255, cv2.LINE_8, SHIFT)
            else:
                cv2.fillConvexPoly(mask, (p - move) // step, 255, cv2.LINE_8, SHIFT)
        found.append(float(cv2.countNonZero(mask) * step * step))
    return found


def both_areas(sketch: Sketch, box: Box) -> list[tuple[float, float]]:
    """Return each part's silhouette area in pixels: in full, and what of it lies in the frame.

    Args:
        sketch: What to measure.
        box: Its box within the frame.
    """
    full = areas(sketch)
    return list(zip(full, full if box == sketch.box else areas(sketch, box), strict=True))
