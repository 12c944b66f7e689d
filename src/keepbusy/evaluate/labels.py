"""YOLO's label files: one object a line, `class cx cy w h` or `class x1 y1 x2 y2 ...`, as shares of the picture.

A pose row has its box first, as any other, and then its keypoints, which are not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import first_line
from keepbusy.evaluate.problems import Problems
from keepbusy.files.paths import read_text

TOLERANCE = 0.01
"""Rounding in labelling tools puts numbers this far outside of 0 to 1; the field lets that pass."""

MAX_CLASSES = 100_000
"""A class id above this is a typing error."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelFile:
    """The objects of one picture.

    Attributes:
        boxes_xyxy: float64 (N, 4): left, top, right, bottom as shares of the picture's width and height.
        class_id: int64 (N,), as written.
        line: int64 (N,), where each stands, from 1.
        num_repeats: Lines that repeat an earlier one word for word, left out.
    """

    boxes_xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    line: NDArray[np.int64]
    num_repeats: int = 0


NO_LABELS = LabelFile(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0, np.int64))


def read_labels(path: Path, problems: Problems, pose_lengths: frozenset[int] = frozenset()) -> LabelFile:
    """Read one label file; its bad lines go to the problems and are left out.

    Args:
        path: The file. An empty one says that there is nothing to find in its picture.
        problems: Where faults are noted, as `file:line: what`.
        pose_lengths: How many numbers a row has that is a box and keypoints, where the data has keypoints.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        problems.add(str(path), f"cannot be read: {getattr(error, 'strerror', None) or first_line(error)}")
        return NO_LABELS
    rows: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    numbers: list[int] = []
    seen: set[tuple[str, ...]] = set()
    num_repeats = 0
    for number, line in enumerate(lines, start=1):
        words = tuple(line.split())
        if not words:
            continue
        if words in seen:
            num_repeats += 1
            continue
        seen.add(words)
        try:
            class_id, box = _parse(words, pose_lengths)
        except ValueError as error:
            problems.add(f"{path}:{number}", str(error))
            continue
        rows.append(box)
        classes.append(class_id)
        numbers.append(number)
    return LabelFile(
        np.array(rows, np.float64).reshape(-1, 4),
        np.array(classes, np.int64),
        np.array(numbers, np.int64),
        num_repeats,
    )


def _parse(words: tuple[str, ...], pose_lengths: frozenset[int]) -> tuple[int, tuple[float, float, float, float]]:
    """One line's words → class id and box (left, top, right, bottom), shares."""
    if len(words) in pose_lengths:
        words = words[:5]
    if len(words) == 6:
        raise ValueError("6 numbers: a label with a confidence is a detection, not truth")
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        count = f"{len(words)} number{'s' if len(words) > 1 else ''}"
        raise ValueError(f"{count}: a box has 5, a polygon 7, 9, 11, ...{_pose_remark(words)}")
    class_id = _class_id(words[0])
    values = [_share(word) for word in words[1:]]
    if len(values) > 4:
        x, y = values[0::2], values[1::2]
        box = (min(x), min(y), max(x), max(y))
    else:
        cx, cy, width, height = values
        box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    if not (box[2] > box[0] and box[3] > box[1]):
        raise ValueError("the box has no area")
    return class_id, box


def _pose_remark(words: tuple[str, ...]) -> str:
    """How rows with keypoints are read, where a row may be one: three numbers for each point."""
    is_maybe_pose = len(words) > 6 and (len(words) - 5) % 3 == 0
    return "; for a box and keypoints, give the data's .yaml with `kpt_shape`" if is_maybe_pose else ""


def _class_id(word: str) -> int:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (value >= 0 and value.is_integer()):
        raise ValueError(f"{word!r} is not a class id: whole numbers from 0")
    if value > MAX_CLASSES:
        raise ValueError(f"{word!r} is no class id that anyone has")
    return int(value)


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{word!r} is not a finite number")
    if not -TOLERANCE <= value <= 1 + TOLERANCE:
        raise ValueError(f"{word} is not a share of the picture, 0 to 1 (are these pixels?)")
    return value
