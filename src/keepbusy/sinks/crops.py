"""What was found, cut out: one picture a detection."""

from __future__ import annotations

import re
from pathlib import Path

from keepbusy.drawing.cut import cut_boxes
from keepbusy.drawing.write import write_image
from keepbusy.sinks.base import Sink
from keepbusy.sinks.naming import OutputNames, make_folder
from keepbusy.texts import valid_text
from keepbusy.values.result import Result


class Crops(Sink):
    """Writes each detection's box, as it is in the frame, to `class/name_0.jpg`, in the order of confidence.

    Args:
        folder: Where they go; made if missing.
        names: Names shared with the run's other sinks.

    Raises:
        SinkError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path, names: OutputNames) -> None:
        make_folder(folder)
        self._folder = folder
        self.name = str(folder)
        self._names = names

    def write(self, result: Result) -> None:
        frame, detections = result.frame, result.detections
        stem = self._names.frame_stem(frame)
        if frame.image is None or not len(detections):
            return
        for index, crop in enumerate(cut_boxes(frame.image, detections.boxes_xyxy)):
            path = self._folder / _folder_name(detections.name(index)) / f"{stem}_{index}.jpg"
            make_folder(path.parent)
            write_image(path, crop, follows_link=False)


def _folder_name(class_name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", valid_text(class_name)).strip("_.") or "unnamed"
