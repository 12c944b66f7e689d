"""What records are made of: detections and results as this room sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepbusy.errors import FrameError


class RecordedMasks(Protocol):
    """Masks whose outlines can be written."""

    def polygons(self, index: int) -> list[NDArray[np.int32]]:
        """The outlines of one mask: int32 (P, 2) each, x and y in pixels, largest area first."""
        ...


class Found(Protocol):
    """What was found in a frame: `keepbusy.Detections`, whose shapes and units these are."""

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]: ...
    @property
    def confidence(self) -> NDArray[np.float32]: ...
    @property
    def class_id(self) -> NDArray[np.int64]: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def masks(self) -> RecordedMasks | None: ...
    @property
    def keypoints(self) -> NDArray[np.float32] | None: ...
    @property
    def boxes_xywhr(self) -> NDArray[np.float32] | None: ...
    @property
    def probabilities(self) -> NDArray[np.float32] | None: ...
    @property
    def track_id(self) -> NDArray[np.int64] | None: ...
    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The k most probable classes of a classification: (class id, probability)."""
        ...


class RecordedFrame(Protocol):
    """A frame: `keepbusy.Frame`."""

    @property
    def source(self) -> str: ...
    @property
    def source_id(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def timestamp_s(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def is_live(self) -> bool: ...


class RecordedTimings(Protocol):
    """When a frame arrived: `keepbusy.Timings`."""

    read_end_ns: int
    arrival_ns: int


class RecordedResult(Protocol):
    """The outcome of a frame: `keepbusy.Result`."""

    @property
    def frame(self) -> RecordedFrame: ...
    @property
    def detections(self) -> Found: ...
    @property
    def timings(self) -> RecordedTimings: ...
    @property
    def error(self) -> FrameError | None: ...
