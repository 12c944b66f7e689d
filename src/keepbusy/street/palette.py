"""Light and weather: sky colours, sun, haze, shadows, rain, snow and camera faults of a scene.

All colours are BGR, 0..255 as floats; gains are BGR factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keepbusy.street.canvas import Colour
from keepbusy.street.rng import Rng

Bgr = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """The light of one scene.

    Attributes:
        name: day, golden, overcast, dusk or night.
        sky_top: Sky colour overhead.
        sky_low: Sky colour at the horizon.
        ambient: Gain of a surface in the shade.
        sun: Gain added to a surface that faces the sun.
        to_sun: World direction towards the sun (x, y, z).
        haze: Colour that distance fades into.
        haze_max: Largest share of haze.
        haze_m: Distance at which half of ``haze_max`` is reached.
        shadow: Darkness of cast shadows, 0..1.
        lit_windows: Share of windows with a lamp behind them.
        lamps_on: True when head-lights and street lamps are on.
        rain: True when it rains (and the road is wet).
        snow: True when it snows (and the ground is white).
        noise: Largest change of a pixel by camera noise.
        blur: True when the camera is slightly out of focus.
    """

    name: str
    sky_top: Bgr
    sky_low: Bgr
    ambient: Bgr
    sun: Bgr
    to_sun: tuple[float, float, float]
    haze: Bgr
    haze_max: float
    haze_m: float
    shadow: float
    lit_windows: float
    lamps_on: bool
    rain: bool
    snow: bool
    noise: int
    blur: bool

    def gain(self, normal: tuple[float, float, float]) -> Bgr:
        """Return the BGR gain of a surface with a unit normal in world axes."""
        facing = max(0.0, sum(n * s for n, s in zip(normal, self.to_sun, strict=True)))
        sky = 0.9 + 0.12 * normal[1]
        b, g, r = (a * sky + s * facing for a, s in zip(self.ambient, self.sun, strict=True))
        return b, g, r

    @property
    def flat_gain(self) -> Bgr:
        """The BGR gain of round things (people, trees), lit from the side."""
        b, g, r = (a + 0.6 * s for a, s in zip(self.ambient, self.sun, strict=True))
        return b, g, r

    def haze_share(self, distance_m: float) -> float:
        """Return the share of haze over something at a distance."""
        distance_m = max(0.0, distance_m)
        return self.haze_max * distance_m / (distance_m + self.haze_m)

    def tint(self, colour: Bgr, gain: Bgr, distance_m: float) -> Colour:
        """Return the colour of a surface, lit and seen through the haze."""
        share = self.haze_share(distance_m)
        b, g, r = (
            int(min(255.0, c * k) * (1.0 - share) + h * share + 0.5)
            for c, k, h in zip(colour, gain, self.haze, strict=True)
        )
        return b, g, r

    def tint_all(self, lit: NDArray[np.float64], distance_m: float) -> list[tuple[int, int, int]]:
        """Fade lit colours (N, 3) into the haze and return them as integer BGR tuples."""
        share = self.haze_share(distance_m)
        faded = lit * (1.0 - share) + np.array(self.haze) * share
        return [(b, g, r) for b, g, r in np.rint(faded).astype(np.int64).tolist()]


_SKIES: dict[str, tuple[Bgr, Bgr, Bgr, Bgr, float, float, bool]] = {
    # sky_top, sky_low, ambient, sun, shadow, lit windows, lamps on
    "day": (
        (222, 158, 74),
        (246, 226, 196),
        (0.70, 0.66, 0.63),
        (0.34, 0.39, 0.42),
        0.42,
        0,
        False,
    ),
    "golden": (
        (198, 150, 96),
        (176, 214, 252),
        (0.68, 0.62, 0.62),
        (0.22, 0.37, 0.50),
        0.40,
        0.08,
        False,
    ),
    "overcast": (
        (196, 184, 172),
        (224, 218, 210),
        (0.84, 0.82, 0.80),
        (0.10, 0.10, 0.10),
        0.22,
        0.06,
        False,
    ),
    "dusk": (
        (112, 62, 62),
        (122, 152, 238),
        (0.62, 0.50, 0.50),
        (0.10, 0.18, 0.28),
        0.26,
        0.35,
        True,
    ),
    "night": (
        (58, 32, 20),
        (104, 72, 52),
        (0.46, 0.39, 0.36),
        (0.05, 0.05, 0.05),
        0.24,
        0.40,
        True,
    ),
}


def make_light(rng: Rng, show: bool) -> Light:
    """Draw the light of a scene; ``show`` asks for clear late sun without camera faults."""
    name = rng.weighted((("day", 0.34), ("golden", 0.2), ("overcast", 0.22), ("dusk", 0.12), ("night", 0.12)))
    weather = rng.weighted((("clear", 0.66), ("rain", 0.14), ("fog", 0.12), ("snow", 0.08)))
    if show:
        name, weather = "day", "clear"
    if name in ("day", "golden") and weather in ("rain", "snow"):
        name = "overcast"
    top, low, ambient, sun, shadow, lit, lamps = _SKIES[name]
    level = rng.uniform(0.88, 1.08)
    warm = rng.uniform(0.95, 1.05)
    side = rng.choice((-1.0, 1.0))
    lean, rise = rng.uniform(0.35, 0.75), rng.uniform(0.4, 0.62)
    along = rng.uniform(-0.6, 0.3)
    haze_max, haze_m = rng.uniform(0.45, 0.6), rng.uniform(90.0, 200.0)
    noise, blur = rng.choice((0, 2, 3, 4, 6, 9)), rng.chance(0.18)
    haze = low
    if show:
        level, warm, side, lean, rise, along = 1.06, 1.03, 1.0, 0.6, 0.62, -0.45
        haze_max, haze_m, noise, blur = 0.5, 170.0, 0, False
    if weather == "fog":
        haze_max, haze_m = rng.uniform(0.75, 0.85), rng.uniform(38.0, 60.0)
        b, g, r = (0.5 * (a + 0.5 * (a + b)) for a, b in zip(low, top, strict=True))
        haze = (b, g, r)
        top = low = haze
        sun = (sun[0] * 0.4, sun[1] * 0.4, sun[2] * 0.4)
        shadow *= 0.5
    elif weather in ("rain", "snow"):
        haze_max, haze_m = rng.uniform(0.55, 0.65), rng.uniform(60.0, 90.0)
        shadow *= 0.7
    norm = (lean * lean + rise * rise + along * along) ** 0.5
    return Light(
        name,
        top,
        low,
        (ambient[0] * level / warm, ambient[1] * level, ambient[2] * level * warm),
        sun,
        (side * lean / norm, rise / norm, along / norm),
        haze,
        haze_max,
        haze_m,
        shadow,
        lit,
        lamps or weather == "fog",
        weather == "rain",
        weather == "snow",
        noise,
        blur,
    )
