"""Strokes of the drawing: masks, keypoints, rotated boxes, labels and lists of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.drawing.outlines import outlines
from keepbusy.drawing.picture import Pixels

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

MIN_KEYPOINT_CONFIDENCE = 0.5
"""Keypoints below it are not drawn: the model says itself that it is guessing."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BLACK = (0, 0, 0)
_WHITE = (255, 255, 255)
_OPACITY = 0.45
"""Of masks: enough to tell whose a pixel is, and to see what is below."""

FAR_PX = 1e5
"""What is farther outside is drawn as if it were here: outside it stays, and OpenCV counts in 32 bits."""

_SHIFT = 4
"""Bits of a coordinate behind the point, so that slanted lines begin where they should."""

_FACE, _LEFT, _RIGHT, _TRUNK = (255, 178, 76), (96, 208, 64), (0, 140, 255), (236, 122, 190)

# COCO's person: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left is the person's own.
_PERSON_JOINTS = 17
_PERSON_LIMBS: tuple[tuple[int, int, Colour], ...] = (
    (0, 1, _FACE),
    (0, 2, _FACE),
    (1, 2, _FACE),
    (1, 3, _FACE),
    (2, 4, _FACE),
    (3, 5, _FACE),
    (4, 6, _FACE),
    (5, 6, _TRUNK),
    (5, 11, _TRUNK),
    (6, 12, _TRUNK),
    (11, 12, _TRUNK),
    (5, 7, _LEFT),
    (7, 9, _LEFT),
    (11, 13, _LEFT),
    (13, 15, _LEFT),
    (6, 8, _RIGHT),
    (8, 10, _RIGHT),
    (12, 14, _RIGHT),
    (14, 16, _RIGHT),
)
_PERSON_COLOURS: tuple[Colour, ...] = (_FACE,) * 5 + (_LEFT, _RIGHT) * 6


def draw_mask(
    picture: Pixels, mask: NDArray[np.bool_], corner_xy: tuple[int, int], colour: Colour, thickness: int
) -> None:
    """Tint a mask's pixels and draw its outline, in place; only the mask's own box is touched.

    Args:
        picture: uint8 (H, W, 3), BGR.
        mask: bool (h, w).
        corner_xy: The pixel of its top left corner.
        colour: Its tint.
        thickness: Of the outline, pixels.
    """
    if not mask.any():
        return
    left, top = corner_xy
    region = picture[top : top + mask.shape[0], left : left + mask.shape[1]]
    # The stubs do not know that a colour may stand for a picture.
    tint: Any = (*(round(value * _OPACITY) for value in colour), 0)
    cv2.copyTo(cv2.add(cv2.convertScaleAbs(region, alpha=1 - _OPACITY), tint), mask.view(np.uint8), region)
    # Without the steps of the pixels: smoother, and a third of the time.
    smooth = [cv2.approxPolyDP(outline, 0.8, True) for outline in outlines(mask, corner_xy)]
    cv2.polylines(picture, smooth, True, colour, thickness, cv2.LINE_AA)


def draw_polygon(picture: Pixels, points_xy: NDArray[np.float32], colour: Colour, thickness: int) -> None:
    """A closed line through points, in place.

    Args:
        picture: uint8 (H, W, 3), BGR.
        points_xy: float32 (P, 2), pixels.
        colour: The line's.
        thickness: The line's, pixels.
    """
    cv2.polylines(picture, [_shifted(points_xy)], True, colour, thickness, cv2.LINE_AA, _SHIFT)


def highest_corner(points_xy: NDArray[np.float32]) -> tuple[int, int]:
    """The corner nearest to the picture's top, as whole pixels: where a label stands free."""
    x, y = np.clip(points_xy[int(points_xy[:, 1].argmin())], -FAR_PX, FAR_PX).round().astype(int).tolist()
    return max(0, x), max(0, y)


