"""A video's pictures, decoded by FFmpeg's program where that works, and by PyAV where not.

PyAV reads the container or the connection in any case, and its packets go to the one or the other. So a camera is asked
for its stream once, its times, its arrival and what is shed before decoding stay as they are, and no address reaches
the program. One decoder takes over from the other at a key frame.

The packets since the last key frame are kept until their pictures have come out. Where the program fails, the next one,
or PyAV, begins there again, and what was given already is passed over: no picture is lost, and none comes twice.

Before a program's pictures are used, its first one is compared with PyAV's of the same packet.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from keepbusy.sources.base import SOFTWARE, Decoding
from keepbusy.sources.container import Location
from keepbusy.sources.decoding.annexb import AnnexB
from keepbusy.sources.decoding.bell import Bell
from keepbusy.sources.decoding.bitstream import FILTERS, parameter_sets
from keepbusy.sources.decoding.choice import Choice
from keepbusy.sources.decoding.incoming import Incoming
from keepbusy.sources.decoding.likeness import Likeness, is_of_program
from keepbusy.sources.decoding.output import Output
from keepbusy.sources.decoding.plan import UnfitError, plan_for
from keepbusy.sources.decoding.program import ProgramError
from keepbusy.sources.decoding.repeated import RepeatedPackets
from keepbusy.sources.decoding.session import Out, Session, WrongPictureError
from keepbusy.sources.limits import decoder_options
from keepbusy.sources.packets import PacketError
from keepbusy.sources.receiver import Receiver

if TYPE_CHECKING:
    from av import VideoFrame

log = logging.getLogger("keepbusy")

MAX_FAILURES = 2
"""Of a program in a row: it is not started a third time for this stream, until that is opened again."""

GOOD_PICTURES = 1000
"""After so many, earlier failures are forgotten."""


class Decoders:
    """The pictures of one stream, as `Packets` gives them. For one thread; `interrupt` is for any.

    Args:
        packets: The stream's packets, and PyAV's decoder.
        stream: PyAV's stream.
        receiver: What receives it; None for files.
        choice: How it is decoded.
        location: Where it lies.

    Attributes:
        decoding: What decodes now.
    """

    def __init__(
        self, packets: RepeatedPackets, stream: Any, receiver: Receiver | None, choice: Choice, location: Location
    ) -> None:
        self.decoding = Decoding(SOFTWARE)
        self._packets = packets
        self._receiver = receiver
        self._choice: Choice | None = choice
        self._name, self._max_pixels = location.name, location.max_pixels
        self._annexb = AnnexB(stream)
        self._incoming = Incoming(packets, receiver, self._annexb)
        self._time_base = stream.time_base
        self._session: Session | None = None
        self._bell = Bell()
        self._output = Output()
        self._likeness: Likeness | None = None
        self._sets = b""
        self._held: Any = None
        self._has_pulled_all = False
        self._read_failure: Exception | None = None
        self._is_interrupted = False
        self._is_restart = False
        self._has_decoded = False
        self._num_good = self._num_failures = 0
        if receiver is not None:
            receiver.ring(self._bell.ring)
        if self._annexb.codec not in FILTERS:
            self._give_up(f"hardware is used for H.264 and H.265, and this is {self._annexb.codec}")

    @property
    def num_packets(self) -> int:
        """How many packets with content have been read."""
        return self._packets.num_packets

    @property
    def end_s(self) -> float:
        """Where the last packet ends, seconds on the container's clock."""
        return self._packets.end_s

    def like(self, decoded: VideoFrame) -> VideoFrame:
        """A picture that says how one is to be shown: the program's do not."""
        likeness = self._likeness
        return likeness.first if likeness is not None and is_of_program(decoded) else decoded

    def interrupt(self) -> None:
        """Have `next` end soon, now and later. Thread-safe."""
        self._is_interrupted = True
        self._bell.ring()

    def close(self) -> None:
        """End the program. Further calls do nothing."""
        self.interrupt()
        if self._receiver is not None:
            self._receiver.ring(None)
        self._end_session()
        if self._choice is not None:
            self._choice.close()
            self._choice = None
        self._bell.close()
        self._output.clear()

    def next(self) -> VideoFrame | None:
        """The next picture; None at the end.

        Raises:
            PacketError: A packet cannot be decoded; the next call goes on behind it.
            OSError: The stream cannot be read any further.
        """
        self._incoming.begin()
        if self._session is not None:
            self._session.begin_wait()
        while not self._is_interrupted:
            if self._packets.has_ready:
                if (decoded := self._of_software()) is not None:
                    return decoded
            elif self._output:
                return self._give()
            elif self._session is not None:
                self._run(self._session)
            elif self._read_failure is not None:
                raise self._read_failure
            elif self._packets.is_drained or (self._choice is None and not self._output.given.skips):
                return self._packets.next()
            else:
                self._go_on_in_software()
        return None

    def _go_on_in_software(self) -> None:
        packet, choice = self._packets.pull(), self._choice
        if packet is not None and packet.size and choice is not None:
            is_key = bool(packet.is_keyframe)
            if is_key and choice.is_open() and self._begin(packet, choice):
                return
            if choice.wants_sample:
                choice.sample(self._annexb.content(packet), is_key=is_key)
        self._has_decoded, self._is_restart = True, False
        try:
            self._packets.push(packet)
        except PacketError:
            if not self._output.given.skips:
                raise

    def _of_software(self) -> VideoFrame | None:
        """A picture of software's, unless it was given before."""
        try:
            decoded = self._packets.pop()
        except PacketError:
            if self._output.given.skips:
                return None
            raise
        return None if self._output.given.has(decoded.pts) else decoded

    def _begin(self, packet: Any, choice: Choice) -> bool:
        """Start a program at a key frame, if all is well; its packet is fed then."""
        goes_on = self._has_decoded and not self._is_restart
        try:
            plan = plan_for(packet, self._packets, self._annexb, choice, goes_on=goes_on)
            if plan is None:
                return False
            options = decoder_options(self._max_pixels, is_live=self._receiver is not None)
            session = Session(plan.route, self._annexb.codec, plan.likeness, self._time_base, self._bell, options)
        except (UnfitError, ProgramError) as error:
            self._give_up(str(error), was_tried=isinstance(error, ProgramError))
            return False
        self._session, self._likeness = session, plan.likeness
        self._sets = parameter_sets(plan.content, self._annexb.codec)
        self._is_restart, self._has_decoded = False, True
        self._incoming.begin_silence()
        self._feed(session, packet, plan.content)
        return True

    def _give_up(self, reason: str, *, was_tried: bool = False) -> None:
        """Decode by software from now on."""
        self.decoding = Decoding(SOFTWARE, reason)
        choice, self._choice = self._choice, None
        if choice is not None:
            choice.close()
            if choice.is_asked or was_tried:
                log.warning("%s: decoded by software: %s", self._name, reason)

    def _run(self, session: Session) -> None:
        """Feed it, and take what comes out, or wait for that."""
        has_nothing = not self._feed_more(session)
        try:
            try:
                self._add(session, session.work())
            except ProgramError:
                self._add(session, session.take())
                raise
        except ProgramError as error:
            self._fail(session, str(error), is_for_good=isinstance(error, WrongPictureError))
            return
        if session.is_over:
            self._conclude(session)
        elif has_nothing and not self._output and self._incoming.is_silent():
            self._read_failure = TimeoutError()
            self._end_session()

    def _feed_more(self, session: Session) -> bool:
        """Feed what may be fed; False where a live stream has nothing to be fed now."""
        while session.takes(is_live=self._incoming.is_live):
            try:
                packet = self._incoming.take()
            except Exception as error:
                if type(error) is TimeoutError:  # Not FFmpeg's own: there is none yet.
                    return False
                packet, self._read_failure = None, error  # Raised behind what is inside.
            if packet is None or not packet.size:
                self._has_pulled_all = True
                session.end()
                return True
            self._take(session, packet)
        return True

    def _take(self, session: Session, packet: Any) -> None:
        """Feed a packet, or begin anew with it where its pictures are of another kind."""
        content = self._annexb.content(packet)
        if packet.is_keyframe:
            sets = parameter_sets(content, self._annexb.codec)
            is_other = AnnexB.has_new_header(packet)
            if is_other:
                self._give_up("its header changes on the way")
            if is_other or (sets and sets != self._sets):
                self._held = packet
                session.end()
                return
        self._feed(session, packet, content)

    def _feed(self, session: Session, packet: Any, content: bytes) -> None:
        if content:
            self._output.kept.add(packet)
            session.feed(packet, content)

    def _add(self, session: Session, out: list[Out]) -> None:
        self._output.add(out)
        if session.num_good and self.decoding.decoder != session.route.name:
            self.decoding = Decoding(session.route.name)

    def _give(self) -> VideoFrame:
        pts, frame = self._output.give()
        self._packets.given_elsewhere(pts)
        self._num_good += 1
        self._num_failures *= self._num_good <= GOOD_PICTURES
        return frame

    def _conclude(self, session: Session) -> None:
        """The program has given all that it was fed."""
        self._output.add(session.rest())
        self._end_session()
        self._output.kept.take()
        held, self._held = self._held, None
        if held is not None:
            self._packets.go_back([held])
            self._is_restart = True
        elif self._has_pulled_all:
            self._packets.is_drained = True

    def _fail(self, session: Session, reason: str, *, is_for_good: bool) -> None:
        """The program has failed: another one begins where it was, or software does."""
        kept = self._output.lose(session.num_inside, reason)
        self._end_session()
        behind = [self._held] if self._held is not None else [None] if self._has_pulled_all else []
        self._held, self._has_pulled_all = None, False
        self._packets.go_back([*kept, *behind])
        self._num_failures, self._num_good = self._num_failures + 1, 0
        if is_for_good or not session.num_good or self._num_failures > MAX_FAILURES:
            self._give_up(f"{session.route.name}: {reason}", was_tried=True)
        else:
            self._is_restart = True
            log.warning("%s: the decoder %s is started again: %s", self._name, session.route.name, reason)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
