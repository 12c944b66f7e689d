"""The ladder under lasting overload: which step is taken when, and when it is taken back. Pure, by an injected clock.

A step is taken after `after_s` of overload without a break, one at a time. It is taken back after `back_after_s` in
which what would arrive then fits into what the device can do. A step that has to be taken again soon after it was taken
back doubles its wait, so that the ladder does not swing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from keepbusy.serve.configuration.settings import OverloadSettings, Step, area
from keepbusy.serve.supervise.verdict import LOSING

NUM_RATES = 3
"""How often the step `rate` lowers the rates, before the next step is taken."""

KEPT = 0.9
"""Of what the device did when rates were lowered is let pass from then on: frames come unevenly."""

ROOM = 0.85
"""What arrives after a step back may take so much of what the device can do: the rest is for uneven arrival."""

GAINS: dict[Step, float] = {"throughput": 1.5, "shed": 1.0, "rate": 1.0, "imgsz": 2.0, "model": 3.0}
"""How much more the device does behind a step, at least: what it can do without it is estimated by that, or by the gain
that was measured where that is more. The gain of a smaller input is the ratio of the areas where both are known."""

MAX_WAIT_S = 3600.0
"""The longest wait of a step that had to be taken again and again."""

SOON = 2.0
"""A step that is taken again within so many of its waits was taken back too early."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder; `rate` and `imgsz` have several.

    Attributes:
        kind: What is done.
        imgsz: `imgsz`: the input's size.
        model: `model`: its file.
        gain: How much more the device does behind it, at least.
    """

    kind: Step
    imgsz: int | tuple[int, int] | None = None
    model: str | None = None
    gain: float = 1.0


def rungs_of(settings: OverloadSettings, imgsz: int | tuple[int, int] | None = None) -> tuple[Rung, ...]:
    """The ladder of a configuration, from its first step on.

    What has the device do more lets all frames pass again: behind it, the rates can be lowered anew.

    Args:
        settings: Which steps there are.
        imgsz: The size of the input before the ladder; None where the configuration does not say.
    """
    rungs: list[Rung] = []
    rates: list[Rung] = []
    for kind in settings.steps:
        if kind == "rate":
            rates = [Rung(kind)] * NUM_RATES
            rungs += rates
        elif kind == "imgsz":
            before = imgsz
            for size in settings.imgsz:
                gain = GAINS[kind] if before is None else area(before) / area(size)
                rungs += [Rung(kind, imgsz=size, gain=gain), *rates]
                before = size
        elif kind == "model":
            rungs += [] if settings.model is None else [Rung(kind, model=settings.model, gain=GAINS[kind]), *rates]
        else:
            rungs.append(Rung(kind, gain=GAINS[kind]))
    return tuple(rungs)


@dataclass(frozen=True, slots=True)
class Load:
    """The last seconds of the live streams, as the ladder sees them.

    Attributes:
        is_held_back: Whether it is the device, or the time for it, that holds the server back.
        lost: Share of the frames that are lost although the ladder lets them pass.
        arriving_fps: Frames per second that arrive, those included that the ladder leaves out.
        fps: Results per second.
        busy: Share of the time with a frame on the device.
        floor_fps: What arrives where every stream's rate is as low as it may be.
    """

    is_held_back: bool
    lost: float
    arriving_fps: float
    fps: float
    busy: float
    floor_fps: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether frames are lost for lack of device."""
        return self.is_held_back and self.lost >= LOSING

    @property
    def possible_fps(self) -> float:
        """What the device can do at least: several frames at once are not told apart from one."""
        return self.fps / self.busy if self.busy > 0 else 0.0


@dataclass(slots=True)
class _Taken:
    """A rung that is in force: when it was taken, what the device did then, and what is let pass since; and how much
    more the device does since, which is None until that was seen."""

    number: int
    since_s: float
    possible_fps: float
    limit_fps: float
    gain: float | None = None


