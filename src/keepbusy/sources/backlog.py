"""Packets of a live stream that wait for their decoder, and which of them are given up where it cannot keep up.

Whoever puts never waits. Whoever takes gets the oldest packet, at its pace; where it falls behind, decoding is spared
first where that costs the other pictures nothing, then where it brings back the present:

1. From `NEAR_S` behind on, pictures that no other refers to are not decoded (`nonref`).
2. From `FAR_S` behind on, what lies before the newest key frame is thrown away. Where there is none, and the decoder is
   too slow to catch up, everything is, until the next key frame comes (`nonkey`).

Where no more pictures are wanted than there are key frames, only these are kept (`nonkey`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from keepbusy.threads.channel import take_within
from keepbusy.values.streams import DropCause

NEAR_S = 0.1
"""Three pictures at 30 frames/s: more than a network's usual unevenness."""

FAR_S = 0.3

CATCH_UP_S = 1.0
"""Where nobody has decoded for `FAR_S`, as while a model was compiled, pictures are handed on when none waits behind
them any more, but no later than this."""

MAX_BYTES = 1 << 24
"""Of one stream's packets that wait: 16 MiB, eight seconds of a camera of 16 Mbit/s. They wait for so long only while
nobody decodes, as when a model is being compiled."""

KEY_WAIT_S = 10.0
"""Streams whose key frames are not marked, or never come, are decoded from any picture on after so long."""

SLACK = 1.5
"""A decoder catches up if it is faster than the stream by so much."""

KEY_SLACK = 1.1
"""More pictures than key frames must be wanted by so much before the others are decoded again."""

MAX_KEY_INTERVAL_S = 2.0
"""Rarer key frames are never enough: a stream that gives nothing for longer seems to be stalled."""

_SHARE = 0.1
"""Of the newest value in a moving average."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A packet.

    Attributes:
        packet: PyAV's.
        arrival_ns: When it came, of the monotonic clock.
        skips_nonref: Whether it is not to be decoded where no other picture refers to it.
        follows_gap: Whether packets before it were thrown away.
    """

    packet: Any
    arrival_ns: int
    skips_nonref: bool = False
    follows_gap: bool = False


