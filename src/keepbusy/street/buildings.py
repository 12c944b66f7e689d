"""House fronts along the street and the railway bridge that closes it."""

from __future__ import annotations

import cv2
import numpy as np

from keepbusy.street.camera import NEAR_M, SHIFT, Camera, Floats, Ints
from keepbusy.street.canvas import Image
from keepbusy.street.layout import Layout
from keepbusy.street.palette import Bgr, Light
from keepbusy.street.rng import Rng
from keepbusy.street.sky import mix

_WALLS: tuple[Bgr, ...] = (
    (150, 175, 215),
    (175, 200, 225),
    (120, 140, 195),
    (200, 205, 205),
    (165, 180, 190),
    (140, 165, 185),
    (190, 190, 170),
    (110, 125, 160),
    (180, 170, 190),
    (205, 215, 225),
    (130, 175, 200),
    (165, 150, 130),
)
_SHOPS: tuple[Bgr, ...] = (
    (70, 80, 190),
    (150, 110, 50),
    (80, 140, 80),
    (60, 160, 220),
    (120, 70, 120),
)


class _Facade:
    """A vertical wall along z at a fixed x, painted in its own (z, height) coordinates."""

    def __init__(self, frame: Image, camera: Camera, light: Light, x_m: float, side: int) -> None:
        self.frame, self.camera, self.light, self.x_m = frame, camera, light, x_m
        self.gain = light.gain((-float(side), 0.0, 0.0))

    def wall(self, z0: float, z1: float, y0: float, y1: float, colour: Bgr, far: float) -> None:
        """Paint one rectangle that may reach behind the camera."""
        x = self.x_m
        polygon = self.camera.polygon(((x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)))
        if polygon is not None:
            shade = self.light.tint(colour, self.gain, far)
            cv2.fillConvexPoly(self.frame, polygon, shade, cv2.LINE_AA, SHIFT)

    def panes(
        self,
        boxes: list[tuple[float, float, float, float]],
        colour: Bgr,
        far: float,
        glow: bool = False,
    ) -> None:
        """Paint separate small rectangles (z0, z1, y0, y1) of one colour."""
        polygons = project_quads(
            self.camera,
            np.array(
                [
                    ((self.x_m, y0, z0), (self.x_m, y0, z1), (self.x_m, y1, z1), (self.x_m, y1, z0))
                    for z0, z1, y0, y1 in boxes
                ]
            ).reshape(-1, 4, 3),
        )
        if polygons:
            gain = (1.0, 1.0, 1.0) if glow else self.gain
            shade = self.light.tint(colour, gain, far)
            cv2.fillPoly(self.frame, polygons, shade, cv2.LINE_AA, SHIFT)


def project_quads(camera: Camera, quads: Floats) -> list[Ints]:
    """Project world quads (N, 4, 3); those not wholly in front are left out."""
    if len(quads) == 0:
        return []
    seen = camera.to_camera(quads.reshape(-1, 3))
    good = (seen[:, 2].reshape(-1, 4) > NEAR_M * 2.0).all(axis=1)
    kept = seen.reshape(-1, 4, 3)[good]
    if len(kept) == 0:
        return []
    return list(camera.project(kept.reshape(-1, 3)).reshape(-1, 4, 2))


def paint_buildings(frame: Image, layout: Layout, light: Light, rng: Rng) -> None:
    """Paint the bridge and both rows of houses, far to near.

    Args:
        frame: BGR uint8 (H, W, 3), changed in place.
        layout: The street.
        light: The scene's light.
        rng: Random stream.
    """
    camera = layout.camera
    paint_bridge(frame, layout, light, rng)
    for side in (-1, 1):
        row: list[tuple[float, float, int]] = []
        z = -55.0
        number = 0
        while z < layout.end_m:
            wide = Rng(rng.bits()).uniform(8.0, 15.0)
            row.append((z, min(z + wide, layout.end_m + 0.3), number))
            z += wide
            number += 1
        base = rng.bits()
        if side * camera.x_m > layout.facade_m - 1.2:
            continue
        far_first = sorted(row, key=lambda b: -max(abs(b[0]), abs(b[1])))
        for z0, z1, index in far_first:
            x = side * layout.facade_m
            a, b = camera.offset(x, 4.0, z0), camera.offset(x, 4.0, z1)
            if max(a[2], b[2]) < NEAR_M * 2:
                continue
            _house(frame, layout, light, side, (z0, z1), Rng(base, index))


