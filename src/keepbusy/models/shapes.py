"""Which input shapes frames are inferred in: small ones, and few of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keepbusy.pictures.letterbox import CELL_PX

SizeHW = tuple[int, int]

MAX_SHAPES = 4
"""Input shapes in use at the same time: enough for pictures of every common aspect ratio, upright and lying."""

_WORTH_IT = 0.03
"""A further shape is used if it saves more than this share of the pixels."""


def rectangle(frame_hw: SizeHW, nominal_hw: SizeHW, stride_px: int = CELL_PX) -> SizeHW:
    """The part of the nominal input that holds the frame, cut at whole cells of the coarsest stride.

    Cut there, every cell sees what it would see in the nominal input, but for the grey that is gone. A rectangle that
    were a few pixels smaller but shifted against the cells would find noticeably other boxes.

    Args:
        frame_hw: The frame's (height, width), pixels.
        nominal_hw: The model's own input, (height, width), pixels.
        stride_px: What the sides must be multiples of.
    """
    scale = min(nominal_hw[0] / frame_hw[0], nominal_hw[1] / frame_hw[1])
    sides: list[int] = []
    for side, nominal in zip(frame_hw, nominal_hw, strict=True):
        laid = max(1, round(side * scale))
        begin = (nominal - laid) // 2
        end = math.ceil((begin + laid) / stride_px) * stride_px
        sides.append(end - begin // stride_px * stride_px)
    return sides[0], sides[1]


def plan_shapes(
    frame_sizes: Mapping[SizeHW, int], nominal_hw: SizeHW, *, stride_px: int = CELL_PX, max_shapes: int = MAX_SHAPES
) -> list[SizeHW]:
    """A small set of input shapes for many sizes of frames, each at full scale in at least one of them.

    Greedy: first the shape that holds them all, then the one that saves the most pixels, as long as it saves some.

    Args:
        frame_sizes: (height, width) → how many frames have it.
        nominal_hw: The model's own input.
        stride_px: What the sides must be multiples of.
        max_shapes: How many at most.
    """
    wanted: dict[SizeHW, int] = {}
    for frame_hw, count in frame_sizes.items():
        shape = rectangle(frame_hw, nominal_hw, stride_px)
        wanted[shape] = wanted.get(shape, 0) + count
    if not wanted:
        return []
    chosen = [(max(h for h, _ in wanted), max(w for _, w in wanted))]
    while len(chosen) < max_shapes:
        costs = {shape: _num_pixels(wanted, [*chosen, shape]) for shape in sorted(wanted) if shape not in chosen}
        best = min(costs, key=costs.__getitem__, default=None)
        if best is None or costs[best] > _num_pixels(wanted, chosen) * (1 - _WORTH_IT):
            break
        chosen.append(best)
    used = {smallest_holding(shape, chosen) for shape in wanted}
    return [shape for shape in chosen if shape in used]


def smallest_holding(shape: SizeHW, shapes: Sequence[SizeHW]) -> SizeHW | None:
    """The smallest of some shapes that a shape fits into; None if it fits into none."""
    holding = [one for one in shapes if one[0] >= shape[0] and one[1] >= shape[1]]
    return min(holding, key=lambda one: (one[0] * one[1], one), default=None)


def _num_pixels(wanted: Mapping[SizeHW, int], shapes: Sequence[SizeHW]) -> int:
    total = 0
    for shape, count in wanted.items():
        height, width = smallest_holding(shape, shapes) or shapes[0]
        total += height * width * count
    return total
