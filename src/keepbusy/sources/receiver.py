"""What receives a live stream: a thread that reads packets as they come, whatever becomes of those before.

Nothing therefore waits in the connection, where nobody would see how old it is. A packet's arrival is when this thread
has read it, less what it has waited on a link that is too slow (`lateness.py`). What FFmpeg has read ahead when it
opened the stream is older: it is told by the stream's own clock, which started when the stream was asked for, or a
little later. Reads that do not wait tell that it is not used up.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from keepbusy.errors import SourceError
from keepbusy.sources.backlog import Backlog, Waiting
from keepbusy.sources.container import Location, has_clock
from keepbusy.sources.lateness import Lateness
from keepbusy.sources.packets import demuxed
from keepbusy.threads.channel import Gate
from keepbusy.threads.workers import Workers, close_at_exit
from keepbusy.values.streams import DropCause

if TYPE_CHECKING:
    from av import VideoFrame

log = logging.getLogger("keepbusy")

SEGMENTED = frozenset({"hls", "dash"})
"""FFmpeg's formats that come some seconds at a time: these are handed on at the pace of their clock."""

JOIN_S = 1.0
"""How long closing waits for a read that goes on. FFmpeg cannot be woken: its thread is left behind then, ends with the
longest silence, and keeps no program from ending. A camera that sends no pictures, but reports of the connection
(RTCP), is not silent for FFmpeg: the thread ends when the camera does."""

MAX_LEFT_BEHIND = 2
"""Of one camera. It is not opened again before they are fewer: threads do not pile up."""

_left_behind: Counter[str] = Counter()
_leaving = threading.Lock()

_WAITED_S = 0.005
"""Of a stream without a clock: a read that took so long has waited for the network."""

_MAX_AHEAD_S = 1.0
"""What was read ahead is not said to be older than that when the stream is open: cameras may be slow to begin."""

_PATIENCE_S = 0.05
"""What was read ahead comes at once: so long a picture from it waits for a newer one."""

_MAX_LATE_S = 1.0
"""A packet of a segment that is later sets the pace anew."""

_MAX_FALL_S, _MAX_LEAP_S = 0.5, 60.0
"""So does one whose clock has fallen or leapt by more."""

_MAX_PENDING = 64
"""Packets whose pictures may still come: decoders reorder 16 at most."""


