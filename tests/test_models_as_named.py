"""A model is found by whatever its exporter has left of it, wherever a model is taken."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.errors import ConfigError, ModelError
from keepbusy.files.paths import check_outputs
from keepbusy.models import load_model
from keepbusy.models.files import model_files, model_in
from keepbusy.models.store import ModelStore, find_model
from tests.build import build_blob_model, square_picture, write_picture
from tests.graphs import onnx_model
from tests.test_cli import run

EXPORTED = "best_openvino_model"


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exporter's folder in the current one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / EXPORTED
    folder.mkdir()
    build_blob_model(folder / "best.xml")
    (folder / "metadata.yaml").write_text("task: detect\nstride: 32\nnames: {0: red, 1: green, 2: blue}\n")
    return folder


WAYS = (
    EXPORTED,
    f"{EXPORTED}/",
    f"./{EXPORTED}",
    f"{EXPORTED}/metadata.yaml",
    f"{EXPORTED}/best.xml",
    f"{EXPORTED}/best.bin",
    f"{EXPORTED}/best",
    "best",
    "./best",
)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_name_an_export(exported: Path, way: str) -> None:
    for found in (find_model(way), model_in(Path(way)), load_model(way).path):
        assert found.resolve() == exported / "best.xml"
    for model in (way, Path(way)):
        assert len(kb.Detector(model)(square_picture()))
    with kb.Pipeline(way) as pipeline:
        assert len(next(iter(pipeline.run([square_picture()]))).detections)


@pytest.mark.parametrize("way", ["best.onnx", "best.onnx/", "best", "folder", "folder/metadata.yaml"])
def test_every_way_to_name_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for place in (Path("best.onnx"), Path("folder", "best.onnx")):
        place.write_bytes(onnx_model(400, seed=1))
    Path("folder", "metadata.yaml").write_text("stride: 32\n")
    expected = Path("folder" if way.startswith("folder") else ".", "best.onnx")
    assert find_model(way) == model_in(Path(way)) == expected


def dataset(folder: Path) -> Path:
    """One picture with a red square, labelled."""
    for inner in ("images", "labels"):
        (folder / inner).mkdir(parents=True)
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[16:24, 16:24] = (0, 0, 255)
    write_picture(folder / "images" / "p.png", picture)
    (folder / "labels" / "p.txt").write_text("0 0.2083 0.3125 0.0833 0.125\n")
    (folder / "data.yaml").write_text("path: .\nval: images\nnames: [red, green, blue]\n")
    return folder / "data.yaml"


COMMANDS: dict[str, tuple[str, ...]] = {
    "detect": ("detect", "p.png", "-m", "MODEL", "--json", "out.jsonl", "-q"),
    "model-info": ("model-info", "MODEL"),
    "verify": ("verify", "p.png", "-m", "MODEL", "--against", "CPU:f32"),
    "verify against": ("verify", "p.png", "-m", "MODEL", "--against-model", "MODEL"),
    "bench": ("bench", "p.png", "-m", "MODEL", "--rounds", "1", "--seconds", "0.1"),
    "eval": ("eval", "-m", "MODEL", "--data", "data/data.yaml"),
    "optimize": ("optimize", "MODEL", "-o", "fast", "--data", "p.png", "--rounds", "1", "--seconds", "0.1"),
    "tune": ("tune", "p.png", "-m", "MODEL", "--budget", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_them(exported: Path, command: str) -> None:
    write_picture(Path("p.png"), square_picture())
    dataset(Path("data"))
    way = f"{EXPORTED}/metadata.yaml" if command != "detect" else f"{EXPORTED}/best.bin"
    done = run(*(way if word == "MODEL" else word for word in COMMANDS[command]))
    if command == "optimize":  # The blobs' head is none that can be replaced.
        assert "best.xml: its head is not one that can be replaced: there is nothing to rewrite" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_a_tuned_profile_is_for_the_model_however_it_is_named(exported: Path) -> None:
    write_picture(Path("p.png"), square_picture())
    done = run("tune", "p.png", "-m", EXPORTED, "--budget", "1", "-o", "tuned.yaml")
    assert done.returncode == 0, done.stderr
    for way in (EXPORTED, f"{EXPORTED}/best.bin"):
        done = run("detect", "p.png", "-m", way, "--profile", "tuned.yaml", "--json", "-")
        assert done.returncode == 0 and "model" not in done.stderr, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_none_of_its_files_is_written_over(exported: Path, way: str) -> None:
    for name in ("best.xml", "best.bin", "metadata.yaml"):
        with pytest.raises(ConfigError, match="overwritten"):
            check_outputs({"--json": exported / name}, model_files(find_model(way)))
        with pytest.raises(ConfigError, match="overwritten"):
            check_outputs({"--json": exported / name}, model_files(Path(way)))


@pytest.mark.parametrize("take", [kb.Detector, load_model, kb.Pipeline])
@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("gone.xml", "gone.xml: no such model file", "check the path"),
        ("gone.bin", "gone.bin: no such model file", "check the path"),
        ("gone/metadata.yaml", "metadata.yaml: no such model file", "check the path"),
        ("lonely.bin", "lonely.bin: is the weights of a model whose graph, lonely.xml, is not beside", "keep both"),
        ("data.yaml", "data.yaml: is not a model file that keepbusy reads", r"\(\.xml\) or an ONNX file"),
        ("lone/metadata.yaml", "lone: is a folder without a model in it", "OpenVINO IR"),
        ("two", r"two: is a folder with several models: a\.xml, b\.xml", "name one of them"),
        ("two/metadata.yaml", r"two: is a folder with several models: a\.xml, b\.xml", "name one of them"),
        (
            "weights",
            r"weights: is a folder without a model in it",
            r"export one .*model=weights/best\.pt format=openvino",
        ),
        ("w.pt", "w.pt: is a model of PyTorch", r"export it: yolo export model=w\.pt format=openvino"),
        ("yolov8n.PT", "yolov8n.PT: is a model of PyTorch", r"yolo export model=yolov8n\.PT format=openvino"),
        ("best.pt", "best.pt: is a model of PyTorch", r"it is exported already: give best_openvino_model"),
        ("best.engine", "best.engine: is a model of TensorRT", r"it is exported already: give best_openvino_model"),
        ("w.engine", "w.engine: is a model of TensorRT", r"that it was made from: yolo export model=w\.pt format="),
        ("w.tflite", "w.tflite: is a model of TensorFlow Lite", r"yolo export model=w\.pt format=openvino"),
        ("w.torchscript", "w.torchscript: is a model of TorchScript", r"yolo export model=w\.pt format=openvino"),
        ("w_saved_model", "w_saved_model: is a folder without a model in it", "OpenVINO IR"),
    ],
)
def test_what_is_no_model_is_one_line(
    exported: Path, take: Callable[[str], object], name: str, message: str, hint: str
) -> None:
    for folder in ("lone", "two", "weights", "w_saved_model"):
        Path(folder).mkdir()
        Path(folder, "metadata.yaml").write_text("stride: 32\n")
    for file in ("lonely.bin", "data.yaml", "best.engine", "weights/best.pt", "weights/last.pt", "w_saved_model/s.pb"):
        Path(file).write_bytes(b"")
    for stem in ("a", "b"):
        shutil.copy(exported / "best.xml", f"two/{stem}.xml")
    with pytest.raises(ModelError, match=message) as caught:
        take(name)
    assert caught.value.hint is not None and re.search(hint, caught.value.hint), caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_name_of_the_catalogue_is_not_hidden_by_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_blob_model(tmp_path / "yolov5n.xml")
    asked: list[str] = []
    monkeypatch.setattr(ModelStore, "fetch", lambda _self, known, **_: asked.append(known.name))
    find_model("yolov5n")
    assert asked == ["yolov5n"]
