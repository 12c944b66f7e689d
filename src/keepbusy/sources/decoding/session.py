"""One run of FFmpeg's program: which packets it has got, and which pictures have come of them."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from keepbusy.sources.decoding.bell import Bell
from keepbusy.sources.decoding.hardware import Route
from keepbusy.sources.decoding.kept import Ticks
from keepbusy.sources.decoding.likeness import Likeness
from keepbusy.sources.decoding.program import Program, ProgramError
from keepbusy.sources.packets import PacketError

if TYPE_CHECKING:
    from av import VideoFrame

MAX_INSIDE = 32
"""Packets without a picture: decoders reorder 16 at most, and the program reads a few ahead."""

LIVE_AHEAD = 4
"""Packets of a live stream beyond what the decoder holds back anyway: what waits longer is to wait where it is shed."""

_SLOW_S = 0.25
"""Where nothing comes out for so long while packets wait, the decoder holds back more than was seen so far."""

_UNSENT_BYTES = 1 << 18
_WAIT_S = 0.25


class WrongPictureError(ProgramError):
    """The program decodes, and what comes out is not what went in."""


class Out(NamedTuple):
    """What became of a packet.

    Attributes:
        pts: The packet's.
        found: Its picture, or why there is none.
    """

    pts: int | None
    found: VideoFrame | PacketError


class Session:
    """For one thread.

    Args:
        route: How it decodes.
        codec: `h264` or `hevc`.
        likeness: A picture as software decodes it, of the first packet that will be fed.
        time_base: Of the packets' times.
        bell: What ends a wait.
        options: Further options of its decoder.

    Attributes:
        route: As given.
        num_good: How many pictures have come out.
        is_ending: Whether nothing more is fed.

    Raises:
        ProgramError: It cannot be started.
    """

    def __init__(
        self,
        route: Route,
        codec: str,
        likeness: Likeness,
        time_base: Fraction,
        bell: Bell,
        options: dict[str, str],
    ) -> None:
        self.route = route
        self.num_good = 0
        self.is_ending = False
        self._likeness = likeness
        self._time_base = time_base
        base = (time_base.numerator, time_base.denominator)
        self._program = Program(route, codec, likeness.shape_hw, base, bell, options)
        self._ticks = Ticks()
        self._fed: dict[int, int | None] = {}
        self._passed: dict[int, int | None] = {}
        self._proof_ticks: int | None = None
        self._past_ticks = -1
        self._delay = MAX_INSIDE
        self._progress_s = time.monotonic()

    @property
    def num_inside(self) -> int:
        """Packets that no picture has come of yet."""
        return len(self._fed)

    @property
    def is_over(self) -> bool:
        """Whether it was told to end, has given all, and has ended well."""
        return self.is_ending and self._program.is_over

    def takes(self, *, is_live: bool) -> bool:
        """Whether another packet should be fed now."""
        if self.is_ending:
            return False
        if not is_live:
            return self._program.num_unsent_bytes <= _UNSENT_BYTES and self.num_inside < MAX_INSIDE
        if self._program.num_unsent_bytes or self.num_inside >= MAX_INSIDE:
            return False
        if self.num_inside < self._delay + LIVE_AHEAD:
            return True
        if time.monotonic() - self._progress_s > _SLOW_S:
            self._delay += 1
        return False

    def feed(self, packet: Any, content: bytes) -> None:
        """Give it a packet.

        Args:
            packet: PyAV's.
            content: What is in it, with start codes.
        """
        ticks = self._ticks.next(packet, self._fed, self._past_ticks)
        if self._proof_ticks is None:
            self._proof_ticks = ticks
        self._fed[ticks] = packet.pts
        self._program.feed(content, ticks)

    def end(self) -> None:
        """Nothing more is fed."""
        self.is_ending = True
        self._program.end()

    def begin_wait(self) -> None:
        """Hear that somebody looks at it from now on."""
        self._program.begin_wait()

    def work(self) -> list[Out]:
        """Send and receive what can be, or wait for that a little: what has come out.

        Raises:
            ProgramError: The program has failed; `take` may have something still.
        """
        self._program.work(_WAIT_S, is_due=self.num_inside >= MAX_INSIDE)
        return self.take()

    def take(self) -> list[Out]:
        """What has come out. In the place of a picture that is missing stands an error, if the program told of one.

        Raises:
            WrongPictureError: It is not what went in.
        """
        out: list[Out] = []
        while self._program.pictures:
            picture = self._program.pictures.popleft()
            if picture.ticks in self._passed:  # A decoder that is to hold nothing back learns the order as it goes.
                self._fed[picture.ticks] = self._passed.pop(picture.ticks)
            elif picture.ticks not in self._fed:
                raise WrongPictureError("it gave a picture of a time that was not asked for")
            if picture.ticks == self._proof_ticks and not self._likeness.is_same(picture):
                raise WrongPictureError("its first picture is not the one that software decodes")
            out += self._missing(picture.ticks)
            self._past_ticks = max(self._past_ticks, picture.ticks)
            pts = self._fed.pop(picture.ticks)
            self.num_good += 1
            self._progress_s = time.monotonic()
            self._delay = min(self._delay, self.num_inside)
            out.append(Out(pts, self._likeness.frame(picture, pts, self._time_base)))
        return out

    def rest(self) -> list[Out]:
        """What never came out, when it is over."""
        return self._missing(None)

    def _missing(self, before_ticks: int | None) -> list[Out]:
        """What was passed over. Decoders leave out what leans on pictures that they have not got, and say nothing."""
        late = [ticks for ticks in self._fed if before_ticks is None or ticks < before_ticks]
        lost = {ticks: self._fed.pop(ticks) for ticks in late}
        if self._program.has_complained() and self.num_good > 0:
            return [Out(pts, PacketError(self._program.complaint)) for pts in lost.values()]
        self._passed |= lost
        while len(self._passed) > MAX_INSIDE:
            del self._passed[next(iter(self._passed))]
        return []

    def close(self) -> None:
        """End the program."""
        self._program.close()
