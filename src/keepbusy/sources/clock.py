"""A source's time: from its container's clock to seconds since the start that never fall."""

from __future__ import annotations

MAX_LEAP_S = 10.0
"""What is more is no gap between two pictures of a file. As `-dts_delta_threshold` of FFmpeg's program."""

MAX_LIVE_LEAP_S = 3600.0
"""A camera may really have been silent for longer."""


class SourceClock:
    """Seconds since the start of a source.

    Args:
        fps: The source's frame rate; None where it has none.
        may_leap: Whether the container's clock can be set anew between two pictures: transport and program streams are
            joined as they are. Any fall is a join there, and so is a leap: one backwards can look like one of 26 hours
            forwards, because their clocks have 33 bits. Elsewhere a picture may be out of order, and only a fall of
            more than `MAX_LEAP_S` is a new beginning.
        is_live: Whether gaps may be long.
    """

    def __init__(self, fps: float | None, *, may_leap: bool = False, is_live: bool = False) -> None:
        self._fps = fps
        self._may_leap = may_leap
        self._max_leap_s = MAX_LIVE_LEAP_S if is_live else MAX_LEAP_S
        self._start_s: float | None = None
        self._offset_s = 0.0
        self._last_s: float | None = None
        self._floor_s = 0.0

    @property
    def next_s(self) -> float:
        """When the next picture is to be expected, seconds since the start."""
        period_s = 1 / self._fps if self._fps else 0.0
        return 0.0 if self._last_s is None else max(self._last_s + period_s, self._floor_s)

    def pass_over(self) -> float:
        """The time of a picture that cannot be had; later ones are not earlier.

        Not its packet's own time: pictures that are shown before it may still come.
        """
        self._floor_s = max(self._floor_s, self.next_s)
        return self._floor_s

    @property
    def has_started(self) -> bool:
        """Whether it is known where the container's clock started."""
        return self._start_s is not None

    def start_at(self, seconds: float) -> None:
        """Let the source start at a time of the container's clock; by default it does with the first picture."""
        self._start_s = seconds

    def place(self, seconds: float | None, index: int) -> float:
        """A picture's time as seconds since the start, never below the one before.

        Args:
            seconds: On the container's clock; None where it does not say.
            index: The picture's place, which is its time then.
        """
        if seconds is None:
            timestamp_s = index / self._fps if self._fps else float(index)
        else:
            start_s = self._start_s
            if start_s is None:
                start_s = self._start_s = seconds
            timestamp_s = seconds - start_s + self._offset_s
        if self._last_s is not None:
            if self._begins_anew(timestamp_s - self._last_s):
                self._offset_s += self.next_s - timestamp_s
                timestamp_s = self.next_s
            timestamp_s = max(timestamp_s, self._last_s)
        self._last_s = timestamp_s
        return max(timestamp_s, self._floor_s)

    def _begins_anew(self, step_s: float) -> bool:
        if self._may_leap:
            return step_s < 0 or step_s > self._max_leap_s
        return step_s < -self._max_leap_s
