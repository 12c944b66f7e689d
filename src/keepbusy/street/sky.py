"""The sky and the far skyline."""

from __future__ import annotations

import cv2
import numpy as np

from keepbusy.street.camera import CIRCLE_COUNT, SHIFT, Camera, cos_turn, sin_turn
from keepbusy.street.canvas import Colour, Image
from keepbusy.street.palette import Bgr, Light
from keepbusy.street.rng import Rng

_ONE = 1 << SHIFT


def mix(a: Bgr, b: Bgr, share: float) -> Bgr:
    """Return the blend of two colours, all ``b`` at share 1."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def whole(colour: Bgr) -> Colour:
    """Round a colour."""
    b, g, r = (int(min(255.0, max(0.0, c)) + 0.5) for c in colour)
    return b, g, r


def paint_sky(frame: Image, camera: Camera, light: Light, rng: Rng) -> None:
    """Paint gradient, sun or moon, clouds and skyline over the whole frame.

    Args:
        frame: BGR uint8 (H, W, 3), overwritten.
        camera: The scene's camera.
        light: The scene's light.
        rng: Random stream.
    """
    height, width = frame.shape[:2]
    horizon = camera.horizon_px
    rows = np.arange(height, dtype=np.float64)
    share = np.clip(rows / max(1.0, horizon), 0.0, 1.0)
    share = share * (1.6 - 0.6 * share)
    top, low = np.array(light.sky_top), np.array(light.sky_low)
    column = np.rint(np.clip(top + (low - top) * share[:, None], 0.0, 255.0)).astype(np.uint8)
    frame[:] = column[:, None, :]
    unit = max(width, height) / 1280.0
    if light.name == "night":
        for _ in range(70):
            x, y = rng.uniform(0.0, width), rng.uniform(0.0, horizon * 0.9)
            glare = rng.integer(110, 220)
            _disc(frame, x, y, rng.uniform(0.4, 1.3) * unit, (glare, glare, glare - 10))
    if light.name in ("golden", "dusk", "day", "night") and light.haze_max < 0.7:
        x, y = rng.uniform(0.15, 0.85) * width, horizon * rng.uniform(0.2, 0.55)
        glow: Bgr = (235, 240, 240) if light.name == "night" else (190, 235, 255)
        for ring, weight in ((3.4, 0.12), (2.3, 0.2), (1.5, 0.4), (1.0, 1.0)):
            here = tuple(float(c) for c in column[min(height - 1, int(y))])
            _disc(
                frame,
                x,
                y,
                26.0 * unit * ring,
                whole(mix((here[0], here[1], here[2]), glow, weight * 0.9)),
            )
    if light.haze_max < 0.7:
        _clouds(frame, horizon, unit, light, rng)
    _skyline(frame, horizon, unit, light, rng)


def _disc(frame: Image, x: float, y: float, radius: float, colour: Colour) -> None:
    points = [
        (x + radius * cos_turn(i / CIRCLE_COUNT), y + radius * sin_turn(i / CIRCLE_COUNT)) for i in range(CIRCLE_COUNT)
    ]
    polygon = np.rint(np.array(points) * _ONE).astype(np.int32)
    cv2.fillConvexPoly(frame, polygon, colour, cv2.LINE_AA, SHIFT)


def _clouds(frame: Image, horizon: float, unit: float, light: Light, rng: Rng) -> None:
    width = frame.shape[1]
    bright: Bgr = (255, 253, 250) if light.name == "day" else mix(light.sky_low, (255, 255, 255), 0.3)
    if light.name in ("night", "overcast"):
        bright = mix(light.sky_top, light.sky_low, 0.5 if light.name == "night" else 0.15)
    for _ in range(rng.integer(4, 8)):
        x, y = rng.uniform(-0.1, 1.1) * width, horizon * rng.uniform(0.08, 0.62)
        size = rng.uniform(26.0, 60.0) * unit
        puffs = [
            (
                x + i * size * 0.75,
                y + rng.uniform(-0.35, 0.1) * size,
                size * rng.uniform(0.5, 0.95) * (1.0 if abs(i) < 2 else 0.6),
            )
            for i in range(-2, 3)
        ]
        for shade, drop, scale in ((0.45, 0.22, 1.0), (0.0, 0.0, 0.9)):
            colour = whole(mix(bright, mix(light.sky_top, light.sky_low, 0.6), shade))
            for px, py, radius in puffs:
                _disc(frame, px, py + drop * size, radius * scale, colour)


def _skyline(frame: Image, horizon: float, unit: float, light: Light, rng: Rng) -> None:
    height, width = frame.shape[:2]
    dark = light.name == "night"
    for layer, (tall, share) in enumerate(((95.0, 0.72), (60.0, 0.5))):
        base: Bgr = (120, 105, 95) if not dark else (52, 42, 38)
        if layer == 1:
            base = (95, 105, 85) if not dark else (40, 36, 32)
        colour = whole(mix(base, light.sky_low, share if not dark else share * 0.6))
        x = -20.0 * unit
        while x < width:
            wide = rng.uniform(22.0, 62.0) * unit
            rise = rng.uniform(0.3, 1.0) * tall * unit
            if layer == 0:
                corner = (int(x), int(horizon - rise))
                cv2.rectangle(frame, corner, (int(x + wide), height - 1), colour, -1)
                x += wide * rng.uniform(0.9, 1.5)
            else:
                _disc(frame, x, horizon + wide * 0.2, wide * 0.8, colour)
                x += wide * 0.7