class _Connection:
    """What the thread shares with the `Receiver`, which it does not know: that one may be dropped."""

    def __init__(self, container: Any, stream: Any, asked_ns: int, timeout_s: float) -> None:
        self.container = container
        self.stream = stream
        self.backlog = Backlog()
        self.stopped = Gate()
        self._left_as = ""
        self._is_done = False
        self._asked_ns = asked_ns
        self._opened_ns = time.perf_counter_ns()
        self._has_clock = has_clock(container)
        self._is_segmented = container.format.name.split(",")[0] in SEGMENTED
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._begin_ns = asked_ns
        self._newest_due_ns = 0
        self._num_waited = 0
        self._lateness = Lateness()
        self._timeout_s = timeout_s
        self.is_ahead = True

    def work(self) -> None:
        """Read packets until nothing comes any more, or nobody wants any."""
        failure: Exception | None = None
        begin_ns = time.perf_counter_ns()
        try:
            for packet in demuxed(self.container, self.stream):
                if self.stopped.is_open or not packet.size:
                    break
                end_ns = time.perf_counter_ns()
                self.backlog.put(packet, self._arrival_ns(packet, begin_ns, end_ns))
                begin_ns = time.perf_counter_ns()
                if self._lateness.has_failed(self._timeout_s):
                    late_s = self._lateness.late_s
                    raise OSError(f"what comes is {late_s:.0f} s late: the link is too slow, or the camera's clock")
        except Exception as error:
            failure = error
        self.backlog.end(failure)
        with _leaving:
            _left_behind[self._left_as] -= bool(self._left_as)
            self._is_done = True

    def leave_behind(self, name: str) -> None:
        """Count it until it ends."""
        with _leaving:
            if not self._is_done:
                self._left_as = name
                _left_behind[name] += 1

    def stop(self) -> None:
        """Have `work` end."""
        self.backlog.interrupt()
        self.stopped.open()

    def _arrival_ns(self, packet: Any, begin_ns: int, end_ns: int) -> int:
        """When a packet has come, by when its read began and ended; waits until it is due where segments come."""
        if self._is_segmented:
            return self._due_ns(packet, end_ns)
        self.is_ahead = self.is_ahead and self._seems_ahead(packet, end_ns - begin_ns)
        if not self.is_ahead:
            time_s = _time_of(packet) if self._has_clock else None
            return end_ns if time_s is None else end_ns - self._lateness.of(time_s, end_ns)
        since_s = 0.0 if self._first_s is None else (_time_of(packet) or self._first_s) - self._first_s
        sent_ns = self._asked_ns + round(since_s * 1e9)
        return min(max(sent_ns, self._opened_ns - round(_MAX_AHEAD_S * 1e9)), end_ns)

    def _seems_ahead(self, packet: Any, read_ns: int) -> bool:
        """Whether a packet was read ahead: until a second read has waited; one may be held up by a busy system."""
        time_s = _time_of(packet) if self._has_clock else None
        self._first_s = time_s if self._first_s is None else self._first_s
        step_s = 0.0 if time_s is None or self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        has_waited = read_ns > (step_s / 2 if step_s > 0 else _WAITED_S) * 1e9
        self._num_waited += has_waited
        return self._num_waited < 2

    def _due_ns(self, packet: Any, now_ns: int) -> int:
        """When a packet of a segment is due, which is waited for."""
        time_s = _time_of(packet)
        if time_s is None:
            return now_ns
        step_s = 0.0 if self._last_s is None else time_s - self._last_s
        self._last_s = time_s
        is_first = self._first_s is None or not -_MAX_FALL_S < step_s < _MAX_LEAP_S
        if is_first or now_ns - self._due_of(time_s) > _MAX_LATE_S * 1e9:
            self._first_s, self._begin_ns = time_s, max(now_ns, self._newest_due_ns)
        self._newest_due_ns = self._due_of(time_s)
        self.stopped.wait(max(0.0, (self._newest_due_ns - now_ns) / 1e9))
        return max(self._newest_due_ns, now_ns)

    def _due_of(self, time_s: float) -> int:
        return self._begin_ns + round((time_s - (self._first_s or 0.0)) * 1e9)


