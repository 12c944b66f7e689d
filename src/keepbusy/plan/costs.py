"""From what some number of cameras did to how many would fit. Pure arithmetic.

A machine is full in one of two ways.

- *Its cores are.* Decoding, preprocessing, postprocessing, and inference where the device is the CPU share them. Frames
  are decoded whether or not a result comes of them; the rest is spent on results only. So `n` cameras, all of whose
  frames have a result, would keep busy: n · decoding per camera + their frames per second · the rest per result. They
  fit up to the cores that this process really gets, which is seen where cameras lose frames: what other programs and
  the system take is then taken into account.
- *Its device is*, or a thread that all frames go through, while cores are idle: then results per second are the limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keepbusy.plan.cameras import Kind, counts_of, wanted_fps
from keepbusy.plan.cores import Work
from keepbusy.plan.watching import Seen

FULL = 0.85
"""Where more of the cores are busy while frames are lost, it is the cores that are full."""

USABLE = 0.95
"""Of idle cores, that can be put to use: a first guess, before it was seen."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What cameras cost, in cores.

    Attributes:
        decoding: One camera, whatever becomes of its frames.
        result: One result per second: the seconds of a core that a frame takes behind decoding.
        works: Of `result`, what each work takes.
        fps: Frames per second of one camera, in the mean.
        capacity: Cores that are to be had.
        max_fps: Results per second that the device does at most; infinite where it was not what held them back.
    """

    decoding: float
    result: float
    works: Mapping[Work, float]
    fps: float
    capacity: float
    max_fps: float = math.inf

    def cores_of(self, num: float) -> float:
        """Cores that so many cameras keep busy where all their frames have a result."""
        return num * (self.decoding + self.fps * self.result)

    @property
    def num(self) -> float:
        """How many cameras fit, as a fraction."""
        one = self.decoding + self.fps * self.result
        by_cores = self.capacity / one if one > 0 else math.inf
        return min(by_cores, self.max_fps / self.fps if self.fps > 0 else math.inf)

    def with_fps(self, fps: float) -> Costs:
        """The same at another rate: at most so much, since what is passed over is still decoded."""
        return Costs(self.decoding, self.result, self.works, fps, self.capacity, self.max_fps)

    def without_decoding(self) -> Costs:
        """The same where something else decodes."""
        return Costs(0.0, self.result, self.works, self.fps, self.capacity, self.max_fps)


def costs_of(seen: Seen, num_cores: float, capacity: float | None = None) -> Costs:
    """What cameras cost, from what was seen of some.

    Args:
        seen: What was seen.
        num_cores: Cores that this process may use.
        capacity: Cores that are to be had, where that was seen before; else they are guessed where these cameras fit.
    """
    # Where decoders are behind, fewer frames arrive than should.
    behind = max(1.0, seen.wanted_fps / seen.arrived_fps) if seen.arrived_fps else 1.0
    # Where no result came at all, as if the first one were about to.
    fps = seen.fps or 1 / (seen.wall_s or 1.0)
    works: dict[Work, float] = {work: cores / fps for work, cores in seen.cores.items() if work != "decoding"}
    decoding = seen.cores.get("decoding", 0.0) * behind / seen.num
    is_full = seen.used_cores + seen.other_cores >= FULL * num_cores
    guessed = max(USABLE * num_cores - seen.other_cores, seen.used_cores)
    known = guessed if capacity is None else capacity
    max_fps = math.inf
    if not seen.fits:
        known = seen.used_cores if is_full else guessed
        max_fps = math.inf if is_full else fps
    elif seen.device_busy > USABLE and not is_full:
        max_fps = seen.fps / seen.device_busy
    return Costs(decoding, sum(works.values()), works, seen.wanted_fps / seen.num, known, max_fps)


def share_out(capacity_fps: float, wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """What each of several streams gets of so many results per second: by weight, and no more than it wants."""
    got = [0.0] * len(wanted)
    open_ones = {place for place in range(len(wanted)) if wanted[place] > 0}
    left = capacity_fps
    while open_ones and left > 1e-9:
        share = left / sum(weights[place] for place in open_ones)
        full = {place for place in open_ones if wanted[place] - got[place] <= share * weights[place] + 1e-12}
        for place in full or open_ones:
            added = wanted[place] - got[place] if full else share * weights[place]
            got[place] += added
            left -= added
        if not full:
            break
        open_ones -= full
    return got


def rates_of(costs: Costs, kinds: Sequence[Kind], num: int) -> list[float]:
    """Results per second of one camera of each kind, where there are so many cameras in all."""
    counts = counts_of(kinds, num)
    left = max(0.0, costs.capacity - num * costs.decoding)
    fps = min(left / costs.result if costs.result > 0 else math.inf, costs.max_fps, wanted_fps(kinds, counts))
    each = share_out(
        fps,
        [kind.fps * count for kind, count in zip(kinds, counts, strict=True)],
        [kind.settings.weight * count for kind, count in zip(kinds, counts, strict=True)],
    )
    return [got / count if count else 0.0 for got, count in zip(each, counts, strict=True)]
