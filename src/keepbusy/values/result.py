"""The outcome of one frame, and when each stage of it began and ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.errors import FrameError, KeepbusyError
from keepbusy.texts import fit, shortened
from keepbusy.values.detections import Detections
from keepbusy.values.foreign_words import OF_RESULT, no_attribute
from keepbusy.values.frame import Frame, Image
from keepbusy.values.misuse import explained, of_crops, of_result_plot, of_result_save
from keepbusy.values.summary import summary_of


@dataclass(slots=True)
class Timings:
    """When each stage of one frame began and ended: nanoseconds of the run's monotonic clock, 0 = not reached.

    `infer` is the device's own span, from the start of the request to its completion, not to its collection.
    `arrival` is when a live frame came, before it was decoded: its age counts from there.
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
    arrival_ns: int = 0

    def has_expired(self, now_ns: int) -> bool:
        """Whether nobody wants the frame or its result any more."""
        return 0 < self.expires_ns < now_ns

    @property
    def latency_ns(self) -> int:
        """From the frame having been read to its result being ready."""
        latency_ns = self.postprocess_end_ns - self.read_end_ns
        return latency_ns if latency_ns > 0 else 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """The one outcome of one frame: its detections, or the error that it ended in.

    Attributes:
        frame: The frame.
        detections: What was found; empty where there is an error.
        timings: When each stage began and ended.
        error: Why the frame has no detections; None where all went well.

    A notebook shows a result as its picture, with what was found on it.
    """

    frame: Frame
    detections: Detections
    timings: Timings
    error: FrameError | None = None

    def __repr__(self) -> str:
        outcome = summary_of(self.detections) if self.error is None else f"{self.error.stage}: {self.error.reason}"
        return f"Result({self.frame.summary()}; {fit(shortened(outcome, 200))})"

    if not TYPE_CHECKING:  # A type checker is to find what is not there.

        def __getattr__(self, name: str) -> Any:
            no_attribute(self, name, OF_RESULT)

    def to_dict(self, stream: str = "") -> dict[str, Any]:
        """The result as plain Python values: the record that the sink `out.jsonl` writes of it.

        See `keepbusy.records.record` for what is in it.

        Args:
            stream: The name that its stream was given; empty where it has none but its source's.
        """
        from keepbusy.records.record import record  # Programs that only count need none.

        return record(self, stream)

    @explained(of_crops)
    def crops(self) -> list[Image]:
        """What was found, cut out of the frame: see `Detections.crops`; empty where the frame failed.

        Raises:
            KeepbusyError: The frame could not be read: there is no picture.
        """
        return self.detections.crops(self._image("crops"))

    @explained(of_result_plot)
    def plot(self, *, labels: bool = True, conf: bool = True, line_width: int | None = None) -> Image:
        """A copy of the frame with what was found on it: uint8 (H, W, 3), BGR; see `Detections.plot`.

        Raises:
            ConfigError: `line_width` is out of range.
            KeepbusyError: The frame could not be read: there is no picture.
        """
        return self.detections.plot(self._image("plot"), labels=labels, conf=conf, line_width=line_width)

    @explained(of_result_save)
    def save(
        self,
        path: str | os.PathLike[str],
        *,
        exist_ok: bool = False,
        labels: bool = True,
        conf: bool = True,
        line_width: int | None = None,
    ) -> Path:
        """Write the frame with what was found on it; returns where it is. See `Detections.save`.

        Raises:
            ConfigError: `path` is no path, or `line_width` is out of range.
            SinkError: The file is there already, its ending names no picture, or it cannot be written.
            KeepbusyError: The frame could not be read: there is no picture.
        """
        image = self._image("save")
        return self.detections.save(path, image, exist_ok=exist_ok, labels=labels, conf=conf, line_width=line_width)

    def _repr_jpeg_(self) -> bytes | None:
        """What notebooks show: the frame with what was found on it, of 1600 pixels at most; None without a picture."""
        if self.frame.picture is None:
            return None
        from keepbusy.drawing.write import encode_preview  # Loads OpenCV.

        return encode_preview(self.plot())

    def _image(self, name: str) -> Image:
        image = self.frame.image
        if image is None:
            raise KeepbusyError(
                f"{name}: {self.frame.source}: frame {self.frame.index} has no picture, it could not be read",
                hint="`error` says why: pass over results where it is not None",
            ) from self.error
        return image
