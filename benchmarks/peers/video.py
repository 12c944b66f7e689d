"""The video as OpenCV reads it, again and again."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def looped(path: Path) -> Generator[NDArray[np.uint8], None, None]:
    """Frames, uint8 (H, W, 3), BGR; from the beginning again after the last.

    Raises:
        RuntimeError: The video cannot be read.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        is_fresh = True
        while True:
            is_read, frame = capture.read()
            if is_read:
                is_fresh = False
                yield frame  # type: ignore[misc]
            elif is_fresh:
                raise RuntimeError(f"{path}: OpenCV reads no frame of it")
            else:
                is_fresh = True
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    finally:
        capture.release()
