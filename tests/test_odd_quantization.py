"""Quantization that is damaged, or there already; and runs that keep the exported head say what keeps it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.cli.notes import Notes
from keepbusy.errors import ConfigError
from keepbusy.models import load_model
from keepbusy.models.head import find_head, look_for_head
from keepbusy.models.quantized import odd_quantization, why_quantized
from keepbusy.optimize import OptimizeConfig, optimize
from keepbusy.optimize.frames import open_frames
from tests.attention_graphs import AttentionKind
from tests.build import square_picture, write_picture
from tests.head_graphs import head_graph, head_model
from tests.quantized_graphs import only, with_bins, with_rounding
from tests.test_cli import assert_one_clear_line, run

Change = Callable[[ov.Model], Any]
OWN_HW = (128, 96)


def saved(folder: Path, change: Change) -> Path:
    path = head_model(folder / "float.xml", "yolov8", input_hw=OWN_HW)
    graph = ov.Core().read_model(path)
    change(graph)
    ov.save_model(graph, folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


def rounding(low: float, high: float, levels: int = 256) -> Change:
    """What the first activation gives, rounded."""

    def change(graph: ov.Model) -> None:
        first = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Relu")
        with_rounding(graph, first, low, high, levels=levels)

    return change


def byte_weights(scale: float, value: int | None = None, *, is_all: bool = False) -> Change:
    """The first convolution's weights, or all of them, as bytes and a scale."""

    def change(graph: ov.Model) -> None:
        nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution"]
        rng = np.random.default_rng(0)
        for node in nodes if is_all else nodes[:1]:
            shape = tuple(node.input_value(1).get_shape())
            stored = rng.integers(-127, 128, shape) if value is None else np.full(shape, value)
            factor = np.full((shape[0], 1, 1, 1), scale, np.float32)
            weights = ops.multiply(ops.convert(ops.constant(stored.astype(np.int8)), "f32"), ops.constant(factor))
            node.input(1).replace_source_output(weights.output(0))

    return change


