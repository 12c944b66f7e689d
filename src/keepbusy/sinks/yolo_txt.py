"""Detections in YOLO's label format: one text file a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keepbusy.sinks.naming import OutputNames, make_folder, write_error
from keepbusy.types import Result


class YoloTxt:
    """Writes `class cx cy w h` a line, as shares of the frame; an empty file where nothing was found.

    Pictures give `name.txt`, videos `name_000012.txt` with the frame's index.

    Args:
        folder: Where the files go; made if missing.
        names: Names shared with the run's other sinks.
        with_confidence: Add the confidence as a sixth column.

    Raises:
        SinkError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path, names: OutputNames, *, with_confidence: bool = False) -> None:
        make_folder(folder)
        self._folder = folder
        self._names = names
        self._with_confidence = with_confidence

    def write(self, result: Result) -> None:
        if result.error is not None:
            return
        frame, detections = result.frame, result.detections
        boxes = detections.boxes_xyxy.astype(np.float64) / np.array([frame.width, frame.height] * 2)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        sizes = boxes[:, 2:] - boxes[:, :2]
        lines = [
            f"{class_id} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}" + (f" {confidence:.5f}" if self._with_confidence else "")
            for class_id, (cx, cy), (w, h), confidence in zip(
                detections.class_id, centres, sizes, detections.confidence, strict=True
            )
        ]
        path = self._folder / f"{self._names.frame_stem(frame)}.txt"
        try:
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise write_error(path, error) from error

    def close(self) -> None:
        pass
