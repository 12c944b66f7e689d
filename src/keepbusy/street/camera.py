"""A pinhole camera over a flat street.

World axes, in metres: x across the street (right), y up, z along the street.
Camera axes, in metres: right, down, forward.  Pixel coordinates: x right, y down, pixel centres at
integers.  Angles only ever enter through :func:`sin_turn` and :func:`cos_turn`, which are rounded,
and image points are rounded to 1/16 pixel, so that all machines draw the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHIFT = 4
"""Fractional bits of fixed-point pixel coordinates given to OpenCV."""

CIRCLE_COUNT = 32
"""Corners of the polygons that stand for circles on the sky."""

NEAR_M = 0.6
"""Nothing closer to the camera plane than this is drawn."""

_GUARD = 6.0
_QUANTUM = float(1 << 24)

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


def sin_turn(turns: float) -> float:
    """Return the sine of an angle given in whole turns, rounded to 2**-24."""
    return math.floor(math.sin(turns * (2.0 * math.pi)) * _QUANTUM + 0.5) / _QUANTUM


def cos_turn(turns: float) -> float:
    """Return the cosine of an angle given in whole turns, rounded to 2**-24."""
    return math.floor(math.cos(turns * (2.0 * math.pi)) * _QUANTUM + 0.5) / _QUANTUM


@dataclass(frozen=True)
class Camera:
    """A fixed camera.

    Attributes:
        width: Frame width in pixels.
        height: Frame height in pixels.
        focal_px: Focal length in pixels.
        x_m: World x of the optical centre.
        y_m: Height of the optical centre above the ground.
        right: World direction of the camera's right axis.
        down: World direction of the camera's down axis.
        forward: World direction of the camera's viewing axis.
    """

    width: int
    height: int
    focal_px: float
    x_m: float
    y_m: float
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    forward: tuple[float, float, float]

    @classmethod
    def aim(
        cls,
        size: tuple[int, int],
        focal_px: float,
        position: tuple[float, float],
        yaw_turns: float,
        horizon_share: float,
    ) -> Camera:
        """Build a camera from its heading and where the horizon lies in the frame.

        Args:
            size: Frame width and height in pixels.
            focal_px: Focal length in pixels.
            position: World x and height y in metres (z is 0).
            yaw_turns: Heading in turns, 0 looks along +z, positive to the right.
            horizon_share: Row of the horizon as a share of the frame height.
        """
        width, height = size
        tangent = (0.5 - horizon_share) * height / focal_px
        cos_p = 1.0 / math.sqrt(1.0 + tangent * tangent)
        sin_p = tangent * cos_p
        sin_y, cos_y = sin_turn(yaw_turns), cos_turn(yaw_turns)
        return cls(
            width,
            height,
            focal_px,
            position[0],
            position[1],
            (cos_y, 0.0, -sin_y),
            (-sin_y * sin_p, -cos_p, -cos_y * sin_p),
            (sin_y * cos_p, -sin_p, cos_y * cos_p),
        )

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point in pixels."""
        return (self.width - 1) * 0.5, (self.height - 1) * 0.5

    @property
    def horizon_px(self) -> float:
        """Row of the horizon in pixels."""
        return self.centre_px[1] + self.focal_px * self.forward[1] / self.forward_flat

    @property
    def forward_flat(self) -> float:
        """Cosine of the pitch: length of the viewing axis on the ground."""
        return math.sqrt(self.forward[0] * self.forward[0] + self.forward[2] * self.forward[2])

    def rotate(self, vectors: Floats) -> Floats:
        """Turn world vectors (N, 3) into camera axes (N, 3), without translation."""
        x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
        axes = (self.right, self.down, self.forward)
        return np.stack([x * a[0] + y * a[1] + z * a[2] for a in axes], axis=1)

    def offset(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
        """Return one world point in camera axes."""
        x, y = x_m - self.x_m, y_m - self.y_m
        r, d, f = self.right, self.down, self.forward
        return (
            x * r[0] + y * r[1] + z_m * r[2],
            x * d[0] + y * d[1] + z_m * d[2],
            x * f[0] + y * f[1] + z_m * f[2],
        )

    def to_camera(self, points: Floats) -> Floats:
        """Turn world points (N, 3) into camera axes (N, 3)."""
        return self.rotate(points - np.array([self.x_m, self.y_m, 0.0]))

    def project(self, points: Floats) -> Ints:
        """Project camera-axis points (N, 3), all in front, to fixed-point pixels int32 (N, 2)."""
        scale = self.focal_px / points[:, 2]
        cx, cy = self.centre_px
        out = np.empty((len(points), 2), np.float64)
        out[:, 0] = points[:, 0] * scale + cx
        out[:, 1] = points[:, 1] * scale + cy
        out *= float(1 << SHIFT)
        return np.rint(out).astype(np.int32)

    def project_clipped(self, points: Floats) -> Ints | None:
        """Project a convex polygon (N, 3) in camera axes, cut to the space in front.

        Returns:
            Fixed-point pixels int32 (M, 2), or None when nothing is left.
        """
        polygon = [(float(p[0]), float(p[1]), float(p[2])) for p in points]
        planes = (
            (0.0, 0.0, 1.0, -NEAR_M),
            (1.0, 0.0, _GUARD, 0.0),
            (-1.0, 0.0, _GUARD, 0.0),
            (0.0, 1.0, _GUARD, 0.0),
            (0.0, -1.0, _GUARD, 0.0),
        )
        for plane in planes:
            polygon = _clip(polygon, plane)
            if len(polygon) < 3:
                return None
        return self.project(np.array(polygon))

    def ground(self, corners: Sequence[tuple[float, float]], y_m: float = 0.0) -> Ints | None:
        """Project a convex polygon of (x, z) points at height ``y_m``; see project_clipped."""
        points = np.array([(x, y_m, z) for x, z in corners])
        return self.project_clipped(self.to_camera(points))

    def polygon(self, points: Sequence[tuple[float, float, float]]) -> Ints | None:
        """Project a convex polygon of world points; see project_clipped."""
        return self.project_clipped(self.to_camera(np.array(points)))


def _clip(
    polygon: list[tuple[float, float, float]], plane: tuple[float, float, float, float]
) -> list[tuple[float, float, float]]:
    a, b, c, d = plane
    sides = [a * x + b * y + c * z + d for x, y, z in polygon]
    if min(sides) >= 0.0:
        return polygon
    out: list[tuple[float, float, float]] = []
    for i, point in enumerate(polygon):
        before, side_before, side = polygon[i - 1], sides[i - 1], sides[i]
        if (side >= 0.0) != (side_before >= 0.0):
            share = side_before / (side_before - side)
            x, y, z = (p + (q - p) * share for p, q in zip(before, point, strict=True))
            out.append((x, y, z))
        if side >= 0.0:
            out.append(point)
    return out
