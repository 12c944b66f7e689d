"""Results as JSON Lines: one record for each frame, as soon as it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Any

from keepbusy.sinks.base import StopRun
from keepbusy.sinks.naming import check_file, write_error
from keepbusy.types import Result


def record(result: Result) -> dict[str, Any]:
    """A result as one JSON object.

    Boxes are rounded to a hundredth of a pixel, confidences to five digits: far below what a model can tell.
    """
    frame, detections = result.frame, result.detections
    content: dict[str, Any] = {
        "source": frame.source,
        "index": frame.index,
        "timestamp_s": round(frame.timestamp_s, 6),
        "width": frame.width,
        "height": frame.height,
    }
    if result.error is not None:
        content["error"] = {"stage": result.error.stage, "message": result.error.reason}
        return content
    content["detections"] = [
        {
            "class_id": class_id,
            "name": detections.names[class_id],
            "confidence": round(confidence, 5),
            "box_xyxy": [round(value, 2) for value in box],
        }
        for class_id, confidence, box in zip(
            detections.class_id.tolist(),
            detections.confidence.tolist(),
            detections.boxes_xyxy.tolist(),
            strict=True,
        )
    ]
    return content


class JsonLines:
    """Writes one record a frame, each flushed, so that readers may follow and nothing is lost when a run dies.

    Args:
        path: The file, overwritten; `-` for standard output.

    Raises:
        SinkError: The file cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = str(path)
        self._is_stdout = self._name == "-"
        self._file: IO[str]
        if self._is_stdout:
            self._file = sys.stdout
        else:
            check_file(Path(path))
            try:
                self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by close()
            except OSError as error:
                raise write_error(path, error) from error

    def write(self, result: Result) -> None:
        line = json.dumps(record(result), ensure_ascii=False, separators=(",", ":"))
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except BrokenPipeError as error:
            raise StopRun from error
        except OSError as error:
            raise write_error(self._name, error) from error

    def close(self) -> None:
        if self._is_stdout:
            return
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self._name, error) from error
