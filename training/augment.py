"""Augmentation on the GPU: mosaic, zoom, shift, flip and colour for a whole batch at once.

Every output image is tiled by up to four sources around a centre point. A tile maps an output
coordinate u to a source coordinate a * u + b on each axis (pixel centres lie at half integers),
so the plain image is the one-tile case with a = 1, b = 0 and its pixels stay exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from training.config import PAD_VALUE, AugmentConfig


class Layout(NamedTuple):
    """Where the tiles of a batch lie.

    Attributes:
        sources: int64 [B, 4], frames of the upper left, upper right, lower left, lower right tile.
        centre: float [B, 2], x and y in pixels where the tiles meet (whole numbers).
        gain: float [B, 4, 2], a of the map on x and y.
        offset: float [B, 4, 2], b of the map on x and y.
        content: float [B, 4, 4], x1, y1, x2, y2 of each source's picture inside its padding.
    """

    sources: Tensor
    centre: Tensor
    gain: Tensor
    offset: Tensor
    content: Tensor


class Colours(NamedTuple):
    """How the colours of a batch change; every factor broadcasts to [B, S, S, 3].

    Attributes:
        saturation: float [B, 1, 1, 1], factor of the distance from grey.
        gain: float [B, 1, 1, 3], factor that also maps 0..255 to 0..1.
        shift: float [B, 1, 1, 1], added after the gain.
        noise: float [B, S, S, 3], standard normal, or None.
        spread: float [B, 1, 1, 1], factor of the noise.
    """

    saturation: Tensor
    gain: Tensor
    shift: Tensor
    noise: Tensor | None
    spread: Tensor


def _uniform(shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=rng, device=rng.device) * (high - low) + low


def tile_bounds(centre: Tensor, size: int) -> Tensor:
    """Give the output rectangles of the four tiles: [B, 2] -> float [B, 4, 4], xyxy pixels."""
    cx, cy = centre.unbind(-1)
    zero, full = torch.zeros_like(cx), torch.full_like(cx, float(size))
    tiles = ((zero, zero, cx, cy), (cx, zero, full, cy), (zero, cy, cx, full), (cx, cy, full, full))
    return torch.stack([torch.stack(tile, -1) for tile in tiles], 1)


def draw_layout(first: Tensor, content: Tensor, size: int, config: AugmentConfig, rng: torch.Generator) -> Layout:
    """Draw the tiles of a batch.

    Args:
        first: int64 [B], the frame of each image; a mosaic adds three random ones.
        content: float [F, 4], xyxy of each frame's picture inside its padding.
        size: side of the square images in pixels.
        config: ranges.
        rng: generator on the data's device.

    Returns:
        The layout.
    """
    batch = first.shape[0]
    others = torch.randint(content.shape[0], (batch, 3), generator=rng, device=rng.device)
    sources = torch.cat((first[:, None], others), 1)
    mosaic = _uniform((batch,), 0, 1, rng) < config.mosaic
    plain = ~mosaic & (_uniform((batch,), 0, 1, rng) < config.untouched)
    meet = _uniform((batch, 2), 0.3 * size, 0.7 * size, rng).round()
    centre = torch.where(mosaic[:, None], meet, torch.full_like(meet, float(size)))

    low, high = math.log(config.scale[0]), math.log(config.scale[1])
    zoom = _uniform((batch, 4, 1), low, high, rng).exp()
    skew = _uniform((batch, 4, 1), -config.aspect / 2, config.aspect / 2, rng)
    zoom = zoom * torch.cat((1 + skew, 1 - skew), -1)
    picture = content[sources]
    sides = (picture[..., 2:] - picture[..., :2]) * zoom
    bounds = tile_bounds(centre, size)
    # Slide the zoomed picture so that it covers its tile, or lies inside it when smaller.
    room = bounds[..., 2:] - bounds[..., :2] - sides
    start = bounds[..., :2] + _uniform((batch, 4, 2), 0, 1, rng) * room
    gain = 1 / zoom
    offset = picture[..., :2] - start * gain
    gain = torch.where(plain[:, None, None], torch.ones_like(gain), gain)
    offset = torch.where(plain[:, None, None], torch.zeros_like(offset), offset)

    # A flip mirrors the source inside its picture: s -> x1 + x2 - s.
    flip = _uniform((batch, 4), 0, 1, rng) < config.flip
    mirror = picture[..., 0] + picture[..., 2]
    sign = 1 - 2 * flip.float()
    flipped = torch.where(flip, mirror - offset[..., 0], offset[..., 0])
    gain = torch.stack((gain[..., 0] * sign, gain[..., 1]), -1)
    offset = torch.stack((flipped, offset[..., 1]), -1)
    return Layout(sources, centre, gain, offset, picture)


def _axis_table(layout: Layout, axis: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tabulate one axis by tile: lower index, upper index, upper weight, inside; [B, 4, S]."""
    u = torch.arange(size, device=layout.gain.device, dtype=torch.float32) + 0.5
    s = u * layout.gain[..., axis, None] + layout.offset[..., axis, None]
    low, high = layout.content[..., axis, None], layout.content[..., axis + 2, None]
    inside = (s > low) & (s < high)
    s = torch.minimum(torch.maximum(s - 0.5, low), high - 1)
    base = s.floor()
    upper = torch.minimum(base + 1, high - 1)
    return base.long(), upper.long(), s - base, inside


