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

    Boxes are rounded to a hundredth of a pixel, confidences and angles to five digits: far below what a model can
    tell. What a task adds:

    - masks: `segmentation`, polygons as in COCO, [[x1, y1, x2, y2, ...], ...], the mask's outer edge in pixels of the
      frame, largest part first; holes are not in it;
    - keypoints: `keypoints`, [[x, y, confidence], ...];
    - rotated boxes: `box_xywhr`, [cx, cy, w, h, angle in radians];
    - classification: `probabilities` of the frame in place of boxes, the five most probable classes.
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
    found: list[dict[str, Any]] = [
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
    for index, one in enumerate(found):
        if detections.boxes_xywhr is not None:
            *box, angle = detections.boxes_xywhr[index].tolist()
            one["box_xywhr"] = [*(round(value, 2) for value in box), round(angle, 5)]
        if detections.keypoints is not None:
            points = detections.keypoints[index].tolist()
            one["keypoints"] = [[round(x, 2), round(y, 2), round(confidence, 5)] for x, y, confidence in points]
        if detections.masks is not None:
            polygons = detections.masks.polygons(index)
            one["segmentation"] = [polygon.reshape(-1).tolist() for polygon in polygons if len(polygon) >= 3]
    content["detections"] = found
    if detections.probabilities is not None:
        content["probabilities"] = [
            {"class_id": class_id, "name": detections.names[class_id], "probability": round(probability, 5)}
            for class_id, probability in detections.top(5)
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
