"""Webcams, by their number."""

from __future__ import annotations

import time
from collections import Counter

import cv2
import numpy as np

from keepbusy.errors import FrameError, SourceError
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.values.frame import Frame
from keepbusy.values.streams import DropCause

AWAY_S = 0.2
"""Nobody has read for so long: the driver has kept frames that are not fresh any more."""

WAITED_S = 0.002
"""A frame that was there in less time was one of them."""


class Camera(Source):
    """A camera of this machine. Live.

    Args:
        number: The camera's number, from 0.
        source_id: The source's number in the run.

    Raises:
        SourceError: There is no such camera, or it is in use.
    """

    def __init__(self, number: int, source_id: int = 0) -> None:
        self._name = str(number)
        self._source_id = source_id
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise SourceError(
                f"camera {number}: cannot be opened",
                hint="check that it is plugged in, not used by another program, and may be read by you",
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.info = SourceInfo(self._name, is_live=True, fps=fps if fps > 0 else None)
        height, width = (int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self._sizes = {(height, width): 1} if height > 0 and width > 0 else {}
        self._start_ns = self._grabbed_ns = time.perf_counter_ns()
        self._dropped: Counter[DropCause] = Counter()
        self._index = 0
        self._is_over = False

    def read(self) -> Frame | None:
        if self._is_over:
            return None
        is_read, image = self._capture.retrieve() if self._grab() else (False, None)
        index = self._index
        self._index += 1
        if not is_read or image is None:
            self._is_over = True
            raise FrameError(
                "the camera stopped",
                stage="read",
                source=self._name,
                frame_index=index,
                hint="check its cable",
                is_last=True,
            )
        timestamp_s = (self._grabbed_ns - self._start_ns) / 1e9
        picture = np.asarray(image, np.uint8)
        return Frame(picture, index, timestamp_s, self._source_id, self._name, arrival_ns=self._grabbed_ns)

    def skip(self) -> bool:
        self._index += 1
        return not self._is_over and self._grab()

    def _grab(self) -> bool:
        """Have the next frame, and note when it came. What the driver has kept while nobody read is passed over."""
        begin_ns = time.perf_counter_ns()
        was_away = begin_ns - self._grabbed_ns > AWAY_S * 1e9
        is_grabbed, self._grabbed_ns = bool(self._capture.grab()), time.perf_counter_ns()
        while is_grabbed and was_away and self._grabbed_ns - begin_ns < WAITED_S * 1e9:
            self._dropped["overload"] += 1
            self._index += 1
            begin_ns = time.perf_counter_ns()
            is_grabbed, self._grabbed_ns = bool(self._capture.grab()), time.perf_counter_ns()
        return is_grabbed

    def take_dropped(self) -> Counter[DropCause]:
        dropped, self._dropped = self._dropped, Counter()
        return dropped

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        return dict(self._sizes)

    def interrupt(self) -> None:
        # What OpenCV waits for cannot be broken off: on Linux it gives up after 10 s (`select` in its V4L2 part).
        self._is_over = True

    def close(self) -> None:
        self._is_over = True
        self._capture.release()
