"""Labelled data in its formats: what is read, and that every fault is named with its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepbusy.errors import ConfigError, SourceError
from keepbusy.evaluate import DataError, Dataset, match_classes, open_dataset
from keepbusy.evaluate.classes import to_model
from keepbusy.values.frame import Frame
from tests.build import square_picture, write_picture


def frame(index: int, size_wh: tuple[int, int] = (96, 64)) -> Frame:
    return Frame(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), index, 0.0, 0, "test")


def write_yolo(folder: Path, labels: dict[str, str | None], *, suffix: str = ".png") -> Path:
    """Pictures in `folder/images/val`, their labels in `folder/labels/val`; None writes no label file."""
    (folder / "images" / "val").mkdir(parents=True)
    (folder / "labels" / "val").mkdir(parents=True)
    for name, text in labels.items():
        write_picture(folder / "images" / "val" / f"{name}{suffix}", square_picture())
        if text is not None:
            (folder / "labels" / "val" / f"{name}.txt").write_text(text)
    return folder


def names_of(data: Dataset) -> list[str]:
    source = data.open()
    found = []
    while (read := source.read()) is not None:
        found.append(Path(read.source).name)
    source.close()
    return found


# YOLO ------------------------------------------------------------------------------------------------------------


def test_boxes_and_polygons_become_pixels(tmp_path: Path) -> None:
    text = "1 0.5 0.5 0.25 0.5\n\n  0\t0.1 0.2 0.4 0.25 0.3 0.75 \n2.0 0.5 0.5 1 1"
    data = open_dataset(str(write_yolo(tmp_path, {"a": text, "b": "", "c": None})))
    labels = data.labels(frame(0))
    assert labels.class_id.tolist() == [1, 0, 2]
    expected = np.array([[36, 16, 60, 48], [9.6, 12.8, 38.4, 48], [0, 0, 96, 64]])
    np.testing.assert_allclose(labels.boxes_xyxy, expected)
    np.testing.assert_allclose(labels.area_px, [24 * 32, 28.8 * 35.2, 96 * 64])
    assert not labels.is_crowd.any()
    # The same labels, for a picture of another size.
    np.testing.assert_allclose(data.labels(frame(0, (192, 64))).boxes_xyxy[0], [72, 16, 120, 48])
    assert len(data.labels(frame(1)).class_id) == len(data.labels(frame(2)).class_id) == 0
    assert names_of(data) == ["a.png", "b.png", "c.png"]
    assert [data.image_id(index) for index in range(3)] == ["a", "b", "c"]
    assert len(data.notes) == 1 and "1 of 3 pictures have no label file" in data.notes[0] and "c.png" in data.notes[0]
    assert list(data.objects())[1] == (0, f"{tmp_path / 'labels' / 'val' / 'a.txt'}:3")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2", "4 numbers"),
        ("0", "1 number:"),
        ("0 0.5 0.5 0.2 0.2 0.9", "with a confidence is a detection"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers"),
        ("car 0.5 0.5 0.2 0.2", "'car' is not a class id"),
        ("-1 0.5 0.5 0.2 0.2", "'-1' is not a class id"),
        ("1.5 0.5 0.5 0.2 0.2", "'1.5' is not a class id"),
        ("inf 0.5 0.5 0.2 0.2", "'inf' is"),
        ("nan 0.5 0.5 0.2 0.2", "'nan' is"),
        ("99999999 0.5 0.5 0.2 0.2", "no class id"),
        ("0 x 0.5 0.2 0.2", "'x' is not a number"),
        ("0 nan 0.5 0.2 0.2", "'nan' is not a finite number"),
        ("0 48 32 10 10", "48 is not a share of the picture"),
        ("0 0.5 0.5 -0.2 0.2", "-0.2 is not a share"),
        ("0 0.5 0.5 0 0.2", "no area"),
        ("0 0.1 0.1 0.2 0.1 0.3 0.1", "no area"),
    ],
)
def test_a_bad_line_is_named_or_skipped(tmp_path: Path, line: str, words: str) -> None:
    write_yolo(tmp_path, {"a": f"0 0.5 0.5 0.2 0.2\n{line}\n1 0.5 0.5 0.2 0.2\n"})
    with pytest.raises(DataError) as caught:
        open_dataset(str(tmp_path))
    place = f"{tmp_path / 'labels' / 'val' / 'a.txt'}:2: "
    assert caught.value.message.startswith(place) and words in caught.value.message
    assert caught.value.hint and "`skip_bad_labels`" in caught.value.hint
    data = open_dataset(str(tmp_path), skip_bad_labels=True)
    assert data.labels(frame(0)).class_id.tolist() == [0, 1]
    assert data.notes[0].startswith(f"1 bad labels left out; the first is {place}")


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "0 1\n0 2\n", "b": "0 0.5 0.5 0.2 0.2", "c": "x 0.5 0.5 0.2 0.2"})
    (tmp_path / "labels" / "val" / "b.txt").write_bytes(b"\xff\xfe0\x00")
    with pytest.raises(DataError) as caught:
        open_dataset(str(tmp_path))
    assert len(caught.value.faults) == 4 and "4 faults; the first is" in caught.value.message
    assert "\n" not in caught.value.message
    places = [
        fault.split(": ")[0].removeprefix(str(tmp_path / "labels" / "val") + "/") for fault in caught.value.faults
    ]
    assert places == ["a.txt:1", "a.txt:2", "b.txt", "c.txt:1"]


def test_repeated_lines_and_orphans_are_noted(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "0 0.5 0.5 0.2 0.2\n0  0.5 0.5 0.2 0.2\n"})
    (tmp_path / "labels" / "val" / "gone.txt").write_text("0 0.5 0.5 0.2 0.2")
    (tmp_path / "labels" / "val" / "classes.txt").write_text("red\n")
    data = open_dataset(str(tmp_path))
    assert len(data.labels(frame(0)).class_id) == 1
    assert "1 repeated lines" in data.notes[0]
    assert "1 label files belong to none" in data.notes[1] and data.notes[1].endswith("gone.txt")


def test_a_split_that_a_folder_or_a_list_does_not_have_is_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path / "set", {"1": "0 0.5 0.5 0.2 0.2"})
    pictures = tmp_path / "set" / "images" / "val"
    (tmp_path / "list.txt").write_text(f"{pictures / '1.png'}\n")
    for given in (pictures, tmp_path / "set", tmp_path / "list.txt", "synth:street?frames=2"):
        with pytest.raises(ConfigError, match=r"`split`: .* has no split") as caught:
            open_dataset(str(given), split="nope")
        assert caught.value.hint and "leave `split` out" in caught.value.hint
    open_dataset(str(tmp_path / "set"), split="val")


def test_forms_of_yolo_data_are_the_same_data(tmp_path: Path) -> None:
    write_yolo(tmp_path / "set", {"1": "0 0.5 0.5 0.2 0.2", "2": "1 0.5 0.5 0.2 0.2"})
    pictures = tmp_path / "set" / "images" / "val"
    (tmp_path / "set" / "list.txt").write_text(f"# two\n./images/val/1.png\n\n{pictures / '2.png'}\n")
    (tmp_path / "in.yaml").write_text("path: set\nval: images/val\nnames: [red, green]\n")
    (tmp_path / "set" / "at.yaml").write_text("val: [list.txt]\nnc: 2\nnames: {1: green, 0: red}\n")
    (tmp_path / "abs.yml").write_text(f"path: {tmp_path / 'set'}\ntrain: images/val\ntest: list.txt\nnames: [a, b]\n")
    for given, split in (
        (pictures, "val"),
        (tmp_path / "set", "val"),
        (tmp_path / "set" / "list.txt", "val"),
        (tmp_path / "in.yaml", "val"),
        (tmp_path / "set" / "at.yaml", "val"),
        (tmp_path / "abs.yml", "test"),
        (tmp_path / "abs.yml", "train"),
    ):
        data = open_dataset(str(given), split=split)
        assert names_of(data) == ["1.png", "2.png"], given
        assert [data.labels(frame(index)).class_id.tolist() for index in (0, 1)] == [[0], [1]]
        assert [data.image_id(index) for index in (0, 1)] == [1, 2]
        if given.suffix == ".yaml":
            assert data.class_names == ("red", "green")
    with pytest.raises(ConfigError, match="has no split 'val'") as caught:
        open_dataset(str(tmp_path / "abs.yml"))
    assert caught.value.hint == "give `split` train or test"


def test_labels_stand_beside_pictures_that_are_in_no_images_folder(tmp_path: Path, monkeypatch: Any) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.2")
    assert len(open_dataset(str(tmp_path)).labels(frame(0)).class_id) == 1
    # The last `images` counts, and a relative path is as good as a whole one.
    write_yolo(tmp_path / "images" / "deep", {"b": "0 0.5 0.5 0.2 0.2"})
    monkeypatch.chdir(tmp_path / "images" / "deep" / "images")
    assert len(open_dataset("val").labels(frame(0)).class_id) == 1


def test_pictures_of_one_name_in_two_folders_keep_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_yolo(tmp_path / name, {"a": "0 0.5 0.5 0.2 0.2"})
    (tmp_path / "both.yaml").write_text("val: [one/images/val, two/images/val]\nnames: [red]\n")
    data = open_dataset(str(tmp_path / "both.yaml"))
    assert len({data.image_id(0), data.image_id(1)}) == 2


def missing_picture(folder: Path) -> Path:
    (folder / "list.txt").write_text("images/val/a.png\nimages/val/gone.png\n")
    return folder / "list.txt"


def twice_listed(folder: Path) -> Path:
    (folder / "list.txt").write_text("images/val/a.png\n./images/val/a.png\n")
    return folder / "list.txt"


def same_stem(folder: Path) -> Path:
    write_picture(folder / "images" / "val" / "a.bmp", square_picture())
    return folder


def empty_list(folder: Path) -> Path:
    (folder / "list.txt").write_text("# nothing\n")
    return folder / "list.txt"


def no_pictures(folder: Path) -> Path:
    (folder / "images" / "val" / "a.png").unlink()
    return folder


def no_labels(folder: Path) -> Path:
    (folder / "labels" / "val" / "a.txt").unlink()
    return folder


def no_objects(folder: Path) -> Path:
    (folder / "labels" / "val" / "a.txt").write_text("\n")
    return folder


def yaml_file(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "data.yaml").write_text(text)
        return folder / "data.yaml"

    write.__name__ = text.splitlines()[0][:30]
    return write


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (missing_picture, "list.txt:2: there is no picture images/val/gone.png"),
        (twice_listed, "list.txt:2: "),
        (same_stem, "has the name of"),
        (empty_list, "names no pictures"),
        (no_pictures, "has no pictures in it"),
        (no_labels, "none of 1 pictures has a label file"),
        (no_objects, "has no objects"),
        (yaml_file("val: images/val\nnames: [a\nnc: 1"), "data.yaml:3: is not valid YAML"),
        (yaml_file("- a"), "is not a dataset file"),
        (yaml_file("val: gone\nnames: [a]"), "data.yaml: val: there is no"),
        (yaml_file("val: [images/val, images/val]"), "is named twice"),
        (yaml_file("val: images/val/a.png"), "is no list of pictures"),
        (yaml_file("val: images/val\nnames: {0: a, 2: b}"), "`names` is neither"),
        (yaml_file("nc: 3\nval: images/val\nnames: [a, b]"), "`nc` is 3, and `names` has 2"),
        (lambda folder: folder / "gone", "there is no"),
        (lambda folder: folder / "images" / "val" / "a.png", "none of the known kinds"),
    ],
)
def test_bad_yolo_data_is_one_clear_error(tmp_path: Path, spoil: Callable[[Path], Path], words: str) -> None:
    path = spoil(write_yolo(tmp_path, {"a": "0 0.5 0.5 0.2 0.2"}))
    with pytest.raises(SourceError) as caught:
        open_dataset(str(path))
    assert words in caught.value.message and "\n" not in caught.value.message


# COCO ------------------------------------------------------------------------------------------------------------

COCO: dict[str, Any] = {
    "images": [
        {"id": 42, "file_name": "a.png", "width": 96, "height": 64},
        {"id": 7, "file_name": "b.png", "width": 96, "height": 64},
    ],
    "categories": [{"id": 90, "name": "red"}, {"id": 3, "name": "green"}],
    "annotations": [
        {"id": 1, "image_id": 42, "category_id": 90, "bbox": [10, 20, 30, 10.5], "area": 99.5, "iscrowd": 0},
        {"id": 5, "image_id": 42, "category_id": 3, "bbox": [0, 0, 96, 64], "area": 6144, "iscrowd": 1},
    ],
}


def write_coco(folder: Path, **changes: Any) -> Path:
    """Annotations in `folder/annotations`, pictures in `folder/val`."""
    for inner in ("annotations", "val"):
        (folder / inner).mkdir(exist_ok=True)
    for name in ("a", "b"):
        write_picture(folder / "val" / f"{name}.png", square_picture())
    path = folder / "annotations" / "instances_val.json"
    path.write_text(json.dumps({**COCO, **changes}))
    return path


def test_coco_data_keeps_its_ids_areas_and_crowds(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    data = open_dataset(str(path))
    assert (data.class_names, data.category_ids, data.notes) == (("green", "red"), (3, 90), ())
    assert [data.image_id(index) for index in (0, 1)] == [42, 7] and names_of(data) == ["a.png", "b.png"]
    labels = data.labels(frame(0))
    assert labels.class_id.tolist() == [1, 0] and labels.is_crowd.tolist() == [False, True]
    np.testing.assert_allclose(labels.boxes_xyxy, np.array([[10, 20, 40, 30.5], [0, 0, 96, 64]]))
    assert labels.area_px.tolist() == [99.5, 6144]
    assert len(data.labels(frame(1)).class_id) == 0
    with pytest.raises(SourceError, match=r"a\.png: is 64x96 pixels, and 96x64 in .*instances_val\.json"):
        data.labels(frame(0, (64, 96)))
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    assert names_of(open_dataset(str(path), images=tmp_path / "elsewhere")) == ["a.png", "b.png"]
    with pytest.raises(SourceError, match="its pictures are not found"):
        open_dataset(str(path))
    with pytest.raises(ConfigError, match="is no folder"):
        open_dataset(str(path), images=tmp_path / "gone")
    with pytest.raises(ConfigError, match="is for COCO annotations"):
        open_dataset(str(tmp_path / "elsewhere"), images=tmp_path)


def annotation(**changes: Any) -> dict[str, Any]:
    return {"annotations": [COCO["annotations"][0], {**COCO["annotations"][1], **changes}]}


@pytest.mark.parametrize(
    ("changes", "words", "can_be_skipped"),
    [
        (annotation(bbox=[0, 0, -1, 4]), "annotation 5: bbox [0, 0, -1, 4] is not", True),
        (annotation(bbox=[0, 0, 4]), "annotation 5: bbox", True),
        (annotation(bbox=None), "annotation 5: bbox", True),
        (annotation(bbox=[0, 0, float("nan"), 4]), "annotation 5: bbox", True),
        (annotation(image_id=1), "annotation 5: there is no image 1", True),
        (annotation(category_id=4), "annotation 5: there is no category 4", True),
        (annotation(id=1), "annotation 1: is there twice", True),
        (annotation(id=[1]), "annotations[1]: has no `id`", True),
        ({"annotations": []}, "its list `annotations` is empty", False),
        ({"images": {}}, "has no list `images`", False),
        ({"images": [COCO["images"][0], {**COCO["images"][1], "id": 42}]}, "image 42: is there twice", False),
        (
            {"images": [COCO["images"][0], {**COCO["images"][1], "file_name": "a.png"}]},
            "image 7: has the file of image 42",
            False,
        ),
        ({"images": [COCO["images"][0], {"id": 7, "file_name": "c.png"}]}, "image 7: has no `width`", False),
        ({"images": [COCO["images"][0], {**COCO["images"][1], "file_name": "c.png"}]}, "there is no picture", False),
        ({"categories": [COCO["categories"][0], {"id": 90, "name": "blue"}]}, "category 90: is there twice", False),
        ({"categories": [COCO["categories"][0], {"id": 3, "name": "red"}]}, "has the name of another", False),
        ({"categories": [{"id": 90}]}, "categories[0]: has no", False),
    ],
)
def test_bad_coco_data_is_named(tmp_path: Path, changes: dict[str, Any], words: str, can_be_skipped: bool) -> None:
    path = write_coco(tmp_path, **changes)
    with pytest.raises(SourceError) as caught:
        open_dataset(str(path))
    assert caught.value.message.startswith(str(path)) and words in caught.value.message
    if can_be_skipped:
        data = open_dataset(str(path), skip_bad_labels=True)
        assert data.labels(frame(0)).class_id.tolist() == [1] and "1 bad annotations left out" in data.notes[0]
    else:
        with pytest.raises(SourceError):
            open_dataset(str(path), skip_bad_labels=True)


def test_a_file_that_is_no_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text, words in (('{"images": [\n1,,]}', "a.json:2: is not valid JSON"), ("[]", "is a list, as results are")):
        path.write_text(text)
        with pytest.raises(SourceError) as caught:
            open_dataset(str(path))
        assert words in caught.value.message


# Classes ---------------------------------------------------------------------------------------------------------


def data_with(tmp_path: Path, names: str, classes: list[int]) -> Dataset:
    lines = "".join(f"{number} 0.5 0.5 0.2 0.{place + 1}\n" for place, number in enumerate(classes))
    write_yolo(tmp_path, {"a": lines})
    (tmp_path / "data.yaml").write_text(f"val: images/val\n{names}")
    return open_dataset(str(tmp_path / "data.yaml"))


def test_classes_are_matched_by_name_where_both_have_names(tmp_path: Path) -> None:
    data = data_with(tmp_path, "names: [Traffic_Light, cow, car]", [0, 2, 2])
    model = ("car", "traffic light", "cow", "bus")
    mapping, notes = match_classes(data, model)
    assert (mapping.tolist(), notes) == ([1, 2, 0], [])
    assert to_model(np.array([2, 0, 3, 50]), mapping).tolist() == [0, 1, -1, -1]
    assert match_classes(data, model, "index")[0].tolist() == [0, 1, 2, 3]
    # Without names on either side, class n is class n.
    assert match_classes(data, ("class 0", "class 1", "class 2"))[0].tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="name needs class names"):
        match_classes(data, ("car", "car", "cow"), "name")


def test_classes_that_the_model_does_not_have_are_named_or_left_out(tmp_path: Path) -> None:
    data = data_with(tmp_path, "names: [car, cow, gnu]", [0, 2, 1, 2])
    labels = tmp_path / "labels" / "val" / "a.txt"
    with pytest.raises(DataError) as caught:
        match_classes(data, ("car", "bus"))
    assert caught.value.faults == (
        f"{labels}:3: class 1 (cow) is not one of the model's 2",
        f"{labels}:2: class 2 (gnu) is not one of the model's 2 (2 objects)",
    )
    with pytest.raises(DataError) as caught:
        match_classes(data, ("car", "bus"), "index")
    assert caught.value.message == f"{labels}:2: class 2 (gnu) is not one of the model's 2 (2 objects)"
    mapping, notes = match_classes(data, ("car", "bus"), ignore_missing=True)
    assert mapping.tolist() == [0, -1, -1]
    assert notes == ["3 objects of 2 classes that the model does not have left out: 1 (cow), 2 (gnu)"]
    # A class that no object has does no harm.
    assert match_classes(data, ("gnu", "cow", "car", "bus"))[1] == []


def test_classes_beyond_the_datas_own_names_are_named(tmp_path: Path) -> None:
    data = data_with(tmp_path, "names: [car]", [0, 9])
    with pytest.raises(DataError, match=r"a\.txt:2: class 9 is beyond the 1 that the data itself names") as caught:
        match_classes(data, ("car", "bus"))
    assert caught.value.hint is not None and caught.value.hint.startswith("correct the labels")


def test_a_street_is_no_data_for_a_model_of_other_things() -> None:
    street = open_dataset("synth:street?size=64x64&frames=1")
    with pytest.raises(ConfigError, match="none of its classes"):
        match_classes(street, ("cat", "dog"))
    assert match_classes(street, street.class_names)[0].tolist() == list(range(8))
