"""The steps of one stream: made for it, gone through by its results, told of its end."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence

from keepbusy.checks import check_numbers
from keepbusy.errors import first_line
from keepbusy.flow import stages
from keepbusy.steps import Step, StepFactory
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from keepbusy.values.streams import StreamInfo

log = logging.getLogger("keepbusy")


class StreamSteps:
    """Thread-safe, so that a run that is closed can end them whoever used them last.

    Args:
        factories: What makes them, in their order.
        name: The stream's, for messages.

    Attributes:
        are_none: Whether there is nothing to do with any result.
    """

    def __init__(self, factories: Sequence[StepFactory], name: str) -> None:
        self.are_none = not factories
        self._factories = factories
        self._name = name
        self._steps: list[Step] = []
        self._is_made = False
        self._failure: Exception | None = None
        self._is_over = False
        self._lock = threading.RLock()

    def __call__(self, result: Result, known: Callable[[Frame], StreamInfo], now_ns: Callable[[], int]) -> Result:
        """What becomes of a result behind all steps; with the error in its place where one of them fails.

        Args:
            result: Where it has an error, it stays as it is.
            known: The stream's first frame → what is known of the stream.
            now_ns: The run's clock.
        """
        if self.are_none or result.error is not None:
            return result
        frame, timings = result.frame, result.timings
        with self._lock:
            if self._is_over:
                return result
            try:
                if not self._is_made:
                    self._make(known(frame))
                if self._failure is not None:
                    raise self._failure
                for step in self._steps:
                    result = _checked(step.process(result))
                if result.frame is not frame or result.timings is not timings:
                    result = dataclasses.replace(result, frame=frame, timings=timings)
            except Exception as error:
                return stages.failure(frame, timings, stages.blame(error, "step", frame))
            finally:
                timings.postprocess_end_ns = now_ns()
        return result

    def _make(self, info: StreamInfo) -> None:
        """Make them all, once; where one cannot be made, its error is that of each frame."""
        self._is_made = True
        try:
            for make in self._factories:
                self._steps.append(make(info))
        except Exception as error:
            self._failure = error

    def end(self) -> None:
        """Tell all of them that no more results come. May be called again."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            for step in self._steps:
                try:
                    step.end()
                except Exception as error:
                    log.warning("%s: a step failed at the end of the stream: %s", self._name, first_line(error))


def _checked(result: object) -> Result:
    """What a step has given, if it is a result.

    Raises:
        TypeError: It is none.
        ConfigError: It has numbers that no sink can write: NaN or infinity.
    """
    if not isinstance(result, Result):
        raise TypeError(f"`process` must return a Result, and gave {type(result).__name__}")
    if not isinstance(result.detections, Detections):
        raise TypeError(f"the detections of a result cannot be {type(result.detections).__name__}")
    for name in ("boxes_xyxy", "confidence", "keypoints", "boxes_xywhr", "probabilities"):
        check_numbers(name, getattr(result.detections, name))
    return result
