"""Models of cars, buses and trucks."""

from __future__ import annotations

from keepbusy.street.mesh import Mesh


def _under(mesh: Mesh, u0: float, u1: float, half_width: float, clear_m: float) -> None:
    w = half_width
    corners = [(u, v, h) for u in (u0, u1) for v in (-w, w) for h in (0.16, clear_m)]
    mesh.face(corners, (0.0, 0.0, 0.0), "under", group=0, hull=True)


def car(style: str) -> Mesh:
    """Build a car: sedan, hatch, suv, coupe or taxi."""
    tall = {"suv": 0.2, "coupe": -0.1}.get(style, 0.0)
    half = {"hatch": 1.98, "suv": 2.28, "coupe": 2.16}.get(style, 2.28)
    width = 0.94 if style == "suv" else 0.89
    belt, roof = 0.96 + tall * 0.8, 1.46 + tall * 1.3
    mesh = Mesh(half * 2, width * 2, roof)
    _under(mesh, -half + 0.3, half - 0.3, width - 0.12, 0.4)
    for u in (-half * 0.6, half * 0.62):
        mesh.wheel(u, 0.34 + tall * 0.15, width + 0.01)
    nose = half - 0.34
    profile = [
        (-half + 0.04, 0.3 + tall * 0.3),
        (-half, 0.62 + tall * 0.4),
        (-half + 0.1, belt - 0.02),
        (half * 0.42, belt + 0.02),
        (nose, belt - 0.16),
        (half - 0.02, 0.66 + tall * 0.4),
        (half - 0.04, 0.3 + tall * 0.3),
    ]
    strips = mesh.prism(profile, width, "body")
    for w in (-width, width):
        _car_side(mesh, half, w, belt, tall)
    _car_ends(mesh, strips)
    back = {"hatch": -half + 0.16, "suv": -half + 0.12, "coupe": -half + 0.5}.get(style, -half + 0.55)
    lean = {"hatch": 0.4, "suv": 0.28, "coupe": 0.85}.get(style, 0.62)
    front = half * 0.44
    cabin = mesh.frustum(
        (back, front, width - 0.04, belt),
        (back + lean, front - 0.78, width - 0.24, roof),
        "body",
    )
    for side in ("left", "right"):
        for s0, s1 in ((0.07, 0.47), (0.52, 0.93)):
            mesh.decal(cabin[side], (s0, 0.1, s1, 0.84), "glass")
            mesh.decal(cabin[side], (s0 + 0.05, 0.5, s1 - 0.12, 0.84), "shine", min_px=5.0)
    mesh.decal(cabin["front"], (0.06, 0.06, 0.94, 0.9), "glass")
    mesh.decal(cabin["front"], (0.5, 0.45, 0.9, 0.88), "shine", min_px=4.0)
    mesh.decal(cabin["back"], (0.09, 0.14, 0.91, 0.86), "glass")
    mesh.decal(cabin["back"], (0.5, 0.5, 0.88, 0.84), "shine", min_px=5.0)
    if style == "taxi":
        sign = mesh.frustum((-0.4, -0.12, 0.3, roof), (-0.36, -0.16, 0.26, roof + 0.17), "roof_sign")
        for name in ("front", "back"):
            mesh.decal(sign[name], (0.12, 0.25, 0.88, 0.75), "stripe_dark", min_px=5.0)
    return mesh


def _car_side(mesh: Mesh, half: float, w: float, belt: float, tall: float) -> None:
    low = 0.3 + tall * 0.3
    quad = [
        (-half + 0.06, w, low),
        (half - 0.06, w, low),
        (half - 0.16, w, belt - 0.14),
        (-half + 0.08, w, belt - 0.05),
    ]
    mesh.decal(quad, (0.0, 0.0, 1.0, 0.18), "sill")
    mesh.decal(quad, (0.02, 0.78, 0.98, 0.94), "crease", min_px=4.0)
    for s in (0.345, 0.52, 0.70):
        mesh.decal(quad, (s, 0.2, s + 0.007, 0.95), "door", min_px=7.0)
    for s in (0.37, 0.545):
        mesh.decal(quad, (s, 0.66, s + 0.05, 0.73), "door", min_px=7.0)
    mesh.decal(quad, (0.0, 0.62, 0.045, 0.9), "tail", min_px=4.0, glow=True)
    mesh.decal(quad, (0.95, 0.62, 1.0, 0.88), "lamp", min_px=4.0, glow=True)


