"""Turns actors into sketches and ground shadows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from keepbusy.street import vehicle_paints, vehicles
from keepbusy.street.camera import NEAR_M, Camera, Floats, Ints
from keepbusy.street.canvas import Sketch
from keepbusy.street.figures import Figure, PosedFigure
from keepbusy.street.mesh import Mesh, Paint, PosedMesh
from keepbusy.street.palette import Light
from keepbusy.street.people import Looks, make_looks, walker
from keepbusy.street.rng import Rng
from keepbusy.street.schedule import Actor
from keepbusy.street.truth import BICYCLE, BUS, CAR, MOTORCYCLE, PERSON, TRUCK
from keepbusy.street.two_wheels import bicycle, cycle_paint, motorcycle

_SIZES = {"person": (0.3, 0.25, 1.7), "bicycle": (0.9, 0.2, 1.5), "motorcycle": (1.0, 0.3, 1.4)}
_MODELS: dict[tuple[str, str], Mesh] = {
    **{("car", s): vehicles.car(s) for s in vehicles.CAR_STYLES},
    **{("bus", s): vehicles.bus(s) for s in vehicles.BUS_STYLES},
    **{("truck", s): vehicles.truck(s) for s in vehicles.TRUCK_STYLES},
}
_CLASSES = {"car": CAR, "bus": BUS, "truck": TRUCK}


_PoseKey = tuple[tuple[str, str, float], int, bool, float, bool, tuple[float, float]]
_STEPS = 24

_HELD = 128
"""Actors whose looks are kept. A scene shows some dozens at a time, and others come as long as it goes on."""

_POSES_HELD = 256
"""Figures that are kept, each in one step and one direction: about 6 KB each."""


@dataclass(frozen=True)
class _Outfit:
    looks: Looks
    paint: Paint
    start: float
    style: int
    lit: dict[tuple[str, ...], Floats]


def _step(turns: float) -> int:
    return int((turns - math.floor(turns)) * _STEPS) % _STEPS


def _build(actor: Actor, looks: Looks, style: int, phase: float, near: float, facing: bool, ridden: bool) -> Figure:
    if actor.kind == "person":
        return walker(looks, phase, actor.moving, near, facing)
    if actor.kind == "bicycle":
        return bicycle(looks if ridden else None, phase, near, facing)
    rider = replace(looks, extra="full helmet") if ridden else None
    return motorcycle(rider, style, near, facing)


def _hold(held: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Keep a value that is made again when it is needed again; the oldest one goes where there are too many."""
    while len(held) >= most:
        del held[next(iter(held))]
    held[key] = value


