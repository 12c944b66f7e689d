"""A frame, and the pictures that it can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keepbusy.texts import line_name

Image = NDArray[np.uint8]
"""A picture: uint8, shape (H, W, 3), colour order BGR, C-contiguous."""


class Picture(Protocol):
    """A picture that becomes pixels only where they are asked for. Thread-safe."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width of `image`, pixels; known without making it."""
        ...

    @property
    def image(self) -> Image:
        """The picture at full size; made at the first call, then kept."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One picture of one source.

    Attributes:
        picture: The picture as its source has it: uint8 (H, W, 3), BGR, or what becomes that when it is asked for;
            None where the frame could not be read. To look at it, take `image`.
        index: Position within its source, from 0. A live source that drops frames leaves gaps.
        timestamp_s: Seconds since the start of the source: the container's clock for files, the time of
            capture for cameras, the index for pictures of a folder.
        source_id: Which of the run's sources it came from, from 0.
        source: That source's name; for a folder or a list, the file's own path.
        is_live: Whether it is from a camera or a network stream: its result may be dropped where a newer one comes.
        arrival_ns: Live sources that know it: when it came, before it was decoded, ns of `time.perf_counter_ns`; 0
            where that is not known.
        missing_hw: For a frame that could not be read, the height and width that its picture would have had.
    """

    picture: Image | Picture | None
    index: int
    timestamp_s: float
    source_id: int
    source: str
    missing_hw: tuple[int, int] = (0, 0)
    is_live: bool = False
    arrival_ns: int = 0

    def __repr__(self) -> str:
        return f"Frame({self.summary()})"

    def summary(self) -> str:
        """Which frame it is, in a few words: `street.mp4, frame 12 at 0.480 s, 1280x720`."""
        height, width = self.shape_hw
        size = f", {width}x{height}" if width and height else ""
        return f"{line_name(self.source)}, frame {self.index} at {self.timestamp_s:.3f} s{size}"

    @property
    def image(self) -> Image | None:
        """uint8 (H, W, 3), BGR; None where the frame could not be read.

        Frames of videos keep what the decoder gave until this is first asked for, in the thread that asks: a run whose
        frames nobody looks at never makes them. Treat it as read-only: all who ask get the same array.

        Raises:
            FrameError: The picture has to be read from its file again, and cannot be.
        """
        picture = self.picture
        return picture if picture is None or isinstance(picture, np.ndarray) else picture.image

    @property
    def width(self) -> int:
        """Width in pixels; 0 where the frame could not be read and its size is not known."""
        return self.shape_hw[1]

    @property
    def height(self) -> int:
        """Height in pixels; 0 where the frame could not be read and its size is not known."""
        return self.shape_hw[0]

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels; 0 and 0 where the frame could not be read and its size is not known."""
        picture = self.picture
        if picture is None:
            return self.missing_hw
        if isinstance(picture, np.ndarray):
            return picture.shape[:2]
        return picture.shape_hw
