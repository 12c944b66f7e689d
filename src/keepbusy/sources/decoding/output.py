"""What has come out of FFmpeg's program and is to be given, and what is needed to begin again without a gap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from keepbusy.sources.decoding.kept import Kept
from keepbusy.sources.decoding.session import Out
from keepbusy.sources.packets import PacketError

if TYPE_CHECKING:
    from av import VideoFrame


class Given:
    """What was given already, where packets are decoded a second time.

    Attributes:
        pts: When the last picture that was given is shown.
        skips: Whether what comes may have been given.
    """

    def __init__(self) -> None:
        self.pts: int | None = None
        self.skips = False

    def note(self, pts: int | None) -> None:
        """A picture is given."""
        self.pts = self.pts if pts is None else pts

    def has(self, pts: int | None) -> bool:
        """Whether a picture was given before."""
        if not self.skips or pts is None or self.pts is None:
            return False
        self.skips = pts <= self.pts
        return self.skips


class Output:
    """For one thread.

    Attributes:
        kept: Packets that were fed.
        given: What was given already.
    """

    def __init__(self) -> None:
        self.kept = Kept()
        self.given = Given()
        self._ready: deque[Out] = deque()

    def __bool__(self) -> bool:
        return bool(self._ready)

    def add(self, out: Iterable[Out]) -> None:
        """Something has come out; what was given before is left out."""
        self._ready += [one for one in out if not self.given.has(one.pts)]

    def give(self) -> tuple[int | None, VideoFrame]:
        """The next picture, and when it is shown, ticks of the stream.

        Raises:
            PacketError: What stands in its place.
        """
        pts, found = self._ready.popleft()
        if isinstance(found, PacketError):
            raise found
        self.given.note(pts)
        self.kept.trim(pts)
        return pts, found

    def lose(self, num_inside: int, reason: str) -> list[Any]:
        """The program has failed: the packets that are to be decoded again, none where they were too many.

        Args:
            num_inside: Packets that it had got, and whose pictures have not come out.
            reason: Why.
        """
        kept = self.kept.take()
        if not kept:
            self._ready += [Out(None, PacketError(f"lost with its decoder: {reason}")) for _ in range(num_inside)]
        # What is ready will have been given when the next one comes.
        for one in self._ready:
            self.given.note(one.pts)
        self.given.skips = bool(kept)
        return kept

    def clear(self) -> None:
        """Nothing is given any more."""
        self._ready.clear()
        self.kept.take()