class Cast:
    """Draws the actors of one scene.

    Args:
        camera: The scene's camera.
        light: The scene's light.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        lamps = light.lamps_on
        self._paints = {
            "car": vehicle_paints.car_paints(lamps),
            "bus": vehicle_paints.bus_paints(lamps),
            "truck": vehicle_paints.truck_paints(lamps),
        }
        self._models: dict[tuple[str, int], tuple[Mesh, str, Paint]] = {}
        self._poses: dict[_PoseKey, PosedFigure] = {}
        self._outfits: dict[int, _Outfit] = {}
        self._posed: dict[tuple[str, str, tuple[float, float]], PosedMesh] = {}
        low = light.shadow < 0.3
        x, y, z = light.to_sun
        reach = 0.12 if low else 0.55
        self._cast = (-x / y * reach, -z / y * reach)

    def in_view(self, x_m: float, z_m: float, reach_m: float) -> bool:
        """Return False if something within ``reach_m`` of a ground point cannot be seen."""
        camera = self.camera
        right, _, ahead = camera.offset(x_m, 1.0, z_m)
        if ahead < NEAR_M - reach_m:
            return False
        slope = camera.width * 0.5 / camera.focal_px
        return abs(right) < slope * max(ahead, 0.0) + reach_m * (1.0 + slope)

    def model(self, actor: Actor) -> tuple[Mesh, str, Paint]:
        """Return the solid, its style and the paint of a car, bus or truck."""
        held = self._models.get((actor.kind, actor.key))
        if held is not None:
            return held
        rng = Rng(actor.key)
        paints = self._paints[actor.kind]
        if actor.kind == "car":
            style, index = vehicle_paints.pick_car(rng)
        else:
            styles = vehicles.BUS_STYLES if actor.kind == "bus" else vehicles.TRUCK_STYLES
            style, index = rng.choice(styles), rng.integer(0, len(paints) - 1)
        held = (_MODELS[(actor.kind, style)], style, paints[index])
        _hold(self._models, (actor.kind, actor.key), held, _HELD)
        return held

    def sketch(self, actor: Actor, ridden: bool = True) -> Sketch:
        """Draw one actor; ``ridden`` puts a rider on two wheels."""
        if actor.kind in _CLASSES:
            mesh, style, paint = self.model(actor)
            held = self._posed.get((actor.kind, style, actor.heading))
            if held is None:
                held = PosedMesh(mesh, actor.heading, self.camera, self.light, (_CLASSES[actor.kind],))
                self._posed[(actor.kind, style, actor.heading)] = held
            return held.sketch(actor.x_m, actor.z_m, paint)
        return self._figure(actor, ridden)

    def _figure(self, actor: Actor, ridden: bool) -> Sketch:
        hx, hz = actor.heading
        dx, dz = self.camera.x_m - actor.x_m, -actor.z_m
        facing = dx * hx + dz * hz > 0.0
        near = 1.0 if dx * hz - dz * hx > 0.0 else -1.0
        who = self._outfit(actor)
        looks = who.looks
        size = 1.0
        classes: tuple[int, ...] = (PERSON,)
        step = 0
        if actor.kind == "person":
            size = looks.size
            step = _step(actor.travelled_m / looks.stride_m + who.start)
            kind: tuple[str, str, float] = (looks.clothes, looks.extra, looks.swing)
        else:
            classes = (BICYCLE if actor.kind == "bicycle" else MOTORCYCLE, PERSON)
            kind = (actor.kind, "ridden" if ridden else "parked", float(who.style))
            if actor.kind == "bicycle":
                step = _step(actor.travelled_m / 3.2 + who.start)
            if not ridden:
                classes = classes[:1]
        key = (kind, step, actor.moving, near, facing, actor.heading)
        posed = self._poses.get(key)
        if posed is None:
            figure = _build(actor, looks, who.style, step / _STEPS, near, facing, ridden)
            posed = PosedFigure(figure, actor.heading, self.camera)
            _hold(self._poses, key, posed, _POSES_HELD)
        lit = who.lit.get(posed.slots)
        if lit is None:
            lit = who.lit[posed.slots] = posed.light(who.paint, self.light)
        return posed.sketch((actor.x_m, actor.z_m), size, self.light, lit, classes)

    def _outfit(self, actor: Actor) -> _Outfit:
        who = self._outfits.get(actor.key)
        if who is None:
            rng = Rng(actor.key)
            looks = make_looks(rng)
            paint = {**looks.paint, **cycle_paint(rng, self.light.lamps_on)}
            who = _Outfit(looks, paint, rng.unit(), 1 if rng.chance(0.4) else 0, {})
            _hold(self._outfits, actor.key, who, _HELD)
        return who

    def shadow(self, actor: Actor) -> Ints | None:
        """Return the outline of an actor's shadow on the ground, fixed-point pixels."""
        if actor.kind in _CLASSES:
            mesh, _, _ = self.model(actor)
            half, side, tall = mesh.length_m * 0.5, mesh.width_m * 0.5, mesh.height_m
        else:
            half, side, tall = _SIZES[actor.kind]
        hx, hz = actor.heading
        corners = [
            (actor.x_m + u * hx + v * hz, actor.z_m + u * hz - v * hx) for u in (-half, half) for v in (-side, side)
        ]
        return self.cast_shadow(corners, tall)

    def cast_shadow(self, corners: Sequence[tuple[float, float]], tall_m: float) -> Ints | None:
        """Return the outline of the shadow of a block with ground corners (x, z)."""
        sx, sz = self._cast[0] * tall_m, self._cast[1] * tall_m
        inner = 0.8
        mx = sum(x for x, _ in corners) / len(corners)
        mz = sum(z for _, z in corners) / len(corners)
        top = [(mx + (x - mx) * inner + sx, mz + (z - mz) * inner + sz) for x, z in corners]
        points = np.array([(x, 0.0, z) for x, z in (*corners, *top)])
        seen = self.camera.to_camera(points)
        if float(seen[:, 2].min()) < NEAR_M:
            return None
        return cv2.convexHull(self.camera.project(seen)).reshape(-1, 2).astype(np.int32)