def sample(frames: Tensor, layout: Layout, size: int) -> tuple[Tensor, Tensor]:
    """Sample the tiles bilinearly.

    Args:
        frames: int32 [F, size, size], pixels packed as bytes R, G, B, unused.
        layout: the tiles.
        size: side of the square images.

    Returns:
        (images, inside): float (half on a GPU) [B, size, size, 3] in 0..255, and
        bool [B, size, size], False where padding shows.
    """
    rng = torch.arange(size, device=frames.device)
    under = (rng >= layout.centre[:, 1:2]).long()
    beyond = (rng >= layout.centre[:, 0:1]).long()
    tile = under[:, :, None] * 2 + beyond[:, None, :]
    which = torch.arange(layout.sources.shape[0], device=frames.device)[:, None, None]
    x_low, x_high, x_part, x_in = _axis_table(layout, 0, size)
    y_low, y_high, y_part, y_in = _axis_table(layout, 1, size)
    base = layout.sources[..., None] * (size * size)
    line, column = rng[None, :, None], rng[None, None, :]
    top = (base + y_low * size)[which, tile, line]
    bottom = (base + y_high * size)[which, tile, line]
    left, right = x_low[which, tile, column], x_high[which, tile, column]
    kind = torch.float16 if frames.is_cuda else torch.float32
    wx = x_part.to(kind)[which, tile, column][..., None]
    wy = y_part.to(kind)[which, tile, line][..., None]
    flat = frames.view(-1)
    byte = torch.arange(3, device=frames.device, dtype=torch.int32) * 8

    def tap(index: Tensor) -> Tensor:
        return ((flat[index][..., None] >> byte) & 255).to(kind)

    above = torch.lerp(tap(top + left), tap(top + right), wx.expand(-1, -1, -1, 3))
    below = torch.lerp(tap(bottom + left), tap(bottom + right), wx.expand(-1, -1, -1, 3))
    images = torch.lerp(above, below, wy.expand(-1, -1, -1, 3))
    return images, x_in[which, tile, column] & y_in[which, tile, line]


