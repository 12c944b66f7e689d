"""Any number of files through one model, in worker processes, into tables that one can query; it goes on after any end.

```python
import keepbusy as kb

done = kb.batch.run_batch("archive/**/*.mp4", "found", "yolov5n.xml")
print(done.num_frames, [failure.name for failure in done.failures])
print(kb.batch.query("found", "SELECT name, count(*) FROM detections GROUP BY name").to_pylist())
```

The folder `found` has the manifest of the job, and a shard of two Parquet tables for each unit of work. The same call
goes on where the job was: see `docs/reference/batch.md`.
"""

from keepbusy.batch.exports import export
from keepbusy.batch.job import UnitConfig
from keepbusy.batch.progress import Failure, Progress
from keepbusy.batch.queries import QUESTIONS, query
from keepbusy.batch.results import results_of
from keepbusy.batch.run import run_batch
from keepbusy.batch.status import Status, read_status
from keepbusy.batch.thumbnails import Thumbnails, write_thumbnails

__all__ = [
    "QUESTIONS",
    "Failure",
    "Progress",
    "Status",
    "Thumbnails",
    "UnitConfig",
    "export",
    "query",
    "read_status",
    "results_of",
    "run_batch",
    "write_thumbnails",
]
