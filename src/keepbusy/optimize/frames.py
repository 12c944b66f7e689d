"""What a model is calibrated on and judged by: data with labels as for `keepbusy eval`, or any source without."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import MAX_PIXELS, SelectConfig
from keepbusy.errors import FrameError, SourceError
from keepbusy.evaluate import Dataset, Labels, open_dataset
from keepbusy.evaluate.listing import pictures_below
from keepbusy.evaluate.yolo_data import label_path
from keepbusy.files.kinds import is_picture
from keepbusy.files.paths import read_text
from keepbusy.pictures.letterbox import Laying, Letterbox, Letterboxer
from keepbusy.sources import Selection, Source, frame_sizes, open_source
from keepbusy.values.forms import InputForm

SizeHW = tuple[int, int]

_LABELLED = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Some frames.

    Attributes:
        name: As the user gave it.
        dataset: Their labels; None where there are none.
        limit: At most so many are taken, from all over them.
        max_pixels: As for `open_source`.
    """

    name: str
    dataset: Dataset | None
    limit: int
    max_pixels: int = MAX_PIXELS

    def open(self) -> Source:
        """The frames, from the first."""
        if self.dataset is not None:
            return self.dataset.open(max_pixels=self.max_pixels)
        return open_source(self.name, read_ahead=False, max_pixels=self.max_pixels)

    def stride(self, source: Source) -> int:
        """Which of them are taken: every n-th."""
        return max(1, (source.info.num_frames or 0) // self.limit)

    def select(self) -> Selection:
        """Those that are taken."""
        source = self.open()
        return Selection(source, SelectConfig(limit=self.limit, stride=self.stride(source)))

    def sizes(self) -> dict[SizeHW, int]:
        """(height, width) → how many frames have it; of sources that do not know, the first frame's."""
        source = self.open()
        try:
            found = frame_sizes([source])
            if not found:
                frame = source.read()
                found = {(frame.height, frame.width): 1} if frame is not None and frame.height else {}
        finally:
            source.close()
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame, laid out as a pipeline would lay it.

    Attributes:
        tensor: uint8 (H, W, 3), BGR: what is in the slot.
        letterbox: How it was laid.
        labels: What is in it; None where there are no labels.
    """

    tensor: NDArray[np.uint8]
    letterbox: Letterbox
    labels: Labels | None


def open_frames(name: str, limit: int, *, split: str = "val", max_pixels: int = MAX_PIXELS) -> Frames:
    """Open data, with its labels where it has any.

    Args:
        name: What `keepbusy eval` takes as data, or any source.
        limit: At most so many frames are taken.
        split: Which part of a YOLO data set.
        max_pixels: As for `open_source`.

    Raises:
        SourceError: It does not exist, or its labels have faults.
        ConfigError: It has no such split.
    """
    path = Path(name)
    is_labelled = name.startswith("synth:") or path.suffix.lower() in _LABELLED or _has_labels(path)
    if is_labelled:
        return Frames(name, open_dataset(name, split=split), limit, max_pixels)
    open_source(name, read_ahead=False).close()
    return Frames(name, None, limit, max_pixels)


def _has_labels(path: Path) -> bool:
    if os.path.isdir(path):
        pictures = pictures_below(path)
    elif path.suffix.lower() == ".txt" and os.path.isfile(path):
        try:
            lines = [line.split("#")[0].strip() for line in read_text(path).splitlines()]
        except (OSError, ValueError):
            return False  # `open_source` says what is wrong with it.
        pictures = [path.parent / line for line in lines if line and is_picture(line)]
    else:
        return False
    return any(os.path.isfile(label_path(picture)) for picture in pictures)


def read_samples(
    frames: Frames, shape_for: Callable[[SizeHW], SizeHW], laying: Laying, on_frame: Callable[[int], None]
) -> list[Sample]:
    """Frames, each laid into the input that it would have in a run. A picture that cannot be read is left out.

    Args:
        frames: Where they come from.
        shape_for: A frame's (height, width) → the input's.
        laying: How frames are laid into it.
        on_frame: Told how many there are by now.

    Raises:
        SourceError: There are none.
    """
    samples: list[Sample] = []
    source = frames.select()
    try:
        while True:
            try:
                frame = source.read()
            except FrameError:
                continue
            if frame is None:
                break
            image = frame.image
            if image is None:
                continue
            tensor = np.empty((*shape_for((image.shape[0], image.shape[1])), 3), np.uint8)
            letterbox = Letterboxer(tensor, laying).write(image)
            labels = frames.dataset.labels(frame) if frames.dataset is not None else None
            samples.append(Sample(tensor, letterbox, labels))
            on_frame(len(samples))
    finally:
        source.close()
    if not samples:
        raise SourceError(f"{frames.name}: has no frames that can be read", hint="give pictures or a video")
    return samples


def network_input(tensor: NDArray[np.uint8], form: InputForm, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """What the graph's own preprocessing makes of a slot's tensor, for graphs that do not have it inside.

    Args:
        tensor: uint8 (H, W, 3), BGR.
        form: What the network wants.
        dtype: Its number type.

    Returns:
        (1, 3, H, W) or (1, H, W, 3), as the network wants it.
    """
    pixels: NDArray[np.generic] = tensor if form.is_bgr else tensor[..., ::-1]
    if dtype != np.uint8:
        pixels = (pixels.astype(np.float32) - np.array(form.mean, np.float32)) / np.array(form.scale, np.float32)
    if form.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    found: NDArray[np.generic] = np.ascontiguousarray(pixels[None], dtype)
    return found
