"""The values that travel through keepbusy: frames, detections, timings, results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import FrameError, MissingExtraError
from keepbusy.masks import Masks

if TYPE_CHECKING:
    import supervision

Image = NDArray[np.uint8]
"""A picture: uint8, shape (H, W, 3), colour order BGR, C-contiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one source.

    Attributes:
        image: uint8 (H, W, 3), BGR; None where the frame could not be read.
        index: Position within its source, from 0. A live source that drops frames leaves gaps.
        timestamp_s: Seconds since the start of the source: the container's clock for files, the time of
            capture for cameras, the index for pictures of a folder.
        source_id: Which of the run's sources it came from, from 0.
        source: That source's name; for a folder or a list, the file's own path.
    """

    image: Image | None
    index: int
    timestamp_s: float
    source_id: int
    source: str

    @property
    def width(self) -> int:
        """Width in pixels, 0 where the frame could not be read."""
        return 0 if self.image is None else int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, 0 where the frame could not be read."""
        return 0 if self.image is None else int(self.image.shape[0])


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
            radians, clockwise; `boxes_xyxy` then is the upright box around each.
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

    def to_supervision(self) -> supervision.Detections:
        """The same detections as a `supervision.Detections`, with `data["class_name"]` filled.

        Raises:
            MissingExtraError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("to_supervision()", extra="supervision") from error
        class_names = np.array([self.names[i] for i in self.class_id], dtype=np.str_)
        data: dict[str, Any] = {"class_name": class_names}
        return supervision.Detections(
            xyxy=self.boxes_xyxy, confidence=self.confidence, class_id=self.class_id, data=data
        )


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
