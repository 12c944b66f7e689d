"""A result as one JSON object: the words and roundings of every record that keepbusy writes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from keepbusy.files.endings import is_picture
from keepbusy.records.found import Found, RecordedResult
from keepbusy.texts import class_name, valid_text


def record(result: RecordedResult, stream: str = "") -> dict[str, Any]:
    """A result as one JSON object.

    `source_id` is the stream's number in the run, and `stream` its name where it was given one of its own.
    `timestamp_s` is there where the frame has a time: not for pictures, and not for frames that could not be read and
    whose time is not known. `time` is there where the frame is live: when it arrived, by the machine's own clock (ISO
    8601, UTC). A frame that failed has an `error` instead of `detections`.

    Args:
        result: The result.
        stream: The name that its stream was given; empty where it has none but its source's.
    """
    frame = result.frame
    content: dict[str, Any] = {
        **({"stream": valid_text(stream)} if stream else {}),
        "source": valid_text(frame.source),
        "source_id": frame.source_id,
        "index": frame.index,
        **({"timestamp_s": round(frame.timestamp_s, 6)} if _has_time(result) else {}),
        "width": frame.width,
        "height": frame.height,
    }
    if frame.is_live and result.timings.read_end_ns:
        content["time"] = _wall_clock(result.timings.arrival_ns or result.timings.read_end_ns)
    if result.error is not None:
        content["error"] = {"stage": result.error.stage, "message": valid_text(result.error.reason)}
        return content
    content.update(record_of_detections(result.detections))
    return content


def record_of_detections(found: Found) -> dict[str, Any]:
    """What was found as one JSON object: `detections`, a list, and for a classification `probabilities`.

    Boxes are rounded to a hundredth of a pixel, confidences and angles to five digits: far below what a model can
    tell. Each detection has `class_id`, `name`, `confidence` and `box_xyxy`, and what is known beside it:

    - masks: `segmentation`, polygons as in COCO, [[x1, y1, x2, y2, ...], ...], the mask's outer edge in pixels of the
      frame, largest part first; holes are not in it;
    - keypoints: `keypoints`, [[x, y, confidence], ...];
    - rotated boxes: `box_xywhr`, [cx, cy, w, h, angle in radians];
    - tracking: `track_id`;
    - classification: `probabilities` of the frame in place of boxes, the five most probable classes.
    """
    listed: list[dict[str, Any]] = [
        {
            "class_id": class_id,
            "name": valid_text(class_name(class_id, found.names)),
            "confidence": round(confidence, 5),
            "box_xyxy": [round(value, 2) for value in box],
        }
        for class_id, confidence, box in zip(
            found.class_id.tolist(), found.confidence.tolist(), found.boxes_xyxy.tolist(), strict=True
        )
    ]
    for index, one in enumerate(listed):
        if found.track_id is not None:
            one["track_id"] = int(found.track_id[index])
        if found.boxes_xywhr is not None:
            *box, angle = found.boxes_xywhr[index].tolist()
            one["box_xywhr"] = [*(round(value, 2) for value in box), round(angle, 5)]
        if found.keypoints is not None:
            points = found.keypoints[index].tolist()
            one["keypoints"] = [[round(x, 2), round(y, 2), round(confidence, 5)] for x, y, confidence in points]
        if found.masks is not None:
            polygons = found.masks.polygons(index)
            one["segmentation"] = [polygon.reshape(-1).tolist() for polygon in polygons if len(polygon) >= 3]
    content: dict[str, Any] = {"detections": listed}
    if found.probabilities is not None:
        content["probabilities"] = [
            {
                "class_id": class_id,
                "name": valid_text(class_name(class_id, found.names)),
                "probability": round(probability, 5),
            }
            for class_id, probability in found.top(5)
        ]
    return content


def _has_time(result: RecordedResult) -> bool:
    """Whether the frame's time is one that its source has told: a picture's is only its place among others."""
    frame, error = result.frame, result.error
    if error is not None and error.stage == "read" and error.timestamp_s is None:
        return False
    return frame.is_live or not is_picture(frame.source)


def _wall_clock(at_ns: int) -> str:
    """A moment of the run's monotonic clock as a time of day, ISO 8601, UTC, to a millisecond."""
    seconds = time.time() - (time.perf_counter_ns() - at_ns) / 1e9
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
