"""The arrays of what was found in one frame, and what is chosen from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from keepbusy.checks import check_range
from keepbusy.errors import ConfigError
from keepbusy.texts import class_name
from keepbusy.values.boxes import as_shares, corners_of_rotated, xyxy_to_xywh
from keepbusy.values.choosing import Classes, as_index, form_of, ids_of
from keepbusy.values.masks import Masks
from keepbusy.values.misuse import explained, of_where


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DetectionArrays:
    """What was found in one frame, as arrays that belong together: see `Detections`, which has all else."""

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    names: Sequence[str] = field(default=())
    masks: Masks | None = None
    keypoints: NDArray[np.float32] | None = None
    boxes_xywhr: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None
    track_id: NDArray[np.int64] | None = None
    frame_hw: tuple[int, int] | None = None

    @classmethod
    def empty(cls, names: Sequence[str] = (), *, frame_hw: tuple[int, int] | None = None) -> Self:
        """Nothing found."""
        boxes, confidence, class_id = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64)
        return cls(boxes, confidence, class_id, names, frame_hw=frame_hw)

    def __len__(self) -> int:
        return int(self.class_id.shape[0])

    def __getitem__(self, chosen: int | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]) -> Self:
        """Some of them.

        Args:
            chosen: A number, negative from the end; a slice; numbers; or bool (N,), which of them.

        Raises:
            IndexError: A number is beyond the last one, or the bools are not one for each.
            TypeError: It is something else, such as a single bool.
        """
        every = np.arange(len(self))
        if isinstance(chosen, slice):
            return self.take(every[chosen])
        index = as_index(chosen)
        if index is None or (index.dtype == np.bool_ and index.ndim == 0):
            raise TypeError(
                "detections are chosen by a number, a slice, numbers, or one bool for each, not by " + form_of(chosen)
            )
        return self.take(np.atleast_1d(every[index]))

    def __iter__(self) -> Iterator[Self]:
        """Each by itself."""
        return (self[index] for index in range(len(self)))

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Self:
        """Those of some numbers, in that order; one may come several times.

        Args:
            indices: From 0 to N - 1, or negative from the end.

        Raises:
            IndexError: One is beyond the last one.
            TypeError: They are something else, such as bools.
        """
        index = as_index(indices)
        if index is None or index.dtype == np.bool_ or index.ndim == 0:
            raise TypeError(
                f"take: a sequence of numbers is expected, not {form_of(indices)}; bools go into found[...]"
            )
        order = np.arange(len(self))[index]
        return dataclasses.replace(
            self,
            boxes_xyxy=self.boxes_xyxy[order],
            confidence=self.confidence[order],
            class_id=self.class_id[order],
            masks=None if self.masks is None else self.masks.take(order),
            keypoints=None if self.keypoints is None else self.keypoints[order],
            boxes_xywhr=None if self.boxes_xywhr is None else self.boxes_xywhr[order],
            track_id=None if self.track_id is None else self.track_id[order],
        )

    @explained(of_where)
    def where(self, *, classes: Classes | None = None, conf: float | None = None) -> Self:
        """Those of some classes, and of some confidence: `found.where(classes=["person", "bus"], conf=0.5)`.

        Args:
            classes: Names or ids, one or several; None for all.
            conf: The lowest confidence, 0 to 1; None for any.

        Returns:
            Those that meet all that is given, in the same order.

        Raises:
            ConfigError: The model has no such class, or `conf` is not from 0 to 1.
        """
        is_chosen = np.ones(len(self), np.bool_)
        if classes is not None:
            is_chosen &= np.isin(self.class_id, ids_of(classes, self.names))
        if conf is not None:
            check_range("conf", conf, 0, 1)
            is_chosen &= self.confidence >= float(conf)
        return self.take(np.flatnonzero(is_chosen))

    def name(self, index: int) -> str:
        """The class name of detection `index`; `class 3` where the names are not known."""
        return class_name(int(self.class_id[index]), self.names)

    @property
    def boxes_xywh(self) -> NDArray[np.float32]:
        """float32 (N, 4), pixels of the frame: centre x, centre y, width, height; of rotated boxes the upright ones."""
        return xyxy_to_xywh(self.boxes_xyxy)

    @property
    def boxes_xyxyn(self) -> NDArray[np.float32]:
        """float32 (N, 4), shares of the frame's width and height, 0 to 1: left, top, right, bottom.

        Raises:
            ConfigError: The frame's size is not known: `frame_hw` is None.
        """
        return as_shares(self.boxes_xyxy, self._known_hw("boxes_xyxyn"))

    @property
    def boxes_xywhn(self) -> NDArray[np.float32]:
        """float32 (N, 4), shares of the frame's width and height, 0 to 1: centre x, centre y, width, height.

        Raises:
            ConfigError: The frame's size is not known: `frame_hw` is None.
        """
        return as_shares(self.boxes_xywh, self._known_hw("boxes_xywhn"))

    @property
    def boxes_xyxyxyxy(self) -> NDArray[np.float32] | None:
        """The corners of rotated boxes: float32 (N, 4, 2), pixels of the frame, in order around the box; else None."""
        return None if self.boxes_xywhr is None else corners_of_rotated(self.boxes_xywhr)

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The k most probable classes of a classification: (class id, probability); empty for other tasks."""
        if self.probabilities is None:
            return []
        best = np.argsort(-self.probabilities, kind="stable")[: max(0, k)]
        return [(int(class_id), float(self.probabilities[class_id])) for class_id in best]

    def _known_hw(self, name: str) -> tuple[int, int]:
        if self.frame_hw is None:
            raise ConfigError(
                f"{name}: the size of the frame is not known",
                hint="set it: dataclasses.replace(found, frame_hw=(height, width))",
            )
        return self.frame_hw
