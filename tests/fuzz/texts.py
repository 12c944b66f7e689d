"""Texts that people and other programs write: names, data sets, labels, lists, profiles, notes."""

from __future__ import annotations

import contextlib
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from keepbusy.cache.notes import Notebook
from keepbusy.models import load_model, load_names
from keepbusy.sources import open_source
from keepbusy.sources.listing import list_entries
from keepbusy.tune.profile import load_profile, merge_options
from tests.build import build_blob_model, square_picture, write_picture
from tests.fuzz.check import check_evaluation, check_frames
from tests.fuzz.mutate_text import mutated_text
from tests.fuzz.mutate_tree import mutated_tree

_BOX = {"bbox": [10.5, 20, 30, 10], "area": 300.0, "iscrowd": 0, "segmentation": [[10, 20, 40, 20, 40, 30]]}
COCO: dict[str, Any] = {
    "images": [
        {"id": number, "file_name": f"{name}.png", "width": 96, "height": 64}
        for number, name in enumerate(("a", "b"), start=1)
    ],
    "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green", "supercategory": "colour"}],
    "annotations": [
        {"id": number, "image_id": image, "category_id": category, **_BOX}
        for number, image, category in ((1, 1, 1), (2, 2, 2), (3, 2, 1))
    ],
}
YOLO: dict[str, Any] = {
    **{"path": ".", "train": "images/val", "val": ["images/val"], "nc": 2, "names": {0: "red", 1: "green"}},
    "kpt_shape": None,
}
PROFILE: dict[str, Any] = {
    "format": "keepbusy-profile",
    "version": 1,
    "options": {"mode": "async", "nstreams": 2, "nireq": 3, "imgsz": [64, 96], "head": "auto", "shape": "rect"},
    "tuned_for": {"device": "CPU", "frame_hw": [64, 96]},
    "measured": {"fps": 125.1},
}
METADATA: dict[str, Any] = {
    **{"names": {0: "red", 1: "green", 2: "blue"}, "stride": 32, "task": "detect", "imgsz": [64, 96], "batch": 1},
    **{"description": "Ultralytics YOLOv5 model", "args": {"nms": False}, "channels": 3},
}
KEY = {"model": "0123abcd", "frame_hw": [64, 96]}
NOTE = {"head": "host", "measured_ms": [1.25, 2.5], "name": "µ"}
LABELS = "0 0.5 0.5 0.4 0.4\n1 0.2 0.2 0.1 0.1\n1 0.1 0.1 0.3 0.1 0.2 0.3\n"


def create(seeds: Path) -> Texts:
    """Make the kind."""
    return Texts(seeds)


class Texts:
    """See the module."""

    def __init__(self, seeds: Path) -> None:
        self._model = build_blob_model(seeds / "blob.xml")
        self._picture = write_picture(seeds / "a.png", square_picture())
        Notebook(seeds / "notes").write(KEY, NOTE)
        (self._note,) = (seeds / "notes").iterdir()

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """See `Kind.make`."""
        form = dice.choice(_FORMS)
        return form.__name__.strip("_"), form(self, dice, folder)

    def pictures(self, folder: Path) -> None:
        """Two pictures with labels, as YOLO's data sets have them."""
        for name in ("images", "labels"):
            (folder / name / "val").mkdir(parents=True)
        for name in ("a", "b"):
            shutil.copy(self._picture, folder / "images" / "val" / f"{name}.png")
            (folder / "labels" / "val" / f"{name}.txt").write_text(LABELS)


Form = Callable[[Texts, random.Random, Path], Callable[[], None]]


