"""The outcome of one frame, and when each stage of it began and ended."""

from __future__ import annotations

from dataclasses import dataclass

from keepbusy.errors import FrameError
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame


@dataclass(slots=True)
class Timings:
    """When each stage of one frame began and ended: nanoseconds of the run's monotonic clock, 0 = not reached.

    `infer` is the device's own span, from the start of the request to its completion, not to its collection.
    From `slot_wanted` to `slot_free` all slots were taken; that may lie before the frame was read. From `expires` on
    nobody wants the frame or its result any more; 0 = never.
    """

    read_start_ns: int = 0
    read_end_ns: int = 0
    slot_wanted_ns: int = 0
    slot_free_ns: int = 0
    preprocess_start_ns: int = 0
    preprocess_end_ns: int = 0
    infer_start_ns: int = 0
    infer_end_ns: int = 0
    postprocess_start_ns: int = 0
    postprocess_end_ns: int = 0
    sink_start_ns: int = 0
    sink_end_ns: int = 0
    expires_ns: int = 0

    def has_expired(self, now_ns: int) -> bool:
        """Whether nobody wants the frame or its result any more."""
        return 0 < self.expires_ns < now_ns

    @property
    def latency_ns(self) -> int:
        """From the frame having been read to its result being ready."""
        latency_ns = self.postprocess_end_ns - self.read_end_ns
        return latency_ns if latency_ns > 0 else 0


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
