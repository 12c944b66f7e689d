"""What was found as text for other programs: JSON records, and tables for CSV files and data frames.

```python
from keepbusy.records import record

for result in pipeline.run("street.mp4"):
    queue.send(json.dumps(record(result)))
```

`Result.to_dict`, `Detections.to_dict`, `to_csv` and `to_pandas` are made with these, and so are the records that the
sink `out.jsonl` writes: the same words, units and roundings everywhere.
"""

from keepbusy.records.record import record, record_of_detections
from keepbusy.records.table import csv_of, table

__all__ = ["csv_of", "record", "record_of_detections", "table"]
