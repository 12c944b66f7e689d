"""Which packets of a live stream are given up where its decoder cannot keep up: by a clock that stands still."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepbusy.sources.backlog import CATCH_UP_S, FAR_S, KEY_WAIT_S, NEAR_S, Backlog
from keepbusy.testing import ManualClock

PERIOD_S = 1 / 30


@dataclass
class Packet:
    number: int
    is_keyframe: bool = False
    size: int = 1000


def filled(clock: ManualClock, num: int, *, keys: tuple[int, ...] = (0,), max_bytes: int = 1 << 24) -> Backlog:
    """Packets that have come one period after the other, the last one now."""
    backlog = Backlog(clock.now_ns, max_bytes)
    for number in range(num):
        clock.advance(PERIOD_S)
        backlog.put(Packet(number, number in keys), clock.now_ns())
    return backlog


def taken(backlog: Backlog) -> list[int]:
    backlog.end()
    return [one.packet.number for one in iter(lambda: backlog.take(1), None)]


def test_a_decoder_that_keeps_up_gets_everything() -> None:
    backlog = filled(ManualClock(), 3)
    first = backlog.take(1)
    assert first is not None and not first.skips_nonref and not first.follows_gap
    assert taken(backlog) == [1, 2] and not backlog.take_dropped()


def test_a_little_behind_spares_what_no_other_picture_refers_to() -> None:
    clock = ManualClock()
    backlog = filled(clock, 5)
    first = backlog.take(1)
    assert first is not None and first.skips_nonref and first.packet.number == 0
    backlog.take(1), backlog.take(1)
    last = backlog.take(1)
    assert last is not None and not last.skips_nonref
    assert not backlog.take_dropped()


def test_far_behind_begins_with_the_newest_key_frame() -> None:
    backlog = filled(ManualClock(), 70, keys=(0, 30, 60))
    first = backlog.take(1)
    assert first is not None and first.packet.number == 60 and first.follows_gap
    second = backlog.take(1)
    assert second is not None and second.packet.number == 61 and not second.follows_gap
    assert backlog.take_dropped() == {"nonkey": 60}


def test_without_a_newer_key_frame_a_fast_decoder_catches_up() -> None:
    backlog = filled(ManualClock(), 20)
    assert taken(backlog) == list(range(20)) and not backlog.take_dropped()


def test_without_a_newer_key_frame_a_slow_decoder_waits_for_the_next_one() -> None:
    clock = ManualClock()
    backlog = filled(clock, 1)
    out = []
    for number in range(1, 62):  # It takes two periods for each.
        clock.advance(PERIOD_S)
        backlog.put(Packet(number, number % 50 == 0), clock.now_ns())
        if number % 2:
            with contextlib.suppress(TimeoutError):
                one = backlog.take(0)
                assert one is not None
                out.append((one.packet.number, one.follows_gap))
    before = [number for number, _ in out if number < 50]
    assert before == list(range(len(before))) and 5 < len(before) < 15
    assert out[len(before)] == (50, True)
    dropped = backlog.take_dropped()
    assert set(dropped) == {"nonkey"} and dropped["nonkey"] > 10


def test_key_frames_that_never_come_are_not_waited_for() -> None:
    clock = ManualClock()
    backlog = filled(clock, 10, keys=(), max_bytes=9999)  # The tenth was too much.
    assert backlog.take_dropped() == {"nonkey": 10}
    clock.advance(KEY_WAIT_S / 2)
    backlog.put(Packet(10), clock.now_ns())
    assert backlog.take_dropped() == {"nonkey": 1}
    clock.advance(KEY_WAIT_S)
    backlog.put(Packet(11), clock.now_ns())
    assert taken(backlog) == [11]


def test_pictures_are_late_only_while_newer_ones_wait() -> None:
    clock = ManualClock()
    backlog = filled(clock, 2)
    first, second = backlog.take(1), backlog.take(1)
    assert first is not None and second is not None and not backlog.is_late(second.arrival_ns)
    backlog.put(Packet(2), clock.now_ns())
    assert not backlog.is_late(second.arrival_ns)
    clock.advance(2 * NEAR_S)
    assert backlog.is_late(second.arrival_ns)
    backlog.take(1)
    assert not backlog.is_late(second.arrival_ns)


def test_behind_a_pause_pictures_are_late_until_none_waits() -> None:
    clock = ManualClock()
    backlog = filled(clock, 3)
    for is_late in (True, True, False):
        one = backlog.take(1)
        assert one is not None and backlog.is_late(one.arrival_ns - 1) is is_late
    backlog.put(Packet(3), clock.now_ns())
    one = backlog.take(1)
    clock.advance(FAR_S)
    backlog.put(Packet(4), clock.now_ns())
    backlog.put(Packet(5), clock.now_ns())
    one = backlog.take(1)
    assert one is not None and backlog.is_late(one.arrival_ns)
    clock.advance(CATCH_UP_S)  # A decoder that never catches up still gives something.
    assert not backlog.is_late(clock.now_ns())


def test_silence_the_end_and_an_interrupt_end_the_wait() -> None:
    backlog = Backlog()
    with pytest.raises(TimeoutError):
        backlog.take(0.01)
    backlog.end(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        backlog.take(1)
    backlog.interrupt()
    assert backlog.take(60) is None


@given(st.lists(st.tuples(st.sampled_from(["put", "key", "take"]), st.floats(0, 2 * FAR_S)), max_size=200))
def test_each_packet_is_taken_once_or_counted_and_their_order_is_kept(steps: list[tuple[str, float]]) -> None:
    clock, num, out = ManualClock(), 0, []
    backlog = Backlog(clock.now_ns, 5000)
    for what, pause_s in steps:
        clock.advance(pause_s)
        if what != "take":
            backlog.put(Packet(num, what == "key"), clock.now_ns())
            num += 1
        elif backlog._items and len(backlog._items) > 1:
            with contextlib.suppress(TimeoutError):
                one = backlog.take(0)
                out += [] if one is None else [one.packet.number]
    out += taken(backlog)
    dropped: Counter[str] = Counter(backlog.take_dropped())
    assert out == sorted(set(out)) and len(out) + dropped.total() == num
    assert backlog._tokens.qsize() <= num + 2 and backlog._num_tokens == backlog._tokens.qsize()


def test_where_key_frames_are_enough_nothing_else_is_kept() -> None:
    """A key frame every ten packets, 3 per second; the first number of them tells how often they come."""
    clock = ManualClock()
    backlog = Backlog(clock.now_ns)

    gaps: list[int] = []

    def came(begin: int, end: int) -> list[int]:
        numbers = []
        for number in range(begin, end):
            clock.advance(PERIOD_S)
            backlog.put(Packet(number, number % 10 == 0), clock.now_ns())
            with contextlib.suppress(TimeoutError):
                waiting = backlog.take(0)
                assert waiting is not None
                numbers.append(waiting.packet.number)
                gaps.extend([waiting.packet.number] if waiting.follows_gap else [])
        return numbers

    assert came(0, 15) == list(range(15))
    backlog.wanted_fps = 2.9
    assert came(15, 45) == [*range(15, 20), 20, 30, 40], "up to the next key frame all are, which refer to each other"
    backlog.wanted_fps = 3.2
    assert came(45, 60) == [50], "a little more is not worth turning back and forth"
    assert backlog.take_dropped() == {"nonkey": 27}, "the last nine count with what comes behind them"
    backlog.wanted_fps = None
    assert came(60, 75) == list(range(60, 75)) and backlog.take_dropped() == {"nonkey": 9}
    backlog.wanted_fps = 2.0
    assert came(75, 85) == [*range(75, 80), 80]
    backlog.wanted_fps = 10.0
    assert came(85, 100) == list(range(90, 100)), "what refers to what was not decoded is not decoded either"
    assert backlog.take_dropped() == {"nonkey": 9}
    assert gaps == [30, 40, 50, 60, 90], "the decoder is told where something is missing before a packet"
    backlog.wanted_fps = 2.0
    assert came(100, 105) == [100]
    backlog.clear("reconnect")
    assert +backlog.take_dropped() == {"nonkey": 4}


def test_key_frames_that_are_rare_or_come_no_more_are_not_enough() -> None:
    clock = ManualClock()
    backlog = Backlog(clock.now_ns)
    backlog.wanted_fps = 0.1
    taken_ones = []
    for number in range(600):
        clock.advance(PERIOD_S)
        backlog.put(Packet(number, number < 400 and number % (90 if number < 300 else 10) == 0), clock.now_ns())
        with contextlib.suppress(TimeoutError):
            waiting = backlog.take(0)
            assert waiting is not None
            taken_ones.append(waiting.packet.number)
    assert taken_ones[:300] == list(range(300)), "every three seconds"
    assert [one for one in taken_ones if 370 < one <= 400] == [380, 390]
    assert not [one for one in taken_ones if one > 400], "the next one is waited for, for some seconds"
