"""What is said of a video's frame that cannot be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from keepbusy.errors import FrameError
from keepbusy.sources.base import SourceInfo
from keepbusy.sources.container import Location
from keepbusy.sources.limits import MAX_VIDEO_PIXELS, ShapeHW, too_large
from keepbusy.sources.orientation import Orientation


@dataclass(frozen=True, slots=True)
class VideoErrors:
    """The errors of one opened video.

    Attributes:
        location: Where it lies.
        info: What is known about it.
        stream: PyAV's, of which the frames are.
    """

    location: Location
    info: SourceInfo
    stream: Any

    @property
    def coded_hw(self) -> ShapeHW:
        """The (height, width) of its pictures by its header, pixels, as they are coded; 0 where it does not say."""
        return self.stream.height or 0, self.stream.width or 0

    def failed(
        self, message: str, frame_index: int, timestamp_s: float, orientation: Orientation | None, *, is_last: bool
    ) -> FrameError:
        """A frame that cannot be had.

        Args:
            message: What happened.
            frame_index: As for `FrameError`.
            timestamp_s: As for `FrameError`.
            orientation: How its pictures are turned; None where none has come yet.
            is_last: No frame comes behind it.
        """
        hint = (
            "check the network and the camera"
            if self.location.is_url
            else "the frames before it have been delivered; ffmpeg -i FILE -c copy NEW may repair the container"
        )
        return FrameError(
            message,
            stage="read",
            source=self.info.name,
            frame_index=frame_index,
            hint=hint,
            timestamp_s=timestamp_s,
            shape_hw=(orientation or Orientation()).size_hw(*self.coded_hw),
            is_last=is_last,
        )

    def ended(self, num_read: int) -> str:
        """The message of a video that ended before its time, behind some frames."""
        if self.info.is_live:
            return f"the stream ended after {num_read} frames"
        promised = f" of {self.info.num_frames}" if self.info.num_frames else ""
        return f"the video is damaged or cut short: ends after {num_read}{promised} frames"

    def too_large(self, shape_hw: ShapeHW | None, what: str, frame_index: int, timestamp_s: float) -> FrameError:
        """A picture with more pixels than are allowed; arguments as for `limits.too_large`."""
        return too_large(
            shape_hw,
            self.location.max_pixels,
            source=self.info.name,
            frame_index=frame_index,
            what=what,
            timestamp_s=timestamp_s,
            highest=MAX_VIDEO_PIXELS,
        )

    def promised_too_large(self) -> FrameError | None:
        """The one error of a video whose pictures all have more pixels than are allowed, by its header."""
        if math.prod(self.coded_hw) <= self.location.max_pixels:
            return None
        return self.too_large(self.coded_hw, "the video", 0, 0.0)
