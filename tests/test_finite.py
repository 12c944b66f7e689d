"""A frame whose numbers are not finite is an error that says so, never a frame without detections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

import keepbusy as kb
from keepbusy.config import ClassConf, DetectConfig
from keepbusy.models import load_model
from keepbusy.models.head import find_head, raw_graph, tail_graph
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import to_detections
from keepbusy.postprocess.finite import NotFiniteError
from tests.build import build_blob_model, square_picture, write_picture
from tests.graphs import nan_model
from tests.head_graphs import head_model
from tests.test_cli import run
from tests.test_families import CASES, INPUT_HW, NAMES, loud

PADDED = ("yolov10", "yolov7-nms", "rt-detr", "ssd")
"""Families whose rows are selected already: some fill up with rows whose score is minus infinity."""


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", CASES)
def test_outputs_full_of_what_is_no_number_are_an_error(name: str, bad: float) -> None:
    case = CASES[name]
    outputs = tuple(np.full_like(output, bad) for output in loud(name)[0])
    if bad == -np.inf and case.form.family in PADDED:
        return
    for config in (DetectConfig(), DetectConfig(conf=0.001, multi_label=True), DetectConfig(classes=(1,))):
        with pytest.raises(NotFiniteError, match="not finite") as caught:
            to_detections(outputs, Letterbox.fit((64, 96), INPUT_HW, case.fit), case.form, config, NAMES)
        assert caught.value.hint is not None and "`precision` f32" in caught.value.hint


@pytest.mark.parametrize("name", CASES)
def test_a_class_that_is_not_wanted_does_not_hide_a_score_that_is_none(name: str) -> None:
    case = CASES[name]
    outputs, row = loud(name)
    letterbox = Letterbox.fit((64, 96), INPUT_HW, case.fit)
    refused = 0
    for which, numbers in enumerate(row):
        for position in numbers.tolist():
            broken = [output.copy() for output in outputs]
            broken[which].reshape(-1)[position] = np.nan
            for classes in ((0,), (1,), (2,)):
                config = DetectConfig(conf=0.1, classes=classes, class_conf=ClassConf(((classes[0], 0.95),), 0.1))
                try:
                    to_detections(tuple(broken), letterbox, case.form, config, NAMES)
                except NotFiniteError:
                    refused += 1
    assert refused >= 3


@pytest.mark.parametrize("strategy", ["stock", "host", "tail"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["yolov5", "yolov5-seg", "yolov8", "yolov8-pose", "yolo26"])
def test_one_pixel_too_large_is_an_error_with_every_head(kind: str, strategy: str, bad: float, tmp_path: Path) -> None:
    model = load_model(head_model(tmp_path / "m.xml", kind, input_hw=(128, 96)))  # type: ignore[arg-type]
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    graph, form = model.graph, model.output
    if strategy != "stock":
        graph, form = (raw_graph if strategy == "host" else tail_graph)(graph, head, [1, 3, 128, 96])
    image = np.random.default_rng(5).random((1, 3, 128, 96), np.float32)
    image[0, :, 100, 50] = bad
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = tuple(compiled(image).values())
    with pytest.raises(NotFiniteError):
        to_detections(outputs, Letterbox.fit((128, 96), (128, 96)), form, DetectConfig(conf=0.25), list("abc"))


def test_a_logit_of_infinity_is_no_certain_class(tmp_path: Path) -> None:
    model = load_model(head_model(tmp_path / "m.xml", "yolov8", input_hw=(64, 64)))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    graph, form = raw_graph(model.graph, head, [1, 3, 64, 64])
    outputs = [np.zeros(port.shape, np.float32) for port in graph.outputs]
    outputs[1][0, 0, 0, 1] = np.inf
    with pytest.raises(NotFiniteError):
        to_detections(tuple(outputs), Letterbox.fit((64, 64), (64, 64)), form, DetectConfig(conf=0.7), list("abc"))


@pytest.mark.parametrize("in_half", [False, True])
def test_the_program_says_so_and_what_to_do(tmp_path: Path, in_half: bool) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    model = nan_model(tmp_path / "nan.xml", in_half=in_half)
    for head in ("auto", "stock"):
        done = run("detect", tmp_path / "a.png", "-m", model, "--head", head, "-q")
        assert done.returncode == 1
        assert "not finite (NaN or infinity)" in done.stderr and "--precision f32" in done.stderr
    done = run("detect", tmp_path / "a.png", "-m", model, "-q", "--on-error", "skip", "--json", "-")
    assert "not finite" in json.loads(done.stdout.splitlines()[0])["error"]["message"]


def test_a_picture_without_anything_is_none(tmp_path: Path) -> None:
    model = build_blob_model(tmp_path / "m.xml")
    assert len(kb.Detector(model)(np.zeros((64, 96, 3), np.uint8))) == 0
