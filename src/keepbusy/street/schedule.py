"""Who is where at a given time: closed-form schedules, so that any frame can be asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from keepbusy.street.layout import Layout
from keepbusy.street.rng import Rng

_HELD = 4096
_LENGTH_M = {"car": 4.7, "bus": 11.2, "truck": 8.0, "motorcycle": 2.4, "bicycle": 2.0}


@dataclass(frozen=True)
class Actor:
    """Something that moves.

    Attributes:
        kind: car, bus, truck, motorcycle, bicycle or person.
        x_m: World x of its middle.
        z_m: World z of its middle.
        heading: World (x, z) direction it faces.
        strip: Number of the strip it is in.
        key: Random key of its looks.
        travelled_m: Distance covered, which sets gait and pedals.
        moving: False while it stands.
    """

    kind: str
    x_m: float
    z_m: float
    heading: tuple[float, float]
    strip: int
    key: int
    travelled_m: float
    moving: bool


class Schedule:
    """The traffic of one scene.

    Vehicles of one lane keep fixed places in a convoy that moves as a whole.  With a crosswalk the
    convoy advances by a whole number of places per signal cycle, so at every red light the same
    gap lies on the crosswalk.

    Args:
        layout: The street.
        seed: Scene seed.
    """

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout = layout
        self.seed = seed
        rng = Rng(seed, 11)
        self._held: dict[tuple[int, int], list[tuple[str, float, float, int]]] = {}
        self._places: list[tuple[int, float, float, float, int]] = []
        for number, strip in enumerate(layout.strips):
            if strip.kind == "lane":
                spacing, advance = rng.uniform(18.5, 22.0), rng.integer(4, 5)
            elif strip.kind == "bike":
                spacing, advance = rng.uniform(11.0, 14.0), rng.integer(4, 5)
            elif strip.kind == "walk":
                spacing, advance = rng.uniform(4.5, 7.0), 0
            else:
                continue
            speed = rng.uniform(1.1, 1.55) if strip.kind == "walk" else rng.uniform(6.0, 9.5)
            if strip.kind == "bike":
                speed *= 0.62
            self._places.append((number, spacing, speed, rng.uniform(0.0, spacing), advance))

    def signal(self, time_s: float) -> tuple[int, float]:
        """Return the number of the signal cycle and the seconds since it began."""
        layout = self.layout
        since = time_s + layout.phase_s
        cycle = math.floor(since / layout.cycle_s)
        return cycle, since - cycle * layout.cycle_s

    def lamp(self, time_s: float) -> int:
        """Return the vehicles' lamp: 0 red, 1 amber, 2 green."""
        _, since = self.signal(time_s)
        green = self.layout.green_s
        if since < green - 2.6:
            return 2
        return 1 if since < green - 0.8 else 0

    def actors(self, time_s: float) -> Iterator[Actor]:
        """Yield everything that moves, at a time in seconds."""
        layout = self.layout
        for number, spacing, speed, shift, advance in self._places:
            strip = layout.strips[number]
            if strip.kind == "walk":
                yield from self._walkers(number, spacing, speed * time_s + shift)
                continue
            if layout.crosswalk_m is None:
                progress, moving = speed * time_s + shift, True
                stop = 0.0
            else:
                cycle, since = self.signal(time_s)
                share = _ease(since / layout.green_s)
                progress = (cycle + share) * (advance * spacing)
                moving = since < layout.green_s
                stop = layout.crosswalk_m - strip.direction * 3.4
            yield from self._convoy(number, spacing, progress, stop, moving)
        if layout.crosswalk_m is not None:
            yield from self._crossers(time_s)

    def _convoy(self, number: int, spacing: float, progress: float, stop: float, moving: bool) -> Iterator[Actor]:
        layout = self.layout
        strip = layout.strips[number]
        way = strip.direction
        low, high = layout.begin_m - 12.0, layout.end_m + 6.0
        ends = sorted(((low - stop) * way, (high - stop) * way))
        first = math.floor((progress - ends[1]) / spacing) - 1
        last = math.ceil((progress - ends[0]) / spacing) + 1
        for place in range(first, last + 1):
            for kind, back, side, key in self._slot(number, place, strip.kind, spacing):
                z = stop + way * (progress - place * spacing - back)
                if low < z < high:
                    yield Actor(
                        kind,
                        strip.x_m + side,
                        z,
                        (0.0, float(way)),
                        number,
                        key,
                        progress % 3000.0,
                        moving,
                    )

    def _slot(self, number: int, place: int, band: str, spacing: float) -> list[tuple[str, float, float, int]]:
        """Return (kind, metres behind the slot's front, side offset, key) of a slot's load."""
        held = self._held.get((number, place))
        if held is None:
            if len(self._held) > _HELD:
                self._held.clear()
            rng = Rng(self.seed, 12, number, place)
            held = []
            if band == "walk":
                if rng.chance(0.04 + 0.12 * self.layout.density):
                    held.append(
                        (
                            "person",
                            rng.uniform(0.0, spacing - 1.2),
                            rng.uniform(-0.12, 0.12),
                            rng.bits() >> 8,
                        )
                    )
            else:
                first = rng.uniform(0.0, 0.8)
                for kind, back in self._load(rng, band, spacing):
                    middle = first + back + _LENGTH_M[kind] * 0.5
                    held.append((kind, middle, rng.uniform(-0.15, 0.15), rng.bits() >> 8))
            self._held[(number, place)] = held
        return held

    def _load(self, rng: Rng, band: str, spacing: float) -> list[tuple[str, float]]:
        usual = 0.3 if band == "bike" else 0.5
        if not rng.chance(0.2 + usual * self.layout.density):
            return []
        if band == "bike":
            kind = rng.weighted((("bicycle", 0.72), ("motorcycle", 0.28)))
            return [(kind, rng.uniform(0.0, spacing - 10.0))]
        kind = rng.weighted((("car", 0.32), ("bus", 0.25), ("truck", 0.24), ("motorcycle", 0.19)))
        slack = spacing - 7.2 - _LENGTH_M[kind]
        load = [(kind, rng.uniform(0.0, min(1.5, max(0.0, slack))))]
        if kind in ("car", "motorcycle") and rng.chance(0.55 * self.layout.density):
            second = rng.weighted((("car", 0.7), ("motorcycle", 0.3)))
            back = load[0][1] + _LENGTH_M[kind] + rng.uniform(1.8, 2.4)
            if back + _LENGTH_M[second] < spacing - 6.4:
                load.append((second, back))
        return load

    def _walkers(self, number: int, spacing: float, progress: float) -> Iterator[Actor]:
        layout = self.layout
        strip = layout.strips[number]
        way = strip.direction if number % 2 else -strip.direction
        low, high = layout.begin_m, layout.end_m - 3.0
        ends = sorted((low * way, high * way))
        first = math.floor((progress - ends[1]) / spacing) - 1
        last = math.ceil((progress - ends[0]) / spacing) + 1
        for place in range(first, last + 1):
            for kind, back, side, key in self._slot(number, place, "walk", spacing):
                z = way * (progress - place * spacing - back)
                if low < z < high:
                    yield Actor(
                        kind,
                        strip.x_m + side,
                        z,
                        (0.0, float(way)),
                        number,
                        key,
                        progress % 3000.0,
                        True,
                    )

    def _crossers(self, time_s: float) -> Iterator[Actor]:
        layout = self.layout
        assert layout.crosswalk_m is not None  # nosec B101 # for mypy: only called where there is one
        cycle, since = self.signal(time_s)
        reach = layout.facade_m + 0.3
        for number, elapsed in ((cycle, since), (cycle - 1, since + layout.cycle_s)):
            for way in (-1, 1):
                rng = Rng(self.seed, 14, number, way)
                count = rng.integer(1, 2 + int(3.0 * layout.density))
                for place in range(count):
                    speed = rng.uniform(1.5, 1.8)
                    enter = layout.green_s + 0.8 + place * 0.75 + rng.uniform(0.0, 0.5)
                    off, key = rng.uniform(0.0, 1.3), rng.bits() >> 8
                    gone = (elapsed - enter) * speed - layout.road_half_m
                    if abs(gone) >= reach:
                        continue
                    x = way * gone
                    z = layout.crosswalk_m + (off + 0.2 if way > 0 else -off - 0.2)
                    yield Actor(
                        "person",
                        x,
                        z,
                        (float(way), 0.0),
                        layout.strip_at(x),
                        key,
                        gone + 100.0,
                        True,
                    )


def _ease(share: float) -> float:
    """Return the share of the way done: speed up for a quarter, cruise, brake for a quarter."""
    if share >= 1.0:
        return 1.0
    ramp = 0.25
    top = 1.0 / (1.0 - ramp)
    if share < ramp:
        return top * share * share / (2.0 * ramp)
    if share > 1.0 - ramp:
        left = 1.0 - share
        return 1.0 - top * left * left / (2.0 * ramp)
    return top * (share - 0.5 * ramp)
