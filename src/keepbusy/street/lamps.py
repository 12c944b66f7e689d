"""The lit lamps of traffic lights and vehicles."""

from __future__ import annotations

from keepbusy.street.camera import Camera
from keepbusy.street.canvas import DETAIL, Image, Sketch, measure
from keepbusy.street.furniture import LAMPS, SIGNAL_BASE_M, signal_lamp
from keepbusy.street.schedule import Actor
from keepbusy.street.shade import add_glow
from keepbusy.street.sky import whole

_HALF_M = {"car": 2.2, "bus": 5.2, "truck": 3.9, "motorcycle": 0.7}


def signal_sketch(camera: Camera, signal: tuple[float, float, tuple[float, float]], number: int) -> Sketch:
    """Draw the lit lamp of a traffic light.

    Args:
        camera: The scene's camera.
        signal: World x, z and heading of the traffic light.
        number: 0 red, 1 amber, 2 green.
    """
    x, z, (hx, hz) = signal
    out = Sketch()
    for radius, gain in ((0.165, 1.0), (0.1, 1.18)):
        corners = [
            (x + u * hx + v * hz, SIGNAL_BASE_M + h, z + u * hz - v * hx) for u, v, h in signal_lamp(number, radius)
        ]
        polygon = camera.polygon(corners)
        if polygon is not None:
            b, g, r = LAMPS[number]
            out.polygons.append((polygon, whole((b * gain + 8.0, g * gain, r * gain)), DETAIL))
    return measure(out)


def headlights(frame: Image, camera: Camera, glow: Image, actor: Actor) -> None:
    """Add the glare of a vehicle's head-lights if they shine towards the camera."""
    half = _HALF_M.get(actor.kind)
    if half is None:
        return
    hx, hz = actor.heading
    if (camera.x_m - actor.x_m) * hx - actor.z_m * hz < 0.0:
        return
    for v in (0.62, -0.62) if actor.kind != "motorcycle" else (0.0,):
        x = actor.x_m + half * hx + v * hz
        z = actor.z_m + half * hz - v * hx
        right, down, ahead = camera.offset(x, 0.75, z)
        if ahead < 2.0:
            continue
        scale = camera.focal_px / ahead
        cx, cy = camera.centre_px
        radius = int(0.6 * scale)
        centre = (int(cx + right * scale), int(cy + down * scale))
        add_glow(frame, glow, centre, (radius, radius))
