"""The stages as plain functions of one frame, the same for sync and async.

Each works on one slot or frame, stamps its times, and turns whatever goes wrong into the `FrameError` of that
frame. Which thread calls it, and when, is the pipeline's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from keepbusy.device.slots import Seat, Slot
from keepbusy.errors import DeviceTimeoutError, FailedStage, FrameError, KeepbusyError, first_line
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.candidates import Outputs
from keepbusy.postprocess.tail import TooManyCandidatesError
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings


class Postprocess(Protocol):
    """A model's outputs for one frame → its detections, in the frame's pixels."""

    def __call__(self, outputs: Outputs, letterbox: Letterbox) -> Detections:
        """Make detections.

        Raises:
            TooManyCandidatesError: The graph has left out cells that count: the frame is to be done again by `redo`.
        """
        ...

    def redo(self, seat: Seat, letterbox: Letterbox) -> Detections:
        """Infer a finished frame again, with all cells, from what is still in its input."""
        ...


def start(slot: Slot, frame: Frame, timings: Timings, now_ns: Callable[[], int]) -> FrameError | None:
    """Put a frame into a free slot and start it on the device; the error if that cannot be done."""
    stage: FailedStage = "preprocess"
    slot.frame, slot.timings = frame, timings
    try:
        if frame.picture is None:
            raise ValueError("the frame has no image")
        slot.turn_to(frame.shape_hw)
        slot.letterbox = slot.seat.letterboxer.write(frame.picture)
        stage = "infer"
        timings.preprocess_end_ns = timings.infer_start_ns = now_ns()
        slot.request.start()
    except Exception as error:
        return blame(error, stage, frame)
    return None


def wait(slot: Slot, timeout_s: float, device_name: str, now_ns: Callable[[], int]) -> FrameError | None:
    """Wait until the device has finished a slot; the frame's error if it failed.

    Raises:
        DeviceTimeoutError: The device does not answer. Nothing more can be expected of it.
    """
    frame = slot.frame
    assert frame is not None  # nosec B101 # for mypy: a slot in flight holds a frame
    error: FrameError | None = None
    request = slot.request
    try:
        is_done = request.wait(timeout_s)
    except Exception as cause:
        error = blame(cause, "infer", frame)
        slot.timings.infer_end_ns = now_ns()
        return error
    if not is_done:
        raise DeviceTimeoutError(
            f"device {device_name}: no answer for {timeout_s:g} s ({frame.source}, frame {frame.index})",
            hint="the driver may hang: check the system's log, and try another device",
        )
    timings = slot.timings
    end_ns, collected_ns = timings.infer_start_ns + request.latency_ns, now_ns()
    timings.infer_end_ns = end_ns if end_ns < collected_ns else collected_ns
    return None


def postprocess(slot: Slot, to_detections: Postprocess, now_ns: Callable[[], int]) -> Result:
    """A finished slot's outputs → the frame's result."""
    frame, letterbox, timings = slot.frame, slot.letterbox, slot.timings
    assert frame is not None and letterbox is not None  # nosec B101 # for mypy: a slot in flight holds both
    timings.postprocess_start_ns = now_ns()
    try:
        try:
            detections = to_detections(slot.request.outputs, letterbox)
        except TooManyCandidatesError:
            detections = to_detections.redo(slot.seat, letterbox)
    except Exception as error:
        return failure(frame, timings, blame(error, "postprocess", frame))
    timings.postprocess_end_ns = now_ns()
    return Result(frame, detections, timings)


def release(slot: Slot) -> None:
    """Forget a slot's frame, so that its memory is free as soon as the consumer is done with it."""
    slot.frame = None


def failure(frame: Frame, timings: Timings, error: FrameError) -> Result:
    """The result of a frame that failed."""
    return Result(frame, Detections.empty(), timings, error)


def blame(error: Exception, stage: FailedStage, frame: Frame) -> FrameError:
    """The error of one frame, made from whatever went wrong in a stage."""
    hint = error.hint if isinstance(error, KeepbusyError) else None
    wrapped = FrameError(first_line(error), stage=stage, source=frame.source, frame_index=frame.index, hint=hint)
    wrapped.__cause__ = error
    return wrapped


def unread_frame(error: FrameError, stream_id: int, *, is_live: bool) -> Frame:
    """The frame that stands in a result for one that could not be read."""
    place_s = error.timestamp_s or 0.0
    return Frame(None, error.frame_index, place_s, stream_id, error.source, error.shape_hw, is_live)
