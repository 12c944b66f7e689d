"""Where the street's strips lie and where the camera stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keepbusy.street.camera import Camera
from keepbusy.street.rng import Rng


@dataclass(frozen=True)
class Strip:
    """A band of the street along z.

    Attributes:
        kind: inner, walk, curb, parking, bike or lane.
        x_m: World x of its middle.
        width_m: Its width.
        side: -1 left of the street's axis, 1 right of it.
        direction: -1 or 1, the way its traffic moves along z.
    """

    kind: str
    x_m: float
    width_m: float
    side: int
    direction: int


@dataclass(frozen=True)
class Layout:
    """The street of one scene.

    Attributes:
        strips: All strips from left (-x) to right.
        road_half_m: Half the width between the kerbs.
        facade_m: Distance of the house fronts from the street's axis.
        end_m: z of the bridge that closes the street.
        begin_m: z where the street starts, behind the view.
        crosswalk_m: z of the middle of the crosswalk, or None.
        view: along, angle or across.
        camera: The camera.
        camera_strip: Number of the strip the camera stands in (may be -1 or len(strips)).
        green_s: Seconds per signal cycle in which vehicles move.
        cycle_s: Seconds of a signal cycle.
        phase_s: Offset of the signal cycle.
        density: 0..1, how crowded the street is.
    """

    strips: tuple[Strip, ...]
    road_half_m: float
    facade_m: float
    end_m: float
    begin_m: float
    crosswalk_m: float | None
    view: str
    camera: Camera
    camera_strip: int
    green_s: float
    cycle_s: float
    phase_s: float
    density: float

    def strip_at(self, x_m: float) -> int:
        """Return the number of the strip at a world x; -1 or len(strips) outside."""
        for i, strip in enumerate(self.strips):
            if x_m < strip.x_m - strip.width_m * 0.5:
                return i - 1
            if x_m < strip.x_m + strip.width_m * 0.5:
                return i
        return len(self.strips)

    def rank(self, strip: int) -> int:
        """Return how many strips lie between one strip and the camera's."""
        return abs(strip - self.camera_strip)


def make_strips(lanes: int, parking: tuple[bool, bool], hand: int) -> tuple[Strip, ...]:
    """Build the strips for a number of lanes per direction; ``hand`` 1 drives on the right."""
    half: dict[int, list[tuple[str, float]]] = {}
    for side, parked in ((-1, parking[0]), (1, parking[1])):
        bands = [("lane", 3.3)] * lanes + [("bike", 1.8)]
        if parked:
            bands.append(("parking", 2.3))
        half[side] = [*bands, ("curb", 1.1), *[("walk", 0.95)] * 3, ("inner", 0.9)]
    strips: list[Strip] = []
    for side in (-1, 1):
        at = 0.0
        built: list[Strip] = []
        for kind, width in half[side]:
            built.append(Strip(kind, side * (at + width * 0.5), width, side, side * hand))
            at += width
        strips.extend(reversed(built) if side < 0 else built)
    return tuple(strips)


def make_layout(rng: Rng, size: tuple[int, int], show: bool) -> Layout:
    """Draw the layout of a scene.

    Args:
        rng: Random stream.
        size: Frame width and height in pixels.
        show: True for the picture-book layout: a crossing seen along the street.
    """
    lanes = 1 if rng.chance(0.45) else 2
    parking = (rng.chance(0.5), rng.chance(0.5))
    view = rng.weighted((("along", 0.42), ("angle", 0.36), ("across", 0.22)))
    crossing, hand = rng.chance(0.66), 1 if rng.chance(0.75) else -1
    side = rng.choice((-1.0, 1.0))
    horizon = rng.uniform(0.26, 0.42)
    focal = rng.uniform(0.78, 1.12) * max(size)
    end_m = rng.uniform(42.0, 56.0)
    if show:
        lanes, parking, view, crossing, hand, side = 1, (True, False), "along", True, 1, 1.0
        horizon, focal, end_m = 0.33, 0.86 * max(size), 54.0
    strips = make_strips(lanes, parking, hand)
    road_left = -min(s.x_m - s.width_m * 0.5 for s in strips if s.kind not in _PAVEMENT)
    road_right = max(s.x_m + s.width_m * 0.5 for s in strips if s.kind not in _PAVEMENT)
    road_half = max(road_left, road_right)
    strips = _widen(strips, road_left, road_right, road_half)
    facade = max(s.x_m + s.width_m * 0.5 for s in strips)
    if view == "along":
        x, y = side * (road_half + rng.uniform(-0.8, 3.2)), rng.uniform(2.6, 5.0)
        if rng.chance(0.25):
            x, y = rng.uniform(-0.8, 0.8) * road_half, rng.uniform(5.6, 7.4)
            horizon = rng.uniform(0.2, 0.3)
        aim_x, aim_z = -side * rng.uniform(0.0, 0.4) * road_half, 26.0
        cross = rng.uniform(11.0, 20.0)
        if show:
            x, y, aim_x, aim_z, cross = road_half + 1.4, 3.5, -1.2, 24.0, 14.5
    elif view == "angle":
        x, y = side * (road_half + rng.uniform(2.5, 7.0)), rng.uniform(2.6, 5.6)
        aim_x = 0.0
        aim_z = abs(x) * rng.uniform(0.85, 2.0)
        cross = aim_z + rng.uniform(-2.0, 6.0)
    else:
        x, y = side * (road_half + rng.uniform(4.0, 9.0)), rng.uniform(2.0, 4.4)
        aim_x = 0.0
        aim_z = abs(x) * rng.uniform(-0.12, 0.4)
        cross = aim_z + rng.uniform(-3.0, 3.0)
    yaw = _turns(aim_x - x, aim_z)
    camera = Camera.aim(size, focal, (x, y), yaw, horizon)
    green = rng.uniform(9.0, 12.0)
    cycle = green + 2.0 * road_half / 1.45 + 4.0
    phase = rng.uniform(0.0, cycle)
    density = rng.uniform(0.45, 1.0)
    if show:
        green, phase, density = 11.0, 5.2, 0.9
        cycle = green + 2.0 * road_half / 1.45 + 4.0
    layout = Layout(
        strips,
        road_half,
        facade,
        end_m,
        -50.0 if view == "across" else -16.0,
        cross if crossing else None,
        view,
        camera,
        0,
        green,
        cycle,
        phase,
        density,
    )
    values = {**layout.__dict__, "camera_strip": layout.strip_at(x)}
    return Layout(**values)


_PAVEMENT = ("curb", "walk", "inner")


def _widen(strips: tuple[Strip, ...], left: float, right: float, half: float) -> tuple[Strip, ...]:
    """Push the pavement of the narrower side out so that the kerbs are symmetric."""
    out = []
    for s in strips:
        x = s.x_m
        if s.kind in _PAVEMENT:
            x += (right - half) * -1.0 if s.side > 0 else (left - half)
        out.append(Strip(s.kind, x, s.width_m, s.side, s.direction))
    return tuple(out)


def _turns(x: float, z: float) -> float:
    """Return the heading of (x, z) in turns, rounded so that it is the same everywhere."""

    return math.floor(math.atan2(x, z) / (2.0 * math.pi) * 65536.0 + 0.5) / 65536.0
