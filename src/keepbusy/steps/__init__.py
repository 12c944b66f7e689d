"""What a stream does with its results between postprocessing and the sinks: tracking, zones, blurring.

A step is a class derived from [`Step`][keepbusy.steps.Step]. What makes it (a `StepFactory`: the class itself, or a
function of the stream's `StreamInfo`) is given to the streams that are to have it:

```python
import dataclasses
import keepbusy as kb

class OnlyPeople(kb.Step):
    def __init__(self, info: kb.StreamInfo) -> None:
        self.name = info.name

    def process(self, result: kb.Result) -> kb.Result:
        return dataclasses.replace(result, detections=result.detections.where(classes="person"))

run.add("street.mp4", kb.StreamConfig(steps=(OnlyPeople,)))
```
"""

from keepbusy.steps.step import Step, StepFactory
from keepbusy.values.streams import StreamInfo

__all__ = ["Step", "StepFactory", "StreamInfo"]
