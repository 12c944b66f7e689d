"""Annotated video: H.264 in MP4, at the source's size and times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keepbusy.errors import SinkError, first_line
from keepbusy.sinks.draw import ThroughputMeter, annotate
from keepbusy.sinks.naming import check_file, write_error
from keepbusy.types import Image, Result

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv"})

_TIME_BASE = Fraction(1, 90_000)
"""The clock of MPEG; every common frame rate falls on its ticks to within 6 microseconds."""

DEFAULT_FPS = 25.0
"""For sources without a frame rate of their own (a folder of pictures)."""


class VideoFile:
    """Writes annotated frames to one file.

    The file can be played at any moment, also when the program dies: it is written in fragments, and made a
    plain MP4 when it is closed. H.264 at 4:2:0 needs even sides: an odd one is repeated once. Frames of another
    size than the first are scaled to it.

    Args:
        path: The file, overwritten.
        fps: The source's frame rate; None where it has none.

    Raises:
        SinkError: The file cannot be made.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        check_file(path)
        self._path = path
        self._fps = fps
        self._meter = ThroughputMeter()
        self._container: Any = None
        self._stream: Any = None
        self._size_wh = (0, 0)
        self._last_pts = -1

    def write(self, result: Result) -> None:
        if result.frame.image is None:
            return
        throughput_fps = self._meter.add(result.timings.decode_end_ns) if result.error is None else None
        picture = _even(annotate(result, throughput_fps))
        try:
            if self._container is None:
                self._open(picture)
            self._encode(picture, self._pts(result))
        except OSError as error:
            raise write_error(self._path, error) from error
        except ValueError as error:
            raise SinkError(f"{self._path}: cannot be encoded: {first_line(error)}") from error

    def close(self) -> None:
        container, self._container = self._container, None
        if container is None:
            return
        try:
            try:
                container.mux(self._stream.encode())
            finally:
                container.close()
        except OSError as error:
            raise write_error(self._path, error) from error

    def _open(self, picture: Image) -> None:
        import av

        is_mp4 = self._path.suffix.lower() != ".mkv"
        # Flushed, so that each finished fragment is on the disk in full.
        options = {"flush_packets": "1"}
        if is_mp4:
            options["movflags"] = "hybrid_fragmented+frag_keyframe"
        self._container = av.open(str(self._path), "w", options=options)
        rate = Fraction(self._fps or DEFAULT_FPS).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        # `veryfast` costs a third of the default's time for a tenth more bytes; the device needs the cores.
        # A key frame every two seconds bounds what is lost when the program dies. Without B-frames pictures are
        # stored in the order they are shown, and keep their times in a fragmented file, which has no edit list.
        stream.options = {"preset": "veryfast", "crf": "23", "bf": "0", "g": str(max(1, round(2 * rate)))}
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        self._stream = stream
        self._size_wh = (picture.shape[1], picture.shape[0])

    def _pts(self, result: Result) -> int:
        timestamp_s = result.frame.timestamp_s
        if self._fps is None:
            timestamp_s = result.frame.index / DEFAULT_FPS
        self._last_pts = max(round(timestamp_s / _TIME_BASE), self._last_pts + 1)
        return self._last_pts

    def _encode(self, picture: Image, pts: int) -> None:
        import av

        if (picture.shape[1], picture.shape[0]) != self._size_wh:
            picture = np.asarray(cv2.resize(picture, self._size_wh), np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = pts, _TIME_BASE
        self._container.mux(self._stream.encode(frame))


def _even(picture: Image) -> Image:
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
