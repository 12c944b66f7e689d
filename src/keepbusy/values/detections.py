"""What was found in one frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import MissingExtraError
from keepbusy.texts import shortened
from keepbusy.values.masks import Masks

if TYPE_CHECKING:
    import supervision


Chosen: TypeAlias = "int | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]"
"""What detections are chosen by."""


_NAMES_SHOWN = 3
"""In a `repr`; most models have 80 class names."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """What was found in one frame, most confident first.

    Attributes:
        boxes_xyxy: float32 (N, 4), pixels of the original frame: left, top, right, bottom, clipped to it.
        confidence: float32 (N,), 0 to 1.
        class_id: int64 (N,), index into `names`.
        names: The model's class names.
        masks: For instance segmentation: one mask a detection.
        keypoints: For poses: float32 (N, K, 3): x and y in pixels of the frame, and confidence 0 to 1 (1 where the
            model has none).
        boxes_xywhr: For rotated boxes: float32 (N, 5): centre, width, height in pixels of the frame, and the angle in
            radians, clockwise, 0 to pi/2, from the x axis to the side that is called width; `boxes_xyxy` then is the
            upright box around each.
        probabilities: For classification: float32 (C,), of the whole frame; there are no boxes then.
        track_id: For tracked streams: int64 (N,), the same for one thing in all frames of a stream; None where nothing
            tracks.

    They can be chosen from, as an array can: `found[0]`, `found[:5]`, `found[found.confidence > 0.5]`,
    `found[[2, 0]]`. What comes of it are detections again, also of a single number, and share no memory that one could
    change through. Iterating gives them one by one.
    """

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    names: Sequence[str] = field(default=())
    masks: Masks | None = None
    keypoints: NDArray[np.float32] | None = None
    boxes_xywhr: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None
    track_id: NDArray[np.int64] | None = None

    @classmethod
    def empty(cls, names: Sequence[str] = ()) -> Detections:
        """Nothing found."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), names)

    def __len__(self) -> int:
        return int(self.class_id.shape[0])

    def __repr__(self) -> str:
        num = len(self)
        parts = [f"{num} box{'' if num == 1 else 'es'}"]
        extras = ("masks", "keypoints", "boxes_xywhr", "probabilities", "track_id")
        parts += [name for name in extras if getattr(self, name) is not None]
        if shown := [repr(shortened(str(name), 40)) for name in self.names[:_NAMES_SHOWN]]:
            rest = f", ... {len(self.names)} in all" if len(self.names) > len(shown) else ""
            parts.append(f"names=({', '.join(shown)}{rest})")
        return f"Detections({', '.join(parts)})"

    def __getitem__(
        self, chosen: int | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]
    ) -> Detections:
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
        index = _as_index(chosen)
        if index is None or (index.dtype == np.bool_ and index.ndim == 0):
            raise TypeError(
                "detections are chosen by a number, a slice, numbers, or one bool for each, not by " + _form(chosen)
            )
        return self.take(np.atleast_1d(every[index]))

    def __iter__(self) -> Iterator[Detections]:
        """Each by itself."""
        return (self[index] for index in range(len(self)))

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Detections:
        """Those of some numbers, in that order; one may come several times.

        Args:
            indices: From 0 to N - 1, or negative from the end.

        Raises:
            IndexError: One is beyond the last one.
            TypeError: They are something else, such as bools.
        """
        index = _as_index(indices)
        if index is None or index.dtype == np.bool_ or index.ndim == 0:
            raise TypeError(f"take: a sequence of numbers is expected, not {_form(indices)}; bools go into found[...]")
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

    def name(self, index: int) -> str:
        """The class name of detection `index`."""
        return self.names[int(self.class_id[index])]

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

    def to_supervision(self) -> supervision.Detections:
        """The same detections as a `supervision.Detections`, with `data["class_name"]` filled.

        Masks become its `mask`, bool (N, H, W); the corners of rotated boxes `data["xyxyxyxy"]`, float32 (N, 4, 2).
        Keypoints have a class of their own there: `to_supervision_keypoints`.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("to_supervision()", extra="supervision") from error
        data: dict[str, Any] = {"class_name": self._class_names()}
        if self.boxes_xywhr is not None:
            data["xyxyxyxy"] = self.boxes_xyxyxyxy
        return supervision.Detections(
            xyxy=self.boxes_xyxy,
            mask=None if self.masks is None else self.masks.to_array(),
            confidence=self.confidence,
            class_id=self.class_id,
            data=data,
        )

    def to_supervision_keypoints(self) -> supervision.KeyPoints:
        """The keypoints as a `supervision.KeyPoints`, with `data["class_name"]` filled.

        Raises:
            MissingExtraError: supervision is not installed.
            ValueError: The detections have no keypoints.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("to_supervision_keypoints()", extra="supervision") from error
        if self.keypoints is None:
            raise ValueError("the detections have no keypoints: the model's task is not pose")
        # The third is the confidence of each keypoint: by position, because its name differs between versions.
        return supervision.KeyPoints(
            self.keypoints[..., :2], self.class_id, self.keypoints[..., 2], data={"class_name": self._class_names()}
        )

    def _class_names(self) -> NDArray[np.str_]:
        return np.array([self.names[i] for i in self.class_id], dtype=np.str_)


def _as_index(chosen: object) -> NDArray[np.integer[Any]] | NDArray[np.bool_] | None:
    """Numbers or bools, one or a row of them; None where it is something else."""
    try:
        index: NDArray[Any] = np.asarray(chosen)
    except ValueError:  # Rows of several lengths.
        return None
    if index.size == 0 and index.ndim == 1 and index.dtype != np.bool_:
        index = index.astype(np.intp)
    is_row = index.ndim <= 1 and (index.dtype == np.bool_ or np.issubdtype(index.dtype, np.integer))
    return index if is_row else None


def _form(chosen: object) -> str:
    """What was given, for messages."""
    if isinstance(chosen, np.ndarray):
        return f"an array of {chosen.dtype} with the shape {chosen.shape}"
    return shortened(repr(chosen), 80)


def corners_of_rotated(boxes_xywhr: NDArray[np.float32]) -> NDArray[np.float32]:
    """The corners of rotated boxes, in order around each.

    Args:
        boxes_xywhr: float32 (N, 5): centre, width, height, angle in radians, clockwise.

    Returns:
        float32 (N, 4, 2): x and y.
    """
    half, angle = boxes_xywhr[:, 2:4] / 2, boxes_xywhr[:, 4]
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.stack((cos * half[:, 0], sin * half[:, 0]), axis=1)
    across = np.stack((-sin * half[:, 1], cos * half[:, 1]), axis=1)
    offsets = np.stack((along + across, along - across, -along - across, across - along), axis=1)
    return (boxes_xywhr[:, None, :2] + offsets).astype(np.float32, copy=False)
