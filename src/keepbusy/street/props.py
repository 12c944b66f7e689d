"""Places everything that does not move: parked vehicles, signals, signs, trees, idle people."""

from __future__ import annotations

from dataclasses import dataclass

from keepbusy.street.camera import Ints
from keepbusy.street.canvas import Sketch
from keepbusy.street.cast import Cast
from keepbusy.street.furniture import (
    SIGNAL_BASE_M,
    Kit,
    lamp_post,
    round_sign,
    small_thing,
    stop_sign,
    traffic_light,
    tree,
)
from keepbusy.street.layout import Layout
from keepbusy.street.rng import Rng
from keepbusy.street.schedule import Actor

_CLEAR_M = {"tree": 13.0, "lamp": 12.0, "sign": 8.0}


@dataclass(frozen=True)
class Prop:
    """Something that stands still.

    Attributes:
        sketch: Its polygons.
        rank: Strips between it and the camera.
        z_m: World z of its middle.
        shadow: Outline of its shadow on the ground, or None.
        signal: World (x, z) and heading of a signal, or None.
        lamp_at: World (x, z) of the ground under a street lamp, or None.
    """

    sketch: Sketch
    rank: int
    z_m: float
    shadow: Ints | None = None
    signal: tuple[float, float, tuple[float, float]] | None = None
    lamp_at: tuple[float, float] | None = None


class _Placer:
    def __init__(self, layout: Layout, cast: Cast, rng: Rng) -> None:
        self.layout, self.cast, self.rng = layout, cast, rng
        self.kit = Kit(layout.camera, cast.light)
        self.props: list[Prop] = []

    def close(self, x: float, z: float, least_m: float) -> bool:
        """Return True if a point is too close to the camera, or out of view."""
        ahead = self.layout.camera.offset(x, 1.0, z)[2]
        return ahead < least_m or not self.cast.in_view(x, z, 4.0)

    def add(
        self,
        sketch: Sketch,
        strip: int,
        x: float,
        z: float,
        wide: float,
        tall: float,
        signal: tuple[float, float, tuple[float, float]] | None = None,
        lamp_at: tuple[float, float] | None = None,
    ) -> None:
        """Keep a sketch with the shadow of a block ``wide`` and ``tall`` metres in size."""
        if not sketch.polygons:
            return
        corners = [(x + a * wide, z + b * wide) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]
        shadow = self.cast.cast_shadow(corners, tall) if wide > 0.0 else None
        self.props.append(Prop(sketch, self.layout.rank(strip), z, shadow, signal, lamp_at))

    def actor(self, kind: str, strip: int, x: float, z: float, heading: tuple[float, float]) -> None:
        """Place a parked vehicle or a standing person."""
        actor = Actor(kind, x, z, heading, strip, self.rng.bits() >> 8, self.rng.uniform(0.0, 3.0), False)
        sketch = self.cast.sketch(actor, ridden=False)
        if sketch.polygons:
            self.props.append(Prop(sketch, self.layout.rank(strip), z, self.cast.shadow(actor)))

    def signal(self, strip: int, x: float, z: float) -> None:
        """Place a traffic light."""
        if not self.close(x, z, 6.0):
            heading = self.kit.facing(x, z)
            self.add(traffic_light(self.kit, x, z), strip, x, z, 0.3, 1.6, (x, z, heading))


def place_props(layout: Layout, cast: Cast, rng: Rng, show: bool) -> list[Prop]:
    """Return all props of a scene, far to near.

    Args:
        layout: The street.
        cast: Draws parked vehicles and people.
        rng: Random stream.
        show: True for the picture-book scene, which gets two stop signs.
    """
    placer = _Placer(layout, cast, rng)
    stops = 2 if show else rng.weighted(((0, 0.25), (1, 0.4), (2, 0.35)))
    curbs = [i for i, s in enumerate(layout.strips) if s.kind == "curb"]
    taken: list[tuple[int, float]] = []
    cross = layout.crosswalk_m
    if cross is not None:
        _signals(placer, cross, taken, rng)
    elif rng.chance(0.45):
        _signals(
            placer,
            rng.uniform(14.0, 30.0) if layout.view != "across" else rng.uniform(-4.0, 8.0),
            taken,
            rng,
        )
    low, high = (9.0, 26.0) if layout.view != "across" else (-9.0, 12.0)
    for number in range(stops):
        for _ in range(12):
            strip, z = rng.choice(curbs), rng.uniform(low, high)
            if show:
                strip, z = ((len(layout.strips) - 1, 17.5), (curbs[0], 21.5))[number]
            x = layout.strips[strip].x_m
            if placer.close(x, z, 6.5) or any(s == strip and abs(z - t) < 1.3 for s, t in taken):
                continue
            tall = rng.uniform(2.25, 2.7)
            placer.add(stop_sign(placer.kit, x, z, tall), strip, x, z, 0.25, 1.5)
            taken.append((strip, z))
            break
    for number, strip_info in enumerate(layout.strips):
        if strip_info.kind == "parking":
            _parking(placer, number, rng)
        elif strip_info.kind == "curb":
            _curb(placer, number, taken, rng)
        elif strip_info.kind == "inner":
            _inner(placer, number, rng)
    _lawn(placer, rng)
    return sorted(placer.props, key=lambda p: (-p.rank, -abs(p.z_m)))


