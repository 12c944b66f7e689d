"""Models: IR and ONNX, damaged as text, as numbers and as bytes, then run on one picture."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np

from keepbusy.api import Detector
from tests.build import build_blob_model
from tests.fuzz.bytes_ import damage_bytes
from tests.fuzz.kind import MAX_DET, check_detections
from tests.graphs import onnx_model

ODD = (
    "0",
    "-1",
    "1",
    "2",
    "4294967296",
    "99999999999999999999",
    "nan",
    "",
    "x",
    "?",
    "1..5",
    "true",
    "f64",
    "i4",
    "[]",
)


class Models:
    def seeds(self, folder: Path) -> list[Path]:
        (folder / "sum.onnx").write_bytes(onnx_model(4000, seed=1))
        return [build_blob_model(folder / "blob.xml"), folder / "sum.onnx"]

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        if path.suffix == ".xml" and dice.random() < 0.8:
            return _damage_attributes(content.decode(), dice).encode()
        return damage_bytes(content, dice)

    def use(self, path: Path) -> str:
        if path.suffix == ".xml":
            weights = (path.parent.parent / "seeds" / "blob.bin").read_bytes()
            path.with_suffix(".bin").write_bytes(weights)
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[10:30, 10:30] = (0, 0, 255)
        check_detections(Detector(path, max_det=MAX_DET, cache_dir=False)(picture), (48, 64))
        return "ran"


def _damage_attributes(text: str, dice: random.Random) -> str:
    """An IR some of whose attributes, or of whose dimensions, say something else."""
    places = list(re.finditer(r'(?<==")[^"]*(?=")|(?<=<dim>)[^<]*', text))
    for match in sorted(dice.sample(places, min(len(places), dice.choice((1, 1, 2, 4)))), key=lambda one: -one.start()):
        other = dice.choice((*ODD, dice.choice(places)[0], match[0] * 2, match[0][:-1]))
        text = text[: match.start()] + other + text[match.end() :]
    return text
