"""A picture that software has decoded: what the program's pictures are to be like."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.pictures.planes import Planes, is_full_range, plane_views
from keepbusy.sources.decoding.program import Picture

if TYPE_CHECKING:
    from av import VideoFrame

MAX_DIFFERENCE = 2.0
"""Mean difference of a first picture from software's, of 255. The standards leave none; edges of blocks that are not
smoothed (`fast_decode`) make some."""

_FULL_RANGE = 2
_MARK = "keepbusy"


class Likeness:
    """What only a decoder of the whole stream knows of its pictures: colours, and which way up they are shown.

    Args:
        first: A key frame's picture.
    """

    def __init__(self, first: VideoFrame) -> None:
        self.first = first
        self.shape_hw = (first.height, first.width)
        self._color_range = _FULL_RANGE if is_full_range(first) else first.color_range

    def unfit(self) -> str:
        """Why such pictures are not decoded by the program; empty where they are."""
        first = self.first
        if first.interlaced_frame:
            return "its pictures are interlaced"
        if not Planes.fits(first):
            return f"its pictures are {first.format.name}, and not 8 bits with colours at half the size"
        return "its sides are odd" if first.width % 2 or first.height % 2 else ""

    def is_same(self, picture: Picture) -> bool:
        """Whether the program's picture of the same packet is the same."""
        light, height = plane_views(self.first)[0], self.first.height
        difference = np.abs(picture.planes[:height:2, ::2].astype(np.int16) - light[::2, ::2])
        return float(difference.mean()) <= MAX_DIFFERENCE

    def frame(self, picture: Picture, pts: int | None, time_base: Fraction) -> VideoFrame:
        """The program's picture as one of PyAV's; nothing is copied."""
        from av import VideoFrame

        frame = VideoFrame.from_numpy_buffer(picture.planes, format="nv12")
        frame.pts, frame.time_base = pts, time_base
        frame.colorspace, frame.color_range = self.first.colorspace, self._color_range
        frame.opaque = _MARK
        return frame


def is_of_program(decoded: VideoFrame) -> bool:
    """Whether `Likeness.frame` has made a picture."""
    return bool(decoded.opaque == _MARK)
