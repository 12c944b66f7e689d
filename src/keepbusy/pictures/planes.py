"""Pictures that are not BGR at full size yet, and how they become a model's input without getting there.

A video's decoder gives one plane of brightness and two of colour at half its size: half as many bytes as BGR. A model's
input is mostly smaller than the frame, so that making each plane smaller and converting what is left touches few
pixels, and the picture at full size is converted only where somebody looks at it. A JPEG can be decoded at a half, a
quarter or an eighth of its size for a fraction of the time.

Colours follow the matrix (BT.601, BT.709, ...) and the range that the video says it has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.values.frame import Image

if TYPE_CHECKING:
    from av import VideoFrame

FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12"})
"""Pixel formats, by FFmpeg's names, that `Planes` takes: 8 bits, colour at half the size in both directions."""

COLOUR_WEIGHTS = {
    **dict.fromkeys((2, 5, 6), (0.299, 0.114)),
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    **dict.fromkeys((9, 10), (0.2627, 0.0593)),
}
"""How much red and blue count for brightness, by FFmpeg's AVCOL_SPC_*: BT.601 (also where a video says nothing),
BT.709, FCC, SMPTE 240M, BT.2020 (ITU-T H.273, table 4)."""

MAX_SCRATCH = 4
"""For so many sizes of resized pictures a thread keeps working memory, six bytes a pixel each."""

_AVCOL_RANGE_JPEG = 2
_UINT8 = np.dtype(np.uint8)


class _Own(threading.local):
    """What a thread keeps: resized planes, and all of them in one, by size and kind."""

    def __init__(self) -> None:
        self.scratch: dict[tuple[int, int, bool], tuple[list[NDArray[np.uint8]], Image]] = {}


_OWN = _Own()


class Converter:
    """FFmpeg's conversion to BGR, set up once for all frames of a video. Thread-safe: calls queue up."""

    def __init__(self) -> None:
        # Of two threads that begin with different parts of PyAV, one gets a part that is not whole yet.
        import av  # noqa: F401 – whole, before parts of it
        from av.video.reformatter import VideoReformatter

        self._reformatter, self._apart = VideoReformatter(), VideoReformatter()
        self._lock = threading.Lock()

    def convert(self, decoded: VideoFrame) -> Image:
        """A decoded frame as uint8 (H, W, 3), BGR, C-contiguous, in memory of its own. Releases the GIL.

        Raises:
            av.FFmpegError: Its pixel format cannot be converted.
        """
        # FFmpeg takes other ways for other orders of the same colours, and their pictures differ at edges.
        is_interleaved = decoded.format.name == "nv12"
        with self._lock:
            # While it works it writes into the frame's colour fields, too: one thread at a time.
            planar = self._apart.reformat(decoded, format="yuv420p", threads=1) if is_interleaved else decoded
            converted = self._reformatter.reformat(planar, format="bgr24", threads=1)
        return np.ascontiguousarray(_bgr_view(converted))


class Planes:
    """A decoded picture that becomes BGR when it is asked for. Thread-safe.

    It keeps the decoder's frame, 1.5 bytes a pixel, and the BGR picture, once made, for as long as it lives. The
    decoder's memory may be what later frames are predicted from: it is only ever read.

    Args:
        decoded: The decoder's frame, of one of `FORMATS`.
        converter: What converts it.
    """

    __slots__ = ("_converter", "_decoded", "_image", "shape_hw")

    def __init__(self, decoded: VideoFrame, converter: Converter) -> None:
        self.shape_hw = (int(decoded.height), int(decoded.width))
        self._decoded = decoded
        self._converter = converter
        self._image: Image | None = None

    @classmethod
    def fits(cls, decoded: VideoFrame) -> bool:
        """Whether a decoded frame is of a kind that this class is made for."""
        is_known = decoded.format.name in FORMATS and int(decoded.colorspace) in COLOUR_WEIGHTS
        # A picture that stands on its head in memory does so with all of its planes.
        return is_known and decoded.planes[0].line_size > 0

    @property
    def image(self) -> Image:
        """The picture at full size: uint8 (H, W, 3), BGR; converted once, by whoever asks first."""
        image = self._image
        if image is None:
            # Two threads at once would both convert, and get the same pixels.
            image = self._image = self._converter.convert(self._decoded)
        return image

    @property
    def decoded(self) -> VideoFrame:
        """The decoder's frame, to be read only."""
        return self._decoded

    def __reduce__(self) -> tuple[Any, ...]:
        """Where it is pickled or deeply copied, it becomes the BGR picture: another process has no decoder."""
        return np.asarray, (self.image,)


