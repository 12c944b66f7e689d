"""A batch in other formats: COCO's JSON, YOLO's labels, CSV, JSON Lines. From its shards alone, piece by piece."""

from __future__ import annotations

import csv as csv_module
import json as json_module
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from keepbusy.batch.guard import guard_outputs
from keepbusy.batch.names import JobNames
from keepbusy.batch.results import Snapshot, snapshot
from keepbusy.checks import check_path
from keepbusy.errors import ConfigError
from keepbusy.files.endings import is_picture
from keepbusy.files.whole import write_by
from keepbusy.records import record, table
from keepbusy.records.table import cells
from keepbusy.sinks.guard import labels
from keepbusy.sinks.label_folder import claim_labels
from keepbusy.sinks.naming import is_stdout
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.values.result import Result

_CLASSES_KEPT = 5
"""So many classes of a classified frame are in the tables."""


def export(
    folder: str | Path,
    *,
    coco: str | Path | None = None,
    yolo: str | Path | None = None,
    csv: str | Path | None = None,
    json: str | Path | None = None,
    save_conf: bool = False,
    exist_ok: bool = False,
) -> int:
    """Write a batch in other formats; how many frames that were.

    All of them have the units that are done when this begins, also where the batch goes on. A file that is `-` is
    standard output; pipes and devices are written into.

    Args:
        folder: The batch's.
        coco: A file in COCO's format: images, annotations with scores, categories. Category ids are the model's class
            ids. A picture is called as it is, a video's frame as its label file is, below the innermost folder that has
            all of the batch's files; `source`, `index` and `timestamp_s` say which frame that is in the tables.
        yolo: A folder of YOLO's labels, one file a frame, as `keepbusy detect` writes them.
        csv: A table with a row for each detection: `source`, `index`, `timestamp_s` and the columns of
            `Detections.to_csv`.
        json: JSON Lines, the records of `keepbusy detect` without `source_id`.
        save_conf: Add confidences to YOLO's labels.
        exist_ok: Write over labels that others wrote or changed.

    Raises:
        ConfigError: There is no batch in the folder, or nothing is to be written; or a place is in the folder of a
            batch, is an input, or is named twice. Nothing was written.
        SinkError: Something cannot be written, or labels of somebody else are there.
        KeepbusyError: The manifest or a shard is damaged.
    """
    files = {"`coco`": coco, "`csv`": csv, "`json`": json}
    if yolo is None and not any(place is not None for place in files.values()):
        raise ConfigError(
            "export: nothing is to be written", hint="name a file or folder: `coco`, `yolo`, `csv`, `json`"
        )
    for option, place in {**files, "`yolo`": yolo}.items():
        if place is not None:
            check_path(option, place)
    batch = snapshot(folder)
    places = {option: "-" if is_stdout(place) else place for option, place in files.items() if place is not None}
    guard_outputs(batch, places, {"`yolo`": labels(None if yolo is None else Path(yolo), is_deep=True)})
    is_shown = places.get("`json`") == "-" and _is_terminal(sys.stdout)
    names = JobNames(batch.entries)
    mark = None if yolo is None else claim_labels(Path(yolo), exist_ok=exist_ok, option="`yolo`")
    writers = {
        "`coco`": partial(_write_coco, batch=batch, names=names),
        "`csv`": partial(_write_csv, batch=batch),
        "`json`": partial(_write_lines, batch=batch, is_shown=is_shown),
    }
    for option, place in places.items():
        write_by(place, writers[option])
    if yolo is not None:
        sink = YoloTxt(Path(yolo), names, with_confidence=save_conf, mark=mark)
        for result in batch.results():
            sink.write(result)
        sink.close()
    return batch.num_frames


def _write_lines(file: BinaryIO, batch: Snapshot, *, is_shown: bool) -> None:
    for result in batch.results():
        content = record(result)
        # A batch has no streams.
        del content["source_id"]
        file.write(_dumped(content, is_shown=is_shown) + b"\n")


def _is_terminal(stream: object) -> bool:
    is_one = getattr(stream, "isatty", None)  # Somebody's own stream may have none.
    return is_one is not None and bool(is_one())


class _Utf8:
    """What the module `csv` writes text to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def _write_csv(file: BinaryIO, batch: Snapshot) -> None:
    writer = csv_module.writer(_Utf8(file), lineterminator="\n")
    header: list[str] | None = None
    for result in batch.results():
        columns = table(result.detections)
        if result.detections.probabilities is not None:
            columns = {word: values[:_CLASSES_KEPT] for word, values in columns.items()}
        if header is None and len(columns["class_id"]):
            # A pose has columns for its keypoints: they are known when there is one.
            header = ["source", "index", "timestamp_s", *columns]
            writer.writerow(header)
        about = record(result)
        own = (about["source"], about["index"], about.get("timestamp_s", ""))
        writer.writerows((*own, *row) for row in cells(columns))
    if header is None:
        writer.writerow(["source", "index", "timestamp_s", "class_id", "name", "confidence"])


def _write_coco(file: BinaryIO, batch: Snapshot, names: JobNames) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(batch.class_names)]
    file.write(b'{"info":{"description":"found by keepbusy"},"categories":' + _dumped(categories))
    file.write(b',"images":[')
    _write_all(file, _images(batch, names))
    file.write(b'],"annotations":[')
    _write_all(file, _annotations(batch))
    file.write(b"]}\n")


def _write_all(file: BinaryIO, values: Iterator[dict[str, Any]]) -> None:
    for number, value in enumerate(values):
        file.write((b",\n" if number else b"\n") + _dumped(value))


def _images(batch: Snapshot, names: JobNames) -> Iterator[dict[str, Any]]:
    for number, result in enumerate(batch.results(), 1):
        about = record(result)
        source, seconds = about["source"], about.get("timestamp_s")
        yield {
            "id": number,
            "file_name": names.picture(source) if is_picture(source) else f"{names.frame_stem(result.frame)}.jpg",
            "width": about["width"],
            "height": about["height"],
            "source": source,
            "index": about["index"],
            **({} if seconds is None else {"timestamp_s": seconds}),
        }


def _annotations(batch: Snapshot) -> Iterator[dict[str, Any]]:
    number = 0
    for image_id, result in enumerate(batch.results(), 1):
        for one in _found(result):
            number += 1
            left, top, right, bottom = one["box_xyxy"]
            width, height = round(right - left, 2), round(bottom - top, 2)
            yield {
                "id": number,
                "image_id": image_id,
                "category_id": one["class_id"],
                "bbox": [left, top, width, height],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": one["confidence"],
                **({"segmentation": one["segmentation"]} if "segmentation" in one else {}),
                **({"keypoints": _keypoints(one)} if "keypoints" in one else {}),
            }


def _found(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record(result).get("detections", [])
    return found


def _keypoints(one: dict[str, Any]) -> list[float]:
    """COCO's keypoints: x, y and whether it is seen (2)."""
    return [value for x, y, _ in one["keypoints"] for value in (x, y, 2)]


def _dumped(value: Any, *, is_shown: bool = False) -> bytes:
    """JSON, for a terminal without characters that control it."""
    text = json_module.dumps(value, ensure_ascii=is_shown, allow_nan=False, separators=(",", ":"))
    return (text.replace("\x7f", "\\u007f") if is_shown else text).encode()