def draw_keypoints(picture: Pixels, points: NDArray[np.float32], unit: float) -> None:
    """One detection's keypoints, in place: a skeleton for COCO's 17, else dots.

    Args:
        picture: uint8 (H, W, 3), BGR.
        points: float32 (K, 3): x, y, confidence.
        unit: Size of what is drawn, 1 at 720p.
    """
    is_person = len(points) == _PERSON_JOINTS
    is_seen = points[:, 2] >= MIN_KEYPOINT_CONFIDENCE
    places = [(int(x), int(y)) for x, y in _shifted(points[:, :2]).tolist()]
    width = max(1, round(2.5 * unit))
    for first, second, colour in _PERSON_LIMBS if is_person else ():
        if is_seen[first] and is_seen[second]:
            cv2.line(picture, places[first], places[second], colour, width, cv2.LINE_AA, _SHIFT)
    radius = max(2.0, 3.5 * unit)
    for index in np.flatnonzero(is_seen).tolist():
        inner = _PERSON_COLOURS[index] if is_person else _LEFT
        for size, colour in ((radius + max(1.0, unit), _WHITE), (radius, inner)):
            cv2.circle(picture, places[index], round(size * (1 << _SHIFT)), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def draw_label(picture: Pixels, text: str, anchor_xy: tuple[int, int], colour: Colour, scale: float) -> int:
    """Text on a filled ground, above the anchor where there is room, else below it; returns where it ends below."""
    thickness = max(1, round(1.5 * scale))
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(1, round(4 * scale))
    left = max(0, min(anchor_xy[0], picture.shape[1] - width - 2 * pad))
    ground_h = height + baseline + 2 * pad
    top = anchor_xy[1] - ground_h if anchor_xy[1] >= ground_h else anchor_xy[1]
    cv2.rectangle(picture, (left, top), (left + width + 2 * pad, top + ground_h), colour, cv2.FILLED)
    origin = (left + pad, top + pad + height)
    cv2.putText(picture, text, origin, _FONT, scale, _text_on(colour), thickness, cv2.LINE_AA)
    return top + ground_h


def draw_classes(picture: Pixels, classes: Sequence[tuple[str, float, Colour]], top: int, unit: float) -> None:
    """A list of classes with a bar for each probability, in the left corner, in place.

    Args:
        picture: uint8 (H, W, 3), BGR.
        classes: Name, probability and colour of each line.
        top: Where it begins, pixels.
        unit: Size of what is drawn, 1 at 720p.
    """
    scale = 0.7 * unit
    thickness = max(1, round(1.5 * scale))
    pad = max(2, round(8 * scale))
    texts = [f"{probability:.2f} {name}" for name, probability, _ in classes]
    sizes = [cv2.getTextSize(text, _FONT, scale, thickness) for text in texts]
    width = max((size[0] for size, _ in sizes), default=0)
    row_h = max((size[1] + baseline for size, baseline in sizes), default=0) + pad
    region = picture[top : top + row_h * len(texts) + pad, : width + 2 * pad]
    region[...] = cv2.convertScaleAbs(region, alpha=0.3)
    for row, (text, (_, probability, colour)) in enumerate(zip(texts, classes, strict=True)):
        bottom = top + (row + 1) * row_h
        bar_h = max(2, pad // 3)
        end = pad + round(width * min(max(probability, 0.0), 1.0))
        cv2.putText(picture, text, (pad, bottom - pad), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
        cv2.rectangle(picture, (pad, bottom), (end, bottom + bar_h - 1), colour, cv2.FILLED)


def _shifted(points_xy: NDArray[np.float32]) -> NDArray[np.int32]:
    bounded = np.clip(points_xy, -FAR_PX, FAR_PX)
    shifted: NDArray[np.int32] = np.rint(bounded * (1 << _SHIFT)).astype(np.int32)
    return shifted


def _text_on(colour: Colour) -> Colour:
    blue, green, red = colour
    return _BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 165 else _WHITE
