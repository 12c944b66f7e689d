"""Paints of cars, buses and trucks."""

from __future__ import annotations

from keepbusy.street.mesh import Paint
from keepbusy.street.palette import Bgr
from keepbusy.street.rng import Rng

_CAR_COLOURS: tuple[Bgr, ...] = (
    (60, 60, 205),
    (190, 110, 45),
    (225, 225, 225),
    (70, 66, 64),
    (165, 160, 155),
    (90, 140, 60),
    (60, 165, 235),
    (150, 70, 95),
    (120, 80, 40),
    (190, 200, 120),
    (45, 45, 130),
    (205, 190, 170),
)
_BUS_COLOURS: tuple[tuple[Bgr, Bgr], ...] = (
    ((50, 185, 245), (60, 90, 190)),
    ((70, 70, 205), (230, 230, 230)),
    ((175, 120, 50), (235, 235, 235)),
    ((95, 160, 70), (235, 240, 235)),
    ((230, 228, 225), (70, 80, 210)),
    ((150, 80, 120), (225, 215, 220)),
)
_TRUCK_COLOURS: tuple[tuple[Bgr, Bgr], ...] = (
    ((60, 70, 200), (232, 232, 230)),
    ((200, 130, 50), (225, 222, 215)),
    ((230, 230, 230), (120, 90, 50)),
    ((60, 160, 230), (110, 120, 125)),
    ((95, 150, 70), (215, 225, 215)),
    ((70, 66, 64), (60, 120, 210)),
)
_COMMON: Paint = {
    "tyre": (38, 36, 35),
    "rim": (196, 192, 188),
    "arch": (34, 32, 32),
    "under": (40, 38, 37),
    "dark": (58, 55, 54),
    "trim": (92, 88, 86),
    "chrome": (215, 212, 208),
    "plate": (232, 240, 242),
    "amber": (60, 170, 250),
    "roof_sign": (120, 235, 250),
    "stripe_dark": (50, 48, 48),
}


def _shade(colour: Bgr, gain: float) -> Bgr:
    return (
        min(255.0, colour[0] * gain),
        min(255.0, colour[1] * gain),
        min(255.0, colour[2] * gain),
    )


def paints(main: Bgr, second: Bgr, lamps_on: bool) -> Paint:
    """Return the paint of one vehicle from its two colours."""
    lamp: Bgr = (215, 250, 255) if lamps_on else (232, 240, 240)
    tail: Bgr = (50, 50, 255) if lamps_on else (48, 44, 190)
    glass: Bgr = (96, 84, 72) if not lamps_on else (84, 80, 78)
    return {
        **_COMMON,
        "body": main,
        "second": second,
        "crease": _shade(main, 1.14),
        "sill": _shade(main, 0.62),
        "door": _shade(main, 0.74),
        "panel": _shade(second, 0.86),
        "edge": _shade(second, 0.7),
        "glass": glass,
        "shine": (176, 160, 138),
        "lamp": lamp,
        "tail": tail,
        "sign": (70, 190, 255),
    }


def car_paints(lamps_on: bool) -> list[Paint]:
    """Return the paints cars come in; the last one is the taxi's."""
    found = [paints(c, _shade(c, 0.9), lamps_on) for c in _CAR_COLOURS]
    return [*found, paints((40, 190, 245), (60, 60, 60), lamps_on)]


def bus_paints(lamps_on: bool) -> list[Paint]:
    """Return the paints buses come in."""
    return [paints(a, b, lamps_on) for a, b in _BUS_COLOURS]


def truck_paints(lamps_on: bool) -> list[Paint]:
    """Return the paints trucks come in."""
    return [paints(a, b, lamps_on) for a, b in _TRUCK_COLOURS]


def pick_car(rng: Rng) -> tuple[str, int]:
    """Draw a car's style and the index of its paint."""
    style = rng.weighted((("sedan", 0.32), ("hatch", 0.27), ("suv", 0.23), ("coupe", 0.1), ("taxi", 0.08)))
    index = rng.integer(0, len(_CAR_COLOURS) - 1)
    return style, len(_CAR_COLOURS) if style == "taxi" else index
