"""The values that travel through keepbusy: frames, detections, timings, results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import FrameError, MissingExtraError
from keepbusy.masks import Masks

if TYPE_CHECKING:
    import supervision

Image = NDArray[np.uint8]
"""A picture: uint8, shape (H, W, 3), colour order BGR, C-contiguous."""


class Picture(Protocol):
    """A picture that becomes pixels only where they are asked for. Thread-safe."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width of `image`, pixels; known without making it."""
        ...

    @property
    def image(self) -> Image:
        """The picture at full size; made at the first call, then kept."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one source.

    Attributes:
        picture: The picture as its source has it: uint8 (H, W, 3), BGR, or what becomes that when it is asked for;
            None where the frame could not be read. To look at it, take `image`.
        index: Position within its source, from 0. A live source that drops frames leaves gaps.
        timestamp_s: Seconds since the start of the source: the container's clock for files, the time of
            capture for cameras, the index for pictures of a folder.
        source_id: Which of the run's sources it came from, from 0.
        source: That source's name; for a folder or a list, the file's own path.
        missing_hw: For a frame that could not be read, the height and width that its picture would have had.
    """

    picture: Image | Picture | None
    index: int
    timestamp_s: float
    source_id: int
    source: str
    missing_hw: tuple[int, int] = (0, 0)

    @property
    def image(self) -> Image | None:
        """uint8 (H, W, 3), BGR; None where the frame could not be read.

        Frames of videos keep what the decoder gave until this is first asked for, in the thread that asks: a run whose
        frames nobody looks at never makes them. Treat it as read-only: all who ask get the same array.

        Raises:
            FrameError: The picture has to be read from its file again, and cannot be.
        """
        picture = self.picture
        return picture if picture is None or isinstance(picture, np.ndarray) else picture.image

    @property
    def width(self) -> int:
        """Width in pixels; 0 where the frame could not be read and its size is not known."""
        return self._shape_hw()[1]

    @property
    def height(self) -> int:
        """Height in pixels; 0 where the frame could not be read and its size is not known."""
        return self._shape_hw()[0]

    def _shape_hw(self) -> tuple[int, int]:
        picture = self.picture
        if picture is None:
            return self.missing_hw
        if isinstance(picture, np.ndarray):
            return int(picture.shape[0]), int(picture.shape[1])
        return picture.shape_hw


@dataclass(frozen=True, slots=True, eq=False)
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
    """

    boxes_xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    names: Sequence[str] = field(default=())
    masks: Masks | None = None
    keypoints: NDArray[np.float32] | None = None
    boxes_xywhr: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None

    @classmethod
    def empty(cls, names: Sequence[str] = ()) -> Detections:
        """Nothing found."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), names)

    def __len__(self) -> int:
        return int(self.class_id.shape[0])

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


@dataclass(slots=True)
class Timings:
    """When each stage of one frame began and ended: nanoseconds of the run's monotonic clock, 0 = not reached.

    `infer` is the device's own span, from the start of the request to its completion, not to its collection.
    From `slot_wanted` to `slot_free` all slots were taken; that may lie before the frame was read.
    """

    read_start_ns: int = 0
    read_end_ns: int = 0
    slot_wanted_ns: int = 0
    slot_free_ns: int = 0
    prepare_start_ns: int = 0
    prepare_end_ns: int = 0
    infer_start_ns: int = 0
    infer_end_ns: int = 0
    decode_start_ns: int = 0
    decode_end_ns: int = 0
    emit_start_ns: int = 0
    emit_end_ns: int = 0

    @property
    def latency_ns(self) -> int:
        """From the frame having been read to its result being ready."""
        return max(0, self.decode_end_ns - self.read_end_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The one outcome of one frame: its detections, or the error that it ended in.

    Attributes:
        frame: The frame.
        detections: What was found; empty where there is an error.
        timings: When each stage began and ended.
        error: Why the frame has no detections; None where all went well.
    """

    frame: Frame
    detections: Detections
    timings: Timings
    error: FrameError | None = None
