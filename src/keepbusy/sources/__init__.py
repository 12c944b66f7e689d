"""Where frames come from; `open_source` makes any of them from what the user wrote.

One of your own is a class derived from [`Source`][keepbusy.sources.Source], and goes where a path or an address goes:

```python
import keepbusy as kb

class Microscope(kb.Source):
    def __init__(self) -> None:
        self.info = kb.SourceInfo("microscope", is_live=True)
        self.index = -1

    def read(self) -> kb.Frame | None:
        self.index += 1
        return kb.Frame(grab(), self.index, self.index / 10, 0, self.info.name)

with kb.Pipeline("yolov5n.xml") as pipeline:
    for result in pipeline.run(Microscope()):
        print(result)
```
"""

from keepbusy.sources.base import Source, SourceInfo, close_source, frame_sizes
from keepbusy.sources.named import named_files
from keepbusy.sources.open import open_source, open_sources
from keepbusy.sources.selection import Selection

__all__ = [
    "Selection",
    "Source",
    "SourceInfo",
    "close_source",
    "frame_sizes",
    "named_files",
    "open_source",
    "open_sources",
]
