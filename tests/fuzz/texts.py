"""Texts from outside: names, data sets, labels, lists, profiles, what stands beside models."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from keepbusy.evaluate.open import open_dataset
from keepbusy.models import load_names
from keepbusy.parsing import parse_json, parse_literal, parse_yaml
from keepbusy.profile import load_profile, merge_options
from keepbusy.sources import open_source
from tests.fuzz.bytes_ import damage_bytes

TOKENS = (
    "0", "-1", "1e400", "-0.0", ".nan", ".inf", "NaN", "Infinity", "9" * 30, "0x" + "f" * 400, "1_0", "2026-13-45",
    "true", "null", "~", "''", '"', "'", "[", "]", "{", "}", ":", "- ", ",", "&a ", "*a", "<<: *a",
    "!!python/object:os.system ", "!!binary ", "? ", "|\n", ">\n", "\t", "\r", "\n", "\x00", "\x1b[31m", "\u202e",
    "\ufeff", "\ud7ff", "../", "/dev/null", "/", "~", "a" * 5000, "[" * 2000, "{a: " * 500, "# ", "\\", "%s", "{0}",
    "[/x]",
)  # fmt: skip

NAMES = "names: [person, car, 'traffic light']\nnc: 3\n"
DATA = "path: .\ntrain: images\nval: images\nnames:\n  0: person\n  1: car\n"
LABELS = "0 0.5 0.5 0.2 0.3\n1 0.25 0.25 0.1 0.1\n"
LIST = "images/a.png\n# a comment\nimages/*.png\nsynth:street?frames=2\n"
PROFILE = (
    "format: keepbusy-profile\nversion: 1\noptions:\n  mode: async\n  nireq: 4\n  hint: throughput\n  head: tail\n"
    "tuned_for:\n  device: CPU\nmeasured:\n  throughput_fps: 100.0\n"
)
METADATA = "task: detect\nstride: 32\nimgsz: [64, 96]\nnames: {0: red, 1: green}\ndate: '2026-01-01'\n"
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20], "area": 600, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "person"}],
}


def _names(path: Path) -> object:
    return load_names(path)


def _data(path: Path) -> object:
    _make_images(path.parent)
    return open_dataset(str(path))


def _labels(path: Path) -> object:
    _make_images(path.parent, labels=path.read_bytes())
    (path.parent / "data.yaml").write_text(DATA)
    return open_dataset(str(path.parent / "data.yaml"))


def _coco(path: Path) -> object:
    _make_images(path.parent)
    return open_dataset(str(path), images=path.parent / "images")


def _list(path: Path) -> object:
    _make_images(path.parent)
    open_source(path).close()
    return None


def _profile(path: Path) -> object:
    return merge_options(load_profile(path), {})


def _parsers(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "replace")
    for parse in (parse_yaml, parse_json, parse_literal):
        try:
            parse(text)
        except ValueError:
            continue
    return None


USES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "names.yaml": (NAMES, _names),
    "names.txt": ("person\ncar\n", _names),
    "data.yaml": (DATA, _data),
    "labels.txt": (LABELS, _labels),
    "coco.json": (json.dumps(COCO), _coco),
    "list.txt": (LIST, _list),
    "profile.yaml": (PROFILE, _profile),
    "metadata.yaml": (METADATA, _parsers),
}


class Texts:
    def seeds(self, folder: Path) -> list[Path]:
        for name, (text, _) in USES.items():
            (folder / name).write_text(text)
        return [folder / name for name in USES]

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        if dice.random() < 0.2:
            return damage_bytes(content, dice)
        text = content.decode()
        for _ in range(dice.choice((1, 1, 2, 3, 6))):
            text = _damage_text(text, dice)
        if dice.random() < 0.05:
            return text.encode(dice.choice(("utf-16", "utf-8-sig", "utf-32")), "replace")
        return text.encode("utf-8", "replace")

    def use(self, path: Path) -> str:
        name = path.name.partition("-")[2]
        USES[name][1](path)
        return "read"


def _damage_text(text: str, dice: random.Random) -> str:
    token = dice.choice(TOKENS)
    words = list(re.finditer(r"[^\s,:\[\]{}]+", text))
    match dice.randrange(6):
        case 0 | 1 if words:
            word = dice.choice(words)
            return text[: word.start()] + token + text[word.end() :]
        case 2:
            place = dice.randrange(len(text) + 1)
            return text[:place] + token + text[place:]
        case 3:
            lines = text.splitlines(keepends=True)
            dice.shuffle(lines)
            return "".join(lines)
        case 4:
            return text + dice.choice((text, token, token * dice.choice((2, 30))))
        case _:
            return text[: dice.randrange(len(text) + 1)]


def _make_images(folder: Path, labels: bytes = LABELS.encode()) -> None:
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    picture = folder / "images" / "a.png"
    if not picture.exists():
        cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    (folder / "labels" / "a.txt").write_bytes(labels)