def _signals(placer: _Placer, cross: float, taken: list[tuple[int, float]], rng: Rng) -> None:
    layout = placer.layout
    second = rng.chance(0.4)
    for number, strip in enumerate(layout.strips):
        if strip.kind != "curb":
            continue
        x = strip.x_m - strip.side * 0.2
        for z in (cross - 2.9, cross + 2.9, cross + 21.0):
            if z > layout.end_m - 8.0 or (z > cross + 5.0 and not second):
                continue
            if z < cross + 5.0 and rng.chance(0.25):
                continue
            placer.signal(number, x, z)
            taken.append((number, z))


def _parking(placer: _Placer, number: int, rng: Rng) -> None:
    layout = placer.layout
    strip = layout.strips[number]
    z = layout.begin_m + rng.uniform(0.0, 6.0)
    while z < layout.end_m - 8.0:
        kind = rng.weighted((("car", 0.62), ("truck", 0.07), ("motorcycle", 0.13), ("", 0.18)))
        long = {"car": 5.6, "truck": 9.4, "motorcycle": 3.2, "": 4.0}[kind]
        middle = z + long * 0.5
        z += long
        blocked = layout.crosswalk_m is not None and abs(middle - layout.crosswalk_m) < 3.4 + long / 2
        if not kind or blocked or placer.close(strip.x_m, middle, 5.5):
            continue
        placer.actor(kind, number, strip.x_m + rng.uniform(-0.1, 0.1), middle, (0.0, float(strip.direction)))


def _curb(placer: _Placer, number: int, taken: list[tuple[int, float]], rng: Rng) -> None:
    layout = placer.layout
    strip = layout.strips[number]
    gap = rng.uniform(2.6, 5.0)
    z = layout.begin_m
    trees = rng.uniform(0.15, 0.45)
    while z < layout.end_m - 3.0:
        z += gap * rng.uniform(0.8, 1.5)
        own = Rng(rng.bits())
        kind = own.weighted(
            (
                ("tree", trees),
                ("lamp", 0.14),
                ("sign", 0.1),
                ("bicycle", 0.09),
                ("motorcycle", 0.04),
                ("bin", 0.06),
                ("hydrant", 0.04),
                ("bollard", 0.07),
                ("planter", 0.08),
                ("bench", 0.06),
            )
        )
        x = strip.x_m
        if any(s == number and abs(z - t) < 1.6 for s, t in taken):
            continue
        if layout.crosswalk_m is not None and abs(z - layout.crosswalk_m) < 2.6:
            continue
        if placer.close(x, z, _CLEAR_M.get(kind, 6.5)):
            continue
        if kind == "tree":
            placer.add(tree(placer.kit, x, z, own), number, x, z, 1.6, 4.5)
        elif kind == "lamp":
            foot = (x - strip.side * 1.6, z)
            placer.add(lamp_post(placer.kit, x, z, strip.side), number, x, z, 0.16, 3.0, None, foot)
        elif kind == "sign":
            style = own.choice(("entry", "blue", "diamond"))
            placer.add(round_sign(placer.kit, x, z, style), number, x, z, 0.2, 1.4)
        elif kind in ("bicycle", "motorcycle"):
            way = 1.0 if own.chance(0.5) else -1.0
            turned = (0.0, way) if own.chance(0.65) or kind == "motorcycle" else (way, 0.0)
            placer.actor(kind, number, x, z, turned)
        else:
            placer.add(small_thing(placer.kit, x, z, kind, own), number, x, z, 0.5, 0.7)


def _inner(placer: _Placer, number: int, rng: Rng) -> None:
    layout = placer.layout
    strip = layout.strips[number]
    z = layout.begin_m
    while z < layout.end_m - 3.0:
        z += rng.uniform(4.0, 9.0)
        own = Rng(rng.bits())
        kind = own.weighted(
            (
                ("person", 0.2),
                ("bush", 0.26),
                ("bench", 0.16),
                ("board", 0.12),
                ("bicycle", 0.1),
                ("planter", 0.16),
            )
        )
        if placer.close(strip.x_m, z, 7.5):
            continue
        side = -float(strip.side)
        if kind == "person":
            placer.actor(kind, number, strip.x_m, z, own.choice(((side, 0.0), (0.0, 1.0), (0.0, -1.0))))
        elif kind == "bicycle":
            placer.actor(kind, number, strip.x_m, z, (0.0, own.choice((1.0, -1.0))))
        else:
            placer.add(small_thing(placer.kit, strip.x_m, z, kind, own), number, strip.x_m, z, 0.6, 0.7)


def _lawn(placer: _Placer, rng: Rng) -> None:
    """Plant trees on the side without houses."""
    layout = placer.layout
    for side in (-1.0, 1.0):
        if side * layout.camera.x_m <= layout.facade_m - 1.2:
            continue
        strip = -1 if side < 0 else len(layout.strips)
        z = layout.begin_m
        while z < layout.end_m - 2.0:
            z += rng.uniform(4.0, 9.0)
            own = Rng(rng.bits())
            x = side * (layout.facade_m + own.uniform(2.0, 3.0))
            if not placer.close(x, z, 16.0):
                placer.add(tree(placer.kit, x, z, own), strip, x, z, 1.6, 4.5)


__all__ = ["SIGNAL_BASE_M", "Prop", "place_props"]
