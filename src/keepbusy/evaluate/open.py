"""One word from the user → data."""

from __future__ import annotations

import os
from pathlib import Path

from keepbusy.errors import ConfigError, SourceError
from keepbusy.evaluate.dataset import Dataset

DEFAULT_SPLIT = "val"

_HINT = (
    "give a YOLO dataset file (.yaml), a folder or list (.txt) of pictures, COCO annotations (.json) or synth:street"
)


def open_dataset(
    data: str, *, split: str = DEFAULT_SPLIT, images: Path | None = None, skip_bad_labels: bool = False
) -> Dataset:
    """Open labelled data, and check all of it.

    Args:
        data: A YOLO dataset file (`.yaml`), a folder or a list (`.txt`) of pictures with YOLO labels, COCO annotations
            (`.json`), or `synth:street?seed=1&frames=100`.
        split: Which part of a YOLO data set.
        images: The folder of the pictures of COCO annotations, where they are not found beside the file.
        skip_bad_labels: Leave bad labels out and note them, instead of stopping.

    Raises:
        SourceError: It cannot be read, is malformed or empty, or has faults: a `DataError` then has all of them.
        ConfigError: The options do not fit it.
    """
    path = Path(data)
    suffix = path.suffix.lower()
    if images is not None and suffix != ".json":
        raise ConfigError("`images=`: is for COCO annotations (.json)", hint=_HINT)
    if split != DEFAULT_SPLIT and (data.startswith("synth:") or suffix in (".json", ".txt")):
        raise ConfigError(f"`split`: {data} has no splits", hint="leave `split` out, or give a YOLO data set or folder")
    if data.startswith("synth:"):
        from keepbusy.evaluate.street_data import StreetData

        return StreetData(data)
    if not os.path.exists(path):
        raise SourceError(f"`data`: there is no {data}", hint=_HINT)
    if os.path.isdir(path) or suffix == ".txt":
        from keepbusy.evaluate.yolo_data import open_yolo_path

        return open_yolo_path(path, split, must_have_split=split != DEFAULT_SPLIT, skip_bad_labels=skip_bad_labels)
    if suffix in (".yaml", ".yml"):
        from keepbusy.evaluate.yolo_data import open_yolo_yaml

        return open_yolo_yaml(path, split, skip_bad_labels=skip_bad_labels)
    if suffix == ".json":
        from keepbusy.evaluate.coco_data import open_coco

        return open_coco(path, images, skip_bad_labels=skip_bad_labels)
    raise SourceError(f"`data`: {data} is none of the known kinds", hint=_HINT)
