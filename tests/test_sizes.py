"""Sizes that are written into a network follow its input, and give what an export of that size would have given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset10, opset11
from openvino import opset13 as ops

import keepbusy as kb
from keepbusy.config import HeadChoice
from keepbusy.models import load_model
from keepbusy.models.head import find_head, fixed_by, raw_graph
from keepbusy.models.head.sizes import follow_input
from keepbusy.values.compare import ONE_FRAME, agree
from tests.attention_graphs import AttentionKind
from tests.head_graphs import head_graph

Array = NDArray[np.float32]
OWN_HW = (160, 224)
EVERY: Sequence[Sequence[AttentionKind]] = (
    ("every-cell", "every-cell", "every-cell"),
    ("areas", "areas"),
    ("areas", "every-cell"),
)


def saved(folder: Path, graph: ov.Model) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "m.xml"
    ov.save_model(graph, path, compress_to_fp16=False)
    return path


def run(graph: ov.Model, image: Array) -> list[Array]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(output) for output in compiled(image).values()]


def without_head(path: Path, input_shape: list[int]) -> ov.Model:
    model = load_model(path)
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    assert fixed_by(model.graph, head, model.input_hw, model.input.shape) == ""
    return raw_graph(model.graph, head, input_shape)[0]


@pytest.mark.parametrize("input_hw", [OWN_HW, (96, 160), (224, 96), (160, 160)])
@pytest.mark.parametrize("attentions", EVERY)
def test_attention_gives_what_an_export_of_that_size_gives(
    attentions: Sequence[AttentionKind], input_hw: tuple[int, int], tmp_path: Path
) -> None:
    shape = [1, 3, *input_hw]
    own = saved(tmp_path / "own", head_graph("yolov8", input_hw=OWN_HW, attentions=attentions))
    other = saved(tmp_path / "other", head_graph("yolov8", input_hw=input_hw, attentions=attentions))
    image = np.random.default_rng(2).random(shape, np.float32)
    for found, expected in zip(
        run(without_head(own, shape), image), run(without_head(other, shape), image), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_shape_that_is_left_open_is_taken_too(tmp_path: Path) -> None:
    path = saved(tmp_path, head_graph("yolov8", input_hw=OWN_HW, attentions=EVERY[2]))
    free = without_head(path, [1, 3, -1, -1])
    for input_hw in (OWN_HW, (128, 64)):
        image = np.random.default_rng(2).random((1, 3, *input_hw), np.float32)
        for found, expected in zip(run(free, image), run(without_head(path, [1, 3, *input_hw]), image), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_has_learned_its_places_keeps_its_shape_and_is_named(tmp_path: Path) -> None:
    graph = head_graph("yolov8", input_hw=OWN_HW, attentions=EVERY[0])
    product = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Relu")
    targets = list(product.output(0).get_target_inputs())
    places = np.random.default_rng(0).random(tuple(product.get_output_shape(0)), np.float32)
    added = ops.add(product, places)
    added.set_friendly_name("places")
    for target in targets:
        target.replace_source_output(added.output(0))
    model = load_model(saved(tmp_path, graph))
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    assert fixed_by(model.graph, head, model.input_hw, model.input.shape) == "Add places"
    with kb.Pipeline(tmp_path / "m.xml", head="host") as pipeline:
        pipeline.plan()
        assert pipeline.shapes == [OWN_HW]


def onnx_attention(height: int, width: int) -> bytes:
    """Six maps; what every cell has in common with every other, as an ONNX exporter writes it down."""
    from onnx import TensorProto, helper

    weights = np.random.default_rng(1).normal(0, 1, (6, 3, 1, 1)).astype(np.float32)
    targets = {"tokens": [1, 2, 3, height * width], "map": [1, 6, height, width]}
    constants = [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)]
    constants += [helper.make_tensor(f"to_{name}", TensorProto.INT64, [4], target) for name, target in targets.items()]
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["feature"]),
        helper.make_node("Reshape", ["feature", "to_tokens"], ["tokens"]),
        helper.make_node("Transpose", ["tokens"], ["rows"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["rows", "tokens"], ["likeness"]),
        helper.make_node("Softmax", ["likeness"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["tokens", "shares"], ["found"]),
        helper.make_node("Reshape", ["found", "to_map"], ["result"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, height, width])
        for name, channels in (("image", 3), ("result", 6))
    ]
    graph = helper.make_graph(nodes, "attention", [ends[0]], [ends[1]], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def test_attention_from_onnx_follows_too(tmp_path: Path) -> None:
    graphs = []
    for height, width in ((4, 6), (5, 3)):
        path = tmp_path / f"{height}.onnx"
        path.write_bytes(onnx_attention(height, width))
        graphs.append(ov.Core().read_model(path))
    followed, other = graphs
    assert follow_input(followed, [1, 3, 6, 10]) is None
    followed.reshape([1, 3, 5, 3])
    image = np.random.default_rng(0).random((1, 3, 5, 3), np.float32)
    np.testing.assert_allclose(run(followed, image)[0], run(other, image)[0], atol=1e-5)


@pytest.mark.parametrize("version", [opset10, opset11])
def test_upsampling_to_a_size_follows_where_it_is_by_a_factor(version: Any) -> None:
    def graph(height: int, width: int, size: Sequence[int]) -> ov.Model:
        image = ops.parameter([1, 2, height, width], np.float32)
        sizes, axes = np.array(size, np.int64), np.array([2, 3])
        if version is opset10:
            scales = np.ones(2, np.float32)
            resized = version.interpolate(image, sizes, scales, "nearest", "sizes", axes=axes)
        else:
            resized = version.interpolate(image, sizes, "nearest", "sizes", axes=axes)
        return ov.Model([resized], [image])

    followed = graph(4, 6, (8, 12))
    assert follow_input(followed, [1, 2, 6, 10]) is None
    followed.reshape([1, 2, 5, 7])
    image = np.random.default_rng(0).random((1, 2, 5, 7), np.float32)
    np.testing.assert_array_equal(run(followed, image)[0], run(graph(5, 7, (10, 14)), image)[0])
    stuck = follow_input(graph(4, 6, (7, 9)), [1, 2, 6, 10])
    assert stuck is not None and stuck.get_type_name() == "Interpolate"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ([24], [80]),
        ([1, 2, 12], [1, 2, 40]),
        ([2, 2, 6], [2, 2, 20]),  # Two areas of six cells.
        ([1, 2, 1, 3, 4], [1, 2, 1, 5, 8]),
        ([1, 3, 8], None),
        ([1, 6, 4], [1, 10, 8]),
    ],
)
def test_the_axes_that_hold_a_map_of_three_by_four_grow_with_it(target: list[int], expected: list[int] | None) -> None:
    image = ops.parameter([1, 2, 3, 4], np.float32)
    graph = ov.Model([ops.reshape(image, np.array(target), special_zero=False)], [image])
    stuck = follow_input(graph, [1, 2, 5, 8])
    if expected is None:
        assert stuck is not None and stuck.get_type_name() == "Reshape"
    else:
        assert stuck is None and list(graph.outputs[0].get_shape()) == expected


@pytest.mark.parametrize("head", ["tail", "host"])
def test_yolo11_finds_the_same_in_a_rectangle(head: HeadChoice, data: Path) -> None:
    model = data / "models" / "yolo11n_openvino_model" / "yolo11n.xml"
    picture = data / "images" / "zidane.jpg"
    stock = kb.Detector(model, head="stock", shape="square", precision="f32")
    other = kb.Detector(model, head=head, shape="rect", precision="f32")
    expected, found = stock(picture), other(picture)
    assert len(expected) >= 3
    assert agree(expected, found, conf=0.4).problems(ONE_FRAME) == []
    assert other.input_hw == (384, 640)
