"""Results as JSON Lines: one record for each frame, as soon as it is there."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from keepbusy.files.whole import write_all, write_error
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.naming import check_file, check_stdout
from keepbusy.sources.images import is_picture
from keepbusy.texts import valid_text
from keepbusy.values.result import Result
from keepbusy.values.streams import Outcome, StreamInfo


def record(result: Result, stream: str = "") -> dict[str, Any]:
    """A result as one JSON object.

    `source_id` is the stream's number in the run, and `stream` its name where it was given one of its own.
    `timestamp_s` is there where the frame has a time: not for pictures, and not for frames that could not be read and
    whose time is not known. `time` is there where the frame is live: when it arrived, by the machine's own clock (ISO
    8601, UTC).

    Boxes are rounded to a hundredth of a pixel, confidences and angles to five digits: far below what a model can
    tell. What a task adds:

    - masks: `segmentation`, polygons as in COCO, [[x1, y1, x2, y2, ...], ...], the mask's outer edge in pixels of the
      frame, largest part first; holes are not in it;
    - keypoints: `keypoints`, [[x, y, confidence], ...];
    - rotated boxes: `box_xywhr`, [cx, cy, w, h, angle in radians];
    - classification: `probabilities` of the frame in place of boxes, the five most probable classes.

    Args:
        result: The result.
        stream: The name that its stream was given; empty where it has none but its source's.
    """
    frame, detections = result.frame, result.detections
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
        content["time"] = _wall_clock(result.timings.read_end_ns)
    if result.error is not None:
        content["error"] = {"stage": result.error.stage, "message": valid_text(result.error.reason)}
        return content
    found: list[dict[str, Any]] = [
        {
            "class_id": class_id,
            "name": valid_text(detections.names[class_id]),
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
            {"class_id": class_id, "name": valid_text(detections.names[class_id]), "probability": round(probability, 5)}
            for class_id, probability in detections.top(5)
        ]
    return content


def _has_time(result: Result) -> bool:
    """Whether the frame's time is one that its source has told: a picture's is only its place among others."""
    frame, error = result.frame, result.error
    if error is not None and error.stage == "read" and error.timestamp_s is None:
        return False
    return frame.is_live or not is_picture(frame.source)


def _wall_clock(at_ns: int) -> str:
    """A moment of the run's monotonic clock as a time of day, ISO 8601, UTC, to a millisecond."""
    seconds = time.time() - (time.perf_counter_ns() - at_ns) / 1e9
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class JsonLines(Sink):
    """Writes one record a frame, each flushed, so that readers may follow and nothing is lost when a run dies.

    Records are UTF-8 whatever the locale is; on a terminal all but ASCII is written out (`\\u009b`), since names may
    have characters in them that control it. A record that does not fit on the disk is cut off again: what is in the
    file are whole records.

    Args:
        path: The file, overwritten; `-` for standard output.

    Raises:
        SinkError: The file cannot be made, or standard output is closed.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = str(path)
        self.name = "standard output" if self._name == "-" else self._name
        self._file: io.FileIO | None = None
        self._end = 0
        self._streams: dict[int, str] = {}
        if self._name == "-":
            check_stdout("-")
            return
        check_file(Path(path))
        try:
            self._file = io.FileIO(path, "w")
        except OSError as error:
            raise write_error(path, error) from error

    def begin(self, stream: StreamInfo) -> None:
        if stream.name != stream.source:
            self._streams[stream.id] = stream.name

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        self._streams.pop(stream.id, None)

    def write(self, result: Result) -> None:
        is_shown = self._is_terminal()
        content = record(result, self._streams.get(result.frame.source_id, ""))
        line = json.dumps(content, ensure_ascii=is_shown, separators=(",", ":")) + "\n"
        if is_shown:
            line = line.replace("\x7f", "\\u007f")
        try:
            if self._file is None:
                _print(line)
            else:
                self._append(self._file, line.encode())
        except BrokenPipeError as error:
            raise StopRun from error
        except OSError as error:
            raise write_error(self._name, error) from error

    def _is_terminal(self) -> bool:
        file = sys.stdout if self._file is None else self._file
        try:
            return file.isatty()
        except (AttributeError, ValueError):  # Somebody's own stream, or a closed one.
            return False

    def _append(self, file: io.FileIO, content: bytes) -> None:
        try:
            write_all(file, content)
        except OSError:
            # What is no file (a pipe, a device) cannot be cut.
            with suppress(OSError):
                os.ftruncate(file.fileno(), self._end)
                file.seek(self._end)
            raise
        self._end += len(content)

    def close(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self._name, error) from error


def _print(line: str) -> None:
    """Write a line to standard output as UTF-8: its own encoding is the locale's."""
    binary: BinaryIO | None = getattr(sys.stdout, "buffer", None)
    if binary is None:
        # Somebody put a stream of text in its place.
        sys.stdout.write(line)
    else:
        sys.stdout.flush()
        binary.write(line.encode())
    sys.stdout.flush()