def _car_ends(mesh: Mesh, strips: list[list[tuple[float, float, float]]]) -> None:
    rear_low, rear_high, hood, nose, bumper = strips[0], strips[1], strips[3], strips[4], strips[5]
    mesh.decal(rear_low, (0.02, 0.0, 0.98, 0.55), "dark", min_px=2.5)
    mesh.decal(rear_low, (0.36, 0.55, 0.64, 0.98), "plate", min_px=4.0)
    mesh.decal(rear_high, (0.03, 0.1, 0.24, 0.75), "tail", glow=True)
    mesh.decal(rear_high, (0.76, 0.1, 0.97, 0.75), "tail", glow=True)
    mesh.decal(hood, (0.12, 0.08, 0.88, 0.92), "crease", min_px=4.0)
    mesh.decal(nose, (0.04, 0.15, 0.27, 0.85), "lamp", glow=True)
    mesh.decal(nose, (0.73, 0.15, 0.96, 0.85), "lamp", glow=True)
    mesh.decal(nose, (0.31, 0.2, 0.69, 0.8), "dark", min_px=3.0)
    mesh.decal(bumper, (0.12, 0.45, 0.88, 0.95), "dark", min_px=2.5)
    mesh.decal(bumper, (0.36, 0.08, 0.64, 0.42), "plate", min_px=4.0)


def bus(style: str) -> Mesh:
    """Build a bus: city or coach."""
    coach = style == "coach"
    half, width, roof = (5.5, 1.26, 3.35) if coach else (5.2, 1.25, 3.05)
    mesh = Mesh(half * 2, width * 2, roof)
    _under(mesh, -half + 0.4, half - 0.4, width - 0.15, 0.5)
    for u in (-half * 0.52, half * 0.56):
        mesh.wheel(u, 0.48, width + 0.01)
    slope = 0.3 if coach else 0.12
    body = mesh.frustum(
        (-half, half, width, 0.34),
        (-half + 0.05, half - slope, width - 0.05, roof),
        "body",
        roof="second",
    )
    for side in ("left", "right"):
        quad = body[side]
        mesh.decal(quad, (0.0, 0.0, 1.0, 0.1), "sill")
        mesh.decal(quad, (0.0, 0.2, 1.0, 0.34), "second")
        mesh.decal(quad, (0.03, 0.46, 0.975, 0.86), "stripe_dark")
        count = 6 if coach else 7
        for i in range(count):
            s = 0.04 + i * 0.93 / count
            mesh.decal(quad, (s, 0.49, s + 0.93 / count - 0.012, 0.83), "glass", min_px=6.0)
            mesh.decal(quad, (s + 0.015, 0.66, s + 0.6 / count, 0.83), "shine", min_px=9.0)
        mesh.decal(quad, (0.0, 0.35, 0.012, 0.46), "tail", min_px=6.0, glow=True)
    for s in (0.42, 0.86):
        mesh.decal(body["right"], (s, 0.05, s + 0.1, 0.84), "edge", min_px=5.0)
        mesh.decal(body["right"], (s + 0.006, 0.1, s + 0.047, 0.8), "glass", min_px=5.0)
        mesh.decal(body["right"], (s + 0.053, 0.1, s + 0.094, 0.8), "glass", min_px=5.0)
    front, back = body["front"], body["back"]
    mesh.decal(front, (0.05, 0.36, 0.95, 0.8), "glass")
    mesh.decal(front, (0.52, 0.52, 0.92, 0.78), "shine", min_px=4.0)
    mesh.decal(front, (0.12, 0.85, 0.88, 0.965), "stripe_dark")
    mesh.decal(front, (0.2, 0.875, 0.8, 0.945), "sign", min_px=5.0, glow=True)
    mesh.decal(front, (0.0, 0.0, 1.0, 0.1), "dark")
    for s in (0.05, 0.77):
        mesh.decal(front, (s, 0.14, s + 0.18, 0.23), "lamp", glow=True)
        mesh.decal(back, (s + 0.02, 0.14, s + 0.14, 0.3), "tail", glow=True)
    mesh.decal(back, (0.1, 0.52, 0.9, 0.84), "glass")
    mesh.decal(back, (0.5, 0.64, 0.86, 0.82), "shine", min_px=5.0)
    mesh.decal(back, (0.0, 0.34, 1.0, 0.44), "second")
    mesh.decal(back, (0.25, 0.08, 0.75, 0.3), "sill", min_px=4.0)
    mesh.decal(back, (0.0, 0.0, 1.0, 0.07), "dark")
    return mesh


