"""The street scene: renders frames with exact truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepbusy.street.canvas import Box, Ids, Image, Sketch, both_areas, find, overlap, paint
from keepbusy.street.cast import Cast
from keepbusy.street.lamps import headlights, signal_sketch
from keepbusy.street.layout import make_layout
from keepbusy.street.palette import make_light
from keepbusy.street.rng import Rng
from keepbusy.street.schedule import Actor, Schedule
from keepbusy.street.shade import cast
from keepbusy.street.stage import Stage, Still, Touched
from keepbusy.street.truth import MIN_FULL_SHARE, MIN_LONG_SIDE_PX, MIN_SHORT_SIDE_PX, MIN_VISIBLE_SHARE, Truth
from keepbusy.street.weather import Lens

_SHOW_SEED = 1
_Thing = tuple[int, float, int, Sketch | Still, Actor | None]
_Seen = tuple[Box, float, float, int]
"""Box, visible share of what lies in the frame, visible share of the full silhouette, class id."""


class StreetScene:
    """A deterministic street with exact ground truth.

    A frame depends on (seed, width, height, fps, index) only.  See :class:`Truth` for the rule of
    what is labelled.  Seed 1 is the show scene: a sunny crossing with all classes.

    Args:
        seed: Scene seed, 0 or more.
        width: Frame width in pixels, at least 64.
        height: Frame height in pixels, at least 64.
        fps: Frames per second, which turns a frame index into a time.
    """

    def __init__(self, seed: int = 1, width: int = 1280, height: int = 720, fps: float = 30.0) -> None:
        if seed < 0 or width < 64 or height < 64 or not fps > 0.0:
            raise ValueError("seed >= 0, width >= 64, height >= 64 and fps > 0 are required")
        self.seed, self.width, self.height, self.fps = seed, width, height, fps
        show = seed == _SHOW_SEED
        self._light = make_light(Rng(seed, 1), show)
        self._layout = make_layout(Rng(seed, 2), (width, height), show)
        self._schedule = Schedule(self._layout, seed)
        self._cast = Cast(self._layout.camera, self._light)
        self._lens = Lens(width, height, self._light, seed)
        self._stage = Stage(seed, self._layout, self._light, self._cast, show)
        self._signals: dict[tuple[int, int], Sketch] = {}
        self._frame_box: Box = (0, 0, width, height)
        self._ids: Ids = np.zeros((height, width), np.uint16)

    def render(self, index: int, out: NDArray[np.uint8] | None = None) -> tuple[NDArray[np.uint8], Truth]:
        """Render one frame.

        Args:
            index: Frame index, 0 or more; any order is fine.
            out: Frame to fill, BGR uint8 (height, width, 3), C-contiguous; None makes a new one.

        Returns:
            The frame, BGR uint8 (height, width, 3), and its truth.
        """
        if index < 0:
            raise ValueError("index must not be negative")
        shape = (self.height, self.width, 3)
        frame = np.empty(shape, np.uint8) if out is None else out
        if frame.shape != shape or frame.dtype != np.uint8 or not frame.flags.c_contiguous:
            raise ValueError(f"out must be C-contiguous uint8 of shape {shape}")
        seen = self._paint(frame, index / self.fps)
        self._lens.apply(frame, index)
        return frame, self._label(seen)

    def _paint(self, frame: Image, time_s: float) -> list[_Seen]:
        """Paint all but weather and lens; returns every labelled part with a visible pixel."""
        stage = self._stage
        np.copyto(frame, stage.picture)
        np.copyto(self._ids, stage.ids)
        touched = Touched()
        queue = self._enter(frame, time_s, touched)
        things: list[tuple[int, Box, Sketch, list[tuple[float, float]]]] = []
        number = stage.next_id
        for _, _, _, thing, mover in queue:
            if isinstance(thing, Still):
                stage.restore(frame, self._ids, thing, touched)
                continue
            box = overlap(thing.box, self._frame_box)
            if box is None:
                continue
            paint(frame, self._ids, thing, number)
            touched.add(box)
            if thing.class_ids:
                things.append((number, box, thing, self._areas(thing, box, number)))
                number += len(thing.class_ids)
            if mover is not None and self._light.lamps_on:
                headlights(frame, self._layout.camera, stage.glow, mover)
        seen: list[_Seen] = []
        for still in stage.stills:
            classes = still.prop.sketch.class_ids
            found = still.found
            if classes and touched.within(still.box) is not None:
                found = [find(self._ids, still.first_id + i, still.box) for i in range(len(classes))]
            _collect(seen, found, still.areas, classes)
        for first, box, sketch, areas in things:
            parts = [find(self._ids, first + i, box) for i in range(len(areas))]
            _collect(seen, parts, areas, sketch.class_ids)
        return seen

    def _enter(self, frame: Image, time_s: float, touched: Touched) -> list[_Thing]:
        """Cast the shadows of all actors and return everything to be painted, far to near."""
        layout, schedule = self._layout, self._schedule
        queue: list[_Thing] = []
        for still in self._stage.stills:
            rank, depth = -still.prop.rank, -abs(still.prop.z_m)
            queue.append((rank, depth, 0, still, None))
            signal = still.prop.signal
            if signal is not None:
                lamp = schedule.lamp(time_s)
                if signal[2][0] != 0.0 and lamp != 1:
                    lamp = 2 - lamp
                key = (still.first_id, lamp)
                sketch = self._signals.get(key)
                if sketch is None:
                    sketch = self._signals[key] = signal_sketch(layout.camera, signal, lamp)
                queue.append((rank, depth, 1, sketch, None))
        for actor in schedule.actors(time_s):
            if actor.z_m > layout.end_m - 1.0:
                continue
            if not self._cast.in_view(actor.x_m, actor.z_m, 6.0):
                continue
            sketch = self._cast.sketch(actor)
            if not sketch.polygons or overlap(sketch.box, self._frame_box) is None:
                continue
            outline = self._cast.shadow(actor)
            box = None if outline is None else cast(frame, outline, self._stage.shadow)
            if box is not None:
                touched.add(box)
            queue.append((-layout.rank(actor.strip), -abs(actor.z_m), 0, sketch, actor))
        queue.sort(key=lambda item: item[:3])
        return queue

    def _areas(self, sketch: Sketch, box: Box, number: int) -> list[tuple[float, float]]:
        """Return the silhouette areas of a sketch that has just been painted."""
        if len(sketch.class_ids) == 1 and box == sketch.box:
            found = find(self._ids, number, box)
            area = float(found[0]) if found is not None else 0.0
            return [(area, area)]
        return both_areas(sketch, box)

    def _label(self, seen: list[_Seen]) -> Truth:
        unit = max(1.0, max(self.width, self.height) / 640.0)
        kept: list[_Seen] = []
        for box, share, full_share, class_id in seen:
            short, long = sorted((box[2] - box[0], box[3] - box[1]))
            big = long >= MIN_LONG_SIDE_PX * unit and short >= MIN_SHORT_SIDE_PX * unit
            if big and share >= MIN_VISIBLE_SHARE and full_share >= MIN_FULL_SHARE:
                kept.append((box, share, full_share, class_id))
        return Truth(
            np.array([k[0] for k in kept], np.float32).reshape(-1, 4),
            np.array([k[3] for k in kept], np.int64),
            np.array([k[1] for k in kept], np.float32),
        )


def _collect(
    seen: list[_Seen],
    found: list[tuple[int, Box] | None],
    areas: list[tuple[float, float]],
    classes: tuple[int, ...],
) -> None:
    for place, (full, framed), class_id in zip(found, areas, classes, strict=True):
        if place is not None:
            share = min(1.0, place[0] / max(1.0, framed))
            seen.append((place[1], share, min(1.0, place[0] / max(1.0, full)), class_id))