class Ladder:
    """Used by one thread.

    Args:
        rungs: Its steps, in their order.
        after_s: Overload for so long has the next step taken.
        back_after_s: Headroom for so long has the last one taken back.
        now_s: The monotonic clock, seconds.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        after_s: float,
        back_after_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rungs = tuple(rungs)
        self._after_s, self._back_after_s, self._now_s = after_s, back_after_s, now_s
        self._taken: list[_Taken] = []
        self._last: _Taken | None = None
        self._over_since_s: float | None = None
        self._room_since_s: float | None = None
        self._waits_s: dict[int, float] = {}
        self._left_s: dict[int, float] = {}
        self._refused: set[int] = set()

    @property
    def step(self) -> int:
        """The number of the last rung that is in force, from 1; 0 for none."""
        return self._taken[-1].number + 1 if self._taken else 0

    @property
    def taken(self) -> list[Rung]:
        """The rungs that are in force, in their order."""
        return [self.rungs[one.number] for one in self._taken]

    @property
    def since_s(self) -> float | None:
        """When the last one was taken; None where there is none."""
        return self._taken[-1].since_s if self._taken else None

    @property
    def limit_fps(self) -> float:
        """So many frames per second of all streams together are to be looked at."""
        return self._taken[-1].limit_fps if self._taken else math.inf

    def wait_s(self, number: int) -> float:
        """How long there must be headroom before a rung is taken back."""
        return self._waits_s.get(number, self._back_after_s)

    def look(self, load: Load | None, applies: Callable[[Rung], bool] = lambda rung: True) -> Literal[-1, 0, 1]:
        """See whether a step is to be taken, or taken back: to be called about once a second.

        Args:
            load: The last seconds; None while nothing can be said of them, which begins all waits anew.
            applies: Whether a rung would change anything now; one that would not is passed over.

        Returns:
            1 where a step is in force from now on, -1 where one is not any more; `taken` tells which.
        """
        now_s = self._now_s()
        self._over_since_s = _since(self._over_since_s, load is not None and load.is_over, now_s)
        has_room = load is not None and not load.is_over and self._has_room(load)
        self._room_since_s = _since(self._room_since_s, has_room, now_s)
        if load is None:
            return 0
        if self._over_since_s is not None and now_s - self._over_since_s >= self._after_s:
            return self._up(load, applies, now_s)
        if self._room_since_s is not None and now_s - self._room_since_s >= self.wait_s(self._taken[-1].number):
            self._last = self._taken.pop()
            self._left_s[self._last.number] = now_s
            self._room_since_s = None
            return -1
        return 0

    def undo(self) -> None:
        """What `look` has last done could not be: a rung that was taken is passed over from now on; one that was taken
        back is in force again, and waits longer."""
        last, self._last = self._last, None
        if last is None:
            return
        if last in self._taken:
            self._taken.remove(last)
            self._refused.add(last.number)
        else:
            self._taken.append(last)
            self._waits_s[last.number] = min(2 * self.wait_s(last.number), MAX_WAIT_S)

    def _up(self, load: Load, applies: Callable[[Rung], bool], now_s: float) -> Literal[0, 1]:
        for number in range(self.step, len(self.rungs)):
            rung = self.rungs[number]
            is_useless = rung.kind == "rate" and min(self.limit_fps, load.arriving_fps) <= load.floor_fps * 1.02
            if number not in self._refused and not is_useless and applies(rung):
                wait_s = self.wait_s(number)
                is_soon = now_s - self._left_s.get(number, -1e9) <= SOON * wait_s
                self._waits_s[number] = min(2 * wait_s, MAX_WAIT_S) if is_soon else self._back_after_s
                limit_fps = math.inf if rung.gain > 1 else self.limit_fps
                if rung.kind == "rate":
                    limit_fps = max(min(limit_fps, KEPT * load.fps), load.floor_fps)
                self._last = _Taken(number, now_s, load.fps, limit_fps)
                self._taken.append(self._last)
                self._over_since_s = self._room_since_s = None
                return 1
        return 0

    def _has_room(self, load: Load) -> bool:
        """Whether what would arrive without the last rung fits into what the device could do then."""
        if not self._taken:
            return False
        last = self._taken[-1]
        if last.gain is None:
            gain, measured = self.rungs[last.number].gain, load.possible_fps / max(last.possible_fps, 1e-9)
            last.gain = max(gain, measured) if gain > 1 else gain
        limit_fps = self._taken[-2].limit_fps if len(self._taken) > 1 else math.inf
        possible_fps = max(last.possible_fps, load.possible_fps / last.gain)
        return max(min(load.arriving_fps, limit_fps), load.floor_fps) <= ROOM * possible_fps


def _since(since_s: float | None, is_so: bool, now_s: float) -> float | None:
    return None if not is_so else now_s if since_s is None else since_s


def rates_by_weight(
    arriving_fps: Sequence[float], weights: Sequence[float], limit_fps: float, min_fps: float
) -> list[float]:
    """Frames per second of all streams together, divided among them by weight.

    Args:
        arriving_fps: Frames per second of each: it gets no more.
        weights: Of each.
        limit_fps: Of all together.
        min_fps: What each stream keeps in any case, as far as it has so many.
    """
    rates = [0.0] * len(arriving_fps)
    # Who needs the least for its weight is served first: what it leaves is the others'.
    order = sorted(range(len(rates)), key=lambda one: arriving_fps[one] / weights[one])
    left_weight = sum(weights)
    for one in order:
        rates[one] = min(arriving_fps[one], limit_fps * weights[one] / left_weight)
        limit_fps -= rates[one]
        left_weight = max(left_weight - weights[one], 1e-12)
    return [max(rate, min(min_fps, fps)) for rate, fps in zip(rates, arriving_fps, strict=True)]