class Reduced:
    """A picture that was decoded at a part of its size; the whole one is read when it is asked for. Thread-safe.

    Args:
        shape_hw: Height and width of the whole picture, pixels.
        pixels: uint8 (H, W, 3), BGR: the picture at a part of its size.
        read_whole: Reads the picture at full size.
    """

    __slots__ = ("_image", "_read_whole", "pixels", "shape_hw")

    def __init__(self, shape_hw: tuple[int, int], pixels: Image, read_whole: Callable[[], Image]) -> None:
        self.shape_hw = shape_hw
        self.pixels = pixels
        self._read_whole = read_whole
        self._image: Image | None = None

    @property
    def image(self) -> Image:
        """The picture at full size: uint8 (H, W, 3), BGR; read from its file by whoever asks first.

        Raises:
            FrameError: The file cannot be read any more.
        """
        image = self._image
        if image is None:
            image = self._image = self._read_whole()
        return image

    def __reduce__(self) -> tuple[Any, ...]:
        """Where it is pickled or deeply copied, it becomes the whole picture: the file may not be there."""
        return np.asarray, (self.image,)


def shrink(planes: Planes, window: NDArray[np.uint8]) -> None:
    """Write a picture, made smaller. Releases the GIL where it takes time.

    Brightness and colours are each resized to the size that is wanted, bilinearly, as `cv2.resize` does it with a BGR
    picture, and only then converted. (To keep the colours at half of the small size, as videos do, and have FFmpeg
    convert that, would save a fifth of the time at 768x432. It blurs the colours: mAP50-95 of YOLOv5n fell by 0.004.)

    Args:
        planes: The picture.
        window: uint8 (H, W, 3): gets BGR at its size; rows may lie apart.
    """
    decoded = planes.decoded
    height, width = window.shape[:2]
    views = plane_views(decoded)
    small, merged = _scratch(height, width, is_interleaved=len(views) == 2)
    # At half the size the colours are as large as they are wanted.
    parts = [
        view
        if view.shape[:2] == (height, width)
        else cv2.resize(view, (width, height), dst=resized, interpolation=cv2.INTER_LINEAR)
        for view, resized in zip(views, small, strict=True)
    ]
    cv2.merge(parts, dst=merged)
    cv2.transform(merged, to_bgr(decoded.colorspace, is_full_range(decoded)), dst=window)


def _scratch(height: int, width: int, *, is_interleaved: bool) -> tuple[list[NDArray[np.uint8]], Image]:
    """What `shrink` works in: the resized planes, and all of them in one.

    Each thread has its own and keeps it for the next frames: it stays in the core's cache, whatever slot they go to.
    """
    kept = _OWN.scratch
    key = (height, width, is_interleaved)
    if key not in kept:
        if len(kept) >= MAX_SCRATCH:
            kept.clear()
        shapes: list[tuple[int, ...]] = [(height, width), (height, width), (height, width)]
        if is_interleaved:
            shapes = [(height, width), (height, width, 2)]
        kept[key] = [np.empty(shape, np.uint8) for shape in shapes], np.empty((height, width, 3), np.uint8)
    return kept[key]


def is_full_range(decoded: VideoFrame) -> bool:
    """Whether brightness goes from 0 to 255, not from 16 to 235."""
    return decoded.format.name.startswith("yuvj") or int(decoded.color_range) == _AVCOL_RANGE_JPEG


@cache
def to_bgr(colorspace: int, is_full: bool) -> NDArray[np.float32]:
    """The matrix that makes (Y, U, V, 1), 8 bits each, B, G and R: float32 (3, 4).

    ITU-T H.273, 8.3. It is used by a conversion that rounds to the nearest; FFmpeg's rounds down, and so half a step is
    taken off, or else every picture would be brighter here than where it is drawn.

    Args:
        colorspace: FFmpeg's AVCOL_SPC_*, one of `COLOUR_WEIGHTS`.
        is_full: Whether brightness goes from 0 to 255.
    """
    red, blue = COLOUR_WEIGHTS[colorspace]
    green = 1 - red - blue
    light, colour, black = (1.0, 1.0, 0.0) if is_full else (255 / 219, 255 / 224, 16.0)
    of_u, of_v = 2 * (1 - blue) * colour, 2 * (1 - red) * colour
    matrix = np.array(
        [[light, of_u, 0], [light, -of_u * blue / green, -of_v * red / green], [light, 0, of_v]], np.float64
    )
    offsets = -matrix @ np.array([black, 128.0, 128.0]) - 0.5
    return np.column_stack((matrix, offsets)).astype(np.float32)


def plane_views(decoded: VideoFrame) -> list[NDArray[np.uint8]]:
    """The planes without the padding at the ends of their rows: uint8 (H, W), or (H, W, 2) for interleaved colours."""
    planes = decoded.planes
    views = [_view(plane, (plane.height, plane.width), (plane.line_size, 1)) for plane in planes]
    if len(planes) == 2:
        colours = planes[1]
        views[1] = _view(colours, (colours.height, colours.width, 2), (colours.line_size, 2, 1))
    return views


def _bgr_view(converted: VideoFrame) -> NDArray[np.uint8]:
    plane = converted.planes[0]
    return _view(plane, (plane.height, plane.width, 3), (plane.line_size, 3, 1))


def _view(memory: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory that somebody else owns, and that lives as long as the array."""
    view: NDArray[np.uint8] = np.ndarray(shape, _UINT8, memory, strides=strides)
    return view
