"""How late the packets of a live stream come: a link that is too slow for it holds them up, and they look fresh.

A stream's own clock tells. The packets that came the quickest against it, lately, were not held up; how much later
others come is how long they have waited on the way.
"""

from __future__ import annotations

USUAL_S = 0.25
"""A network's unevenness, and that of the thread that reads: less is not told."""

MAX_LATE_S = 5.0
"""Pictures that are later for as long as the longest silence: the connection has failed. Another one begins with the
present."""

_MAX_DRIFT = 0.01
"""A camera's clock that goes slow by less is no link that is too slow. 29.97 for 30 pictures per second is 0.001."""


class Lateness:
    """Of one connection. For one thread."""

    def __init__(self) -> None:
        self._quickest_ns: float | None = None
        self._last: tuple[float, int] = (0.0, 0)
        self._late_ns = 0.0
        self._since_ns: int | None = None

    def of(self, time_s: float, arrival_ns: int) -> int:
        """For how long a packet has been held up, nanoseconds.

        Args:
            time_s: Its time by the stream's own clock.
            arrival_ns: When it came.
        """
        took_ns = arrival_ns - time_s * 1e9
        last_s, last_ns = self._last
        if self._quickest_ns is None:
            self._quickest_ns = took_ns
        elif time_s < last_s:  # The clock was set back: that is no lateness.
            self._quickest_ns = took_ns - self._late_ns
        else:
            self._quickest_ns = min(self._quickest_ns + _MAX_DRIFT * (arrival_ns - last_ns), took_ns)
        self._last = time_s, arrival_ns
        self._late_ns = took_ns - self._quickest_ns
        if self._late_ns < MAX_LATE_S * 1e9:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = arrival_ns
        return round(self._late_ns) if self._late_ns > USUAL_S * 1e9 else 0

    def has_failed(self, timeout_s: float) -> bool:
        """Whether packets have been far too late for some seconds."""
        return self._since_ns is not None and self._last[1] - self._since_ns > timeout_s * 1e9

    @property
    def late_s(self) -> float:
        """Of the last packet, seconds."""
        return self._late_ns / 1e9
