"""COCO files and YOLO data with one thing changed into another: read, or refused in one line."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepbusy.errors import KeepbusyError
from tests.build import square_picture, write_picture
from tests.fuzz.check import check_evaluation

DOCUMENT: dict[str, Any] = {
    "info": {"year": 2026},
    "images": [
        {"id": number, "file_name": f"{name}.png", "width": 96, "height": 64}
        for number, name in enumerate(("a", "b"), start=1)
    ],
    "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green", "supercategory": "colour"}],
    "annotations": [
        {
            **{"id": number, "image_id": image, "category_id": category, "bbox": [10.5, 20, 30, 10]},
            **{"area": 300.0, "iscrowd": 0, "segmentation": [[10, 20, 40, 20, 40, 30]]},
        }
        for number, image, category in ((1, 1, 1), (2, 2, 2), (3, 2, 1))
    ],
}
YOLO: dict[str, Any] = {
    **{"path": ".", "train": "images/val", "val": ["images/val"], "nc": 2, "names": {0: "red", 1: "green"}},
    "kpt_shape": None,
}
NUMBERS = (0, -1, 1, 2, 7, 0.5, -0.0, 1e308, 1e30, 10**10, 10**20, 10**400, -(10**20), 2**53 + 1, 2**63, 2**64)
ODD = (
    math.nan,
    math.inf,
    -math.inf,
    True,
    False,
    None,
    "",
    "x",
    "1",
    "1e3",
    "\0",
    "\ud800",
    "../a.png",
    "/",
    "x" * 9000,
)
VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(ODD),
    st.sampled_from([[], {}, [1], [[1]], {"id": 1}, [None] * 4, [1] * 3000, [math.nan] * 4, [10**400] * 4]),
    # No paths that lead out of the folder: what is found there is not of the data.
    st.text(st.characters(exclude_characters="/\\.~"), max_size=8),
    st.integers(),
    st.floats(),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document."""
    yield path
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@st.composite
def changed(draw: st.DrawFn, document: dict[str, Any]) -> Any:
    """A document with one to three parts replaced, taken out or doubled."""
    whole: Any = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(whole))))
        how = draw(st.sampled_from(["replace", "replace", "drop", "double"]))
        if not path:
            if how == "replace":
                return copy.deepcopy(draw(VALUES))
            continue
        holder = whole
        for key in path[:-1]:
            holder = holder[key]
        if how == "replace":
            holder[path[-1]] = copy.deepcopy(draw(VALUES))
        elif how == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            del holder[path[-1]]
    return whole


def use(path: Path, images: Path | None) -> None:
    """All that an evaluation does with the data, whatever it is; only errors on purpose may come of it."""
    with contextlib.suppress(KeepbusyError):
        check_evaluation(path, images)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (root / name / "val").mkdir(parents=True)
    for name in ("a", "b"):
        write_picture(root / "images" / "val" / f"{name}.png", square_picture())
        (root / "labels" / "val" / f"{name}.txt").write_text("0 0.5 0.5 0.4 0.4\n1 0.2 0.2 0.1 0.1\n")
    return root


FUZZ = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@FUZZ
@given(document=changed(DOCUMENT))
def test_coco_files(pictures: Path, document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coco.json"
        path.write_text(json.dumps(document))
        use(path, pictures / "images" / "val")


@FUZZ
@given(document=changed(YOLO))
def test_yolo_data_files(pictures: Path, document: Any) -> None:
    path = pictures / "data.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=False))
    use(path, None)


WORDS = st.one_of(
    st.sampled_from(
        ["0", "1", "0.5", "1.0", "-1", "-0", "1e308", "1e-308", "nan", "inf", "-inf", "1_0", "٣", "0x1", "True"]
    ),
    st.sampled_from(["1" + "0" * 20, "1" + "0" * 5000, "0.5.5", "1,5", "#", "class", "+0.5", "1e99999", "\ufeff0"]),
    st.floats(0, 1).map(str),
    st.text(max_size=4),
)


@FUZZ
@given(lines=st.lists(st.lists(WORDS, max_size=9), max_size=6))
def test_yolo_label_files(pictures: Path, lines: list[list[str]]) -> None:
    text = "\n".join(" ".join(line) for line in lines)
    (pictures / "labels" / "val" / "b.txt").write_text(text, encoding="utf-8", errors="surrogatepass")
    use(pictures / "images" / "val", None)
