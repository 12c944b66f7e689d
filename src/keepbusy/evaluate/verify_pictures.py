"""The frames on which two sides differ most, side by side."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np

from keepbusy.drawing.scripts import drawn_name
from keepbusy.drawing.write import write_image
from keepbusy.evaluate.verify import WorstFrame
from keepbusy.sinks.naming import make_folder
from keepbusy.values.compare import floor_of
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GREEN, _RED, _WHITE, _INK = (90, 200, 60), (60, 60, 235), (255, 255, 255), (40, 40, 40)
_MAX_WIDTH_PX = 1280
"""Of one side: two of them still fit a large screen."""


def save_worst(folder: Path, worst: Sequence[WorstFrame], titles: tuple[str, str]) -> list[Path]:
    """Write each frame as a picture, the worst first by name.

    Args:
        folder: Where they go; made if missing.
        worst: The frames.
        titles: What the reference and the candidate are.

    Raises:
        SinkError: A file cannot be written.
    """
    make_folder(folder)
    paths: list[Path] = []
    for place, frame in enumerate(worst, start=1):
        stem = re.sub(r"[^\w.-]+", "_", Path(frame.frame.source.partition("?")[0]).stem).strip("_.")[:40] or "source"
        path = folder / f"worst-{place:02d}-{stem}-{frame.frame.index:06d}.jpg"
        write_image(path, draw_worst(frame, titles), follows_link=False)
        paths.append(path)
    return paths


def draw_worst(worst: WorstFrame, titles: tuple[str, str]) -> Image:
    """One frame twice: what the reference found in green, what the candidate found in red.

    Thin: the other side has it too. Thick, with a label: it does not.

    Returns:
        uint8 (H, W, 3), BGR: both sides beside each other, a line of text above each.
    """
    agreement = worst.agreement
    reference = _draw_side(
        worst, worst.reference, agreement.missing.tolist(), _GREEN, f"reference: {titles[0]}", "missing from the other"
    )
    candidate = _draw_side(
        worst, worst.candidate, agreement.extra.tolist(), _RED, f"candidate: {titles[1]}", "not in the reference"
    )
    gap = np.full((reference.shape[0], 6, 3), 255, np.uint8)
    both: Image = np.hstack((reference, gap, candidate))
    return both


def _draw_side(
    worst: WorstFrame,
    detections: Detections,
    unmatched: Collection[int],
    colour: tuple[int, int, int],
    title: str,
    meaning: str,
) -> Image:
    image = worst.frame.image
    assert image is not None  # nosec B101 # for mypy: worst frames are kept with their pictures
    scale = min(1.0, _MAX_WIDTH_PX / image.shape[1])
    picture: Image = image.copy()
    if scale < 1:
        picture = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    unit = max(0.5, min(picture.shape[:2]) / 720)
    seen = np.flatnonzero(detections.confidence >= floor_of(worst.conf)).tolist()
    for index in (*(i for i in seen if i not in unmatched), *unmatched):
        is_unmatched = index in unmatched
        corners = (_corners(detections, index) * scale).round().astype(np.int32)
        thickness = max(1, round((4 if is_unmatched else 1.5) * unit))
        cv2.polylines(picture, [corners], isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
        if is_unmatched:
            name = drawn_name(int(detections.class_id[index]), detections.names)
            text = f"{name} {detections.confidence[index]:.2f}"
            _write(picture, text, (int(corners[:, 0].min()), int(corners[:, 1].min())), colour, 0.55 * unit)
    if detections.probabilities is not None:
        best = int(detections.probabilities.argmax())
        text = f"{drawn_name(best, detections.names)} {detections.probabilities[best]:.2f}"
        _write(picture, text, (0, round(40 * unit)), colour, 0.8 * unit)
    return np.vstack((_heading(picture.shape[1], worst, title, len(unmatched), meaning, colour, unit), picture))


def _heading(
    width: int,
    worst: WorstFrame,
    title: str,
    num_unmatched: int,
    meaning: str,
    colour: tuple[int, int, int],
    unit: float,
) -> Image:
    text = f"{title}    frame {worst.frame.index}    {num_unmatched} {meaning} (thick)"
    thickness = max(1, round(unit))
    # Shrunk until it fits: a small picture has a small heading rather than a cut one.
    scale = 0.6 * unit
    text_width = cv2.getTextSize(text, _FONT, scale, thickness)[0][0]
    scale *= min(1.0, (width - 40 * unit) / max(1, text_width))
    height = round(34 * unit)
    strip: Image = np.full((height, width, 3), 245, np.uint8)
    cv2.rectangle(strip, (0, 0), (round(14 * unit), height), colour, cv2.FILLED)
    origin = (round(24 * unit), round(22 * unit))
    cv2.putText(strip, text, origin, _FONT, scale, _INK, thickness, cv2.LINE_AA)
    return strip


def _corners(detections: Detections, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The corners of a box, of a rotated one with its rotation; float64 (4, 2), pixels of the frame."""
    if detections.boxes_xywhr is not None:
        x, y, w, h, angle = (float(value) for value in detections.boxes_xywhr[index])
        return np.asarray(cv2.boxPoints(((x, y), (w, h), float(np.degrees(angle)))), np.float64)
    left, top, right, bottom = detections.boxes_xyxy[index].tolist()
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def _write(picture: Image, text: str, anchor_xy: tuple[int, int], colour: tuple[int, int, int], scale: float) -> None:
    thickness = max(1, round(1.5 * scale))
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    left = max(0, min(anchor_xy[0], picture.shape[1] - width - 6))
    bottom = max(height + baseline + 6, anchor_xy[1])
    cv2.rectangle(picture, (left, bottom - height - baseline - 6), (left + width + 6, bottom), colour, cv2.FILLED)
    cv2.putText(picture, text, (left + 3, bottom - baseline - 2), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
