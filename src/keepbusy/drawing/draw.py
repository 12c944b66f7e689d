"""What was found, drawn on a picture. The one drawing of the package: files, windows and `plot` all use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.checks import check_numbers
from keepbusy.drawing.picture import Pixels, as_bgr
from keepbusy.drawing.scripts import drawn_name
from keepbusy.drawing.strokes import (
    FAR_PX,
    Colour,
    draw_classes,
    draw_keypoints,
    draw_label,
    draw_mask,
    draw_polygon,
    highest_corner,
)
from keepbusy.drawing.style import PLAIN, Style, style_of

_BLACK = (0, 0, 0)

STAMP_SCALE = 0.4
"""Size of the throughput's letters: smaller than the labels' of boxes, which are 0.55."""

# Twelve colours (BGR) that stay apart from each other, from grey roads and for most colour-blind people.
_PALETTE: tuple[Colour, ...] = (
    (60, 76, 231),
    (219, 152, 52),
    (113, 204, 46),
    (18, 156, 243),
    (182, 89, 155),
    (156, 188, 26),
    (0, 190, 241),
    (147, 73, 232),
    (34, 126, 230),
    (228, 204, 72),
    (120, 90, 60),
    (70, 200, 160),
)


class DrawableMasks(Protocol):
    """Masks that can be drawn: `keepbusy.values.masks.Masks` are."""

    def crop(self, index: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """One mask, bool (h, w), and the pixel (x, y) of its top left corner in the picture."""
        ...


class Drawable(Protocol):
    """What `draw` draws: `keepbusy.Detections`, or an object of yours with these attributes.

    Shapes and units are those of `keepbusy.Detections`.
    """

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """float32 (N, 4), pixels: left, top, right, bottom."""
        ...

    @property
    def confidence(self) -> NDArray[np.float32]:
        """float32 (N,), 0 to 1."""
        ...

    @property
    def class_id(self) -> NDArray[np.int64]:
        """int64 (N,), index into `names`; chooses the colour, too."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Class names."""
        ...

    @property
    def masks(self) -> DrawableMasks | None:
        """One mask a box, or None."""
        ...

    @property
    def keypoints(self) -> NDArray[np.float32] | None:
        """float32 (N, K, 3): x, y, confidence; or None."""
        ...

    @property
    def boxes_xyxyxyxy(self) -> NDArray[np.float32] | None:
        """float32 (N, 4, 2): the corners of rotated boxes, which are drawn instead of `boxes_xyxy`; or None."""
        ...

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """float32 (C,): of the whole picture, for classification; or None."""
        ...

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The k most probable classes of a classification: (class id, probability)."""
        ...


def draw(picture: Pixels, found: Drawable, style: Style = PLAIN, *, throughput_fps: float | None = None) -> None:
    """Draw what was found on a picture, in place.

    Masks lie translucent below everything, then boxes (rotated ones as they stand) with labels, then keypoints; a
    classification is a list in the corner. Lines and letters are sized for 720p, and grow with the picture's shorter
    side. Each class has a colour of its own, the same in all pictures.

    Args:
        picture: uint8 (H, W, 3), BGR, C-contiguous; changed. `as_bgr` makes one of any picture.
        found: What is drawn; its coordinates are pixels of the picture.
        style: What is drawn, and how.
        throughput_fps: Frames per second, written in the corner where the style has it; None for none.

    Raises:
        ConfigError: A coordinate or a probability is not finite (NaN or infinity). Nothing is drawn then.
    """
    corners = found.boxes_xyxyxyxy
    for name, rows in (
        ("boxes_xyxy", found.boxes_xyxy),
        ("boxes_xyxyxyxy", corners),
        ("keypoints", found.keypoints),
        ("probabilities", found.probabilities),
    ):
        check_numbers(name, rows)
    unit = max(0.7, min(picture.shape[:2]) / 720)
    thickness = style.line_width_px or max(1, round(2 * unit))
    class_ids = found.class_id.tolist()
    colours = [_PALETTE[class_id % len(_PALETTE)] for class_id in class_ids]
    if found.masks is not None:
        # Largest first, so that what stands before a large thing keeps its own tint.
        sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        for index in np.argsort(-sides.prod(axis=1), kind="stable").tolist():
            draw_mask(picture, *found.masks.crop(index), colours[index], thickness)
    boxes = np.clip(found.boxes_xyxy, -FAR_PX, FAR_PX).round().astype(int).tolist()
    confidence = found.confidence.tolist()
    # The most confident ones are drawn last, over the others.
    for index in range(len(class_ids) - 1, -1, -1):
        left, top, right, bottom = boxes[index]
        anchor = (left, top)
        if corners is None:
            cv2.rectangle(picture, (left, top), (right, bottom), colours[index], thickness, cv2.LINE_AA)
        else:
            draw_polygon(picture, corners[index], colours[index], thickness)
            anchor = highest_corner(corners[index])
        if style.has_labels:
            text = drawn_name(class_ids[index], found.names)
            text = f"{text} {confidence[index]:.2f}" if style.has_confidence else text
            draw_label(picture, text, anchor, colours[index], 0.55 * unit)
    for points in () if found.keypoints is None else found.keypoints[::-1]:
        draw_keypoints(picture, points, unit)
    end = 0
    if throughput_fps and style.has_throughput:
        end = draw_label(picture, f"{throughput_fps:.1f} FPS", (0, 0), _BLACK, STAMP_SCALE * unit)
    if found.probabilities is not None:
        classes = [
            (drawn_name(class_id, found.names), probability, _PALETTE[class_id % len(_PALETTE)])
            for class_id, probability in found.top(5)
        ]
        draw_classes(picture, classes, end, unit)


def drawn(
    caller: str,
    image: Any,
    found: Drawable,
    frame_hw: tuple[int, int] | None,
    *,
    labels: bool = True,
    conf: bool = True,
    line_width: int | None = None,
) -> Pixels:
    """A copy of a picture that somebody gives, with what was found on it.

    Args:
        caller: What it is given to, for messages.
        image: As for `as_bgr`.
        found: What is drawn.
        frame_hw: The (height, width) that the picture must have, pixels; None for any.
        labels: Whether boxes have the names of their classes.
        conf: Whether labels tell the confidence.
        line_width: Width of lines, pixels; None to go by the picture's size.

    Raises:
        ConfigError: It is no picture, or one of another size, or something has a value that it cannot have.
    """
    style = style_of(labels=labels, conf=conf, line_width=line_width)
    picture = as_bgr(caller, image, frame_hw)
    draw(picture, found, style)
    return picture