def _dumped(dice: random.Random, document: Any, *, is_json: bool) -> bytes:
    """A document with changes in its tree, in its text, or in both."""
    how = dice.random()
    if how < 0.6:
        document = mutated_tree(dice, document)
    if is_json:
        text = json.dumps(document, indent=dice.choice([None, 1]), ensure_ascii=dice.random() < 0.7)
    else:
        with contextlib.suppress(yaml.YAMLError, ValueError):
            text = yaml.safe_dump(
                document, allow_unicode=dice.random() < 0.5, default_flow_style=dice.choice([None, True])
            )
            return text.encode("utf-8", "surrogatepass") if how < 0.4 else mutated_text(dice, text)
        text = repr(document)
    return text.encode("utf-8", "surrogatepass") if how < 0.4 else mutated_text(dice, text)


def _names(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    path = folder / dice.choice(["names.txt", "names.yaml", "names.yml"])
    if path.suffix == ".txt":
        path.write_bytes(mutated_text(dice, "person\nbicycle\n# no comment\ntraffic light\n\nµ\n"))
    else:
        document = dice.choice([YOLO, ["red", "green"], {"names": ["red", "yes", "007"]}])
        path.write_bytes(_dumped(dice, document, is_json=False))

    def use() -> None:
        names = load_names(path)
        assert isinstance(names, tuple) and names and all(isinstance(name, str) for name in names)

    return use


def _data(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    kind.pictures(folder)
    path = folder / "data.yaml"
    path.write_bytes(_dumped(dice, YOLO, is_json=False))
    return lambda: check_evaluation(path, None)


def _coco(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    kind.pictures(folder)
    path = folder / "coco.json"
    path.write_bytes(_dumped(dice, COCO, is_json=True))
    return lambda: check_evaluation(path, folder / "images" / "val")


def _labels(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    kind.pictures(folder)
    (folder / "labels" / "val" / "b.txt").write_bytes(mutated_text(dice, LABELS))
    return lambda: check_evaluation(folder / "images" / "val", None)


def _list(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    kind.pictures(folder)
    path = folder / dice.choice(["list.txt", "list.streams"])
    path.write_bytes(
        mutated_text(dice, "# pictures\nimages/val/a.png\nimages/val # both\n'images/val/*.png'\nsynth:street\n")
    )

    def use() -> None:
        if not any(_leads_away(spelling) for entry in list_entries(path) for spelling in entry.spellings()):
            with contextlib.closing(open_source(path)) as source:
                check_frames(source, limit=6)

    return use


def _leads_away(spelling: str) -> bool:
    """Whether an entry may name a camera, the network, or files that are not the case's."""
    return spelling.isdecimal() or spelling.startswith(("/", "~")) or ".." in spelling or "://" in spelling


def _profile(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    path = folder / "profile.yaml"
    path.write_bytes(_dumped(dice, PROFILE, is_json=False))

    def use() -> None:
        profile = load_profile(path)
        merge_options(profile, {"nireq": 1})
        profile.differences({"device": "CPU", "frame_hw": [64, 96]})

    return use


def _metadata(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    for suffix in (".xml", ".bin"):
        shutil.copy(kind._model.with_suffix(suffix), folder)
    (folder / dice.choice(["metadata.yaml", "blob.yaml", "blob.yml"])).write_bytes(
        _dumped(dice, METADATA, is_json=False)
    )

    def use() -> None:
        model = load_model(folder / "blob.xml")
        assert len(model.names) == model.output.num_classes and all(isinstance(name, str) for name in model.names)
        assert all(math.isfinite(side) and side > 0 for side in model.input_hw)

    return use


def _note(kind: Texts, dice: random.Random, folder: Path) -> Callable[[], None]:
    path = folder / kind._note.name
    if dice.random() < 0.5:
        path.write_bytes(mutated_text(dice, kind._note.read_text()))
    else:
        path.write_bytes(_dumped(dice, json.loads(kind._note.read_text()), is_json=True))

    def use() -> None:
        assert Notebook(folder).read(KEY) in (None, NOTE)

    return use


_FORMS: tuple[Form, ...] = (_names, _data, _coco, _labels, _list, _profile, _metadata, _note)
