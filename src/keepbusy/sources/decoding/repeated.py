"""Packets that can be read again, and whose decoder can be left at a key frame."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from keepbusy.sources.packets import Packets

if TYPE_CHECKING:
    from av import VideoFrame


class RepeatedPackets(Packets):
    """As `Packets`, for a stream that another decoder takes over.

    Args:
        container, stream, **how: As for `Packets`.
    """

    def __init__(self, container: Any, stream: Any, **how: Any) -> None:
        super().__init__(container, stream, **how)
        self._again: deque[Any] = deque()

    def pull(self) -> Any:
        return self._again.popleft() if self._again else super().pull()

    def go_back(self, packets: Iterable[Any]) -> None:
        """Have some packets read again before all others; the decoder begins anew."""
        self._again.extendleft(reversed(list(packets)))
        self._stream.codec_context.flush_buffers()
        self._stream.codec_context.skip_frame = "DEFAULT"

    def has_again(self) -> bool:
        """Whether the next packet is one that is read again."""
        return bool(self._again)

    def give_tail(self) -> None:
        """Let the decoder give out what it holds, and begin anew."""
        context = self._stream.codec_context
        with contextlib.suppress(*self._failures):
            self._decoded.extend(context.decode(None))
        context.flush_buffers()

    def first_picture(self, packet: Any) -> VideoFrame | None:
        """A key frame's picture, decoded beside all others; the decoder begins anew. None where there is none."""
        context = self._stream.codec_context
        found: list[VideoFrame] = []
        with contextlib.suppress(*self._failures):
            found += context.decode(packet)
            found += context.decode(None)
        context.flush_buffers()
        return next(iter(found), None)

    def given_elsewhere(self, pts: int | None) -> None:
        """Hear of a picture that another decoder has given of a packet."""
        self._num_given += 1
        self._last_pts = pts
        self._num_failed_since = 0
