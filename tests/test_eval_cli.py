"""`keepbusy eval`, started as a user starts it, on data whose scores are known by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.evaluate import collect, open_dataset
from tests.build import write_picture
from tests.starter import run_program

KEEPBUSY = [sys.executable, "-m", "keepbusy", "eval"]
RED, GREEN = (0, 0, 255), (0, 255, 0)


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_program("eval", *arguments, **options)


def scores(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json", "-", "--quiet")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def squares(*squares: tuple[int, int, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Squares of 8x8 pixels on black, each on a cell of stride 8 of the blob detector."""
    picture = np.zeros((64, 96, 3), np.uint8)
    for left, top, colour in squares:
        picture[top : top + 8, left : left + 8] = colour
    return picture


def label(class_id: int, left: float, top: float, width: float, height: float) -> str:
    return f"{class_id} {(left + width / 2) / 96} {(top + height / 2) / 64} {width / 96} {height / 64}\n"


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Three pictures: a red and a green square, nothing where a blue one is said to be, and nothing at all.

    By hand: over each square the blob detector lays boxes of 4, 8 and 16 pixels, all of confidence 1 and in this order;
    all others are below 0.07. For red the second box is exact: precision 1/2 at every recall, whatever the overlap.
    The green label is 8x12, which that box overlaps by 2/3: enough for 0.50 to 0.65, four of ten. Blue is missed.
    """
    for inner in ("images/val", "labels/val"):
        (tmp_path / inner).mkdir(parents=True)
    write_picture(tmp_path / "images" / "val" / "1.png", squares((16, 16, RED), (64, 40, GREEN)))
    write_picture(tmp_path / "images" / "val" / "2.png", squares())
    write_picture(tmp_path / "images" / "val" / "3.png", squares())
    labels = tmp_path / "labels" / "val"
    (labels / "1.txt").write_text(label(0, 16, 16, 8, 8) + label(1, 64, 40, 8, 12))
    (labels / "2.txt").write_text(label(2, 40, 40, 10, 10))
    (labels / "3.txt").write_text("")
    (tmp_path / "data.yaml").write_text("val: images/val\nnames: [red, green, blue]\n")
    return tmp_path / "data.yaml"


def test_yolo_data_scores_what_it_does_by_hand(yolo: Path, blob_model: Path) -> None:
    found = scores("-m", blob_model, "--data", yolo)
    assert found["map50_95"] == pytest.approx((0.5 + 0.5 * 0.4 + 0) / 3, abs=1e-6)
    assert found["map50"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["map75"] == pytest.approx(0.5 / 3, abs=1e-6)
    assert found["by_area"] == {"small": found["map50_95"], "medium": None, "large": None}
    assert (found["num_frames"], found["num_objects"], found["failed"], found["notes"]) == (3, 3, [], [])
    by_class = {name: (row["map50"], row["num_objects"]) for name, row in found["by_class"].items()}
    assert by_class == {"red": (0.5, 1), "green": (0.5, 1), "blue": (0.0, 1)}
    # Just above the weaker boxes: of three boxes one is right, for red and green each; blue has none.
    best = found["best_f1"]
    assert best == {"confidence": 0.063, "f1": 0.333333, "precision": 0.333333, "recall": 0.666667}
    assert found["confusion"]["counts"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [2, 2, 0, 0]]
    assert found["settings"]["conf"] == 0.001 and found["settings"]["iou"] == 0.6
    assert found["settings"]["max_det"] == 300 and found["settings"]["multi_label"] is True


def test_a_program_scores_as_the_command_does(yolo: Path, blob_model: Path) -> None:
    data = open_dataset(str(yolo))
    told: list[Sequence[str]] = []
    with kb.Pipeline(blob_model, conf=0.001, iou=0.6, multi_label=True) as pipeline:
        collected = collect(pipeline, data, on_notes=told.append)
    assert collected.scorer.evaluation.accuracy().map50_95 == pytest.approx((0.5 + 0.5 * 0.4 + 0) / 3, abs=1e-6)
    assert collected.snapshot.num_frames == 3 and told == [collected.notes] == [[]]
    with kb.Pipeline(blob_model) as pipeline, pytest.raises(kb.ConfigError, match="never ends"):
        collect(pipeline, open_dataset("synth:street"))


def test_coco_data_scores_what_it_does_by_hand(yolo: Path, blob_model: Path, tmp_path: Path) -> None:
    # The same pictures with the classes in another order and with ids that have gaps; around the red square is a
    # crowd of red, in which nothing is wrong: its precision is 1.
    boxes = [(1, 90, [16, 16, 8, 8], 0), (1, 3, [64, 40, 8, 12], 0), (22, 7, [40, 40, 10, 10], 0)]
    boxes += [(1, 90, [0, 0, 48, 48], 1)]
    annotations = [
        {"id": number, "image_id": image, "category_id": own, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        for number, (image, own, box, crowd) in enumerate(boxes, start=1)
    ]
    images = [{"id": image, "file_name": f"{name}.png", "width": 96, "height": 64} for image, name in ((1, 1), (22, 2))]
    categories = [{"id": 7, "name": "Blue"}, {"id": 90, "name": "red"}, {"id": 3, "name": "green"}]
    path = tmp_path / "instances_val.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    found = scores("-m", blob_model, "--data", path, "--coco-json", tmp_path / "out" / "results.json")
    assert {name: row["map50"] for name, row in found["by_class"].items()} == {"red": 1.0, "green": 0.5, "blue": 0.0}
    assert found["map50_95"] == pytest.approx((1 + 0.5 * 0.4 + 0) / 3, abs=1e-6)
    assert found["num_objects"] == 3 and found["confusion"]["counts"][-1] == [0, 2, 0, 0]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    sure = [item for item in results if item["score"] == 1]
    assert {item["category_id"] for item in sure} == {90, 3} and {item["image_id"] for item in sure} == {1}
    assert [16, 16, 8, 8] in [item["bbox"] for item in sure if item["category_id"] == 90]


def test_sync_and_async_and_any_depth_score_the_same(yolo: Path, blob_model: Path, tmp_path: Path) -> None:
    texts = set()
    for number, options in enumerate(([], ["--mode", "sync"], ["--nireq", "3"])):
        out = tmp_path / str(number)
        assert run("-m", blob_model, "--data", yolo, "--coco-json", out / "r.json", *options).returncode == 0
        texts.add((out / "r.json").read_bytes())
    assert len(texts) == 1 and len(texts.pop()) > 1000


def test_the_table_and_the_folder_of_outputs(yolo: Path, blob_model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "120"}
    out = tmp_path / "out"
    done = run("-m", blob_model, "--data", yolo, "--save-dir", out, "--json", tmp_path / "a.json", env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["class", "objects", "precision", "recall", "mAP50", "mAP50-95"]
    assert lines[1].split() == ["all", "3", "0.333", "0.667", "0.333", "0.233"]
    assert ["green", "1", "0.333", "1.000", "0.500", "0.200"] in [line.split() for line in lines]
    assert ["blue", "1", "–", "0.000", "0.000", "0.000"] in [line.split() for line in lines]
    assert "mAP75 0.167; mAP50-95 by size: small 0.233, medium –, large –" in done.stdout
    assert "3 pictures, 3 objects; precision and recall at overlap 0.50 and confidence 0.063" in done.stdout
    assert "3 frames at" in done.stderr
    names = {"confusion_matrix.png", "precision_recall.png", "confidence.png", "metrics.json", "detections.json"}
    assert {path.name for path in out.iterdir()} == names
    for name in names | {"a.json"}:
        assert f"{name}\n" in done.stderr
    assert (out / "metrics.json").read_text() == (tmp_path / "a.json").read_text()
    for path in out.glob("*.png"):
        picture = cv2.imread(str(path))
        assert picture is not None and min(picture.shape[:2]) > 300 and picture.std() > 5


def test_a_street_knows_its_truth(tmp_path: Path) -> None:
    found = scores("--data", "synth:street?seed=2000001&size=640x640&frames=6", "--stride", "2")
    assert found["num_frames"] == 3 and found["num_objects"] > 10
    assert found["map50"] > 0.75
    done = run("--data", "synth:street?size=64x64")
    assert done.returncode == 2 and "never ends" in done.stderr
    found = scores("--data", "synth:street?seed=2000001&size=640x640", "--limit", "2", "--save-dir", tmp_path)
    assert found["num_frames"] == 2
    assert {item["image_id"] for item in json.loads((tmp_path / "detections.json").read_text())} == {0, 1}


def test_nothing_found_is_zero_not_a_failure(yolo: Path, blob_model: Path, tmp_path: Path) -> None:
    picture = yolo.parent / "images" / "val" / "1.png"
    write_picture(picture, squares())
    done = run("-m", blob_model, "--data", yolo, "--save-dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "nothing was found" in done.stdout and "0.000" in done.stdout
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"confusion_matrix.png"}
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["map50_95"], metrics["best_f1"], metrics["by_area"]["small"]) == (0.0, None, 0.0)


# Bad input -------------------------------------------------------------------------------------------------------


def assert_one_clear_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and all(word in errors[0] for word in words), done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("hint:")]) == 1, done.stderr


def test_bad_labels_stop_it_or_are_skipped_with_a_warning(yolo: Path, blob_model: Path) -> None:
    file = yolo.parent / "labels" / "val" / "3.txt"
    file.write_text(
        "0 0.5 0.5 0.2 0.2 0.9\n" + "red 1 1 1 1 1 1\n" * 1 + "".join(f"0 {n} 1 1 1\n" for n in range(2, 14))
    )
    done = run("-m", blob_model, "--data", yolo)
    assert_one_clear_line(done, 1, "14 faults; the first is", "3.txt:1: 6 numbers")
    named = [line for line in done.stderr.splitlines() if line.startswith(str(file))]
    assert len(named) == 10 and named[1].startswith(f"{file}:2: 'red' is not a class id")
    assert "... and 4 more" in done.stderr
    done = run("-m", blob_model, "--data", yolo, "--skip-bad-labels", env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0 and "warning: 14 bad labels left out" in done.stderr
    assert "0.233" in done.stdout


def test_classes_beyond_the_models_stop_it_or_are_left_out(yolo: Path, blob_model: Path) -> None:
    file = yolo.parent / "labels" / "val" / "3.txt"
    file.write_text(label(7, 0, 0, 10, 10))
    folder = yolo.parent / "images" / "val"
    assert_one_clear_line(run("-m", blob_model, "--data", folder), 1, f"{file}:1: class 7 is not one of the model's 3")
    done = run("-m", blob_model, "--data", folder, "--ignore-missing-classes", "--json", "-")
    assert done.returncode == 0 and "1 objects of 1 classes" in done.stderr
    content = json.loads(done.stdout)
    assert content["num_ignored"] == 1 and content["map50"] == pytest.approx(1 / 3, abs=1e-6)


def test_a_damaged_picture_stops_it_or_is_left_out(yolo: Path, blob_model: Path) -> None:
    (yolo.parent / "images" / "val" / "2.png").write_bytes(b"no picture")
    assert_one_clear_line(run("-m", blob_model, "--data", yolo), 1, "read", "2.png", "not a picture")
    done = run("-m", blob_model, "--data", yolo, "--on-error", "skip", "--json", "-")
    assert done.returncode == 0 and "1 pictures failed and are not scored" in done.stderr
    content = json.loads(done.stdout)
    # Without the picture that says blue, the mean is that of red and green.
    assert content["map50"] == pytest.approx(0.5, abs=1e-6) and content["num_frames"] == 2
    assert len(content["failed"]) == 1 and "2.png" in content["failed"][0]
    for path in (yolo.parent / "images" / "val").iterdir():
        path.write_bytes(b"no picture")
    assert_one_clear_line(run("-m", blob_model, "--data", yolo, "--on-error", "skip"), 1, "all 3 pictures failed")


def test_bad_usage(yolo: Path, blob_model: Path, tmp_path: Path) -> None:
    good = ("-m", blob_model, "--data", yolo)
    assert run("-m", blob_model).returncode == 2
    assert_one_clear_line(run(*good, "--split", "test"), 2, "has no split 'test'")
    assert_one_clear_line(run(*good, "--class-match", "luck"), 2, "--class-match: 'luck'")
    assert_one_clear_line(run(*good, "--shape", "wide"), 2, "--shape: 'wide'")
    assert_one_clear_line(run(*good, "--head", "none"), 2, "head: 'none'")
    assert_one_clear_line(run(*good, "--json", tmp_path), 1, "is a folder")
    assert_one_clear_line(run(*good, "--save-dir", yolo), 1, "data.yaml", "cannot be made")
    assert_one_clear_line(run("--data", yolo), 2, "none of its classes (red, green, blue)")


@pytest.mark.parametrize("package", ["faster_coco_eval", "matplotlib"])
def test_a_missing_extra_is_named(yolo: Path, blob_model: Path, tmp_path: Path, package: str) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / f"{package}.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join(filter(None, (str(tmp_path / "path"), os.environ.get("PYTHONPATH"))))
    done = run("-m", blob_model, "--data", yolo, "--save-dir", tmp_path / "out", env={**os.environ, "PYTHONPATH": path})
    assert_one_clear_line(done, 1, "needs packages that are not installed")
    assert "keepbusy[eval]" in done.stderr


def test_help_teaches() -> None:
    text = run("--help", env={**os.environ, "COLUMNS": "200"}).stdout
    for words in ("--data", "--split", "--coco-json", "--save-dir", "--per-class", "instances_val2017.json", "synth:"):
        assert words in text
