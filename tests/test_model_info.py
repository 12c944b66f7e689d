"""`keepbusy model-info`: counts of graphs whose operations are known by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import typer
from openvino import opset13 as ops
from typer.testing import CliRunner

from keepbusy.bench.graph import LAYOUT_TYPES, graph_cost, layer_type_times, share_of
from keepbusy.cli.model_info import model_info
from keepbusy.errors import KeepbusyError, ModelError


def constant(*shape: int) -> ov.Node:
    return ops.constant(np.ones(shape, np.float32))


def test_operations_and_parameters_of_a_graph_counted_by_hand() -> None:
    image = ops.parameter([1, 8, 10, 12], np.float32)
    half = ops.constant(np.ones((16, 8, 3, 3), np.float16))
    conv = ops.convolution(image, ops.convert(half, "f32"), [1, 1], [1, 1], [1, 1], [1, 1])  # (1, 16, 10, 12)
    conv = ops.add(conv, constant(1, 16, 1, 1))
    grouped = ops.group_convolution(conv, constant(16, 1, 1, 5, 5), [2, 2], [2, 2], [2, 2], [1, 1])  # (1, 16, 5, 6)
    wider = ops.convolution_backprop_data(grouped, constant(16, 4, 2, 2), [2, 2])  # (1, 4, 10, 12)
    rows = ops.reshape(wider, np.array([1, 40, 12]), special_zero=False)
    product = ops.matmul(rows, constant(12, 7), False, False)  # (1, 40, 7)
    found = graph_cost(ov.Model([product], [image], "counted"))
    by_hand = (
        16 * 10 * 12 * 8 * 9  # convolution: outputs x inputs x kernel
        + 16 * 5 * 6 * 25  # one input channel for each group
        + 16 * 5 * 6 * 4 * 4  # transposed: inputs x outputs x kernel
        + 40 * 7 * 12
    )
    assert found.gflops * 1e9 == pytest.approx(2 * by_hand)
    assert found.num_parameters == 16 * 8 * 9 + 16 + 16 * 25 + 16 * 4 * 4 + 12 * 7
    assert found.weight_types["f16"] == pytest.approx(1152 / found.num_parameters)
    assert found.layer_counts["Convolution"] == 1 and "Constant" not in found.layer_counts


def test_transposed_matrix_product() -> None:
    left = ops.parameter([12, 40], np.float32)
    found = graph_cost(ov.Model([ops.matmul(left, constant(7, 12), True, True)], [left], "product"))
    assert found.gflops * 1e9 == pytest.approx(2 * 40 * 7 * 12) and found.num_parameters == 84


def test_layer_types_are_added_up_and_the_median_taken() -> None:
    slow_once = iter([9.0, 1.0, 100.0, 1.0])

    def infer() -> list[tuple[str, str, float]]:
        return [("Convolution", "jit", 0.003), ("Reorder", "ref", next(slow_once) / 1e3), ("Convolution", "jit", 0.004)]

    times = layer_type_times(infer, 3)
    assert [(one.layer_type, one.num_layers) for one in times] == [("Convolution", 2), ("Reorder", 1)]
    assert [one.ms for one in times] == pytest.approx([7.0, 1.0])
    assert share_of(times, LAYOUT_TYPES) == pytest.approx(1 / 8)


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command("model-info")(model_info)
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160", "NO_COLOR": "1"})
    if isinstance(result.exception, KeepbusyError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_small_model_is_told_and_profiled(blob_model: Path) -> None:
    text = run(blob_model, "--profile", "--inferences", 2)
    for part in ("yolov5, 3 classes: red, green, blue", "u8 [1, 64, 96, 3]", "GFLOPs", "layer type on CPU", "moving"):
        assert part in text
    content = json.loads(run(blob_model, "--profile", "--inferences", 2, "--json"))
    assert content["inputs"][0]["shape"] == [1, 64, 96, 3] and content["names"] == ["red", "green", "blue"]
    assert content["profile"]["layer_types"] and 0 <= content["profile"]["layout_share"] <= 1
    assert sum(row["share"] for row in content["profile"]["layer_types"]) == pytest.approx(1)


def test_yolov5n_has_what_its_authors_say(data: Path) -> None:
    content = json.loads(run(data / "models" / "yolov5n.xml", "--json"))
    # 1.9 M parameters and 4.5 GFLOPs at 640x640: https://github.com/ultralytics/yolov5#pretrained-checkpoints
    assert content["num_parameters"] == pytest.approx(1.87e6, rel=0.01)
    assert content["gflops"] == pytest.approx(4.5, rel=0.02)
    assert content["num_classes"] == 80


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        run(tmp_path / "none.xml")
