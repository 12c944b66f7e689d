"""Packets that were fed and are kept, so that another decoder can begin where one fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
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
    """Times of packets as the program gets them: they rise in the order in which pictures are shown.

    They never leap. Where pictures came out in another order, FFmpeg's program would take their times for wrong and
    give such as it guesses. Packets of a connection often tell only when they are shown, not when they are decoded.
    """

    def __init__(self) -> None:
        self._origin: int | None = None
        self._last = 0
        self._highest = FIRST_TICKS - 1

    def next(self, packet: Any, taken: Container[int], past: int) -> int:
        """When a packet's picture is shown.

        Args:
            packet: The packet, in the order of decoding.
            taken: The times that others have.
            past: The highest time whose picture has come out; what is decoded now is shown later.
        """
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            ticks = self._highest + 1
        else:
            if self._origin is None or abs(shown - self._last) > _MAX_STEP or shown - self._origin <= past:
                self._origin = shown - (self._highest + 1)
            self._last = shown
            ticks = shown - self._origin
        while ticks in taken:
            ticks += 1
        self._highest = max(self._highest, ticks)
        return ticks


FIRST_TICKS = 1 << 20
"""Of the first packet: pictures that lean on the key frame may be shown before it."""

_MAX_STEP = 1 << 32
