"""Data sets as other programs write them: pose rows, paths of exports, root categories, hidden files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.errors import ConfigError, FrameError, SourceError
from keepbusy.evaluate import DataError, open_dataset
from keepbusy.evaluate.verify import verify
from keepbusy.optimize.frames import open_frames
from keepbusy.sources import open_sources
from keepbusy.tune.profile import load_profile
from tests.build import square_picture, write_picture
from tests.test_eval_data import frame, names_of, write_yolo

BOX = "0 0.5 0.5 0.25 0.5"


@pytest.mark.parametrize(("num_points", "size"), [(4, 2), (17, 2), (1, 3), (4, 3), (17, 3)])
def test_pose_rows_are_their_boxes(tmp_path: Path, num_points: int, size: int) -> None:
    point = " 0.1 0.9" + (" 2" if size == 3 else "")
    polygon = "1 0.1 0.2 0.4 0.25 0.3 0.75 0.2 0.5 0.1 0.3"
    write_yolo(tmp_path, {"a": BOX + point * num_points + f"\n{BOX[:-1]}6\n{polygon}\n"})
    file = tmp_path / "data.yaml"
    file.write_text(f"val: images/val\nkpt_shape: [{num_points}, {size}]\nnames: [a, b]\n")
    boxes = open_dataset(str(file)).labels(frame(0)).boxes_xyxy
    np.testing.assert_allclose(boxes[0], [36, 16, 60, 48])
    np.testing.assert_allclose(boxes[2], [9.6, 12.8, 38.4, 48])


@pytest.mark.parametrize("shape", ["[4, 5]", "[0, 2]", "17", "{a: 1}", "[[1], 2]", "[4]", "four"])
def test_a_keypoint_shape_that_is_none_is_named(tmp_path: Path, shape: str) -> None:
    write_yolo(tmp_path, {"a": BOX})
    (tmp_path / "data.yaml").write_text(f"val: images/val\nkpt_shape: {shape}\n")
    with pytest.raises(SourceError, match="kpt_shape"):
        open_dataset(str(tmp_path / "data.yaml"))


@pytest.mark.parametrize("written", ["../{}/images", "../../{}/images", "./../{}/images", "..\\{}\\images"])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_split_beside_the_file_is_found_without_its_dots(tmp_path: Path, written: str, split: str) -> None:
    folder = tmp_path / "set"
    (folder / split / "labels").mkdir(parents=True)
    (folder / split / "images").mkdir()
    write_picture(folder / split / "images" / "a.png", square_picture())
    (folder / split / "labels" / "a.txt").write_text(BOX)
    key = "val" if split == "valid" else split
    (folder / "data.yaml").write_text(f"{key}: {written.format(split)}\nnames: [a]\n")
    assert names_of(open_dataset(str(folder / "data.yaml"), split=key)) == ["a.png"]


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, {name: BOX for name in ("10", "2", "1")}) / "images" / "val"
    for name in ("._1.png", ".trash/x.png", "more/.hidden/y.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\x16\x07" + bytes(200))
    (tmp_path / "labels" / "val" / "._1.txt").write_bytes(b"\0\5\x16\x07\xff")
    os.symlink("..", folder / "more" / "loop")
    for place in (folder, tmp_path):
        data = open_dataset(str(place))
        assert names_of(data) == ["1.png", "2.png", "10.png"] and not data.notes
        frames = open_frames(str(place), 10)
        assert frames.dataset is not None and names_of(frames.dataset) == ["1.png", "2.png", "10.png"]


def test_a_linked_folder_counts_once(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": BOX})
    (tmp_path / "other").mkdir()
    write_picture(tmp_path / "other" / "b.png", square_picture())
    for name in ("0", "1"):
        os.symlink(tmp_path / "other", tmp_path / "images" / "val" / name)
    assert names_of(open_dataset(str(tmp_path))) == ["b.png", "a.png"]


def test_texts_begin_with_a_mark_or_are_refused_in_one_line(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": BOX})
    yaml_file, list_file = tmp_path / "data.yaml", tmp_path / "list.txt"
    for file, text in ((yaml_file, "val: images/val\n"), (list_file, "images/val/a.png\n")):
        file.write_text(text, encoding="utf-8-sig")
        assert names_of(open_dataset(str(file))) == ["a.png"]
        for encoding in ("utf-16", "cp1251"):
            file.write_bytes(("# файл\n" + text).encode(encoding))
            with pytest.raises(SourceError, match="UTF-8"):
                open_dataset(str(file))
    (tmp_path / "labels" / "val" / "a.txt").write_text(BOX, encoding="utf-16")
    with pytest.raises(DataError, match=r"a\.txt: cannot be read: the file is UTF-16"):
        open_dataset(str(tmp_path))


def sparse(path: Path, num_bytes: int) -> Path:
    """A file of any size that takes no place."""
    with path.open("wb") as file:
        file.truncate(num_bytes)
    return path


def test_files_that_are_larger_than_memory_are_refused_in_one_line(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": BOX})
    labels = tmp_path / "labels" / "val" / "a.txt"
    sparse(labels, 1 << 40)
    with pytest.raises(DataError, match=r"a\.txt: cannot be read: the file has more than 64 MiB"):
        open_dataset(str(tmp_path))
    for name in ("data.yaml", "list.txt", "coco.json"):
        with pytest.raises(SourceError, match=f"{name}: cannot be read.*: the file has more than"):
            open_dataset(str(sparse(tmp_path / name, 1 << 40)), images=tmp_path if name == "coco.json" else None)
    with pytest.raises(SourceError, match="the file has more than 64 MiB"):
        open_sources([str(sparse(tmp_path / "sources.txt", 1 << 40))])
    (source,) = open_sources([str(sparse(tmp_path / "big.jpg", 1 << 40))])
    with pytest.raises(FrameError, match="cannot read the file: the file has more than 4096 MiB"):
        source.read()
    source.close()


@pytest.mark.parametrize("text", ["a: !!int x", "a: !!bool x", "a: !!float x", "[" * 5000, "{[a]: 1}"])
def test_what_yaml_cannot_hold_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(text)
    with pytest.raises(SourceError, match="is not valid YAML") as caught:
        open_dataset(str(file))
    with pytest.raises(ConfigError, match="is not YAML") as refused:
        load_profile(file)
    assert "\n" not in caught.value.message + refused.value.message


@pytest.mark.parametrize(
    "text", ["val: {a: b}", "val: [[a]]", "val: a\npath: [b]", f"val: {'a' * 5000}", 'val: "a\\0b"']
)
def test_a_path_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(SourceError):
        open_dataset(str(tmp_path / "data.yaml"))


def write_coco(folder: Path, spoil: Callable[[dict[str, Any]], object]) -> Path:
    """Two pictures with an object each in `folder/pictures`, and the file beside that folder."""
    (folder / "pictures").mkdir()
    for name in ("a", "b"):
        write_picture(folder / "pictures" / f"{name}.png", square_picture())
    content: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "width": 96, "height": 64}
            for number, name in ((1, "a"), (2, "b"))
        ],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}],
        "annotations": [
            {"id": number, "image_id": number, "category_id": number, "bbox": [10, 20, 30, 10]} for number in (1, 2)
        ],
    }
    spoil(content)
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"


def coco_classes(path: Path) -> list[list[int]]:
    data = open_dataset(str(path), images=path.parent / "pictures")
    return [data.labels(frame(index)).class_id.tolist() for index in (0, 1)]


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("name", ["red", "green"])
def test_a_category_without_annotations_that_repeats_a_name_is_passed_over(
    tmp_path: Path, place: int, name: str
) -> None:
    path = write_coco(tmp_path, lambda content: content["categories"].insert(place, {"id": 0, "name": name}))
    data = open_dataset(str(path), images=tmp_path / "pictures")
    assert (data.class_names, data.category_ids) == (("red", "green"), (1, 2)) and coco_classes(path) == [[0], [1]]


def test_categories_of_one_name_that_are_both_used_are_refused(tmp_path: Path) -> None:
    path = write_coco(tmp_path, lambda content: content["categories"][1].update(name="red"))
    with pytest.raises(DataError, match="category 2: has the name of another one: red"):
        coco_classes(path)


def as_text(content: dict[str, Any], *, only: str | None = None) -> None:
    for items in content.values():
        for item in items:
            for key in ("id", "image_id", "category_id"):
                if key in item and only in (None, key):
                    item[key] = str(item[key])


def each(name: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    """Sets values in every entry of a list, or takes those out that are `...`."""

    def spoil(content: dict[str, Any]) -> None:
        for item in content[name]:
            for key, value in values.items():
                if value is ...:
                    del item[key]
                else:
                    item[key] = value(item[key]) if callable(value) else value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        as_text,
        lambda content: as_text(content, only="image_id"),
        lambda content: as_text(content, only="category_id"),
        each("images", width=96.0, height=64.0),
        each("images", width="96", height="64"),
        each("images", id=float),
        each("annotations", id=...),
        each("annotations", id=None),
        each("annotations", area=None, iscrowd=None),
        each("images", file_name=lambda name: f"/home/nobody/data/{name}"),
        each("images", file_name=lambda name: f"train/{name}"),
        each("images", file_name=lambda name: f"C:\\data\\train\\{name}"),
        each("images", file_name=lambda name: f"../images/{name}"),
        each("images", file_name=lambda name: f"{'x' * 300}/{name}"),
    ],
)
def test_coco_files_of_other_programs_are_read(tmp_path: Path, spoil: Callable[[dict[str, Any]], object]) -> None:
    assert coco_classes(write_coco(tmp_path, spoil)) == [[0], [1]]


def test_text_ids_are_kept(tmp_path: Path) -> None:
    data = open_dataset(str(write_coco(tmp_path, as_text)), images=tmp_path / "pictures")
    assert data.category_ids == ("1", "2") and [data.image_id(index) for index in (0, 1)] == ["1", "2"]
    assert [place.rpartition(": ")[2] for _, place in data.objects()] == ["annotation 1", "annotation 2"]


def test_a_base_name_that_two_images_share_is_an_error(tmp_path: Path) -> None:
    path = write_coco(
        tmp_path, lambda content: [item.update(file_name=f"x{item['id']}/a.png") for item in content["images"]]
    )
    with pytest.raises(DataError, match=r"image 2: its file x2/a\.png can only be .*a\.png, which is that of image 1"):
        coco_classes(path)


NONSENSE = [[1], {"a": 1}, True, 10**20, 10**400, float("nan"), float("inf"), -1, "", "\0", "x" * 9000, 1e30, [[[]]]]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("annotations", "image_id"),
        ("annotations", "category_id"),
        ("annotations", "id"),
        ("annotations", "bbox"),
        ("annotations", "area"),
        ("annotations", "iscrowd"),
        ("images", "id"),
        ("images", "file_name"),
        ("images", "width"),
        ("categories", "id"),
        ("categories", "name"),
    ],
)
def test_nonsense_is_named_or_left_out(tmp_path: Path, name: str, key: str, value: object) -> None:
    path = write_coco(tmp_path, lambda content: content[name][1].update({key: value}))
    for skip_bad_labels in (False, True):
        try:
            data = open_dataset(str(path), images=tmp_path / "pictures", skip_bad_labels=skip_bad_labels)
        except (SourceError, ConfigError) as error:
            assert "\n" not in error.message and len(error.message) < 1000 + 2 * len(str(tmp_path)) + 9000  # noqa: PT017
        else:
            labels = [data.labels(frame(index)) for index in range(len(names_of(data)))]
            assert all(np.isfinite(one.area_px).all() and (one.area_px >= 0).all() for one in labels)
            assert all(np.isfinite(one.boxes_xyxy).all() for one in labels)


@pytest.mark.parametrize("side", [1e30, -1e30, 10**400, float("nan"), float("inf"), True, "3", None])
def test_boxes_of_no_picture_are_named_and_left_out(tmp_path: Path, side: object) -> None:
    path = write_coco(tmp_path, lambda content: content["annotations"][1].update(bbox=[1, 2, side, 3]))
    with pytest.raises(DataError, match="annotation 2: bbox") as caught:
        coco_classes(path)
    assert len(caught.value.message) < 300 + len(str(path))
    data = open_dataset(str(path), images=tmp_path / "pictures", skip_bad_labels=True)
    assert "1 bad annotations left out" in data.notes[0] and len(data.labels(frame(1)).class_id) == 0


@pytest.mark.parametrize("text", ["[" * 100_000, '{"images": ' + "9" * 5000 + "}", "", "null", '"x"'])
def test_a_text_that_is_no_annotations_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(SourceError) as caught:
        open_dataset(str(tmp_path / "coco.json"))
    assert "\n" not in caught.value.message


def test_a_comparison_names_no_option_that_it_does_not_have(tmp_path: Path, blob_model: Path) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with (
        kb.Pipeline(blob_model, mode="sync") as first,
        kb.Pipeline(blob_model) as second,
        pytest.raises(FrameError, match=r"b\.png") as caught,
    ):
        verify(first, second, open_sources([str(tmp_path)], read_ahead=False))
    assert caught.value.hint is not None and "--on-error" not in caught.value.hint


def test_lists_of_pictures_from_windows_and_with_comments(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    for name in ("a", "b"):
        write_picture(tmp_path / "images" / "val" / f"{name}.png", square_picture())
        (tmp_path / "labels" / "val" / f"{name}.txt").write_text(BOX)
    (tmp_path / "val.txt").write_text(".\\images\\val\\a.png\r\nimages/val/b.png # the gate\r\n")
    assert names_of(open_dataset(str(tmp_path / "val.txt"))) == ["a.png", "b.png"]


@pytest.mark.parametrize("count", [".nan", ".inf", "-1", "true", "x", "[2]", "1e30", "1.5", "0x" + "f" * 200])
def test_a_number_of_classes_that_is_none_is_named(tmp_path: Path, count: str) -> None:
    write_yolo(tmp_path, {"a": BOX})
    (tmp_path / "data.yaml").write_text(f"val: images/val\nnames: [red, green]\nnc: {count}\n")
    with pytest.raises(SourceError, match=r"`nc` is .*not a number of classes") as caught:
        open_dataset(str(tmp_path / "data.yaml"))
    assert len(caught.value.message) < 150 + len(str(tmp_path))
    for same in ("2", "2.0", "'2'", "~"):
        (tmp_path / "data.yaml").write_text(f"val: images/val\nnames: [red, green]\nnc: {same}\n")
        assert names_of(open_dataset(str(tmp_path / "data.yaml"))) == ["a.png"]
