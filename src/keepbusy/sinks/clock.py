"""When each frame of an output video is shown: clips one after the other, each with the times of its source."""

from __future__ import annotations

from keepbusy.files.kinds import is_picture
from keepbusy.values.frame import Frame

DEFAULT_FPS = 25.0
"""For sources without a frame rate of their own (a folder of pictures)."""


class OutputClock:
    """Gives frames their place in one video.

    Within a clip frames keep the distances of their source. Where another clip begins (another source, or a time or an
    index that falls back: clips of a folder or a list, a loop, joined recordings) it follows the last frame.

    Args:
        fps: The source's frame rate; None where it has none.
    """

    def __init__(self, fps: float | None) -> None:
        self._nominal_s = 1 / (fps or DEFAULT_FPS)
        self._last: tuple[Frame, float] | None = None
        self._offset_s = 0.0
        self._step_s = self._nominal_s
        self._end_s = 0.0

    def place(self, frame: Frame) -> tuple[float, float]:
        """When a frame is shown, and for how long if none follows it; seconds since the start of the video.

        Pictures have no times: each is shown for a frame of `DEFAULT_FPS`.
        """
        time_s = frame.index / DEFAULT_FPS if is_picture(frame.source) else frame.timestamp_s
        if self._last is not None:
            last, last_s = self._last
            if _begins_anew(last, last_s, frame, time_s):
                self._offset_s = self._end_s - time_s
                self._step_s = self._nominal_s
            elif time_s > last_s:
                self._step_s = time_s - last_s
        self._last = frame, time_s
        start_s = time_s + self._offset_s
        self._end_s = start_s + self._step_s
        return start_s, self._step_s


def _begins_anew(last: Frame, last_s: float, frame: Frame, time_s: float) -> bool:
    if time_s < last_s or frame.index <= last.index:
        return True
    # The pictures of a folder are one clip.
    return frame.source != last.source and not (is_picture(frame.source) and is_picture(last.source))
