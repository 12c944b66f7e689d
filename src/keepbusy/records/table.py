"""What was found as a table: a row for each detection, for CSV files and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keepbusy.records.found import Found
from keepbusy.texts import class_name, valid_text

_BOX = ("left", "top", "right", "bottom")
_ROTATED = ("centre_x", "centre_y", "width", "height", "angle")
_DIGITS = {"confidence": 5, "probability": 5, "angle": 5}
"""As in JSON records; all other numbers are pixels, with two."""


def table(found: Found) -> dict[str, Any]:
    """Columns of equal length, in their order: a list of text, or a one-dimensional array.

    | column | type | is there |
    | --- | --- | --- |
    | `class_id`, `name` | int64, text | always |
    | `confidence` | float32, 0 to 1 | always, but for classification |
    | `left`, `top`, `right`, `bottom` | float32, pixels of the frame | always, but for classification |
    | `track_id` | int64 | for tracked streams |
    | `centre_x`, `centre_y`, `width`, `height`, `angle` | float32, pixels and radians | for rotated boxes |
    | `keypoint_0_x`, `keypoint_0_y`, `keypoint_0_confidence`, ... | float32, pixels, 0 to 1 | for poses |
    | `probability` | float32, 0 to 1 | for classification: a row for each class, the most probable one first |

    Masks are no columns: they are in `to_dict`.
    """
    if found.probabilities is not None:
        ids = [class_id for class_id, _ in found.top(len(found.probabilities))]
        order = np.array(ids, np.int64)
        return {"class_id": order, "name": _names(ids, found), "probability": found.probabilities[order]}
    columns: dict[str, Any] = {
        "class_id": found.class_id,
        "name": _names(found.class_id.tolist(), found),
        "confidence": found.confidence,
    }
    columns |= {word: found.boxes_xyxy[:, number] for number, word in enumerate(_BOX)}
    if found.track_id is not None:
        columns["track_id"] = found.track_id
    if found.boxes_xywhr is not None:
        columns |= {word: found.boxes_xywhr[:, number] for number, word in enumerate(_ROTATED)}
    if found.keypoints is not None:
        for point in range(found.keypoints.shape[1]):
            for number, word in enumerate(("x", "y", "confidence")):
                columns[f"keypoint_{point}_{word}"] = found.keypoints[:, point, number]
    return columns


def csv_of(found: Found, *, has_header: bool = True) -> str:
    r"""The table as comma-separated values (RFC 4180, lines that end in `\n`), numbers rounded as in JSON records.

    Args:
        found: What was found.
        has_header: Whether the columns' names are the first line.
    """
    columns = table(found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(columns)
    writer.writerows(cells(columns))
    return text.getvalue()


def cells(columns: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, numbers rounded as in JSON records.

    Args:
        columns: What `table` has given.
    """
    return zip(*(_cells(word, values) for word, values in columns.items()), strict=True)


def _cells(word: str, values: Any) -> list[Any]:
    if isinstance(values, list):
        return values
    listed: list[Any] = values.tolist()
    if values.dtype.kind != "f":
        return listed
    digits = 5 if word.endswith("_confidence") else _DIGITS.get(word, 2)
    return [round(value, digits) for value in listed]


def _names(class_ids: list[int], found: Found) -> list[str]:
    return [valid_text(class_name(class_id, found.names)) for class_id in class_ids]
