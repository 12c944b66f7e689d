"""Round figures: hulls around balls, for people, bicycles, motorcycles, trees and poles.

Local axes as for meshes, in metres: u forward, v to the side, h up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from keepbusy.street.camera import NEAR_M, SHIFT, Camera, Floats
from keepbusy.street.canvas import Sketch, bounds
from keepbusy.street.mesh import CIRCLE, Paint, Vec
from keepbusy.street.palette import Light

_UNIT = np.array(CIRCLE) * float(1 << SHIFT)
_COARSE = _UNIT[::2]


@dataclass
class Hull:
    """The convex hull of some balls (or, with a hole, the ring around one wheel)."""

    balls: tuple[int, ...]
    slot: str
    part: int
    hole: float = 0.0
    """For a wheel: radius of the hole as a share of the radius; balls are then rim corners."""
    min_px: float = 0.0


@dataclass
class Figure:
    """Balls (u, v, h, radius) and the hulls drawn around them, in painting order."""

    balls: list[tuple[float, float, float, float]] = field(default_factory=list)
    hulls: list[Hull] = field(default_factory=list)

    def ball(self, at: Vec, radius_m: float) -> int:
        """Add a ball and return its number."""
        self.balls.append((at[0], at[1], at[2], radius_m))
        return len(self.balls) - 1

    def hull(self, balls: tuple[int, ...], slot: str, part: int = 0, min_px: float = 0.0) -> None:
        """Add the hull around some balls."""
        self.hulls.append(Hull(balls, slot, part, 0.0, min_px))

    def bone(self, a: Vec, b: Vec, ra_m: float, rb_m: float, slot: str, part: int = 0) -> None:
        """Add a limb between two points."""
        self.hull((self.ball(a, ra_m), self.ball(b, rb_m)), slot, part)

    def wheel(self, u_m: float, radius_m: float, thick_m: float, rim: float, part: int) -> None:
        """Add a wheel: its edge-on outline and, seen from the side, a ring with a hole."""
        low = self.ball((u_m, 0.0, thick_m), thick_m)
        high = self.ball((u_m, 0.0, radius_m * 2 - thick_m), thick_m)
        self.hull((low, high), "tyre", part)
        rims = tuple(self.ball((u_m + radius_m * x, 0.0, radius_m + radius_m * y), 0.0) for x, y in CIRCLE)
        self.hulls.append(Hull(rims, "tyre", part, rim))


class PosedFigure:
    """A figure turned to a heading, ready to be drawn anywhere in one scene.

    Args:
        figure: What to draw, at full size.
        heading: World (x, z) direction of its u axis, a unit vector.
        camera: The scene's camera.
    """

    def __init__(self, figure: Figure, heading: tuple[float, float], camera: Camera) -> None:
        self.camera = camera
        order: list[int] = []
        self._spans: list[tuple[int, int]] = []
        for hull in figure.hulls:
            self._spans.append((len(order), len(order) + len(hull.balls)))
            order.extend(hull.balls)
        data = np.array([figure.balls[i] for i in order])
        hx, hz = heading
        u, v = data[:, 0], data[:, 1]
        world = np.stack([u * hx + v * hz, data[:, 2], u * hz - v * hx], axis=1)
        self._rotated = camera.rotate(world)
        self._radii = data[:, 3] * camera.focal_px
        self.slots = tuple(sorted({hull.slot for hull in figure.hulls}))
        self._hulls = [
            (a, b, self.slots.index(h.slot), h.part, h.hole, h.min_px)
            for (a, b), h in zip(self._spans, figure.hulls, strict=True)
        ]

    def light(self, paint: Paint, light: Light) -> Floats:
        """Return the lit colours (N, 3) of the slots; a slot named "glow..." is not shaded."""
        gain, ones = light.flat_gain, (1.0, 1.0, 1.0)
        gains = np.array([ones if s.startswith("glow") else gain for s in self.slots])
        lit: Floats = np.array([paint[s] for s in self.slots], np.float64) * gains
        return lit.clip(0.0, 255.0)

    def sketch(
        self,
        place: tuple[float, float],
        size: float,
        light: Light,
        lit: Floats,
        class_ids: tuple[int, ...],
    ) -> Sketch:
        """Draw the figure; an empty sketch if any of it is too close to the camera.

        Args:
            place: World x and z of its origin in metres.
            size: Its size, 1 as designed.
            light: The scene's light.
            lit: Colours from :meth:`light`.
            class_ids: Class of each labelled part.
        """
        out = Sketch(class_ids=class_ids)
        camera = self.camera
        offset = camera.offset(place[0], 0.0, place[1])
        if offset[2] < NEAR_M:
            return out
        points = self._rotated * size + np.array(offset)
        if float(points[:, 2].min()) < NEAR_M:
            return out
        centres = camera.project(points)
        size_px = camera.focal_px / offset[2]
        unit = _UNIT if size_px > 34.0 else _COARSE
        radii = self._radii * size / points[:, 2]
        circles = np.rint(radii[:, None, None] * unit[None]).astype(np.int32)
        outline = centres[:, None, :] + circles
        count = len(unit)
        flat = outline.reshape(-1, 2)
        colours = light.tint_all(lit, offset[2])
        polygons = out.polygons
        for a, b, slot, part, hole, min_px in self._hulls:
            if min_px > size_px:
                continue
            if hole:
                ring = centres[a:b]
                middle = (ring[0] + ring[8]) // 2
                inner = middle + np.rint((ring - middle) * hole).astype(np.int32)
                polygons.append(([ring, inner], colours[slot], part))
            elif b == a + 1:
                polygons.append((outline[a], colours[slot], part))
            else:
                polygon = cv2.convexHull(flat[a * count : b * count])[:, 0]
                polygons.append((polygon, colours[slot], part))
        out.box = bounds(flat)
        return out


def sketch_figure(
    figure: Figure,
    place: tuple[float, float],
    heading: tuple[float, float],
    camera: Camera,
    light: Light,
    paint: Paint,
    class_ids: tuple[int, ...],
) -> Sketch:
    """Pose and draw a figure that is drawn only once; see PosedFigure."""
    posed = PosedFigure(figure, heading, camera)
    return posed.sketch(place, 1.0, light, posed.light(paint, light), class_ids)
