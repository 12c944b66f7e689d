"""The baked part of a scene: background picture, its id buffer and the props to put back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.street.buildings import paint_buildings
from keepbusy.street.canvas import Box, Ids, Image, both_areas, find, overlap, paint, silhouette
from keepbusy.street.cast import Cast
from keepbusy.street.ground import paint_ground
from keepbusy.street.layout import Layout
from keepbusy.street.palette import Light
from keepbusy.street.props import Prop, place_props
from keepbusy.street.rng import Rng
from keepbusy.street.shade import add_glow, cast, make_glow, shadow_table
from keepbusy.street.sky import paint_sky


class Touched:
    """The boxes of a frame that were painted over since the background was copied."""

    def __init__(self) -> None:
        self._boxes: NDArray[np.int64] = np.zeros((256, 4), np.int64)
        self._count = 0

    def add(self, box: Box) -> None:
        """Remember a box."""
        if self._count == len(self._boxes):
            self._boxes = np.concatenate([self._boxes, np.zeros_like(self._boxes)])
        self._boxes[self._count] = box
        self._count += 1

    def within(self, box: Box) -> Box | None:
        """Return the smallest box around all that was painted inside a box, or None."""
        known = self._boxes[: self._count]
        low = np.maximum(known[:, :2], box[:2])
        high = np.minimum(known[:, 2:], box[2:])
        hit = (low < high).all(axis=1)
        if not hit.any():
            return None
        x1, y1 = low[hit].min(axis=0).tolist()
        x2, y2 = high[hit].max(axis=0).tolist()
        return x1, y1, x2, y2


class Still:
    """A prop baked into the background.

    Attributes:
        prop: The prop.
        first_id: Id of its first labelled part.
        box: Its box within the frame.
        mask: Its silhouette in the box, uint8, 0 or 255.
        areas: Silhouette area of each labelled part, pixels: in full, and within the frame.
        found: Visible pixel count and box of each part in the background, or None if hidden.
    """

    def __init__(self, prop: Prop, first_id: int, box: Box, mask: Image) -> None:
        self.prop, self.first_id, self.box, self.mask = prop, first_id, box, mask
        self.areas = both_areas(prop.sketch, box)
        self.found: list[tuple[int, Box] | None] = []


class Stage:
    """Background, ids and props of one scene.

    Attributes:
        picture: Background, BGR uint8 (H, W, 3), props included.
        ids: uint16 (H, W), 0 where nothing labelled is visible.
        stills: The props in the frame, far to near.
        next_id: First id that no prop uses.
        glow: Picture of a lamp's glow.
        shadow: Lookup table of cast shadows.

    Args:
        seed: Scene seed.
        layout: The street.
        light: The scene's light.
        cast_of: Draws parked vehicles.
        show: True for the picture-book scene.
    """

    def __init__(self, seed: int, layout: Layout, light: Light, cast_of: Cast, show: bool) -> None:
        width, height = layout.camera.width, layout.camera.height
        self.picture: Image = np.empty((height, width, 3), np.uint8)
        self.ids: Ids = np.zeros((height, width), np.uint16)
        self.stills: list[Still] = []
        self.next_id = 1
        self.glow = make_glow((110, 150, 165))
        self.shadow = shadow_table(light.shadow)
        paint_sky(self.picture, layout.camera, light, Rng(seed, 3))
        paint_ground(self.picture, layout, light, Rng(seed, 4))
        paint_buildings(self.picture, layout, light, Rng(seed, 5))
        props = place_props(layout, cast_of, Rng(seed, 6), show)
        for prop in props:
            if prop.shadow is not None:
                cast(self.picture, prop.shadow, self.shadow)
        if light.lamps_on:
            self._pools(layout, props)
        for prop in props:
            box = overlap(prop.sketch.box, (0, 0, width, height))
            if box is None:
                continue
            paint(self.picture, self.ids, prop.sketch, self.next_id)
            self.stills.append(Still(prop, self.next_id, box, silhouette(prop.sketch, box)))
            self.next_id += len(prop.sketch.class_ids)
        for still in self.stills:
            still.found = [find(self.ids, still.first_id + part, still.box) for part in range(len(still.areas))]

    def _pools(self, layout: Layout, props: list[Prop]) -> None:
        """Paint the light of street lamps on the ground and around their heads."""
        camera = layout.camera
        for prop in props:
            if prop.lamp_at is None:
                continue
            for y, wide, flat in ((0.0, 4.2, 0.33), (5.8, 0.9, 1.0)):
                right, down, ahead = camera.offset(prop.lamp_at[0], y, prop.lamp_at[1])
                if ahead < 3.0:
                    continue
                scale = camera.focal_px / ahead
                cx, cy = camera.centre_px
                centre = (int(cx + right * scale), int(cy + down * scale))
                add_glow(self.picture, self.glow, centre, (int(wide * scale), int(wide * flat * scale)))

    def restore(self, frame: Image, ids: Ids, still: Still, touched: Touched) -> None:
        """Put a prop back in front of everything painted so far that it hides."""
        part = touched.within(still.box)
        if part is None:
            return
        x1, y1, x2, y2 = part
        bx, by = still.box[0], still.box[1]
        mask = still.mask[y1 - by : y2 - by, x1 - bx : x2 - bx]
        cv2.copyTo(self.picture[y1:y2, x1:x2], mask, frame[y1:y2, x1:x2])
        cv2.copyTo(self.ids[y1:y2, x1:x2], mask, ids[y1:y2, x1:x2])
