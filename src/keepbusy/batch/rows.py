"""Results → rows of the two tables."""

from __future__ import annotations

from typing import Any

from keepbusy.batch.schema import schemas
from keepbusy.records import record
from keepbusy.values.result import Result, Timings

Columns = dict[str, list[Any]]
"""Column → its values; all of the same length."""


class Rows:
    """Rows that have not been written yet. Not thread-safe.

    Attributes:
        num_frames: How many rows of `frames` there are.
        num_detections: How many rows of `detections` there are.
    """

    def __init__(self) -> None:
        self._names = {table: schema.names for table, schema in schemas().items()}
        self._clear()

    def _clear(self) -> None:
        self.num_frames = self.num_detections = 0
        self._columns: dict[str, Columns] = {
            table: {name: [] for name in names} for table, names in self._names.items()
        }

    def add(self, result: Result, source: str, index: int) -> None:
        """Take the rows of one result.

        Args:
            result: The result.
            source: What its file is called in the job.
            index: The frame's place in that file.
        """
        content = record(result)
        frame = {"source": source, "index": index, "timestamp_s": content.get("timestamp_s")}
        found = content.get("detections", ())
        about = {
            **frame,
            "width": content["width"],
            "height": content["height"],
            "num_detections": len(found),
            "error": content.get("error"),
            "probabilities": content.get("probabilities"),
            **_spans_ms(result.timings),
        }
        for name, values in self._columns["frames"].items():
            values.append(about[name])
        for name, values in self._columns["detections"].items():
            values.extend([frame[name]] * len(found) if name in frame else [one.get(name) for one in found])
        self.num_frames += 1
        self.num_detections += len(found)

    def take(self) -> dict[str, Columns]:
        """All rows, by table; none are left."""
        columns = self._columns
        self._clear()
        return columns


def _spans_ms(timings: Timings) -> dict[str, float | None]:
    """How long each stage took for a frame, milliseconds to a microsecond; None for stages that it did not reach."""
    spans: dict[str, float | None] = {}
    for stage in ("read", "preprocess", "infer", "postprocess"):
        begin_ns, end_ns = getattr(timings, f"{stage}_start_ns"), getattr(timings, f"{stage}_end_ns")
        spans[f"{stage}_ms"] = round((end_ns - begin_ns) / 1e6, 3) if begin_ns and end_ns else None
    spans["latency_ms"] = round(timings.latency_ns / 1e6, 3) if timings.postprocess_end_ns else None
    return spans
