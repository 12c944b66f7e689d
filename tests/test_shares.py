"""Shares of live streams under overload: by weight, however unevenly frames come. No time passes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from keepbusy.flow.intake import Intake
from keepbusy.serve.supervise.ladder import rates_by_weight


def results_of(
    fps: Sequence[float], weights: Sequence[float], device_fps: float, seconds: float, uneven: float = 0.0
) -> list[int]:
    """How many frames of each camera a device gets to that does one frame after the other.

    Args:
        fps: Of each camera.
        weights: Of each.
        device_fps: Of the device.
        seconds: How long that goes on.
        uneven: By how much of its period a frame may be late, and of its time the device.
    """
    dice = random.Random(1)
    intake: Intake[int] = Intake()
    inlets = [intake.open(4, weight) for weight in weights]
    arrivals = sorted(
        ((number + one / len(fps) + uneven * dice.random()) / rate, one)
        for one, rate in enumerate(fps)
        for number in range(int(seconds * rate))
    )
    counts: Counter[int] = Counter()
    free_s, num_waiting = 0.0, set[int]()
    for now_s, one in [*arrivals, (seconds, -1)]:
        while num_waiting and free_s <= now_s:
            taken = intake.get()
            assert taken is not None
            num_waiting.discard(taken)
            counts[taken] += 1
            free_s += (1 + uneven * (2 * dice.random() - 1)) / device_fps
        if one >= 0:
            inlets[one].put_freshest(one)
            free_s = max(free_s, now_s) if not num_waiting else free_s
            num_waiting.add(one)
    return [counts[one] for one in range(len(fps))]


@pytest.mark.parametrize("uneven", [0.0, 0.5])
@pytest.mark.parametrize("load", [1.3, 1.6, 2.0, 4.0])
@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 1, 2, 2), (1, 1, 2, 4), (0.5, 1, 3, 8)])
def test_live_streams_share_by_weight(weights: tuple[float, ...], load: float, uneven: float) -> None:
    weights, seconds, device_fps = weights * 4, 150.0, 40.0
    fps = [load * device_fps / len(weights)] * len(weights)
    results = results_of(fps, weights, device_fps, seconds, uneven)
    fair = rates_by_weight(fps, weights, sum(results) / seconds, 0.0)
    assert sum(results) >= 0.99 * device_fps * seconds
    assert [count / seconds for count in results] == pytest.approx(fair, rel=0.05)
