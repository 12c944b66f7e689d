"""Which way up a decoded picture is to be shown: the whole display matrix, mirrors included."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.values.frame import Image

if TYPE_CHECKING:
    from av import VideoFrame

_MATRIX_BYTES = 36


class Orientation:
    """One of the eight ways to turn and mirror a picture by right angles.

    Args:
        matrix: The upper left part of the display matrix (a, b, c, d), any scale: a point (x, y) of the stored
            picture is shown at (a x + c y, b x + d y). ISO/IEC 14496-12, 6.2.2.
    """

    __slots__ = ("_is_flipped_x", "_is_flipped_y", "is_upright", "swaps_sides")

    def __init__(self, matrix: tuple[int, int, int, int] = (1, 0, 0, 1)) -> None:
        a, b, c, d = matrix
        self.swaps_sides = abs(a) + abs(d) < abs(b) + abs(c)
        self._is_flipped_x = (c if self.swaps_sides else a) < 0
        self._is_flipped_y = (b if self.swaps_sides else d) < 0
        self.is_upright = not (self.swaps_sides or self._is_flipped_x or self._is_flipped_y)

    def size_hw(self, height: int, width: int) -> tuple[int, int]:
        """Height and width as shown, of a picture stored with these."""
        return (width, height) if self.swaps_sides else (height, width)

    def apply(self, image: Image) -> Image:
        """The picture as it is to be shown: uint8 (H, W, 3), C-contiguous."""
        shown: NDArray[np.uint8] = image.transpose(1, 0, 2) if self.swaps_sides else image
        if self._is_flipped_x:
            shown = shown[:, ::-1]
        if self._is_flipped_y:
            shown = shown[::-1]
        return np.ascontiguousarray(shown)


NAMED_PROFILES = frozenset({"png", "apng"})
"""Decoders that give a colour profile its name. PyAV 18 frees that name twice when a frame's side data were looked at,
which ends the process."""


def orientation_of(decoded: VideoFrame, codec: str) -> Orientation:
    """What the display matrix of a decoded frame asks for; upright where it has none.

    Args:
        decoded: The frame.
        codec: The decoder's name: of frames of `NAMED_PROFILES` the angle alone is followed.
    """
    import av  # noqa: F401 – whole, before parts of it: see pictures/planes.py
    from av.sidedata.sidedata import Type

    if codec in NAMED_PROFILES:
        return _turned(decoded.rotation)
    try:
        # The stubs do not know that it is a mapping by type.
        side_data: Any = decoded.side_data
    except ValueError:
        # FFmpeg gives data (such as EXIF) of a type that this PyAV has no name for. The angle is known all the same.
        return _turned(decoded.rotation)
    matrix = side_data.get(Type.DISPLAYMATRIX)
    content = b"" if matrix is None else bytes(matrix)
    if len(content) < _MATRIX_BYTES:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", content[:_MATRIX_BYTES])
    return Orientation((a, b, c, d)) if (a or b) and (c or d) else Orientation()


def _turned(angle_deg: int) -> Orientation:
    """By an angle anticlockwise, without a mirror."""
    quarters = round(angle_deg / 90) % 4
    return Orientation(((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[quarters])
