"""People: how they look, how they walk, stand and sit on two wheels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keepbusy.street.camera import cos_turn, sin_turn
from keepbusy.street.canvas import DETAIL
from keepbusy.street.figures import Figure
from keepbusy.street.mesh import Paint, Vec
from keepbusy.street.palette import Bgr
from keepbusy.street.rng import Rng

_SKIN: tuple[Bgr, ...] = (
    (150, 185, 235),
    (120, 160, 215),
    (90, 125, 180),
    (60, 85, 130),
    (45, 62, 95),
)
_HAIR: tuple[Bgr, ...] = (
    (35, 35, 42),
    (40, 60, 95),
    (70, 120, 180),
    (120, 130, 140),
    (40, 60, 140),
    (50, 50, 60),
)
_TOPS: tuple[Bgr, ...] = (
    (70, 80, 215),
    (200, 130, 60),
    (90, 175, 110),
    (60, 190, 245),
    (235, 235, 232),
    (75, 70, 70),
    (160, 90, 170),
    (190, 190, 100),
    (110, 140, 250),
    (130, 95, 60),
    (150, 160, 165),
)
_LEGS: tuple[Bgr, ...] = (
    (120, 80, 55),
    (60, 56, 56),
    (150, 125, 95),
    (100, 140, 170),
    (85, 85, 90),
    (70, 60, 110),
)
_SHOES: tuple[Bgr, ...] = ((50, 48, 48), (230, 230, 230), (50, 80, 130), (60, 60, 190))


@dataclass(frozen=True)
class Looks:
    """How one person looks; ``size`` is the share of full height (1.76 m)."""

    size: float
    clothes: str
    extra: str
    stride_m: float
    swing: float
    paint: Paint


def _dark(colour: Bgr, gain: float = 0.78) -> Bgr:
    return colour[0] * gain, colour[1] * gain, colour[2] * gain


def make_looks(rng: Rng) -> Looks:
    """Draw the looks of a person."""
    skin, hair, top = rng.choice(_SKIN), rng.choice(_HAIR), rng.choice(_TOPS)
    legs, shoe, bag = rng.choice(_LEGS), rng.choice(_SHOES), rng.choice(_TOPS)
    child = rng.chance(0.1)
    size = rng.uniform(0.62, 0.76) if child else rng.uniform(0.92, 1.07)
    clothes = rng.weighted((("trousers", 0.62), ("skirt", 0.16), ("coat", 0.22)))
    extra = rng.weighted((("none", 0.5), ("pack", 0.2), ("hat", 0.15), ("long hair", 0.15)))
    paint: Paint = {
        "skin": skin,
        "skin_far": _dark(skin, 0.85),
        "hair": hair,
        "top": top,
        "top_far": _dark(top),
        "top_shade": _dark(top, 0.88),
        "legs": legs,
        "legs_far": _dark(legs),
        "shoe": shoe,
        "bag": _dark(bag, 0.9),
        "helmet": bag,
        "visor": (70, 60, 50),
    }
    return Looks(size, clothes, extra, 1.45 * size, rng.choice((0.9, 1.08)), paint)


def _leg(hip: Vec, phase: float, swing: float, side: float) -> tuple[Vec, Vec, Vec]:
    reach = sin_turn(phase) * 0.095 * swing
    bend = 0.02 + 0.13 * max(0.0, cos_turn(phase)) * swing
    knee = (hip[0] + sin_turn(reach) * 0.43, side, hip[2] - cos_turn(reach) * 0.43)
    back = reach - bend * 0.8
    ankle = (knee[0] + sin_turn(back) * 0.42, side, knee[2] - cos_turn(back) * 0.42)
    toe = (ankle[0] + 0.14, side, ankle[2] - 0.03)
    return knee, ankle, toe


def walker(looks: Looks, phase: float, moving: bool, near: float, facing: bool) -> Figure:
    """Pose a walking or standing person at full size.

    Args:
        looks: Who it is; only clothes, extra and swing matter here.
        phase: Share of the gait cycle, 0..1.
        moving: False for somebody who stands.
        near: Sign of the side (v) that is closer to the camera.
        facing: True when the front is seen.
    """
    out = Figure()
    swing = looks.swing if moving else 0.06
    bob = 0.02 * sin_turn(2.0 * phase + 0.25) * swing
    for side in (-near, near):
        far = "_far" if side != near else ""
        hip = (0.0, side * 0.085, 0.93 + bob)
        own = phase + (0.5 if side > 0 else 0.0)
        knee, ankle, toe = _leg(hip, own, swing, side * 0.095)
        bare = looks.clothes == "skirt"
        out.hull((out.ball(ankle, 0.05), out.ball(toe, 0.04)), "shoe", 0, 9.0)
        out.bone(knee, ankle, 0.068, 0.05, ("skin" if bare else "legs") + far)
        out.bone(hip, knee, 0.1, 0.072, "legs" + far)
        if side != near:
            _arm(out, side, own, swing, bob, "_far")
    if looks.extra == "pack" and facing:
        _pack(out, bob)
    hem = {"skirt": 0.6, "coat": 0.58, "trousers": 0.88}[looks.clothes]
    spread = {"skirt": 0.13, "coat": 0.085, "trousers": 0.07}[looks.clothes]
    lower = [out.ball((0.0, s * spread, hem + bob), 0.11) for s in (-1.0, 1.0)]
    waist = [out.ball((0.0, s * 0.07, 1.02 + bob), 0.1) for s in (-1.0, 1.0)]
    chest = [out.ball((0.01, s * 0.14, 1.38 + bob), 0.095) for s in (-1.0, 1.0)]
    out.hull((*lower, *waist), "legs" if looks.clothes != "coat" else "top_shade")
    out.hull((*waist, *chest), "top")
    if looks.extra == "pack" and not facing:
        _pack(out, bob)
    _head(out, (0.02, 1.63 + bob), looks.extra, facing)
    _arm(out, near, phase + (0.5 if near > 0 else 0.0), swing, bob, "")
    return out


def _pack(out: Figure, bob: float) -> None:
    balls = [out.ball((-0.16, s * 0.1, h + bob), 0.08) for s in (-1.0, 1.0) for h in (1.08, 1.36)]
    out.hull(tuple(balls), "bag")


def _arm(out: Figure, side: float, phase: float, swing: float, bob: float, far: str) -> None:
    reach = -sin_turn(phase) * 0.075 * swing
    shoulder = (0.0, side * 0.2, 1.4 + bob)
    elbow = (sin_turn(reach) * 0.29, side * 0.235, shoulder[2] - cos_turn(reach) * 0.29)
    lift = reach + 0.05 * swing
    hand = (elbow[0] + sin_turn(lift) * 0.27, side * 0.23, elbow[2] - cos_turn(lift) * 0.27)
    out.bone(elbow, hand, 0.05, 0.045, "skin" + far)
    out.bone(shoulder, elbow, 0.068, 0.056, "top" + far)


def _head(out: Figure, at: tuple[float, float], extra: str, facing: bool) -> None:
    u, h = at
    neck = (out.ball((u - 0.01, 0.0, h - 0.17), 0.06), out.ball((u, 0.0, h - 0.1), 0.06))
    out.hull(neck, "skin_far", 0, 20.0)
    face = out.ball((u + 0.015, 0.0, h), 0.125)
    crown = out.ball((u - 0.035, 0.0, h + 0.045), 0.125)
    if extra == "helmet":
        out.hull((face,), "skin")
        out.hull((crown, out.ball((u + 0.05, 0.0, h + 0.08), 0.085)), "helmet")
    elif extra == "full helmet":
        out.hull((face, crown), "helmet")
        if facing:
            out.bone((u + 0.1, -0.05, h + 0.01), (u + 0.1, 0.05, h + 0.01), 0.055, 0.055, "visor", DETAIL)
    else:
        if facing:
            out.hull((crown,), "hair")
            out.hull((face,), "skin")
            out.bone((u - 0.02, -0.06, h + 0.1), (u - 0.02, 0.06, h + 0.1), 0.055, 0.055, "hair")
        else:
            out.hull((face,), "skin")
            out.hull((crown,), "hair")
        if extra == "long hair":
            out.bone((u - 0.09, 0.0, h), (u - 0.1, 0.0, h - 0.2), 0.085, 0.07, "hair")
        if extra == "hat":
            out.bone((u, 0.0, h + 0.1), (u - 0.01, 0.0, h + 0.15), 0.135, 0.09, "bag")


def rider(
    out: Figure,
    looks: Looks,
    seat: tuple[float, float],
    hands: Vec,
    feet: tuple[tuple[float, float], tuple[float, float]],
    near: float,
    facing: bool,
    part: int,
) -> None:
    """Add a person on a saddle to a figure.

    Args:
        out: The figure of the vehicle.
        looks: Who rides.
        seat: (u, h) of the hips.
        hands: (u, half width, h) of the grips.
        feet: (u, h) of the foot on the side v < 0 and on the side v > 0.
        near: Sign of the side that is closer to the camera.
        facing: True when the front is seen.
        part: Part number of the person.
    """
    helmet = "full helmet" if looks.extra == "full helmet" else "helmet"
    lean = 0.26 if helmet == "helmet" else 0.16
    top = (seat[0] + lean, seat[1] + 0.47)
    for side in (-near, near):
        far = "_far" if side != near else ""
        foot = feet[1] if side > 0 else feet[0]
        hip = (seat[0], side * 0.08, seat[1])
        knee = _joint(hip, (foot[0], side * 0.11, foot[1]), 0.45)
        out.bone(
            (foot[0] - 0.04, side * 0.12, foot[1]),
            (foot[0] + 0.12, side * 0.12, foot[1] - 0.01),
            0.05,
            0.04,
            "shoe",
            part,
        )
        out.bone(knee, (foot[0], side * 0.12, foot[1] + 0.03), 0.07, 0.052, "legs" + far, part)
        out.bone(hip, knee, 0.105, 0.075, "legs" + far, part)
        if side != near:
            _rider_arm(out, top, hands, side, far, part)
    hips = [out.ball((seat[0], s * 0.08, seat[1] + 0.02), 0.12) for s in (-1.0, 1.0)]
    chest = [out.ball((top[0], s * 0.13, top[1]), 0.105) for s in (-1.0, 1.0)]
    out.hull((*hips, *chest), "top", part)
    mark = len(out.hulls)
    _head(out, (top[0] + 0.1, top[1] + 0.25), helmet, facing)
    for hull in out.hulls[mark:]:
        hull.part = DETAIL if hull.part == DETAIL else part
    _rider_arm(out, top, hands, near, "", part)


def _rider_arm(out: Figure, top: tuple[float, float], hands: Vec, side: float, far: str, part: int) -> None:
    shoulder = (top[0] + 0.02, side * 0.19, top[1] + 0.02)
    hand = (hands[0] - 0.02, side * hands[1], hands[2] + 0.03)
    elbow = (
        (shoulder[0] + hand[0]) * 0.5 - 0.05,
        side * (0.23 + hands[1]) * 0.5 + side * 0.06,
        (shoulder[2] + hand[2]) * 0.5 - 0.06,
    )
    out.bone(elbow, hand, 0.055, 0.048, "skin" + far, part)
    out.bone(shoulder, elbow, 0.075, 0.06, "top" + far, part)


def _joint(a: Vec, b: Vec, bone_m: float) -> Vec:
    """Return a knee in front of the line from hip to foot, both bones ``bone_m`` long."""
    du, dh = b[0] - a[0], b[2] - a[2]
    span = math.sqrt(du * du + dh * dh)
    out = math.sqrt(max(0.0, bone_m * bone_m - span * span * 0.25))
    return (a[0] + b[0]) * 0.5 - dh / span * out, a[1] * 1.4, (a[2] + b[2]) * 0.5 + du / span * out