class Backlog:
    """Thread-safe; one thread puts, one takes.

    Args:
        now_ns: A monotonic clock.
        max_bytes: Of what waits.

    Attributes:
        spares: Whether pictures that no other refers to are not wanted in any case.
        ring: Called, in any thread, whenever there is something new to take, or the end.
        wanted_fps: So many pictures per second are enough; None for all.
    """

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns, max_bytes: int = MAX_BYTES) -> None:
        self.spares = False
        self.ring: Callable[[], None] | None = None
        self.wanted_fps: float | None = None
        self._now_ns = now_ns
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        # With how many were left out before it: they count when it is taken, so that pictures have their places.
        self._items: deque[tuple[Any, int, int]] = deque()
        self._num_before = 0
        self._num_bytes = 0
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._num_tokens = 0
        self._dropped: Counter[DropCause] = Counter()
        self._key_wanted_ns: int | None = None
        self._has_gap = False
        self._is_over = False
        self._is_interrupted = False
        self._failure: Exception | None = None
        self._interval_ns = self._work_ns = self._key_interval_ns = 0.0
        self._last_key_ns = 0
        self._has_only_keys = False
        self._last_put_ns = self._last_taken_ns = self._catch_up_ns = 0

    def put(self, packet: Any, arrival_ns: int) -> None:
        """Add a packet; never waits."""
        with self._lock:
            if self._last_put_ns:
                self._interval_ns = _moved(self._interval_ns, arrival_ns - self._last_put_ns)
            self._last_put_ns = arrival_ns
            self._note_key(packet, arrival_ns)
            if self._is_useless(packet, arrival_ns):
                if self._has_only_keys:
                    self._num_before += 1
                else:
                    self._dropped["nonkey"] += 1
                return
            self._items.append((packet, arrival_ns, self._num_before))
            self._num_before = 0
            self._num_bytes += packet.size
            if self._num_bytes > self._max_bytes:
                self._drop_to_newest_key()
            self._wake()

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more comes.

        Args:
            failure: Raised behind the last packet; None where the stream has just ended.
        """
        with self._lock:
            self._is_over, self._failure = True, failure
            self._wake()

    def interrupt(self) -> None:
        """Have `take` end at once, now and later."""
        with self._lock:
            self._is_interrupted = True
            self._wake()

    def take(self, timeout_s: float, *, has_worked: bool = True) -> Waiting | None:
        """The next packet to decode; None at the end.

        Args:
            timeout_s: How long to wait for one.
            has_worked: Whether the time since the last call went into decoding, and not into waiting.

        Raises:
            TimeoutError: None has come.
            Exception: What the stream failed with.
        """
        until_ns = self._now_ns() + round(timeout_s * 1e9)
        if has_worked:
            self._note_work()
        while True:
            with self._lock:
                if self._is_interrupted:
                    return None
                if self._items and (chosen := self._choose()) is not None:
                    return chosen
                if self._is_over and not self._items:
                    if self._failure is not None:
                        raise self._failure
                    return None
            try:
                take_within(self._tokens, max(0.0, (until_ns - self._now_ns()) / 1e9))
            except Empty:
                raise TimeoutError from None
            with self._lock:
                self._num_tokens -= 1

    def is_late(self, arrival_ns: int, patience_s: float = 0.0) -> bool:
        """Whether a picture is older than it should be, while newer ones wait to be decoded. For the one that takes.

        Args:
            arrival_ns: When it came.
            patience_s: How long newer ones are waited for.
        """
        is_old = self._now_ns() - arrival_ns > NEAR_S * 1e9
        if is_old and not self._items and patience_s:
            with contextlib.suppress(Empty):
                self._tokens.put(take_within(self._tokens, patience_s))
        if not self._items:
            self._catch_up_ns = 0
        return bool(self._items) and (is_old or self._now_ns() < self._catch_up_ns)

    def clear(self, cause: DropCause) -> None:
        """Give up what waits."""
        with self._lock:
            self._drop(len(self._items), cause)
            self._left_out(self._num_before)
            self._num_before = 0

    def take_dropped(self) -> Counter[DropCause]:
        """How many packets were given up since the last call, by cause."""
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        return dropped

    def _is_useless(self, packet: Any, arrival_ns: int) -> bool:
        """Whether a packet is not wanted, or cannot be decoded, because it refers to what was thrown away."""
        if self._has_only_keys:
            self._has_gap = self._has_gap or not packet.is_keyframe
            return not packet.is_keyframe
        if self._key_wanted_ns is None:
            return False
        if packet.is_keyframe or arrival_ns - self._key_wanted_ns > KEY_WAIT_S * 1e9:
            self._key_wanted_ns = None
            return False
        return True

    def _note_key(self, packet: Any, arrival_ns: int) -> None:
        """Learn how often key frames come, and whether they are enough."""
        if packet.is_keyframe:
            if self._last_key_ns:
                self._key_interval_ns = _moved(self._key_interval_ns, arrival_ns - self._last_key_ns)
            self._last_key_ns = arrival_ns
        slack = KEY_SLACK if self._has_only_keys else 1.0
        wanted_fps, key_interval_s = self.wanted_fps, self._key_interval_ns / 1e9
        are_frequent = 0 < key_interval_s <= MAX_KEY_INTERVAL_S
        is_overdue = arrival_ns - self._last_key_ns > 2 * MAX_KEY_INTERVAL_S * 1e9
        are_enough = wanted_fps is not None and are_frequent and wanted_fps * key_interval_s <= slack and not is_overdue
        if self._has_only_keys and not are_enough:
            self._key_wanted_ns = arrival_ns  # What comes before it refers to what is not there.
        elif are_enough and not self._has_only_keys and not packet.is_keyframe:
            return  # Begins with a key frame: what waits is decoded yet.
        self._has_only_keys = are_enough

    def _choose(self) -> Waiting | None:
        behind_ns = self._now_ns() - self._items[0][1]
        if behind_ns > FAR_S * 1e9:
            self._drop_to_newest_key(or_all=self._work_ns * SLACK > self._interval_ns)
            if not self._items:
                return None
            behind_ns = self._now_ns() - self._items[0][1]
        packet, arrival_ns, num_before = self._items.popleft()
        self._left_out(num_before)
        self._num_bytes -= packet.size
        has_gap, self._has_gap = self._has_gap, False
        self._last_taken_ns = self._now_ns()
        return Waiting(packet, arrival_ns, self.spares or behind_ns > NEAR_S * 1e9, has_gap)

    def _drop_to_newest_key(self, *, or_all: bool = True) -> None:
        """Throw away what lies before the newest key frame; where the first is the newest, all or nothing."""
        newest = next((place for place in range(len(self._items) - 1, -1, -1) if self._items[place][0].is_keyframe), 0)
        if newest == 0 and not (or_all and len(self._items) > 1):
            return
        if newest == 0:
            newest = len(self._items)
            self._key_wanted_ns = self._items[-1][1]
        self._drop(newest, "nonkey")
        self._has_gap = True

    def _drop(self, num: int, cause: DropCause) -> None:
        for _ in range(num):
            packet, _, num_before = self._items.popleft()
            self._left_out(num_before)
            self._num_bytes -= packet.size
        self._dropped[cause] += num

    def _left_out(self, num: int) -> None:
        if num:
            self._dropped["nonkey"] += num

    def _note_work(self) -> None:
        """Learn how long a packet keeps its decoder, from one call of `take` to the next."""
        now_ns = self._now_ns()
        if self._last_taken_ns and now_ns - self._last_taken_ns < FAR_S * 1e9:
            self._work_ns = _moved(self._work_ns, now_ns - self._last_taken_ns)
        else:  # That was no decoding.
            self._catch_up_ns = now_ns + round(CATCH_UP_S * 1e9)

    def _wake(self) -> None:
        # Not more tokens than things to look at: nobody takes any while a model is being compiled.
        if self._num_tokens <= len(self._items):
            self._num_tokens += 1
            self._tokens.put(True)
        if (ring := self.ring) is not None:
            ring()


def _moved(average: float, value: float) -> float:
    return value if not average else average + _SHARE * (value - average)
