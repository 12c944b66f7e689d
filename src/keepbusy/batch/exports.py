"""A batch in other formats: COCO's JSON, YOLO's labels, CSV, JSON Lines. From its shards alone, piece by piece."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from keepbusy.batch.results import done_work, results_of, state_of
from keepbusy.errors import ConfigError
from keepbusy.files.whole import write_by
from keepbusy.records import record, table
from keepbusy.records.table import cells
from keepbusy.sinks.label_folder import claim_labels
from keepbusy.sinks.naming import OutputNames
from keepbusy.sinks.yolo_txt import YoloTxt
from keepbusy.values.result import Result


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

    Args:
        folder: The batch's.
        coco: A file in COCO's format: images, annotations with scores, categories. Category ids are the model's class
            ids. A video's frames are called as their label files are, and have `source`, `index` and `timestamp_s`.
        yolo: A folder of YOLO's labels, one file a frame, as `keepbusy detect` writes them.
        csv: A table with a row for each detection: `source`, `index`, `timestamp_s` and the columns of
            `Detections.to_csv`.
        json: JSON Lines, the records of `keepbusy detect`.
        save_conf: Add confidences to YOLO's labels.
        exist_ok: Write over labels that others wrote or changed.

    Raises:
        ConfigError: There is no batch in the folder, or nothing is to be written.
        SinkError: Something cannot be written, or labels of somebody else are there.
        KeepbusyError: The manifest or a shard is damaged.
    """
    given = (coco, yolo, csv, json)
    if not any(given):
        raise ConfigError(
            "export: nothing is to be written", hint="name a file or folder: `coco`, `yolo`, `csv`, `json`"
        )
    place, state = state_of(folder)
    num_frames = sum(work.num_frames for work in done_work(place, state))
    if coco:
        names = tuple(state.settings["facts"]["names"])
        write_by(Path(coco), lambda file: _write_coco(file, place, names))
    if csv:
        write_by(Path(csv), lambda file: _write_csv(file, place))
    if json:
        write_by(Path(json), lambda file: _write_lines(file, place))
    if yolo:
        mark = claim_labels(Path(yolo), exist_ok=exist_ok, option="")
        sink = YoloTxt(Path(yolo), OutputNames(), with_confidence=save_conf, mark=mark)
        for result in results_of(place):
            sink.write(result)
        sink.close()
    return num_frames


def _write_lines(file: BinaryIO, place: Path) -> None:
    for result in results_of(place):
        file.write(_dumped(record(result)) + b"\n")


def _write_csv(file: BinaryIO, place: Path) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv_module.writer(text, lineterminator="\n")
    header: list[str] | None = None
    for result in results_of(place):
        columns = table(result.detections)
        if header is None and len(columns["class_id"]):
            # A pose has columns for its keypoints: they are known when there is one.
            header = ["source", "index", "timestamp_s", *columns]
            writer.writerow(header)
        about = record(result)
        own = (about["source"], about["index"], about.get("timestamp_s", ""))
        writer.writerows((*own, *row) for row in cells(columns))
    if header is None:
        writer.writerow(["source", "index", "timestamp_s", "class_id", "name", "confidence"])
    text.detach()


def _write_coco(file: BinaryIO, place: Path, names: tuple[str, ...]) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    file.write(b'{"info":{"description":"found by keepbusy"},"categories":' + _dumped(categories))
    file.write(b',"images":[')
    _write_all(file, _images(place))
    file.write(b'],"annotations":[')
    _write_all(file, _annotations(place))
    file.write(b"]}\n")


def _write_all(file: BinaryIO, values: Iterator[dict[str, Any]]) -> None:
    for number, value in enumerate(values):
        file.write((b",\n" if number else b"\n") + _dumped(value))


def _images(place: Path) -> Iterator[dict[str, Any]]:
    names = OutputNames()
    for number, result in enumerate(results_of(place), 1):
        about = record(result)
        seconds = about.get("timestamp_s")
        is_of_video = seconds is not None
        yield {
            "id": number,
            "file_name": f"{names.frame_stem(result.frame)}.jpg" if is_of_video else about["source"],
            "width": about["width"],
            "height": about["height"],
            **({"source": about["source"], "index": about["index"], "timestamp_s": seconds} if is_of_video else {}),
        }


def _annotations(place: Path) -> Iterator[dict[str, Any]]:
    number = 0
    for image_id, result in enumerate(results_of(place), 1):
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


def _dumped(value: Any) -> bytes:
    return json_module.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
