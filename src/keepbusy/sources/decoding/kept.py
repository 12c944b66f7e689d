"""Packets that were fed and are kept, so that another decoder can begin where one fails."""

from __future__ import annotations

from collections import deque
from typing import Any

MAX_KEPT_BYTES = 1 << 25
"""32 MiB: eight seconds of 4K, and minutes of most cameras."""


class Kept:
    """Packets from the last key frame on whose pictures have not all come out; from the one before it, until then.

    Where they are too many, or have no times, nothing is kept until the next key frame.

    Args:
        max_bytes: Of all together.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._packets: deque[Any] = deque()
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._is_whole = False

    def add(self, packet: Any) -> None:
        """A packet was fed."""
        if packet.pts is None:
            self.take()
        elif self._is_whole or packet.is_keyframe:
            self._is_whole = True
            self._packets.append(packet)
            self._num_bytes += packet.size
            if self._num_bytes > self._max_bytes:
                self.take()

    def trim(self, pts: int | None) -> None:
        """A picture has come out: what is before the last key frame that is shown no later is not needed any more."""
        if pts is None:
            return
        newest = 0
        for place, packet in enumerate(self._packets):
            if place and packet.is_keyframe and packet.pts <= pts:
                newest = place
        for _ in range(newest):
            self._num_bytes -= self._packets.popleft().size

    def take(self) -> list[Any]:
        """All of them; none is kept then."""
        packets, self._packets = list(self._packets), deque()
        self._num_bytes, self._is_whole = 0, False
        return packets


class Ticks:
    """Times of packets as the program gets them: they begin at 0, and never leap or fall back."""

    def __init__(self) -> None:
        self._last_dts: int | None = None
        self._now = 0

    def next(self, packet: Any, taken: dict[int, Any]) -> int:
        """When a packet's picture is shown.

        Args:
            packet: The packet, in the order of decoding.
            taken: The times that others have.
        """
        dts = packet.dts if packet.dts is not None else packet.pts
        step = 1
        if dts is not None:
            step = 1 if self._last_dts is None else max(1, min(dts - self._last_dts, _MAX_STEP))
            self._last_dts = dts
        self._now += step
        ahead = 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts
        ticks = self._now + max(0, min(ahead, _MAX_STEP))
        while ticks in taken:
            ticks += 1
        return ticks


_MAX_STEP = 1 << 32
