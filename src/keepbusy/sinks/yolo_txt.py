"""Detections in YOLO's label format: one text file a frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keepbusy.files.whole import write_whole
from keepbusy.sinks.base import Sink
from keepbusy.sinks.label_folder import LabelMark
from keepbusy.sinks.naming import OutputNames, make_folder
from keepbusy.texts import valid_text
from keepbusy.values.detections import Detections
from keepbusy.values.result import Result


class YoloTxt(Sink):
    """Writes one line a detection, coordinates as shares of the frame; an empty file where nothing was found.

    | task | line |
    | --- | --- |
    | detect | `class cx cy w h` |
    | segment | `class x1 y1 x2 y2 ...`: the mask's outer edge; parts are joined by lines; none for an empty mask |
    | pose | `class cx cy w h` and `x y confidence` for each keypoint |
    | obb | `class x1 y1 x2 y2 x3 y3 x4 y4`: the four corners |
    | classify | `probability name`, the five most probable classes |

    These are the lines that Ultralytics' `save_txt` writes. Pictures give `name.txt`, videos `name_000012.txt` with the
    frame's index.

    Args:
        folder: Where the files go; made if missing.
        names: Names shared with the run's other sinks.
        with_confidence: Add the confidence as a last column.
        mark: The folder's mark, which says until when its labels are this program's: see `claim_labels`.

    Raises:
        SinkError: The folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, names: OutputNames, *, with_confidence: bool = False, mark: LabelMark | None = None
    ) -> None:
        make_folder(folder)
        self._folder = folder
        self.name = str(folder)
        self._names = names
        self._with_confidence = with_confidence
        self._mark = mark

    def write(self, result: Result) -> None:
        frame, detections = result.frame, result.detections
        stem = self._names.frame_stem(frame)
        if result.error is not None:
            return
        if detections.probabilities is not None:
            lines = [
                f"{probability:.5f} {_one_line(detections.names[class_id])}"
                for class_id, probability in detections.top(5)
            ]
        else:
            lines = [
                f"{class_id} {numbers}" + (f" {confidence:.5f}" if self._with_confidence else "")
                for class_id, numbers, confidence in zip(
                    detections.class_id.tolist(),
                    _numbers(detections, (frame.width, frame.height)),
                    detections.confidence.tolist(),
                    strict=True,
                )
                if numbers
            ]
        path = self._folder / f"{stem}.txt"
        make_folder(path.parent)
        write_whole(path, "".join(line + "\n" for line in lines).encode(), follows_link=False)
        if self._mark is not None:
            self._mark.renew()

    def close(self) -> None:
        if self._mark is not None:
            self._mark.renew(is_last=True)


def _one_line(name: str) -> str:
    return " ".join(valid_text(name).split())


def _numbers(detections: Detections, size_wh: tuple[int, int]) -> list[str]:
    """What follows the class in each detection's line; empty where there is no line."""
    size = np.array(size_wh, np.float64)
    if detections.boxes_xyxyxyxy is not None:
        return [_text(corners / size) for corners in detections.boxes_xyxyxyxy]
    if detections.masks is not None:
        joined = [join_polygons(detections.masks.polygons(index)) for index in range(len(detections))]
        return [_text(polygon / size) if len(polygon) >= 3 else "" for polygon in joined]
    boxes = detections.boxes_xyxy.astype(np.float64) / np.tile(size, 2)
    texts = [_text(row) for row in np.hstack(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]))]
    if detections.keypoints is not None:
        # Readers of labels refuse what is outside the picture.
        shares = np.clip(detections.keypoints / np.append(size, 1.0), 0, 1)
        texts = [f"{box} {_text(points)}" for box, points in zip(texts, shares, strict=True)]
    return texts


def _text(numbers: NDArray[np.float64]) -> str:
    return " ".join(f"{number:.6f}" for number in numbers.reshape(-1).tolist())


def join_polygons(polygons: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """One polygon out of a mask's parts, because a label has room for one only: they are joined by lines.

    Each part is entered and left where it and what is joined already are nearest to each other. Parts of less than
    three points are left out.

    Args:
        polygons: int32 (P, 2) each, largest first.

    Returns:
        int32 (P, 2); no points where there is no part.
    """
    parts = [polygon for polygon in polygons if len(polygon) >= 3]
    if not parts:
        return np.empty((0, 2), np.int32)
    joined = parts[0]
    for part in parts[1:]:
        apart = ((joined[:, None].astype(np.int64) - part[None]) ** 2).sum(axis=2)
        here, there = (int(index) for index in np.unravel_index(apart.argmin(), apart.shape))
        tour = np.concatenate((part[there:], part[: there + 1]))
        joined = np.concatenate((joined[: here + 1], tour, joined[here:]))
    return joined
