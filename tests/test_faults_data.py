"""Data sets as other programs write them: pose rows, paths of exports, root categories, hidden files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from keepbusy.errors import ConfigError, SourceError
from keepbusy.evaluate import DataError, open_dataset
from keepbusy.optimize.frames import open_frames
from keepbusy.profile import load_profile
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


@pytest.mark.parametrize("text", ["a: 2026-13-45", "a: !!int x", "a: !!bool x", "a: !!float x", "[" * 5000, "{[a]: 1}"])
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
