"""Models, IR and ONNX, damaged; where they are taken, one frame goes through them."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keepbusy.api import Detector, Pipeline
from tests.build import build_blob_model, square_picture
from tests.fuzz.check import check_detections, check_results
from tests.fuzz.mutate_bytes import mutated_bytes
from tests.fuzz.mutate_onnx import mutated_onnx
from tests.fuzz.mutate_text import mutated_text
from tests.fuzz.onnx_model import build_onnx_model
from tests.fuzz.values import WORDS, number

_ATTRIBUTE = re.compile(r'(?<=[a-z]=")[^"]*(?=")')
_ELEMENT = re.compile(r"<(layer|edge|port|dim|labels)\b.*?(?:/>|</\1>)", re.DOTALL)


def create(seeds: Path) -> Models:
    """Make the kind."""
    return Models(seeds)


class Models:
    """See the module."""

    def __init__(self, seeds: Path) -> None:
        self._graph = build_blob_model(seeds / "blob.xml")
        self._onnx = build_onnx_model()

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """See `Kind.make`."""
        path, what = dice.choice([self._ir, self._ir, self._onnx_file])(dice, folder)
        options: dict[str, Any] = {"cache_dir": False, "max_det": dice.choice([1, 10, 300]), "conf": 0.05}
        options["head"] = dice.choice(["auto", "stock", "tail", "host"])
        if dice.random() < 0.5:
            return f"{what}, Detector", lambda: self._detect(path, options)
        options["on_error"] = dice.choice(["raise", "skip"])
        return f"{what}, Pipeline", lambda: self._run(path, options)

    def _ir(self, dice: random.Random, folder: Path) -> tuple[Path, str]:
        path, weights = folder / "blob.xml", folder / "blob.bin"
        shutil.copy(self._graph, path)
        shutil.copy(self._graph.with_suffix(".bin"), weights)
        how = dice.randrange(6)
        if how == 0:
            weights.write_bytes(mutated_bytes(dice, weights.read_bytes()))
            return path, "weights"
        text = path.read_text()
        if how == 1:
            path.write_bytes(mutated_text(dice, text))
            return path, "graph's text"
        for _ in range(dice.choice([1, 1, 2, 3])):
            text = _changed_ir(dice, text)
        path.write_text(text, errors="replace")
        return path, "graph"

    def _onnx_file(self, dice: random.Random, folder: Path) -> tuple[Path, str]:
        path = folder / "a.onnx"
        if dice.random() < 0.25:
            path.write_bytes(mutated_bytes(dice, self._onnx.SerializeToString()))
            return path, "ONNX's bytes"
        path.write_bytes(mutated_onnx(dice, self._onnx).SerializeToString())
        return path, "ONNX"

    @staticmethod
    def _detect(path: Path, options: dict[str, Any]) -> None:
        check_detections(Detector(path, **options)(square_picture()), (64, 96), options["max_det"])

    @staticmethod
    def _run(path: Path, options: dict[str, Any]) -> None:
        with Pipeline(path, **options) as pipeline, pipeline.run(square_picture()) as run:
            num_results = check_results(run, max_det=options["max_det"])
        assert num_results == 1, f"{num_results} results of one frame"


def _changed_ir(dice: random.Random, text: str) -> str:
    pattern = _ATTRIBUTE if dice.random() < 0.7 else _ELEMENT
    found = list(pattern.finditer(text))
    if not found:
        return text
    one = dice.choice(found)
    old = one.group()
    if pattern is _ELEMENT:
        new = dice.choice(["", old * 2, dice.choice(found).group()])
    elif re.fullmatch(r"[\d,. -]+", old) and dice.random() < 0.8:
        new = re.sub(r"\d+", number(dice), old, count=dice.choice([0, 1]))
    else:
        new = dice.choice([dice.choice(found).group(), dice.choice(WORDS), number(dice)])
    return text[: one.start()] + new + text[one.end() :]
