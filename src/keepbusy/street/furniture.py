"""Things that stand in the street: trees, lamps, signs, signals, benches, racks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keepbusy.street.camera import Camera
from keepbusy.street.canvas import CLUTTER, DETAIL, Sketch, measure
from keepbusy.street.figures import Figure, sketch_figure
from keepbusy.street.mesh import CIRCLE, Mesh, Paint, PosedMesh, Vec
from keepbusy.street.palette import Bgr, Light
from keepbusy.street.rng import Rng
from keepbusy.street.truth import STOP_SIGN, TRAFFIC_LIGHT

_LEAVES: tuple[Bgr, ...] = (
    (70, 130, 84),
    (84, 150, 96),
    (64, 120, 100),
    (76, 150, 130),
    (60, 110, 66),
)
_AUTUMN: tuple[Bgr, ...] = ((50, 130, 225), (50, 100, 205), (70, 170, 225))
_PAINT: Paint = {
    "pole": (120, 116, 112),
    "dark pole": (70, 66, 62),
    "wood": (70, 110, 160),
    "trunk": (70, 92, 122),
    "bin": (90, 110, 70),
    "glow head": (190, 235, 255),
    "head": (225, 225, 220),
    "box": (52, 48, 46),
    "rim": (74, 70, 66),
    "off0": (42, 36, 70),
    "off1": (40, 62, 74),
    "off2": (48, 66, 40),
    "white": (245, 245, 245),
    "red": (48, 40, 205),
    "blue": (190, 100, 40),
    "yellow": (60, 200, 245),
    "hydrant": (60, 60, 210),
    "back": (150, 148, 146),
    "soil": (70, 80, 100),
}
LAMPS: tuple[Bgr, ...] = ((70, 60, 255), (50, 190, 255), (130, 235, 70))
"""Colours of the red, amber and green lamp."""


@dataclass(frozen=True)
class Kit:
    """What drawing needs to know about the scene."""

    camera: Camera
    light: Light

    def figure(self, figure: Figure, x_m: float, z_m: float, heading: tuple[float, float], paint: Paint) -> Sketch:
        """Draw a figure without labels."""
        return sketch_figure(figure, (x_m, z_m), heading, self.camera, self.light, paint, ())

    def facing(self, x_m: float, z_m: float) -> tuple[float, float]:
        """Return the one of four headings at a point that looks at the camera best."""
        dx, dz = self.camera.x_m - x_m, -z_m
        if abs(dx) > abs(dz):
            return (1.0 if dx > 0 else -1.0, 0.0)
        return (0.0, 1.0 if dz > 0 else -1.0)


def join(*sketches: Sketch) -> Sketch:
    """Put sketches on top of each other; at most one of them may have labels."""
    out = Sketch()
    for sketch in sketches:
        out.polygons.extend(sketch.polygons)
        out.class_ids = out.class_ids or sketch.class_ids
    return measure(out)


def _pole(kit: Kit, x: float, z: float, tall: float, thick: float, slot: str = "pole") -> Sketch:
    figure = Figure()
    figure.bone((0.0, 0.0, 0.02), (0.0, 0.0, tall), thick, thick, slot, CLUTTER)
    return kit.figure(figure, x, z, (0.0, 1.0), _PAINT)


def signal_mesh() -> Mesh:
    """Build the lamp housing of a traffic light."""
    mesh = Mesh(0.3, 0.52, 1.3)
    body = mesh.frustum((-0.15, 0.15, 0.26, 0.0), (-0.15, 0.15, 0.26, 1.3), "box")
    mesh.decal(body["front"], (0.1, 0.04, 0.9, 0.96), "rim")
    for i, slot in enumerate(("off2", "off1", "off0")):
        mesh.face(signal_lamp(2 - i, 0.165), (1.0, 0.0, 0.0), slot, part=DETAIL, min_px=1.0)
    return mesh


def signal_lamp(number: int, radius_m: float) -> list[Vec]:
    """Return the corners of lamp 0 red, 1 amber or 2 green on the housing's front."""
    h = 1.06 - 0.41 * number
    return [(0.16, radius_m * x, h + radius_m * y) for x, y in CIRCLE]