def move_boxes(labels: Tensor, layout: Layout, size: int, config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """Carry the boxes through the layout, clip them to their tiles and sort out the remains.

    Args:
        labels: float [F, N, 5], class, x1, y1, x2, y2 in pixels; class -1 pads.
        layout: the tiles.
        size: side of the square images.
        config: thresholds.

    Returns:
        (targets, ignore): float [B, K, 5] in the same form, and float [B, K, 4] with the clipped
        boxes too small or too hidden to be targets (zero area pads).
    """
    rows = labels[layout.sources]
    batch = rows.shape[0]
    gain, offset = layout.gain[:, :, None], layout.offset[:, :, None]
    one = (rows[..., 1:3] - offset) / gain
    two = (rows[..., 3:5] - offset) / gain
    box = torch.cat((torch.minimum(one, two), torch.maximum(one, two)), -1)
    bounds = tile_bounds(layout.centre, size)[:, :, None]
    low = torch.maximum(box[..., :2], bounds[..., :2])
    high = torch.maximum(torch.minimum(box[..., 2:], bounds[..., 2:]), low)
    sides = high - low
    share = sides.prod(-1) / (box[..., 2:] - box[..., :2]).prod(-1).clamp(min=1e-6)
    real = (rows[..., 0] >= 0) & (sides.prod(-1) > 0)
    short, long = (limit - 0.01 for limit in config.min_sides)  # rounding must not drop a box
    keep = real & (share >= config.min_visible) & (sides.amin(-1) >= short)
    keep &= sides.amax(-1) >= long
    count = min(config.max_boxes, keep[0].numel())
    cut = torch.cat((low, high), -1).view(batch, -1, 4)
    target = torch.where(keep, rows[..., 0], -torch.ones_like(rows[..., 0])).view(batch, -1, 1)
    joined = torch.cat((target, cut), -1)
    rank = keep.view(batch, -1).int().argsort(stable=True, dim=1, descending=True)
    targets = joined.gather(1, rank[:, :count, None].expand(-1, -1, 5))
    spare = real.view(batch, -1) & ~keep.view(batch, -1)
    pick = spare.int().argsort(stable=True, dim=1, descending=True)[:, :count]
    ignore = cut.gather(1, pick[..., None].expand(-1, -1, 4))
    return targets, ignore * spare.gather(1, pick)[..., None]


def draw_colours(batch: int, size: int, config: AugmentConfig, kind: torch.dtype, rng: torch.Generator) -> Colours:
    """Draw the colour changes of a batch.

    Args:
        batch: images.
        size: side of the square images in pixels.
        config: ranges.
        kind: type of the pixels.
        rng: generator on the data's device.
    """
    active = (_uniform((batch, 1, 1, 1), 0, 1, rng) >= config.plain).float()

    def around(width: float, channels: int = 1) -> Tensor:
        return active * _uniform((batch, 1, 1, channels), -width, width, rng)

    contrast = 1 + around(config.contrast)
    gain = (1 + around(config.brightness)) * (1 + around(config.tint, 3)) * contrast / 255
    saturation = 1 + around(config.saturation)
    spread = active * _uniform((batch, 1, 1, 1), 0, config.noise, rng)
    noise = None
    if config.noise > 0:
        shape = (batch, size, size, 3)
        noise = torch.randn(shape, generator=rng, device=rng.device, dtype=kind)
    shift = 0.5 * (1 - contrast)
    return Colours(saturation.to(kind), gain.to(kind), shift.to(kind), noise, spread.to(kind))


def paint(images: Tensor, inside: Tensor, colours: Colours) -> Tensor:
    """Change the colours and fill the padding.

    Args:
        images: float [B, S, S, 3], RGB 0..255.
        inside: bool [B, S, S], False where padding shows.
        colours: the changes.

    Returns:
        Float [B, 3, S, S], RGB 0..1, channels-last in memory.
    """
    grey = images.mean(-1, keepdim=True).expand_as(images)
    images = torch.lerp(grey, images, colours.saturation.expand_as(images))
    images = images * colours.gain + colours.shift
    if colours.noise is not None:
        images = images + colours.noise * colours.spread
    images = torch.where(inside[..., None], images.clamp(0, 1), PAD_VALUE / 255)
    return images.permute(0, 3, 1, 2)


def recolour(images: Tensor, inside: Tensor, config: AugmentConfig, rng: torch.Generator) -> Tensor:
    """Vary gain, tint, contrast, saturation and noise, and fill the padding (see ``paint``)."""
    return paint(images, inside, draw_colours(len(images), images.shape[1], config, images.dtype, rng))


def pixels(frames: Tensor, layout: Layout, colours: Colours) -> Tensor:
    """Make the images of a batch: ``sample``, then ``paint``; depends on its arguments alone."""
    return paint(*sample(frames, layout, frames.shape[1]), colours)
