"""The synthetic street as data: it knows what is visible in each of its frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keepbusy.config import MAX_PIXELS
from keepbusy.evaluate.dataset import Labels
from keepbusy.sources.base import Source
from keepbusy.sources.street import Street
from keepbusy.street import CLASS_NAMES
from keepbusy.values.frame import Frame


class StreetData:
    """Frames of a synthetic street with their truth. Not thread-safe.

    Args:
        spec: `synth:street?seed=...`.

    Raises:
        SourceError: The spec is malformed.
    """

    notes: tuple[str, ...] = ()
    class_names = CLASS_NAMES
    category_ids: tuple[int | str, ...] = ()

    def __init__(self, spec: str) -> None:
        self.name = spec
        self._truth = Street(spec)

    def open(self, *, max_pixels: int = MAX_PIXELS) -> Source:
        return Street(self.name)

    def labels(self, frame: Frame) -> Labels:
        # Drawn a second time, by a scene of its own: the run's is used by the thread that reads.
        truth = self._truth.truth(frame.index)
        return Labels.of_boxes(truth.boxes_xyxy.astype(np.float64), truth.class_id)

    def image_id(self, index: int) -> int | str:
        return index

    def objects(self) -> Iterator[tuple[int, str]]:
        return iter(())
