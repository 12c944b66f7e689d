"""A sink of your own: how many of each class there are in each second of a stream, as CSV."""

import collections
import csv
from pathlib import Path

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model


class CountsPerSecond(kb.Sink):
    """Writes the largest number of each class that one frame of a second shows."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._most: dict[tuple[int, str], int] = {}

    def write(self, result: kb.Result) -> None:
        """Called for each result, in order."""
        found = result.detections
        second = int(result.frame.timestamp_s)
        for class_id, count in collections.Counter(found.class_id.tolist()).items():
            key = (second, found.names[class_id])
            self._most[key] = max(count, self._most.get(key, 0))

    def close(self) -> None:
        """Called once, at the end."""
        with self._path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["second", "class", "most"])
            rows.writerows((*key, most) for key, most in sorted(self._most.items()))


if __name__ == "__main__":
    with kb.Pipeline(embedded_model()) as pipeline:
        kb.drain(pipeline.run(embedded_clip(), limit=90), CountsPerSecond(Path("counts.csv")))
    print("counts.csv")
