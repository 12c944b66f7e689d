"""Flat-shaded solids made of convex faces, posed and lit once per scene and drawn per frame.

Local axes of a mesh, in metres: u forward, v to the side, h up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from keepbusy.street.camera import NEAR_M, Camera, Floats
from keepbusy.street.canvas import DETAIL, Sketch, measure
from keepbusy.street.palette import Bgr, Light

Vec = tuple[float, float, float]
Paint = dict[str, Bgr]


@dataclass
class Face:
    """One convex face: corners (u, v, h), outward normal (zero: always drawn) and paint slot."""

    corners: list[Vec]
    normal: Vec
    slot: str
    part: int
    group: int
    min_px: float
    glow: bool
    hull: bool


@dataclass
class Mesh:
    """A solid; ``split_u_m`` separates group 1 (behind it) from group 2 (in front of it)."""

    length_m: float
    width_m: float
    height_m: float
    split_u_m: float = 0.0
    faces: list[Face] = field(default_factory=list)

    def face(
        self,
        corners: Sequence[Vec],
        normal: Vec,
        slot: str,
        *,
        part: int = 0,
        group: int = 1,
        min_px: float = 0.0,
        glow: bool = False,
        hull: bool = False,
    ) -> list[Vec]:
        """Add a face and return its corners."""
        self.faces.append(Face(list(corners), normal, slot, part, group, min_px, glow, hull))
        return list(corners)

    def decal(
        self,
        quad: Sequence[Vec],
        box: tuple[float, float, float, float],
        slot: str,
        *,
        group: int = 1,
        min_px: float = 0.0,
        glow: bool = False,
    ) -> None:
        """Paint a patch (s0, t0, s1, t1), shares of a quad's sides, on a quad of the mesh."""
        s0, t0, s1, t1 = box
        corners = [_bilinear(quad, s, t) for s, t in ((s0, t0), (s1, t0), (s1, t1), (s0, t1))]
        self.face(
            corners,
            _normal(quad, self._centre()),
            slot,
            part=DETAIL,
            group=group,
            min_px=min_px,
            glow=glow,
        )

    def _centre(self) -> Vec:
        return (0.0, 0.0, self.height_m * 0.4)

    def frustum(
        self,
        low: tuple[float, float, float, float],
        high: tuple[float, float, float, float],
        slot: str,
        *,
        group: int = 1,
        part: int = 0,
        roof: str | None = None,
    ) -> dict[str, list[Vec]]:
        """Add a solid between two rectangles, each (u from, u to, half width, h).

        Returns:
            The corners (low left, low right, high right, high left) of its faces by name: front,
            back, left, right and top.  On the sides "left" is the rear end.
        """
        a, b, w, h = low
        c, d, x, k = high
        centre = ((a + b + c + d) * 0.25, 0.0, (h + k) * 0.5)
        quads: dict[str, list[Vec]] = {
            "front": [(b, -w, h), (b, w, h), (d, x, k), (d, -x, k)],
            "back": [(a, -w, h), (a, w, h), (c, x, k), (c, -x, k)],
            "left": [(a, -w, h), (b, -w, h), (d, -x, k), (c, -x, k)],
            "right": [(a, w, h), (b, w, h), (d, x, k), (c, x, k)],
            "top": [(c, -x, k), (d, -x, k), (d, x, k), (c, x, k)],
        }
        for name, quad in quads.items():
            use = roof if roof is not None and name == "top" else slot
            self.face(quad, _normal(quad, centre), use, group=group, part=part)
        return quads

    def prism(
        self,
        profile: Sequence[tuple[float, float]],
        half_width: float,
        slot: str,
        *,
        group: int = 1,
    ) -> list[list[Vec]]:
        """Extrude a convex (u, h) profile to both sides; returns a strip quad per edge."""
        count = len(profile)
        centre = (sum(u for u, _ in profile) / count, 0.0, sum(h for _, h in profile) / count)
        strips = []
        for i in range(count):
            (u0, h0), (u1, h1) = profile[i], profile[(i + 1) % count]
            w = half_width
            quad = [(u0, -w, h0), (u0, w, h0), (u1, w, h1), (u1, -w, h1)]
            strips.append(self.face(quad, _normal(quad, centre), slot, group=group))
        for w in (-half_width, half_width):
            side = [(u, w, h) for u, h in profile]
            self.face(side, (0.0, 1.0 if w > 0 else -1.0, 0.0), slot, group=group)
        return strips

    def wheel(self, u_m: float, radius_m: float, half_width: float) -> None:
        """Add an axle: tyres first, and the discs of the near side last."""
        for side in (-1.0, 1.0):
            outer, inner = side * half_width, side * (half_width - 0.24)
            ring = [_disc(u_m, outer, radius_m, radius_m * f) for f in (1.0, 0.62, 0.2)]
            tread = ring[0] + _disc(u_m, inner, radius_m, radius_m)
            self.face(tread, (0.0, 0.0, 0.0), "tyre", group=0, hull=True)
            normal = (0.0, side, 0.0)
            arch = [
                (u, v, h + radius_m * 0.1)
                for u, v, h in _disc(u_m, outer, radius_m, radius_m * 1.16)
                if h > radius_m * 0.7
            ]
            self.face(arch, normal, "arch", part=DETAIL, group=3, min_px=5.0)
            self.face(ring[0], normal, "tyre", group=3)
            self.face(ring[1], normal, "rim", part=DETAIL, group=3, min_px=3.0)
            self.face(ring[2], normal, "tyre", part=DETAIL, group=3, min_px=5.0)


def _disc(u_m: float, v_m: float, h_m: float, radius_m: float) -> list[Vec]:
    return [(u_m + radius_m * x, v_m, h_m + radius_m * y) for x, y in CIRCLE]


