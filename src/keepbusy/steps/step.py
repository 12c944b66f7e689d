"""What a stream does with its results on their way to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from keepbusy.values.result import Result
from keepbusy.values.streams import StreamInfo


class Step:
    """Something that is done with each result of one stream, behind postprocessing: the base class, which does nothing.

    ```python
    class OnlyLarge(Step):
        def process(self, result: Result) -> Result:
            boxes = result.detections.boxes_xyxy
            is_large = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) > 10_000
            return dataclasses.replace(result, detections=result.detections[is_large])

    run.add("rtsp://door/stream", StreamConfig(steps=(lambda info: OnlyLarge(),)))
    ```

    Each stream has steps of its own, made anew, so that what they remember is that stream's. They see its results in
    order, one at a time, and not those of frames that failed. A stream that is opened again keeps them.
    """

    def process(self, result: Result) -> Result:
        """What becomes of a result: itself, or another one of the same frame. What was given is not to be changed.

        Whatever it raises is the error of that frame, of the stage `step`.
        """
        return result

    def end(self) -> None:
        """No more results come; called once, behind the last one, also where the run is broken off."""


StepFactory: TypeAlias = Callable[[StreamInfo], Step]
"""Makes a stream's own step, when its first result is there; from what is known of the stream by then."""
