"""Bicycles and motorcycles, parked or ridden."""

from __future__ import annotations

from keepbusy.street.camera import cos_turn, sin_turn
from keepbusy.street.canvas import DETAIL
from keepbusy.street.figures import Figure
from keepbusy.street.mesh import Paint
from keepbusy.street.palette import Bgr
from keepbusy.street.people import Looks, rider
from keepbusy.street.rng import Rng

_FRAMES: tuple[Bgr, ...] = (
    (60, 60, 215),
    (200, 140, 40),
    (80, 170, 70),
    (50, 180, 240),
    (60, 58, 58),
    (225, 225, 225),
    (190, 90, 170),
    (170, 180, 60),
)


def cycle_paint(rng: Rng, lamps_on: bool) -> Paint:
    """Draw the paint of a bicycle or motorcycle."""
    main = rng.choice(_FRAMES)
    return {
        "frame": main,
        "frame_dark": (main[0] * 0.7, main[1] * 0.7, main[2] * 0.7),
        "tyre": (42, 40, 40),
        "rim": (170, 166, 162),
        "metal": (150, 148, 146),
        "black": (48, 45, 44),
        "engine": (92, 90, 90),
        "glow_lamp": (200, 245, 255) if lamps_on else (225, 235, 235),
        "glow_tail": (50, 50, 250) if lamps_on else (55, 50, 200),
    }


def bicycle(looks: Looks | None, turned: float, near: float, facing: bool) -> Figure:
    """Build a bicycle (part 0) and its rider (part 1) if there is one.

    Args:
        looks: Who rides, or None for a parked bicycle.
        turned: Turns of the pedals.
        near: Sign of the side that is closer to the camera.
        facing: True when its front is seen.
    """
    out = Figure()
    crank, seat, head = (0.0, 0.0, 0.31), (-0.17, 0.0, 0.9), (0.36, 0.0, 0.86)

    def rear() -> None:
        out.wheel(-0.52, 0.35, 0.032, 0.84, 0)

    def front() -> None:
        out.wheel(0.54, 0.35, 0.032, 0.84, 0)
        out.bone((0.54, 0.0, 0.35), (0.35, 0.0, 0.95), 0.026, 0.028, "frame")
        out.bone((0.33, -0.27, 1.04), (0.33, 0.27, 1.04), 0.028, 0.028, "black")
        out.bone((0.34, 0.0, 0.93), (0.33, 0.0, 1.04), 0.026, 0.026, "metal")
        out.hull((out.ball((0.42, 0.0, 0.92), 0.045),), "glow_lamp", 0, 8.0)

    def middle() -> None:
        out.bone((-0.52, 0.0, 0.35), crank, 0.022, 0.026, "frame")
        out.bone((-0.52, 0.0, 0.35), seat, 0.02, 0.024, "frame")
        out.bone(crank, seat, 0.03, 0.03, "frame")
        out.bone(crank, head, 0.034, 0.034, "frame")
        out.bone((-0.14, 0.0, 0.8), head, 0.03, 0.03, "frame")
        out.bone((-0.3, 0.0, 0.97), (-0.06, 0.0, 0.97), 0.05, 0.032, "black")
        out.hull((out.ball(crank, 0.07),), "black")

    spin_u, spin_h = cos_turn(turned) * 0.17, sin_turn(turned) * 0.17
    feet = ((spin_u, crank[2] + spin_h), (-spin_u, crank[2] - spin_h))
    (rear if facing else front)()
    middle()
    if looks is not None:
        rider(out, looks, (-0.16, 1.02), (0.34, 0.25, 1.05), feet, near, facing, 1)
    (front if facing else rear)()
    return out


def motorcycle(looks: Looks | None, style: int, near: float, facing: bool) -> Figure:
    """Build a motorcycle (style 0) or a scooter (style 1), part 0, and its rider, part 1."""
    out = Figure()
    scooter = style == 1
    radius, base = (0.27, 0.58) if scooter else (0.34, 0.7)

    def wheel(u: float) -> None:
        out.wheel(u, radius, 0.085, 0.52, 0)
        out.hull((out.ball((u, 0.0, radius), radius * 0.55),), "engine", 0)
        out.hull((out.ball((u, 0.0, radius), radius * 0.36),), "rim", DETAIL)

    def front() -> None:
        wheel(base)
        for s in (-0.07, 0.07):
            out.bone((base, s, radius), (base - 0.3, s, 0.98), 0.04, 0.045, "metal")
        out.bone(
            (base - 0.2, 0.0, radius * 2 + 0.03),
            (base + 0.2, 0.0, radius * 2 + 0.0),
            0.09,
            0.06,
            "frame_dark",
        )
        if scooter:
            shield = [
                out.ball((u, s, h), 0.06)
                for u, h, w in ((base - 0.12, 0.4, 0.16), (base - 0.26, 0.98, 0.13))
                for s in (-w, w)
            ]
            out.hull(tuple(shield), "frame")
        out.bone((base - 0.32, -0.34, 1.06), (base - 0.32, 0.34, 1.06), 0.04, 0.04, "black")
        cowl = [out.ball((base - 0.2, s, h), 0.07) for s in (-0.09, 0.09) for h in (0.88, 1.06)]
        out.hull(tuple(cowl), "frame")
        out.hull(
            (out.ball((base - 0.12, 0.0, 0.96), 0.1),),
            "glow_lamp" if facing else "frame_dark",
            0 if facing else DETAIL,
        )

    def rear() -> None:
        wheel(-base)
        tail = [out.ball((-base + 0.02, s, 0.84), 0.075) for s in (-0.07, 0.07)]
        out.hull((*tail, out.ball((-0.3, 0.0, 0.78), 0.12)), "frame")
        if not facing:
            out.bone(
                (-base - 0.05, -0.07, 0.82),
                (-base - 0.05, 0.07, 0.82),
                0.055,
                0.055,
                "glow_tail",
                DETAIL,
            )

    def middle() -> None:
        if scooter:
            floor = [out.ball((u, s, 0.3), 0.08) for u in (-0.3, 0.4) for s in (-0.12, 0.12)]
            out.hull(tuple(floor), "frame_dark")
            body = [
                out.ball((u, s, h), 0.12) for u, h in ((-0.52, 0.5), (-0.14, 0.45), (-0.2, 0.68)) for s in (-0.08, 0.08)
            ]
            out.hull(tuple(body), "frame")
        else:
            engine = [
                out.ball((u, s, h), 0.12) for u, h in ((-0.22, 0.36), (0.26, 0.36), (0.16, 0.66)) for s in (-0.1, 0.1)
            ]
            out.hull(tuple(engine), "engine")
            out.bone((-0.05, near * 0.17, 0.3), (-0.75, near * 0.17, 0.42), 0.06, 0.07, "metal")
            tank = [out.ball((u, s, h), 0.13) for u, h in ((-0.05, 0.8), (0.3, 0.86)) for s in (-0.05, 0.05)]
            out.hull(tuple(tank), "frame")
        out.bone((-0.62, 0.0, 0.86), (-0.08, 0.0, 0.82), 0.1, 0.1, "black")

    (rear if facing else front)()
    middle()
    if looks is not None:
        feet = ((0.1, 0.36), (0.1, 0.36))
        rider(out, looks, (-0.28, 0.94), (base - 0.34, 0.33, 1.08), feet, near, facing, 1)
    (front if facing else rear)()
    return out