def _house(frame: Image, layout: Layout, light: Light, side: int, span: tuple[float, float], rng: Rng) -> None:
    camera = layout.camera
    z0, z1 = span
    x = side * layout.facade_m
    face = _Facade(frame, camera, light, x, side)
    far = max(2.0, camera.offset(x, 3.0, (z0 + z1) * 0.5)[2])
    wall = rng.choice(_WALLS)
    floors = rng.integer(2, 6)
    floor_m = rng.uniform(2.9, 3.4)
    base_m = 3.7
    tall = base_m + floors * floor_m + 0.8
    end = camera.polygon([(x, 0.0, z0), (x + side * 14.0, 0.0, z0), (x + side * 14.0, tall, z0), (x, tall, z0)])
    if end is not None:
        shade = light.tint(mix(wall, (90, 90, 100), 0.25), light.gain((0.0, 0.0, -1.0)), far)
        cv2.fillConvexPoly(frame, end, shade, cv2.LINE_AA, SHIFT)
    face.wall(z0, z1, 0.0, tall, wall, far)
    face.wall(z0, z1, tall - 0.55, tall, mix(wall, (250, 250, 250), 0.35), far)
    count = max(2, int((z1 - z0) / rng.uniform(1.9, 2.7)))
    step = (z1 - z0) / count
    wide = step * rng.uniform(0.42, 0.6)
    lit: list[tuple[float, float, float, float]] = []
    dark: list[tuple[float, float, float, float]] = []
    for floor in range(floors):
        y = base_m + floor * floor_m + 0.75
        for i in range(count):
            z = z0 + (i + 0.5) * step - wide * 0.5
            (lit if rng.chance(light.lit_windows) else dark).append((z, z + wide, y, y + 1.55))
    rims = [(a - 0.12, b + 0.12, c - 0.12, d + 0.12) for a, b, c, d in (*dark, *lit)]
    face.panes(rims, mix(wall, (250, 250, 250), 0.55), far)
    face.panes(dark, (120, 100, 84), far)
    face.panes([(a, a + (b - a) * 0.45, c + 0.55, d) for a, b, c, d in dark], (178, 160, 138), far)
    face.panes(lit, rng.choice(((120, 205, 250), (150, 220, 255), (110, 180, 240))), far, True)
    if rng.chance(0.35):
        bars = [(a - 0.25, b + 0.25, c - 0.18, c + 0.35) for a, b, c, d in (*dark, *lit)]
        face.panes(bars, mix(wall, (50, 50, 55), 0.6), far)
    _shop(face, light, (z0, z1), wall, far, rng)


def _shop(face: _Facade, light: Light, span: tuple[float, float], wall: Bgr, far: float, rng: Rng) -> None:
    z0, z1 = span
    accent = rng.choice(_SHOPS)
    if rng.chance(0.3):
        face.wall(z0, z1, 0.0, 1.0, mix(wall, (70, 70, 75), 0.4), far)
        doors = [(z0 + 1.2, z0 + 2.4, 0.0, 2.4)]
        face.panes(doors, mix(accent, (40, 40, 40), 0.3), far)
        windows = [(z, z + 1.2, 1.2, 2.6) for z in (z0 + 3.2, z0 + 5.2, z0 + 7.2) if z + 1.5 < z1]
        face.panes(windows, (120, 100, 84), far)
        return
    glow = light.lamps_on and rng.chance(0.7)
    face.wall(z0 + 0.2, z1 - 0.2, 0.0, 3.3, mix(accent, (60, 60, 60), 0.5), far)
    panes = [(z0 + 0.6, z0 + 1.7, 0.1, 2.5)]
    z = z0 + 2.0
    while z + 1.9 < z1:
        panes.append((z, z + 1.75, 0.5, 2.5))
        z += 2.0
    face.panes(panes, (150, 215, 250) if glow else (138, 122, 104), far, glow)
    if not glow:
        face.panes([(a + 0.2, a + 0.8, 1.4, d) for a, b, c, d in panes], (190, 172, 150), far)
    face.wall(z0 + 0.2, z1 - 0.2, 2.7, 3.3, accent, far)
    if rng.chance(0.6):
        stripes, z = [], z0 + 0.3
        while z + 0.5 < z1 - 0.2:
            stripes.append((z, z + 0.5, 2.2, 2.75))
            z += 1.0
        face.wall(z0 + 0.3, z1 - 0.3, 2.2, 2.75, (238, 238, 238), far)
        face.panes(stripes, accent, far)


def paint_bridge(frame: Image, layout: Layout, light: Light, rng: Rng) -> None:
    """Paint the bridge with a dark passage for the whole street."""
    camera = layout.camera
    z, wide, tall = layout.end_m + 0.4, layout.facade_m + 0.2, 5.3
    far = max(2.0, camera.offset(0.0, 3.0, z)[2])
    gain = light.gain((0.0, 0.0, -1.0))
    brick = rng.choice(((105, 125, 165), (130, 140, 150), (120, 118, 116), (95, 110, 140)))

    def block(x0: float, x1: float, y0: float, y1: float, colour: Bgr, at: float = z) -> None:
        polygon = camera.polygon([(x0, y0, at), (x1, y0, at), (x1, y1, at), (x0, y1, at)])
        if polygon is not None:
            cv2.fillConvexPoly(frame, polygon, light.tint(colour, gain, far), cv2.LINE_AA, SHIFT)

    block(-150.0, 150.0, 0.0, tall + 3.4, brick)
    block(-150.0, 150.0, tall + 3.0, tall + 3.7, mix(brick, (235, 235, 235), 0.4))
    block(-150.0, 150.0, tall + 0.9, tall + 1.15, mix(brick, (60, 60, 60), 0.3))
    half = layout.road_half_m
    block(-half - 0.6, half + 0.6, 0.0, tall, (62, 58, 58))
    block(-half - 0.2, half + 0.2, 0.0, tall - 0.4, mix(light.sky_low, (120, 116, 112), 0.45), z + 22)
    block(-half - 0.2, half + 0.2, 0.0, 0.9, (96, 104, 96), z + 22.0)
    block(-half - 0.6, half + 0.6, tall, tall + 0.45, mix(brick, (235, 235, 235), 0.3))
    for side in (-1.0, 1.0):
        inner, outer = sorted((side * (half + 1.3), side * (wide - 0.6)))
        block(inner, outer, 0.0, 3.4, (62, 58, 58))
        block(inner, outer, 3.4, 3.75, mix(brick, (235, 235, 235), 0.3))
