"""The packets of one stream as FFmpeg's program is fed with them."""

from __future__ import annotations

import time
from typing import Any

from keepbusy.sources.decoding.annexb import AnnexB
from keepbusy.sources.decoding.bitstream import is_spare
from keepbusy.sources.decoding.repeated import RepeatedPackets
from keepbusy.sources.receiver import Receiver


class Incoming:
    """For one thread.

    Args:
        packets: Of files, and those that are read again.
        receiver: What receives a live stream; None for files.
        annexb: What converts them.
    """

    def __init__(self, packets: RepeatedPackets, receiver: Receiver | None, annexb: AnnexB) -> None:
        self._packets = packets
        self._receiver = receiver
        self._annexb = annexb
        self._has_worked = True
        self._heard_s = time.monotonic()

    @property
    def is_live(self) -> bool:
        """Whether the next packet comes when it comes; packets that are read again are there."""
        return self._receiver is not None and not self._packets.has_again()

    def begin(self) -> None:
        """Hear that the time since the last packet went into decoding."""
        self._has_worked = True

    def begin_silence(self) -> None:
        """Hear that silence counts from now on: somebody else has listened before."""
        self._heard_s = time.monotonic()

    def take(self) -> Any:
        """The next packet to be decoded; at the end none, or an empty one.

        Raises:
            TimeoutError: There is none yet. (FFmpeg's own, which says that the connection is lost, is a class of it.)
            OSError: Nothing more can be read.
        """
        if not self.is_live or self._receiver is None:
            return self._packets.pull()
        while True:
            has_worked, self._has_worked = self._has_worked, False
            waiting = self._receiver.take_now(has_worked=has_worked)
            self.begin_silence()
            if waiting is None:
                return None
            if not waiting.skips_nonref or not is_spare(self._annexb.content(waiting.packet), self._annexb.codec):
                return waiting.packet

    def is_silent(self) -> bool:
        """Whether nothing has come for too long."""
        receiver = self._receiver
        return receiver is not None and time.monotonic() - self._heard_s > receiver.timeout_s