SIGNAL_BASE_M = 2.75
"""Height of the lower end of a signal's housing."""


def traffic_light(kit: Kit, x: float, z: float) -> Sketch:
    """Draw a traffic light with dark lamps; only its housing is labelled."""
    heading = kit.facing(x, z)
    mesh = PosedMesh(signal_mesh(), heading, kit.camera, kit.light, (TRAFFIC_LIGHT,))
    pole = _pole(kit, x - heading[0] * 0.1, z - heading[1] * 0.1, SIGNAL_BASE_M + 0.2, 0.075, "dark pole")
    return join(pole, mesh.sketch(x, z, _PAINT, SIGNAL_BASE_M))


def _bars(text: str) -> list[tuple[float, float, float, float]]:
    glyphs = {
        "S": ((0, 0, 3, 1), (2, 0, 3, 3), (0, 2, 3, 3), (0, 2, 1, 5), (0, 4, 3, 5)),
        "T": ((1, 0, 2, 5), (0, 4, 3, 5)),
        "O": ((0, 0, 3, 1), (0, 0, 1, 5), (2, 0, 3, 5), (0, 4, 3, 5)),
        "P": ((0, 0, 1, 5), (0, 4, 3, 5), (0, 2, 3, 3), (2, 2, 3, 5)),
    }
    out = []
    for i, letter in enumerate(text):
        for a, b, c, d in glyphs[letter]:
            out.append((i * 4.0 + a, float(b), i * 4.0 + c, float(d)))
    return out


def stop_mesh() -> Mesh:
    """Build the octagon of a stop sign."""
    mesh = Mesh(0.1, 1.1, 1.1)
    corner = 0.4142
    octagon = [
        (1.0, corner),
        (corner, 1.0),
        (-corner, 1.0),
        (-1.0, corner),
        (-1.0, -corner),
        (-corner, -1.0),
        (corner, -1.0),
        (1.0, -corner),
    ]
    for radius, slot, part in ((0.52, "white", 0), (0.475, "red", DETAIL)):
        mesh.face([(0.0, radius * x, radius * y) for x, y in octagon], (1.0, 0.0, 0.0), slot, part=part)
    unit = 0.052
    for a, b, c, d in _bars("STOP"):
        x0, x1 = (a - 7.5) * unit, (c - 7.5) * unit
        y0, y1 = (b - 2.5) * unit, (d - 2.5) * unit
        mesh.face(
            [(0.0, -x0, y0), (0.0, -x1, y0), (0.0, -x1, y1), (0.0, -x0, y1)],
            (1.0, 0.0, 0.0),
            "white",
            part=DETAIL,
            min_px=2.6,
        )
    return mesh


def stop_sign(kit: Kit, x: float, z: float, tall: float) -> Sketch:
    """Draw a stop sign on a pole; only the octagon is labelled."""
    heading = kit.facing(x, z)
    mesh = PosedMesh(stop_mesh(), heading, kit.camera, kit.light, (STOP_SIGN,))
    pole = _pole(kit, x - heading[0] * 0.06, z - heading[1] * 0.06, tall, 0.045)
    return join(pole, mesh.sketch(x, z, _PAINT, tall))


def round_sign(kit: Kit, x: float, z: float, style: str) -> Sketch:
    """Draw a sign that is no stop sign: entry, blue or diamond."""
    mesh = Mesh(0.1, 0.8, 0.8)
    front = (1.0, 0.0, 0.0)
    shape: Sequence[tuple[float, float]] = CIRCLE
    if style == "diamond":
        shape = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
    inner = {"entry": "white", "blue": "blue", "diamond": "yellow"}[style]
    for radius, slot, part in (
        (0.4, "red" if style == "entry" else "white", CLUTTER),
        (0.31, inner, DETAIL),
    ):
        mesh.face([(0.0, radius * a, radius * b) for a, b in shape], front, slot, part=part)
    if style != "diamond":
        mesh.face(
            [(0.0, a, b) for a, b in ((-0.2, -0.06), (0.2, -0.06), (0.2, 0.06), (-0.2, 0.06))],
            front,
            "white" if style == "blue" else "dark pole",
            part=DETAIL,
        )
    heading = kit.facing(x, z)
    pole = _pole(kit, x - heading[0] * 0.06, z - heading[1] * 0.06, 2.3, 0.04)
    posed = PosedMesh(mesh, heading, kit.camera, kit.light, ())
    return join(pole, posed.sketch(x, z, _PAINT, 2.3))


