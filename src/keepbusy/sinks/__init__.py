"""Where results go: one file for each kind, and the runner that gives them a thread.

`keepbusy.open_sink` makes one of what the user writes (`out.mp4`, `out.jsonl`, `crops:found/`). One of your own is a
class derived from [`Sink`][keepbusy.sinks.Sink]; `drain` writes a run to sinks of both kinds:

```python
import keepbusy as kb

class Counter(kb.Sink):
    num_people = 0

    def write(self, result: kb.Result) -> None:
        self.num_people += len(result.detections.where(classes="person"))

counter = Counter()
with kb.Pipeline("yolov5n.xml") as pipeline:
    kb.drain(pipeline.run("street.mp4"), [kb.open_sink("out.jsonl"), counter])
```
"""

from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.runner import SinkRunner, drain
from keepbusy.values.streams import Outcome, StreamInfo

__all__ = ["Outcome", "Sink", "SinkRunner", "StopRun", "StreamInfo", "drain"]
