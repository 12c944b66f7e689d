"""Render the data set: letterboxed frames of many scenes as one memory map for each split."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from keepbusy.street import CLASS_NAMES
from training.config import (
    IMAGE_SIZE,
    PAD_VALUE,
    SCENE_SIZES,
    TRAIN_SEED_START,
    VAL_SEED_START,
)


@dataclass(frozen=True)
class Split:
    """What to render.

    Attributes:
        first_seed: seed of the first scene; the others follow.
        seeds: number of scenes.
        frames: random frames of each scene.
        last_index: frame indices are drawn from 0 .. last_index - 1.
        size: side of the square output in pixels.
        max_boxes: rows of the label table for each frame.
    """

    first_seed: int
    seeds: int
    frames: int
    last_index: int = 1800
    size: int = IMAGE_SIZE
    max_boxes: int = 96


def train_split(seeds: int, frames: int = 4) -> Split:
    """Describe the training split."""
    return Split(TRAIN_SEED_START, seeds, frames)


def val_split(seeds: int, frames: int = 2) -> Split:
    """Describe the validation split; its seeds are disjoint from the training seeds."""
    return Split(VAL_SEED_START, seeds, frames)


def letterbox(image: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Fit an image into a grey square, as the runtime does.

    Args:
        image: uint8 [H, W, 3].
        size: side of the square in pixels.

    Returns:
        (square uint8 [size, size, 3], scale, left, top): the paddings are whole pixels.
    """
    height, width = image.shape[:2]
    scale = min(size / width, size / height)
    new_w, new_h = round(width * scale), round(height * scale)
    if (new_w, new_h) != (width, height):
        image = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    left, top = round((size - new_w) / 2 - 0.1), round((size - new_h) / 2 - 0.1)
    square = np.full((size, size, 3), PAD_VALUE, np.uint8)
    square[top : top + new_h, left : left + new_w] = image
    return square, scale, left, top


def _render_seed(number: int, folder: str, split: Split) -> int:
    """Render one scene's frames into the open memory maps; return the number of boxes."""
    from keepbusy.street import StreetScene

    cv2.setNumThreads(1)
    seed = split.first_seed + number
    rng = np.random.default_rng((seed, 7))
    width, height = SCENE_SIZES[int(rng.integers(len(SCENE_SIZES)))]
    scene = StreetScene(seed=seed, width=width, height=height, fps=30.0)
    images = np.load(Path(folder) / "images.npy", mmap_mode="r+")
    labels = np.load(Path(folder) / "labels.npy", mmap_mode="r+")
    content = np.load(Path(folder) / "content.npy", mmap_mode="r+")
    scenes = np.load(Path(folder) / "scenes.npy", mmap_mode="r+")
    picks = np.sort(rng.choice(split.last_index, split.frames, replace=False))
    total = 0
    for offset, index in enumerate(picks.tolist()):
        image, truth = scene.render(index)
        square, scale, left, top = letterbox(image, split.size)
        row = number * split.frames + offset
        images[row] = square[..., ::-1]
        content[row] = (left, top, left + round(width * scale), top + round(height * scale))
        scenes[row] = (seed, index, width, height)
        count = min(len(truth.class_id), split.max_boxes)
        boxes = np.asarray(truth.boxes_xyxy, np.float32)[:count] * scale
        labels[row, :count, 0] = truth.class_id[:count]
        labels[row, :count, 1:] = boxes + np.array((left, top, left, top), np.float32)
        total += count
    return total


def render(folder: Path, split: Split, workers: int | None = None) -> None:
    """Render a split, or keep the one that is there when it was rendered to the same description.

    Writes ``images.npy`` (uint8 [F, S, S, 3] RGB), ``labels.npy`` (float32 [F, N, 5]: class,
    xyxy in pixels of the square, -1 pads), ``content.npy`` (float32 [F, 4], the picture inside
    its padding), ``scenes.npy`` (int64 [F, 4]: seed, frame index, width, height) and
    ``split.json``.

    Args:
        folder: where to write.
        split: what to render.
        workers: processes, by default one for each core.
    """
    described = {**asdict(split), "classes": list(CLASS_NAMES), "sizes": list(SCENE_SIZES)}
    text = json.dumps(described)
    done = folder / "split.json"
    if done.exists() and done.read_text() == text:
        print(f"render: {folder} is complete", file=sys.stderr, flush=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    count = split.seeds * split.frames
    shapes: dict[str, tuple[type, tuple[int, ...], int]] = {
        "images": (np.uint8, (count, split.size, split.size, 3), 0),
        "labels": (np.float32, (count, split.max_boxes, 5), -1),
        "content": (np.float32, (count, 4), 0),
        "scenes": (np.int64, (count, 4), 0),
    }
    for name, (kind, shape, fill) in shapes.items():
        table = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
        if fill:
            table[:] = fill
        table.flush()
        del table
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core for each worker
    workers = workers or len(os.sched_getaffinity(0))
    start, boxes, task = time.monotonic(), 0, partial(_render_seed, folder=str(folder), split=split)
    with multiprocessing.get_context("spawn").Pool(min(workers, split.seeds)) as pool:
        for number, found in enumerate(pool.imap_unordered(task, range(split.seeds), 4), 1):
            boxes += found
            if number % max(1, split.seeds // 10) == 0:
                spent = time.monotonic() - start
                print(
                    f"render: {number}/{split.seeds} scenes, {number * split.frames / spent:.0f} "
                    f"frames/s, {boxes / (number * split.frames):.1f} boxes/frame",
                    file=sys.stderr,
                    flush=True,
                )
    done.write_text(text)
