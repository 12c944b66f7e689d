"""How late the packets of a live stream come, by its own clock."""

from __future__ import annotations

from keepbusy.sources.lateness import MAX_LATE_S, USUAL_S, Lateness

STEP_S = 1 / 30


def late_s(lateness: Lateness, time_s: float, arrival_s: float) -> float:
    return lateness.of(time_s, round(arrival_s * 1e9)) / 1e9


def test_what_comes_in_time_is_not_late_nor_is_what_comes_unevenly() -> None:
    lateness = Lateness()
    for number in range(300):
        assert late_s(lateness, 7 + number * STEP_S, 100 + number * STEP_S + 0.8 * USUAL_S * (number % 3 > 0)) == 0


def test_a_link_of_half_the_rate_is_late_by_half_the_time_and_catches_up() -> None:
    lateness = Lateness()
    for number in range(300):
        last_s = late_s(lateness, number * STEP_S, 100 + 2 * number * STEP_S)
    assert 9.5 < last_s < 10.0
    assert 9.5 < late_s(lateness, 10.0, 120.0) < 10.1
    assert late_s(lateness, 20.0, 120.1) == 0


def test_a_connection_has_failed_where_all_is_far_too_late_for_long() -> None:
    lateness = Lateness()
    for number in range(3000):
        arrival_s = 2 * number * STEP_S
        late_s(lateness, number * STEP_S, arrival_s)
        if lateness.has_failed(10.0):
            break
    assert 2 * MAX_LATE_S + 10 < arrival_s < 2 * MAX_LATE_S + 11.5
    assert lateness.late_s > MAX_LATE_S
    late_s(lateness, arrival_s, arrival_s)
    assert not lateness.has_failed(10.0)


def test_a_clock_that_is_set_or_that_goes_slow_is_no_lateness() -> None:
    lateness = Lateness()
    for number in range(30 * 600):  # 30 pictures are called so that are 29.97.
        assert late_s(lateness, number * STEP_S, number / 29.97) == 0
    assert late_s(lateness, 5.0, 600.7) == 0, "set back"
    assert late_s(lateness, 5.1, 600.8) == 0
    assert late_s(lateness, 99.0, 600.9) == 0, "set forward"
    assert late_s(lateness, 4.0, 601.0) == 0, "and back again"


def test_a_pause_of_the_camera_is_none_of_the_link() -> None:
    lateness = Lateness()
    assert late_s(lateness, 1.0, 10.0) == late_s(lateness, 6.0, 15.0) == 0