def tree(kit: Kit, x: float, z: float, rng: Rng) -> Sketch:
    """Draw a broad-leaved tree, a slim one or a fir."""
    light = kit.light
    autumn = rng.chance(0.12)
    leaf = rng.choice(_AUTUMN if autumn else _LEAVES)
    if light.snow:
        leaf = (leaf[0] * 0.5 + 105.0, leaf[1] * 0.5 + 105.0, leaf[2] * 0.5 + 105.0)
    paint = dict(_PAINT)
    for slot, gain in (("leaf0", 0.72), ("leaf1", 0.95), ("leaf2", 1.18)):
        paint[slot] = (leaf[0] * gain, leaf[1] * gain, leaf[2] * gain)
    out = Figure()
    kind = rng.weighted((("round", 0.6), ("slim", 0.22), ("fir", 0.0 if autumn else 0.18)))
    tall = rng.uniform(5.2, 7.6)
    stem = 1.3 if kind == "fir" else 2.3
    out.bone((0.0, 0.0, 0.03), (0.0, 0.0, tall * 0.6), 0.15, 0.09, "trunk", CLUTTER)
    if kind == "fir":
        for i in range(4):
            low, high = stem + i * (tall - stem) * 0.22, stem + (i + 2) * (tall - stem) * 0.2
            wide = 1.5 - i * 0.32
            rim = [out.ball((wide * a, wide * b, low), 0.08) for a, b in CIRCLE[::2]]
            out.hull((*rim, out.ball((0.0, 0.0, high + 0.4), 0.05)), f"leaf{min(2, 1 + i % 2)}", CLUTTER)
        return kit.figure(out, x, z, (0.0, 1.0), paint)
    wide = 1.25 if kind == "slim" else rng.uniform(1.5, 1.9)
    centre, rise = (tall + stem) * 0.5 + 0.2, (tall - stem) * 0.5
    puffs = [(0.0, 0.0, centre, wide * 0.8)]
    for _ in range(12):
        a, b, c = (rng.uniform(-1.0, 1.0) for _ in range(3))
        size = 1.0 - 0.45 * abs(c)
        puffs.append(
            (
                a * wide * 0.62 * size,
                b * wide * 0.62 * size,
                centre + c * rise * 0.72,
                wide * rng.uniform(0.42, 0.6) * size,
            )
        )
    sx, sy, sz = light.to_sun
    for slot, move, scale in (("leaf0", 0.0, 1.0), ("leaf1", 0.2, 0.86), ("leaf2", 0.5, 0.5)):
        for a, b, h, radius in puffs:
            shift = move * radius
            at = (a + sz * shift, b + sx * shift, h + sy * shift)
            out.hull((out.ball(at, radius * scale),), slot, CLUTTER if slot == "leaf0" else DETAIL)
    return kit.figure(out, x, z, (0.0, 1.0), paint)


def lamp_post(kit: Kit, x: float, z: float, side: int) -> Sketch:
    """Draw a street lamp whose arm reaches over the road."""
    out = Figure()
    out.bone((0.0, 0.0, 0.03), (0.0, 0.0, 5.6), 0.085, 0.06, "dark pole", CLUTTER)
    arm = -side * 1.3
    out.bone((0.0, 0.0, 5.5), (0.0, arm, 5.85), 0.05, 0.05, "dark pole", CLUTTER)
    slot = "glow head" if kit.light.lamps_on else "head"
    out.bone((0.0, arm - side * 0.1, 5.82), (0.0, arm - side * 0.6, 5.85), 0.09, 0.07, slot, CLUTTER)
    return kit.figure(out, x, z, (0.0, 1.0), _PAINT)