DAMAGE: dict[str, tuple[Change, str]] = {
    "empty range": (rounding(1, 1), r"the range of FakeQuantize \S+ is empty"),
    "turned range": (rounding(2, -2), r"the range of FakeQuantize \S+ is empty"),
    "endless range": (rounding(0, np.inf), r"the range of FakeQuantize \S+ is not finite"),
    "no range": (rounding(np.nan, np.nan), r"the range of FakeQuantize \S+ is not finite"),
    "two levels": (rounding(0, 1, levels=2), r"FakeQuantize \S+ leaves 2 levels"),
    "scale of zero": (byte_weights(0.0), r"all weights of Convolution \S+ are zero"),
    "endless scale": (byte_weights(np.inf), r"the scale of the weights of Convolution \S+ is not finite"),
    "weights of zero": (byte_weights(0.01, 0), r"all weights of Convolution \S+ are zero"),
    "all weights zero": (byte_weights(0.01, 0, is_all=True), r"all weights of Convolution \S+ are zero, and \d+ more"),
    "all scales zero": (byte_weights(0.0, is_all=True), r"all weights of Convolution \S+ are zero, and \d+ more"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line_and_no_crash(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change, words = DAMAGE[name]
    path = saved(tmp_path, change)
    with caplog.at_level(logging.INFO, "keepbusy"):
        model = load_model(path)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.getMessage().startswith("m.xml: its quantization looks damaged")
    assert len(odd_quantization(model.graph)) >= 1
    assert re.search(words, record.getMessage())
    with contextlib.suppress(kb.KeepbusyError):  # Numbers that are none, or no boxes, are an error in one line.
        kb.Detector(path, head="stock", precision="f32")(square_picture())


@pytest.mark.parametrize(("levels", "words"), [(0, "0 levels"), (1, "1 level")])
def test_a_rounding_to_less_than_two_levels_is_refused(levels: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(kb.ModelError, match=rf"FakeQuantize \S+ rounds to {words}, and 2 are the fewest") as caught:
        kb.Detector(saved(tmp_path, rounding(0, 1, levels=levels)))
    assert "m.xml: " in caught.value.message and "anew" in (caught.value.hint or "")


@pytest.mark.parametrize("change", [rounding(0, 4), byte_weights(0.01), byte_weights(0.01, is_all=True)])
def test_sound_quantization_is_silent(change: Change, tmp_path: Path) -> None:
    graph = load_model(saved(tmp_path, change)).graph
    assert odd_quantization(graph) == [] and why_quantized(graph)


def test_one_dead_channel_is_no_damage(tmp_path: Path) -> None:
    def change(graph: ov.Model) -> None:
        first = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Relu")
        high = np.ones((1, first.get_output_shape(0)[1], 1, 1))
        high[0, 0] = 0
        with_rounding(graph, first, 0, high)

    assert odd_quantization(load_model(saved(tmp_path, change)).graph) == []


def test_a_float_model_is_not_quantized(tmp_path: Path) -> None:
    assert why_quantized(load_model(saved(tmp_path, lambda graph: None)).graph) == ""


@pytest.mark.parametrize(
    "name", ["hands_int8_openvino_model", "yolo11n_int8_openvino_model", "yolov8n_int8_openvino_model"]
)
def test_trained_int8_models_are_quantized_and_sound(name: str, data: Path) -> None:
    graph = load_model(data / "models" / name).graph
    assert odd_quantization(graph) == [] and why_quantized(graph).startswith("it has FakeQuantize operations")


@pytest.mark.parametrize(("change", "why"), [(rounding(0, 4), "FakeQuantize"), (byte_weights(0.01), "weights of i8")])
def test_int8_of_int8_is_refused_before_anything_is_measured(change: Change, why: str, tmp_path: Path) -> None:
    path = saved(tmp_path, change)
    frames = open_frames(str(write_picture(tmp_path / "p.png", square_picture())), 1)
    steps: list[str] = []
    with pytest.raises(ConfigError, match=rf"`int8`: .*m\.xml is INT8 already: .*{why}") as caught:
        optimize(path, tmp_path / "out", frames, None, OptimizeConfig(int8=True), on_step=steps.append)
    assert "leave `int8` out" in (caught.value.hint or "")
    assert not steps and not (tmp_path / "out").exists()


def test_int8_of_int8_is_a_usage_error(tmp_path: Path) -> None:
    path = saved(tmp_path, rounding(0, 4))
    picture = write_picture(tmp_path / "p.png", square_picture())
    done = run("optimize", path, "-o", tmp_path / "out", "--int8", "--data", picture)
    assert_one_clear_line(done, 2, "--int8: ", "is INT8 already")
    assert "leave --int8 out" in done.stderr


def test_an_int8_model_is_rewritten_all_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path, lambda graph: with_rounding(with_bins(graph), only(graph, "Softmax"), 0, 0.94))
    picture = np.random.default_rng(0).integers(0, 256, (128, 96, 3), np.uint8)
    frames = open_frames(str(write_picture(tmp_path / "p.png", picture)), 1)
    config = OptimizeConfig(force=True, rounds=1, seconds=0.02)
    assert [Path(file).name for file in optimize(path, tmp_path / "out", frames, None, config).files] == [
        "m-128x96.xml"
    ]


# What keeps the exported head --------------------------------------------------------------------------------------


def notes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for one in caplog.records if "exported" in (text := one.getMessage())]


@pytest.mark.parametrize("run_twice", [False, True])
def test_a_head_that_is_not_understood_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, run_twice: bool
) -> None:
    path = saved(tmp_path, lambda graph: with_rounding(graph, only(graph, "Softmax"), 0, 0.94, levels=16))
    with caplog.at_level(logging.INFO, "keepbusy"), kb.Pipeline(path) as pipeline:
        for _ in range(1 + run_twice):
            list(pipeline.run([square_picture()]))
        assert pipeline.head == "stock"
    (note,) = notes(caplog)
    assert "m.xml: its head is not one that can be replaced (FakeQuantize " in note and "exported" in note
    caplog.clear()
    with caplog.at_level(logging.INFO, "keepbusy"):  # What is remembered says the same.
        kb.Detector(path)
        assert notes(caplog) == [note]
        caplog.clear()
        kb.Detector(path, head="stock")
        assert notes(caplog) == []


@pytest.mark.parametrize("levels", [2, 16])
def test_why_a_head_is_not_understood(tmp_path: Path, levels: int) -> None:
    path = saved(tmp_path, lambda graph: with_rounding(graph, only(graph, "Softmax"), 0, 0.94, levels=levels))
    model = load_model(path)
    found = look_for_head(model.graph, model.output, model.input_hw)
    assert isinstance(found, str) and found.startswith("FakeQuantize ") and "8 bits" in found
    assert find_head(model.graph, model.output, model.input_hw) is None

    def other(graph: ov.Model) -> None:
        only(graph, "Divide").input(1).replace_source_output(ops.constant(np.float32(2.02)).output(0))

    model = load_model(saved(tmp_path, other))
    found = look_for_head(model.graph, model.output, model.input_hw)
    assert isinstance(found, str) and found.endswith("is not computed by a formula that is known")


def test_what_keeps_a_networks_shape_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    attentions: tuple[AttentionKind, ...] = ("every-cell",)
    graph = head_graph("yolov8", input_hw=OWN_HW, attentions=attentions)
    product = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Relu")
    targets = list(product.output(0).get_target_inputs())
    added = ops.add(product, np.ones(tuple(product.get_output_shape(0)), np.float32))
    added.set_friendly_name("places")
    for target in targets:
        target.replace_source_output(added.output(0))
    ov.save_model(graph, tmp_path / "m.xml", compress_to_fp16=False)
    with caplog.at_level(logging.INFO, "keepbusy"), kb.Pipeline(tmp_path / "m.xml") as pipeline:
        for _ in range(2):
            list(pipeline.run([square_picture()]))
        assert pipeline.shapes == [OWN_HW]
    assert [note for note in notes(caplog) if "places" in note] == [
        "m.xml: runs as exported; Add places keeps its input at 128x96"
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, "keepbusy"), kb.Pipeline(tmp_path / "m.xml", shape="square") as pipeline:
        list(pipeline.run([square_picture()]))
    assert not [note for note in notes(caplog) if "places" in note]


def test_a_program_says_it_once_however_often_it_compiles(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Notes()
    for extra in ({"once": True}, {"once": True}, None, None):
        record = logging.getLogger("keepbusy").makeRecord(
            "keepbusy", logging.INFO, __file__, 1, "m.xml: %s" % ("kept" if extra else "again"), (), None, extra=extra
        )
        notes.emit(record)
    lines = capsys.readouterr().err.splitlines()
    assert [text.split()[-1] for text in lines] == ["kept", "again", "again"]
