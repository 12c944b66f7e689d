"""Rendered frames as tensors: the whole set on one device, and augmented batches from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.augment import draw_colours, draw_layout, move_boxes, pixels
from training.config import AugmentConfig


class FrameSet:
    """All frames and boxes of one split on one device.

    Args:
        images: uint8 [F, S, S, 3], letterboxed RGB (array or memory map).
        labels: float32 [F, N, 5], class, x1, y1, x2, y2 in pixels; class -1 pads.
        content: float32 [F, 4], xyxy of the picture inside its padding.
        device: where to keep them; frames take 4 bytes a pixel there.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        content: np.ndarray,
        device: torch.device,
    ) -> None:
        count, self.size = images.shape[0], images.shape[1]
        packed = torch.zeros((count, self.size, self.size, 4), dtype=torch.uint8, device=device)
        for start in range(0, count, 256):
            part = torch.from_numpy(images[start : start + 256])
            packed[start : start + 256, ..., :3] = part.to(device)
        self.frames = packed.view(torch.int32).view(count, self.size, self.size)
        self.labels = torch.from_numpy(np.array(labels, np.float32)).to(device)
        self.content = torch.from_numpy(np.array(content, np.float32)).to(device)
        self.device = device

    @classmethod
    def load(cls, folder: Path, device: torch.device, limit: int | None = None) -> FrameSet:
        """Read a split that ``training.render`` wrote, at most ``limit`` frames of it."""
        images = np.load(folder / "images.npy", mmap_mode="c")[:limit]
        labels = np.load(folder / "labels.npy")[:limit]
        return cls(images, labels, np.load(folder / "content.npy")[:limit], device)

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def plain(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return frames as the runtime sees them: float [B, 3, S, S] 0..1 and labels [B, N, 5]."""
        part = self.frames[start:stop]
        pixels = part.view(torch.uint8).view(*part.shape, 4)[..., :3]
        return pixels.permute(0, 3, 1, 2).float() / 255, self.labels[start:stop]


class Sampler:
    """Augmented batches; the batch of a step depends on the seed and the step alone.

    Args:
        data: the frames.
        batch: images a step.
        seed: seed of order and augmentation.
    """

    def __init__(self, data: FrameSet, batch: int, seed: int) -> None:
        self.data, self.batch, self.seed = data, batch, seed
        self.pixels = pixels  # the trainer may put a compiled one here
        self.steps_per_epoch = max(1, len(data) // batch)
        self._order = torch.empty(0, dtype=torch.int64)
        self._epoch = -1

    def _generator(self, *parts: int) -> torch.Generator:
        mixed = int(np.random.SeedSequence((self.seed, *parts)).generate_state(1, np.uint64)[0])
        return torch.Generator(self.data.device).manual_seed(mixed >> 1)

    def draw(self, step: int, config: AugmentConfig) -> tuple[Tensor, Tensor, Tensor]:
        """Make the batch of one step.

        Returns:
            (images, targets, ignore): float [B, 3, S, S] RGB 0..1, float [B, K, 5] and
            float [B, K, 4] (see ``move_boxes``).
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            rng = self._generator(1, epoch)
            self._order = torch.randperm(len(self.data), generator=rng, device=self.data.device)
            self._epoch = epoch
        first = self._order[place * self.batch : (place + 1) * self.batch]
        rng = self._generator(2, step)
        size, kind = self.data.size, torch.float16 if rng.device.type == "cuda" else torch.float32
        layout = draw_layout(first, self.data.content, size, config, rng)
        targets, ignore = move_boxes(self.data.labels, layout, size, config)
        colours = draw_colours(len(first), size, config, kind, rng)
        return self.pixels(self.data.frames, layout, colours), targets, ignore