def _time_of(packet: Any) -> float | None:
    """Seconds of the stream's own clock; when it was sent, not when it is shown, where the two differ."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)


class Receiver:
    """Receives one open live stream. `interrupt` is for any thread, all else for the one that decodes.

    Args:
        container: PyAV's, open. It is closed by `close`.
        stream: Its stream that is read.
        location: Where it lies, and the longest silence.
        asked_ns: When it was begun to open the container, of `time.perf_counter_ns`.

    Attributes:
        arrival_ns: When the packet of the last picture came, of `time.perf_counter_ns`.

    Raises:
        SourceError: Too many connections to it could not be ended.
    """

    def __init__(self, container: Any, stream: Any, location: Location, asked_ns: int) -> None:
        name = location.name
        self._connection = _Connection(container, stream, asked_ns, location.timeout_s)
        self._timeout_s = location.timeout_s
        self._name = name
        self._dropped: Counter[DropCause] = Counter()
        self._pending: dict[int | None, tuple[int, bool]] = {}
        self._newest_ns = self.arrival_ns = asked_ns
        self._num_passed_over = 0
        self._wanted_fps: float | None = None
        self._damaged_ns: int | None = None
        self._is_closed = False
        if _left_behind[name] >= MAX_LEFT_BEHIND:
            raise SourceError(f"{name}: its last connections cannot be ended", hint="restart the camera")
        self._workers = Workers([("keepbusy-receive", self._connection.work)], is_daemon=True)
        self._if_dropped = weakref.finalize(self, self._connection.stop)
        close_at_exit(self)
        self._workers.start()

    def packets(self) -> Iterator[Any]:
        """The packets to decode, in order; the decoder is told what it need not decode.

        Raises:
            TimeoutError: Nothing has come for too long.
        """
        context = self._connection.stream.codec_context
        while (waiting := self._connection.backlog.take(self._timeout_s)) is not None:
            if waiting.follows_gap:
                context.flush_buffers()
                for pts in tuple(self._pending):  # What it had decoded and not given out yet is lost.
                    self._give_up(pts, "overload")
            context.skip_frame = "NONREF" if waiting.skips_nonref else "DEFAULT"
            self._expect(waiting)
            yield waiting.packet

    def take_now(self, *, has_worked: bool) -> Waiting | None:
        """The packet that is to be decoded next, for a decoder elsewhere; None at the end.

        Args:
            has_worked: As for `Backlog.take`.

        Raises:
            TimeoutError: There is none yet.
        """
        waiting = self._connection.backlog.take(0.0, has_worked=has_worked)
        if waiting is not None:
            self._expect(waiting)
        return waiting

    @property
    def timeout_s(self) -> float:
        """The longest silence, seconds."""
        return self._timeout_s

    def ring(self, ring: Callable[[], None] | None) -> None:
        """Have somebody called, in any thread, whenever there is something new to take, or the end; None for nobody."""
        self._connection.backlog.ring = ring

    def _expect(self, waiting: Waiting) -> None:
        context = self._connection.stream.codec_context
        # Where pictures come in another order than their packets, a key frame alone would be held back.
        self._connection.backlog.wanted_fps = None if context.has_b_frames else self._wanted_fps
        self._newest_ns = waiting.arrival_ns
        self._pending[waiting.packet.pts] = (waiting.arrival_ns, waiting.skips_nonref)
        if len(self._pending) > _MAX_PENDING:
            self._give_up(next(iter(self._pending)))

    def is_fresh(self, decoded: VideoFrame) -> bool:
        """Whether a picture is worth going on with: it is not late while newer ones wait to be decoded.

        What belongs before it and has not come was left out.
        """
        self._damaged_ns = None
        pts, connection = decoded.pts, self._connection
        self.arrival_ns, _ = self._pending.pop(pts, (self._newest_ns, False))
        if pts is not None:
            for earlier in [one for one in self._pending if one is not None and one < pts]:
                self._give_up(earlier)
        is_late = connection.backlog.is_late(self.arrival_ns, _PATIENCE_S if connection.is_ahead else 0.0)
        self._note_dropped()
        self._dropped["overload"] += is_late
        return not is_late

    def is_only_damage(self) -> bool:
        """Hear of one more packet that cannot be decoded: whether there was nothing else for too long."""
        now_ns = time.perf_counter_ns()
        self._damaged_ns = now_ns if self._damaged_ns is None else self._damaged_ns
        return now_ns - self._damaged_ns > self._timeout_s * 1e9

    def spare(self, *, is_enough: bool) -> None:
        """Hear whether pictures are thrown away later that cost nothing but their own decoding."""
        self._connection.backlog.spares = is_enough

    def want(self, fps: float | None) -> None:
        """Hear how many pictures per second are enough; None for all."""
        self._wanted_fps = fps

    def num_passed_over(self) -> int:
        """How many pictures were given up before they were decoded since the last call."""
        num, self._num_passed_over = self._num_passed_over, 0
        return num

    def take_dropped(self) -> Counter[DropCause]:
        """How many pictures were given up since the last call, by cause."""
        self._note_dropped()
        dropped, self._dropped = +self._dropped, Counter()
        return dropped

    def interrupt(self) -> None:
        """Have `packets` end at once. Thread-safe."""
        self._connection.backlog.interrupt()

    def close(self) -> None:
        """Receive nothing more, and close the container; what waited is given up. Further calls do nothing."""
        if self._is_closed or self._workers.is_forked:
            return
        connection = self._connection
        connection.stop()
        if self._workers.join(JOIN_S):
            connection.container.close()
        elif not self._workers.is_one_of_them():
            # The thread has the last reference to the container: it is closed when the thread ends.
            log.info("%s: its connection does not end yet, and is left behind", self._name)
            connection.leave_behind(self._name)
        connection.backlog.clear("reconnect")
        self._is_closed = True
        self._if_dropped.detach()

    def _note_dropped(self) -> None:
        dropped = self._connection.backlog.take_dropped()
        self._dropped.update(dropped)
        self._num_passed_over += dropped.total()

    def _give_up(self, pts: int | None, cause: DropCause | None = None) -> None:
        """Expect a picture no more. Without a cause it counts only if it was left out: two fields are one picture."""
        _, was_spared = self._pending.pop(pts)
        if was_spared or cause is not None:
            self._dropped["nonref" if was_spared else cause or "overload"] += 1
            self._num_passed_over += 1