def small_thing(kit: Kit, x: float, z: float, kind: str, rng: Rng) -> Sketch:
    """Draw a bush, bench, bin, hydrant, bollard, planter or billboard."""
    out = Figure()
    paint = dict(_PAINT)
    leaf = rng.choice(_LEAVES)
    paint["leaf0"], paint["leaf1"] = (leaf[0] * 0.8, leaf[1] * 0.8, leaf[2] * 0.8), leaf
    if kind in ("bush", "planter"):
        base = 0.45 if kind == "planter" else 0.2
        if kind == "planter":
            rim = [out.ball((u, v, h), 0.04) for u in (-0.6, 0.6) for v in (-0.25, 0.25) for h in (0.04, 0.45)]
            out.hull(tuple(rim), "wood", CLUTTER)
        for i in range(5):
            at = (-0.5 + i * 0.25, rng.uniform(-0.1, 0.1), base + rng.uniform(0.1, 0.3))
            out.hull((out.ball(at, rng.uniform(0.22, 0.34)),), "leaf0", CLUTTER)
            out.hull((out.ball((at[0], at[1], at[2] + 0.08), 0.18),), "leaf1", DETAIL)
    elif kind == "bench":
        for u in (-0.6, 0.6):
            out.bone((u, 0.0, 0.03), (u, 0.0, 0.42), 0.04, 0.04, "dark pole", CLUTTER)
        for v, h in ((-0.15, 0.45), (0.1, 0.45), (0.2, 0.65), (0.24, 0.82)):
            out.bone((-0.8, v, h), (0.8, v, h), 0.05, 0.05, "wood", CLUTTER)
    elif kind == "bin":
        rim = [out.ball((0.2 * a, 0.2 * b, h), 0.02) for a, b in CIRCLE[::2] for h in (0.05, 0.85)]
        out.hull(tuple(rim), "bin", CLUTTER)
        out.bone((0.0, -0.12, 0.88), (0.0, 0.12, 0.88), 0.1, 0.1, "dark pole", CLUTTER)
    elif kind == "hydrant":
        out.bone((0.0, 0.0, 0.06), (0.0, 0.0, 0.58), 0.12, 0.12, "hydrant", CLUTTER)
        out.bone((0.0, -0.2, 0.45), (0.0, 0.2, 0.45), 0.06, 0.06, "hydrant", CLUTTER)
    elif kind == "bollard":
        out.bone((0.0, 0.0, 0.05), (0.0, 0.0, 0.85), 0.08, 0.07, "dark pole", CLUTTER)
        out.bone((0.0, 0.0, 0.7), (0.0, 0.0, 0.78), 0.075, 0.075, "white", DETAIL)
    else:
        shade = rng.choice(((200, 140, 60), (80, 170, 230), (150, 90, 170), (110, 170, 100)))
        paint["ad"], paint["ad2"] = shade, (240, 240, 235)
        for u in (-0.6, 0.6):
            out.bone((u, 0.0, 0.03), (u, 0.0, 0.9), 0.05, 0.05, "dark pole", CLUTTER)
        frame = [out.ball((u, 0.0, h), 0.06) for u in (-0.85, 0.85) for h in (0.75, 2.5)]
        out.hull(tuple(frame), "dark pole", CLUTTER)
        inner = [out.ball((u, 0.0, h), 0.01) for u in (-0.8, 0.8) for h in (0.82, 2.43)]
        out.hull(tuple(inner), "ad", DETAIL)
        for u, h, r in ((-0.3, 1.9, 0.3), (0.35, 1.3, 0.24), (0.1, 1.1, 0.16)):
            out.hull((out.ball((u, 0.0, h), r),), "ad2", DETAIL)
    return kit.figure(out, x, z, (0.0, 1.0), paint)