CIRCLE: tuple[tuple[float, float], ...] = (
    (1.0, 0.0),
    (0.924, 0.383),
    (0.707, 0.707),
    (0.383, 0.924),
    (0.0, 1.0),
    (-0.383, 0.924),
    (-0.707, 0.707),
    (-0.924, 0.383),
    (-1.0, 0.0),
    (-0.924, -0.383),
    (-0.707, -0.707),
    (-0.383, -0.924),
    (0.0, -1.0),
    (0.383, -0.924),
    (0.707, -0.707),
    (0.924, -0.383),
)
"""Corners of a regular polygon with 16 sides and radius 1."""


def _bilinear(quad: Sequence[Vec], s: float, t: float) -> Vec:
    a, b, c, d = quad
    u, v, h = ((a[i] * (1 - s) + b[i] * s) * (1 - t) + (d[i] * (1 - s) + c[i] * s) * t for i in range(3))
    return u, v, h


def _normal(quad: Sequence[Vec], inside: Vec) -> Vec:
    a, b, d = quad[0], quad[1], quad[3]
    p = [b[i] - a[i] for i in range(3)]
    q = [d[i] - a[i] for i in range(3)]
    n = (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])
    size = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) ** 0.5
    if sum(n[i] * (a[i] - inside[i]) for i in range(3)) < 0.0:
        size = -size
    return n[0] / size, n[1] / size, n[2] / size


class PosedMesh:
    """A mesh turned to a heading and lit, ready to be drawn anywhere in one scene.

    Args:
        mesh: The solid.
        heading: World (x, z) direction of its u axis, a unit vector.
        camera: The scene's camera.
        light: The scene's light.
        class_ids: Class of each labelled part.
    """

    def __init__(
        self,
        mesh: Mesh,
        heading: tuple[float, float],
        camera: Camera,
        light: Light,
        class_ids: tuple[int, ...],
    ) -> None:
        self.mesh, self.heading, self.camera, self.light = mesh, heading, camera, light
        self.class_ids = class_ids
        faces = mesh.faces
        self._ends: list[tuple[int, int]] = []
        vertices: list[Vec] = []
        for face in faces:
            self._ends.append((len(vertices), len(vertices) + len(face.corners)))
            vertices.extend(face.corners)
        self._rotated = camera.rotate(self._world(np.array(vertices)))
        self._normals = np.array([f.normal for f in faces])
        self._anchors = np.array([f.corners[0] for f in faces])
        self._always = np.array([f.normal == (0.0, 0.0, 0.0) for f in faces])
        self._min_px = np.array([f.min_px for f in faces])
        self._slots = [f.slot for f in faces]
        self._hull = [f.hull for f in faces]
        self._parts = [f.part for f in faces]
        world = self._world(self._normals)
        ones = (1.0, 1.0, 1.0)
        dim = light.gain((0.0, -0.6, 0.0))
        self._gains = np.array(
            [
                ones if f.glow else dim if flat else light.gain((n[0], n[1], n[2]))
                for f, n, flat in zip(faces, world.tolist(), self._always.tolist(), strict=True)
            ]
        )
        ahead = {0: 0, 1: 1, 2: 2, 3: 3}
        behind = {0: 0, 1: 2, 2: 1, 3: 3}
        numbers = range(len(faces))
        self._order_ahead = sorted(numbers, key=lambda i: ahead[faces[i].group])
        self._order_behind = sorted(numbers, key=lambda i: behind[faces[i].group])
        self._lit: dict[int, tuple[Paint, Floats]] = {}

    def _world(self, local: Floats) -> Floats:
        hx, hz = self.heading
        u, v, h = local[:, 0], local[:, 1], local[:, 2]
        return np.stack([u * hx + v * hz, h, u * hz - v * hx], axis=1)

    def _colours(self, paint: Paint) -> Floats:
        held = self._lit.get(id(paint))
        if held is None or held[0] is not paint:
            base = np.array([paint[s] for s in self._slots], np.float64)
            held = (paint, np.minimum(base * self._gains, 255.0))
            self._lit[id(paint)] = held
        return held[1]

    def sketch(self, x_m: float, z_m: float, paint: Paint, y_m: float = 0.0) -> Sketch:
        """Draw the mesh with its origin at a world point; an empty sketch if it is behind."""
        out = Sketch(class_ids=self.class_ids)
        camera = self.camera
        offset = camera.offset(x_m, y_m, z_m)
        points = self._rotated + np.array(offset)
        clipped = bool(points[:, 2].min() < NEAR_M)
        if clipped and bool(points[:, 2].max() < NEAR_M):
            return out
        hx, hz = self.heading
        dx, dz = camera.x_m - x_m, -z_m
        eye = np.array([dx * hx + dz * hz, dx * hz - dz * hx, camera.y_m - y_m])
        away = (eye - self._anchors) * self._normals
        shown = (away[:, 0] + away[:, 1] + away[:, 2] > 0.0) | self._always
        size_px = self.mesh.height_m * camera.focal_px / max(NEAR_M, offset[2])
        shown &= self._min_px * 6.0 <= size_px
        visible = shown.tolist()
        colours = self.light.tint_all(self._colours(paint), offset[2])
        pixels = None if clipped else camera.project(points)
        ahead = eye[0] > self.mesh.split_u_m
        for i in self._order_ahead if ahead else self._order_behind:
            if not visible[i]:
                continue
            a, b = self._ends[i]
            polygon = camera.project_clipped(points[a:b]) if pixels is None else pixels[a:b]
            if polygon is None:
                continue
            if self._hull[i]:
                polygon = cv2.convexHull(polygon)[:, 0].astype(np.int32)
            out.polygons.append((polygon, colours[i], self._parts[i]))
        return measure(out)
