"""What a kind of input is, and what is true of every result."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from keepbusy.types import Detections, Result

MAX_DET = 50
"""Given to every run, and held against its results."""


class Kind(Protocol):
    """One kind of input."""

    def seeds(self, folder: Path) -> list[Path]:
        """Make good inputs in a folder."""
        ...

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        """A good input's content, damaged."""
        ...

    def use(self, path: Path) -> str:
        """Do with an input what the program does; in a word, what came of it.

        Raises:
            KeepbusyError: It was refused.
            AssertionError: What came of it cannot be.
        """
        ...


def check_results(results: Iterable[Result]) -> str:
    """See that results can be; how many of them are errors.

    Raises:
        AssertionError: One cannot be.
    """
    num, num_errors = 0, 0
    last_s: dict[tuple[int, str], float] = {}
    for result in results:
        frame = result.frame
        key = (frame.source_id, frame.source)
        assert frame.timestamp_s >= last_s.get(key, 0.0), f"time falls: {last_s.get(key)} to {frame.timestamp_s}"
        assert np.isfinite(frame.timestamp_s)
        last_s[key] = frame.timestamp_s
        num += 1
        if result.error is not None:
            num_errors += 1
        else:
            check_detections(result.detections, (frame.height, frame.width))
    return "all read" if not num_errors else "some read" if num > num_errors else "none read"


def check_detections(found: Detections, frame_hw: tuple[int, int]) -> None:
    """See that detections can be.

    Raises:
        AssertionError: They cannot.
    """
    boxes = found.boxes_xyxy
    assert len(boxes) <= MAX_DET
    assert np.isfinite(boxes).all() and np.isfinite(found.confidence).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    if len(boxes):
        assert boxes.min() >= 0 and boxes[:, [0, 2]].max() <= frame_hw[1] and boxes[:, [1, 3]].max() <= frame_hw[0]
        assert (boxes[:, 2:] >= boxes[:, :2]).all()
