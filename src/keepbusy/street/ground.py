"""The street's surface: road, markings, kerbs, pavements."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from keepbusy.street.camera import SHIFT, Camera
from keepbusy.street.canvas import Image
from keepbusy.street.layout import Layout
from keepbusy.street.palette import Bgr, Light
from keepbusy.street.rng import Rng
from keepbusy.street.sky import mix, whole


class _Brush:
    """Paints flat rectangles on the ground."""

    def __init__(self, frame: Image, camera: Camera, light: Light) -> None:
        self.frame, self.camera = frame, camera
        self.gain = light.gain((0.0, 1.0, 0.0))

    def band(self, x0: float, x1: float, z0: float, z1: float, colour: Bgr) -> None:
        """Paint the rectangle between two x and two z."""
        polygon = self.camera.ground(((x0, z0), (x1, z0), (x1, z1), (x0, z1)))
        if polygon is not None:
            b, g, r = (min(255.0, c * k) for c, k in zip(colour, self.gain, strict=True))
            cv2.fillConvexPoly(self.frame, polygon, whole((b, g, r)), cv2.LINE_AA, SHIFT)


def paint_ground(frame: Image, layout: Layout, light: Light, rng: Rng) -> None:
    """Paint everything flat, then fade it into the haze.

    Args:
        frame: BGR uint8 (H, W, 3), changed below the horizon only.
        layout: The street.
        light: The scene's light.
        rng: Random stream.
    """
    brush = _Brush(frame, layout.camera, light)
    grass: Bgr = (84, 150, 106) if not light.snow else (232, 228, 224)
    stone: Bgr = rng.choice(((178, 186, 190), (168, 172, 180), (160, 178, 192)))
    road: Bgr = rng.choice(((108, 102, 98), (96, 94, 94), (118, 112, 106)))
    lane: Bgr = rng.choice(((108, 102, 98), (86, 96, 168), (104, 140, 90), (96, 94, 94)))
    if light.snow:
        stone, road, lane = (
            (222, 218, 214),
            mix(road, (225, 222, 220), 0.4),
            mix(lane, (225, 222, 220), 0.4),
        )
    if light.rain:
        road, stone, lane = (
            mix(road, (70, 60, 55), 0.45),
            mix(stone, (110, 104, 100), 0.4),
            mix(lane, (70, 60, 55), 0.35),
        )
    z0, z1 = layout.begin_m - 30.0, layout.end_m + 0.5
    half, face = layout.road_half_m, layout.facade_m
    brush.band(-160.0, 160.0, z0, z1 + 30.0, grass)
    brush.band(-face - 3.0, face + 3.0, z0, z1, mix(stone, (120, 124, 128), 0.25))
    for side in (-1.0, 1.0):
        inner, outer = sorted((side * (half + 1.0), side * (face + 0.1)))
        brush.band(inner, outer, z0, z1, stone)
        z = -14.0 if layout.view != "across" else -44.0
        while z < min(z1, 42.0):
            brush.band(inner, outer, z, z + 0.07, mix(stone, (100, 100, 104), 0.3))
            z += 2.0
        kerb, edge = sorted((side * half, side * (half + 0.22)))
        brush.band(kerb, edge, z0, z1, mix(stone, (245, 245, 245), 0.45))
        low, high = sorted((side * (half + 0.22), side * (half + 1.05)))
        brush.band(low, high, z0, z1, mix(stone, grass, rng.choice((0.0, 0.0, 0.75))))
    brush.band(-half, half, z0, z1, road)
    _markings(brush, layout, road, lane, z0, z1, rng)
    _fade(frame, layout.camera, light)


def _markings(brush: _Brush, layout: Layout, road: Bgr, lane: Bgr, z0: float, z1: float, rng: Rng) -> None:
    half = layout.road_half_m
    white: Bgr = mix((238, 238, 238), road, 0.12)
    middle: Bgr = rng.choice((white, mix((70, 190, 245), road, 0.1)))
    for strip in layout.strips:
        low, high = strip.x_m - strip.width_m * 0.5, strip.x_m + strip.width_m * 0.5
        if strip.kind == "bike":
            brush.band(low, high, z0, z1, lane)
            side = low if strip.side > 0 else high
            brush.band(side - 0.06, side + 0.06, z0, z1, white)
        elif strip.kind == "parking":
            brush.band(low, high, z0, z1, mix(road, (150, 146, 142), 0.3))
            side = low if strip.side > 0 else high
            brush.band(side - 0.05, side + 0.05, z0, z1, white)
    lanes = [s for s in layout.strips if s.kind == "lane"]
    start = -15.0 if layout.view != "across" else -45.0
    for left, right in itertools.pairwise(lanes):
        x = (left.x_m + right.x_m) * 0.5
        if left.side != right.side:
            if len(lanes) > 2:
                brush.band(x - 0.17, x - 0.06, z0, z1, middle)
                brush.band(x + 0.06, x + 0.17, z0, z1, middle)
                continue
            colour = middle
        else:
            colour = white
        z = start
        while z < z1:
            brush.band(x - 0.075, x + 0.075, z, z + 2.4, colour)
            z += 5.6
    for _ in range(6):
        x, z = rng.uniform(-half, half) * 0.7, rng.uniform(2.0, 40.0)
        brush.band(x - 0.35, x + 0.35, z, z + 0.7, mix(road, (60, 58, 56), 0.35))
    if layout.crosswalk_m is None:
        return
    cross = layout.crosswalk_m
    brush.band(-half, half, cross - 2.1, cross + 2.1, road)
    x = -half + 0.35
    while x + 0.5 < half:
        brush.band(x, x + 0.5, cross - 1.8, cross + 1.8, (240, 240, 240))
        x += 1.0
    for strip in lanes:
        z = cross - strip.direction * 2.9
        brush.band(strip.x_m - 1.6, strip.x_m + 1.6, z - 0.17, z + 0.17, white)


def _fade(frame: Image, camera: Camera, light: Light) -> None:
    """Blend the rows below the horizon with the haze of their distance."""
    height = frame.shape[0]
    first = max(0, int(camera.horizon_px) + 1)
    if first >= height:
        return
    tangent = -camera.forward[1] / camera.forward_flat
    alphas = np.zeros((height - first, 1, 1), np.uint16)
    for row in range(first, height):
        drop = (row - camera.centre_px[1]) / camera.focal_px
        slope = (drop + tangent) / (1.0 - drop * tangent) if drop * tangent < 0.99 else 100.0
        far = camera.y_m / slope if slope > 0.0 else 1e6
        alphas[row - first] = int(light.haze_share(far) * 256.0 + 0.5)
    part = frame[first:].astype(np.uint16)
    haze = np.array(whole(light.haze), np.uint16)
    frame[first:] = ((part * (256 - alphas) + haze * alphas + 128) >> 8).astype(np.uint8)
