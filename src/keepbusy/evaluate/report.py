"""Scores as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepbusy.evaluate.coco import Accuracy
from keepbusy.evaluate.confusion import CONFUSION_CONF, CONFUSION_IOU, Confusion
from keepbusy.evaluate.curves import Curves, mean_over_classes
from keepbusy.evaluate.run import Collected
from keepbusy.files.whole import write_report
from keepbusy.sinks.naming import check_file
from keepbusy.version import __version__


def report(accuracy: Accuracy, curves: Curves | None, confusion: Confusion) -> dict[str, Any]:
    """All scores, ready for JSON: shares from 0 to 1, null where there is nothing to find.

    Args:
        accuracy: The scores.
        curves: Precision and recall; None where nothing was found.
        confusion: Which classes are taken for which.
    """
    content: dict[str, Any] = _rounded(asdict(accuracy))
    content["best_f1"] = None
    if curves is not None:
        place = curves.best_index
        content["best_f1"] = {
            "confidence": _rounded(curves.best_confidence),
            "f1": _rounded(float(curves.f1[:, place].mean())),
            "precision": _rounded(float(mean_over_classes(curves.precision)[place])),
            "recall": _rounded(float(curves.recall[:, place].mean())),
        }
        names = list(content["by_class"])
        for row, class_id in enumerate(curves.class_id.tolist()):
            content["by_class"][names[class_id]] |= {
                "precision": _rounded(float(curves.precision[row, place])),
                "recall": _rounded(float(curves.recall[row, place])),
            }
    content["confusion"] = {
        "confidence": CONFUSION_CONF,
        "iou": CONFUSION_IOU,
        "rows_are": "true class, then nothing there",
        "columns_are": "detected class, then missed",
        "names": list(confusion.names),
        "counts": confusion.counts.tolist(),
    }
    return content


def full_report(
    collected: Collected, accuracy: Accuracy, curves: Curves | None, confusion: Confusion, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """All scores with what they depend on, ready for JSON.

    Args:
        collected: What was scored.
        accuracy: As for `report`.
        curves: As for `report`.
        confusion: As for `report`.
        settings: From `run.settings_of`.
    """
    import openvino

    return report(accuracy, curves, confusion) | {
        "settings": settings,
        "throughput_fps": round(collected.snapshot.throughput_fps, 1),
        "failed": collected.scorer.failures,
        "num_ignored": collected.scorer.num_ignored,
        "notes": collected.notes,
        "versions": {"keepbusy": __version__, "openvino": openvino.__version__},
    }


def write_folder(folder: Path, content: object, results: object) -> list[Path]:
    """Write `metrics.json` and `detections.json` into a folder.

    Args:
        folder: The folder, which is there.
        content: From `full_report`.
        results: From `CocoEvaluation.results`.

    Returns:
        The files.

    Raises:
        SinkError: One cannot be written.
    """
    written: list[Path] = []
    for name, part, indent in (("metrics.json", content, 1), ("detections.json", results, None)):
        write_json(part, folder / name, indent=indent, follows_link=False)
        written.append(folder / name)
    return written


def write_json(content: object, path: str | Path, *, indent: int | None = 1, follows_link: bool = True) -> None:
    """Write JSON to a file, made with its folder, or to standard output for `-`.

    Args:
        content: What is written.
        path: The file.
        indent: As for `json.dumps`.
        follows_link: As for `write_whole`.

    Raises:
        SinkError: It cannot be written.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    if str(path) != "-":
        check_file(Path(path))
    write_report(text, path, follows_link=follows_link)


def _rounded(value: Any) -> Any:
    """Floats with six digits, which is more than a few thousand pictures can tell; NaN is null."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return value
