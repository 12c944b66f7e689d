"""An INT8 network computed in floating point: the same weights, no roundings, by option only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.bench import tables
from keepbusy.bench.page import page
from keepbusy.bench.run import bench_model
from keepbusy.config import Options
from keepbusy.models.plain import without_rounding
from keepbusy.values.compare import agree
from keepbusy.values.forms import HeadStrategy
from tests.build import write_picture
from tests.head_graphs import head_model
from tests.quantized_graphs import by_nncf
from tests.starter import run_program

CENTS = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3), np.int8)
SCALES = np.array([0.5, 1.0, 2.0, 4.0], np.float32).reshape(4, 1, 1, 1) / 64


def rounded(node: Any, high: float) -> Any:
    return ops.fake_quantize(node, *(np.float32(value) for value in (0, high, 0, high)), 256)


def network(*, is_rounded: bool) -> ov.Model:
    """One convolution: in INT8, or with the numbers that its weights stand for."""
    image = ops.parameter([1, 3, 8, 8], np.float32, name="images")
    node: Any = rounded(image, 1) if is_rounded else image
    weights: Any = ops.multiply(ops.convert(ops.constant(CENTS), "f32"), ops.constant(SCALES))
    if not is_rounded:
        weights = ops.constant(CENTS.astype(np.float32) * SCALES)
    node = ops.relu(ops.convolution(node, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    return ov.Model([ops.result(rounded(node, 20) if is_rounded else node)], [image], "network")


def run(graph: ov.Model) -> Any:
    pixels = np.random.default_rng(1).random((1, 3, 8, 8), np.float32)
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0]


def test_the_same_weights_are_computed_without_roundings() -> None:
    graph = network(is_rounded=True)
    plain = without_rounding(graph)
    kinds = [node.get_type_name() for node in plain.get_ordered_ops()]
    assert "FakeQuantize" not in kinds and "Multiply" not in kinds and "Convert" not in kinds
    np.testing.assert_allclose(run(plain), run(network(is_rounded=False)), rtol=1e-5, atol=1e-5)
    assert [node.get_type_name() for node in graph.get_ordered_ops()].count("FakeQuantize") == 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model in floating point and in INT8."""
    folder = tmp_path_factory.mktemp("models")
    path = head_model(folder / "float.xml", "yolov8", input_hw=(64, 96))
    ov.save_model(by_nncf(ov.Core().read_model(path), (64, 96)), folder / "int8.xml", compress_to_fp16=False)
    return path, folder / "int8.xml"


@pytest.mark.parametrize("head", ["stock", "host"])
def test_without_roundings_a_model_is_closer_to_its_original(models: tuple[Path, Path], head: HeadStrategy) -> None:
    options: Any = {"precision": "f32", "shape": "square", "conf": 0.1, "iou": 0.45}
    picture = np.random.default_rng(2).integers(0, 256, (64, 96, 3), np.uint8)
    original = kb.Detector(models[0], head="stock", **options)(picture)
    kept = kb.Detector(models[1], head=head, **options)(picture)
    dropped = kb.Detector(models[1], head=head, quantized="drop", **options)(picture)
    drifts = [np.abs(agree(original, found, conf=0.25).drift) for found in (kept, dropped)]
    assert len(original) > 3 and len(drifts[1]) > 3
    assert drifts[1].mean() < drifts[0].mean()


def strategy_notes(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*.json") if '"keeps"' in path.read_text()]


def test_auto_measures_once_and_remembers(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    frames = [np.full((64, 96, 3), 90, np.uint8)]
    heads = set()
    for quantized, num_notes in (("keep", 0), ("drop", 0), ("auto", 1), ("auto", 1)):
        options: Any = {"head": "auto", "quantized": quantized, "shape": "square"}
        with kb.Pipeline(models[1], **options) as pipeline:
            for result in pipeline.run(frames, loop=True, limit=600):
                assert result.error is None
            notes = strategy_notes(tmp_path)
            assert len(notes) == (num_notes if pipeline.head != "stock" else 0)
            # A head that stays as exported is computed as it was quantized, unless asked otherwise.
            is_kept = quantized == "keep" or (
                quantized == "auto" and (not notes or json.loads(notes[0])["value"]["keeps"])
            )
            assert pipeline.quantized == ("keep" if is_kept else "drop")
            heads.add(pipeline.head)
    assert heads != {"stock"}


def test_a_plain_model_takes_the_option(models: tuple[Path, Path]) -> None:
    picture = np.full((64, 96, 3), 90, np.uint8)
    options: list[Any] = [{"quantized": "keep"}, {"quantized": "drop"}]
    found = [kb.Detector(models[0], head="host", **each)(picture) for each in options]
    assert np.array_equal(found[0].boxes_xyxy, found[1].boxes_xyxy)


def test_another_word_is_refused(models: tuple[Path, Path]) -> None:
    with pytest.raises(kb.ConfigError, match="quantized"):
        kb.Detector(models[0], quantized="never")  # type: ignore[arg-type]


@pytest.mark.parametrize(("quantized", "words"), [("keep", "INT8)"), ("drop", "INT8 in floating point)")])
def test_what_was_computed_is_said(models: tuple[Path, Path], tmp_path: Path, quantized: str, words: str) -> None:
    picture = write_picture(tmp_path / "a.png", np.full((64, 96, 3), 90, np.uint8))
    options = ["--head", "stock", "--shape", "square", "--quantized", quantized]
    done = run_program("detect", picture, "-m", models[1], *options)
    assert done.returncode == 0 and words in " ".join(done.stderr.split()), done.stderr
    # Also in a run that is too short for its head to be measured.
    for head in ("stock", "auto"):
        report = kb.detect_to(models[1], picture, head=head, quantized=quantized)  # type: ignore[arg-type]
        assert report.quantized == quantized
    done = run_program("detect", picture, "-m", models[0], *options)
    assert done.returncode == 0 and "INT8" not in done.stderr
    assert kb.detect_to(models[0], picture, head="stock").quantized is None


def test_each_side_of_a_verification_says_it(models: tuple[Path, Path], tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", np.full((64, 96, 3), 90, np.uint8))
    words = ["-m", models[1], "--quantized", "drop", "--json", tmp_path / "a.json", "--conf", 0.01]
    run_program("verify", picture, *words)
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["reference"]["quantized"] == "keep" and content["candidate"]["quantized"] == "drop"


def test_a_benchmark_says_it(models: tuple[Path, Path], tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", np.full((64, 96, 3), 90, np.uint8))
    options: Options = {"head": "stock", "quantized": "drop"}
    report = bench_model(models[1], [str(picture)], options=options, num_rounds=1, seconds=0.1)
    assert report.environment["quantized"] == "drop"
    assert "INT8 in floating point" in tables.heading(report.environment).plain
    assert "INT8 in floating point" in page(report)