def truck(style: str) -> Mesh:
    """Build a truck: box, tipper or tanker."""
    half, width = 3.9, 1.22
    roof = {"box": 3.3, "tipper": 2.7, "tanker": 2.85}[style]
    gap = half - 2.05
    mesh = Mesh(half * 2, width * 2, max(roof, 2.65), gap)
    _under(mesh, -half + 0.1, half - 0.3, 0.9, 0.78)
    for u in (-half * 0.66, -half * 0.38, half * 0.7):
        mesh.wheel(u, 0.47, width - 0.02)
    cab = mesh.frustum((gap + 0.12, half, 1.16, 0.5), (gap + 0.2, half - 0.34, 1.06, 2.65), "body", group=2)
    _truck_cab(mesh, cab)
    if style == "tanker":
        low = mesh.frustum((-half, gap - 0.06, 0.7, 0.86), (-half, gap - 0.06, 1.2, 1.5), "panel")
        mid = mesh.frustum((-half, gap - 0.06, 1.2, 1.5), (-half, gap - 0.06, 1.2, 2.15), "second")
        top = mesh.frustum((-half, gap - 0.06, 1.2, 2.15), (-half, gap - 0.06, 0.7, roof), "second")
        for quads in (low, mid, top):
            for side in ("left", "right"):
                for s in (0.22, 0.5, 0.78):
                    mesh.decal(quads[side], (s, 0.0, s + 0.015, 1.0), "edge", min_px=5.0)
        for side in ("left", "right"):
            mesh.decal(mid[side], (0.0, 0.25, 1.0, 0.6), "body", min_px=3.0)
        for name, box in (("low", low), ("mid", mid)):
            mesh.decal(box["back"], (0.1, 0.2, 0.9, 0.9), "edge", min_px=4.0 if name == "mid" else 6.0)
    else:
        bulge = 0.16 if style == "tipper" else 0.0
        box = mesh.frustum(
            (-half + bulge, gap - bulge, width - bulge * 0.6, 0.86),
            (-half, gap - 0.04, width, roof),
            "second",
            roof="panel",
        )
        if style == "tipper":
            mesh.decal(box["top"], (0.03, 0.06, 0.97, 0.94), "trim")
        _truck_box(mesh, box, style)
    for s in (-0.95, 0.65):
        quad = [
            (-half - 0.01, s, 0.62),
            (-half - 0.01, s + 0.3, 0.62),
            (-half - 0.01, s + 0.3, 0.8),
            (-half - 0.01, s, 0.8),
        ]
        mesh.face(quad, (-1.0, 0.0, 0.0), "tail", part=-2, glow=True)
    return mesh


def _truck_cab(mesh: Mesh, cab: dict[str, list[tuple[float, float, float]]]) -> None:
    front = cab["front"]
    mesh.decal(front, (0.06, 0.5, 0.94, 0.88), "glass", group=2)
    mesh.decal(front, (0.52, 0.62, 0.9, 0.86), "shine", group=2, min_px=4.0)
    mesh.decal(front, (0.2, 0.16, 0.8, 0.42), "dark", group=2)
    mesh.decal(front, (0.25, 0.26, 0.75, 0.31), "chrome", group=2, min_px=5.0)
    mesh.decal(front, (0.0, 0.0, 1.0, 0.11), "trim", group=2)
    mesh.decal(front, (0.03, 0.13, 0.18, 0.25), "lamp", group=2, glow=True)
    mesh.decal(front, (0.82, 0.13, 0.97, 0.25), "lamp", group=2, glow=True)
    for side in ("left", "right"):
        mesh.decal(cab[side], (0.3, 0.5, 0.88, 0.88), "glass", group=2)
        mesh.decal(cab[side], (0.34, 0.68, 0.7, 0.86), "shine", group=2, min_px=6.0)
        mesh.decal(cab[side], (0.26, 0.08, 0.28, 0.88), "door", group=2, min_px=6.0)
        mesh.decal(cab[side], (0.0, 0.0, 1.0, 0.1), "sill", group=2)


def _truck_box(mesh: Mesh, box: dict[str, list[tuple[float, float, float]]], style: str) -> None:
    for side in ("left", "right"):
        mesh.decal(box[side], (0.0, 0.0, 1.0, 0.07), "edge")
        if style == "box":
            mesh.decal(box[side], (0.0, 0.34, 1.0, 0.62), "body")
            mesh.decal(box[side], (0.36, 0.4, 0.64, 0.56), "chrome", min_px=5.0)
        else:
            for i in range(6):
                s = 0.04 + i * 0.175
                mesh.decal(box[side], (s, 0.07, s + 0.035, 1.0), "edge", min_px=4.0)
    back = box["back"]
    mesh.decal(back, (0.05, 0.04, 0.485, 0.95), "panel")
    mesh.decal(back, (0.515, 0.04, 0.95, 0.95), "panel")
    for s in (0.3, 0.64):
        mesh.decal(back, (s, 0.08, s + 0.03, 0.92), "edge", min_px=4.0)
    mesh.decal(box["front"], (0.05, 0.05, 0.95, 0.95), "panel")


CAR_STYLES = ("sedan", "hatch", "suv", "coupe", "taxi")
BUS_STYLES = ("city", "coach")
TRUCK_STYLES = ("box", "tipper", "tanker")
