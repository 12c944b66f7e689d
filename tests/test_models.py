from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper
from openvino import opset13 as ops

from keepbusy import Detector
from keepbusy.errors import ConfigError, ModelError
from keepbusy.models import COCO_NAMES, load_model, load_names
from keepbusy.models.names import choose_names, names_from_value
from keepbusy.models.prepare import prepare
from tests.build import blob_graph, build_blob_model, square_picture


def test_an_ir_is_understood_without_configuration(blob_model: Path) -> None:
    model = load_model(blob_model)
    assert model.input_hw == (64, 96)
    assert (model.output.family, model.output.num_classes) == ("yolov5", 3)
    assert model.names == ("red", "green", "blue")
    ready = prepare(model).graph
    assert [int(side) for side in ready.input(0).shape] == [1, 64, 96, 3]
    assert ready.input(0).element_type == ov.Type.u8


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("input_hw", [(64, 64), (32, 128)])
def test_layout_and_size_are_recognised(tmp_path: Path, layout: str, input_hw: tuple[int, int]) -> None:
    path = build_blob_model(tmp_path / "m.xml", layout=layout, input_hw=input_hw)
    assert load_model(path).input_hw == input_hw
    found = Detector(path)(square_picture())
    assert found.name(0) == "red"


def test_a_dynamic_input_takes_the_wanted_size(tmp_path: Path) -> None:
    image = ops.parameter(ov.PartialShape([-1, 3, -1, -1]), np.float32, name="images")
    # One row a cell and anchor, from the image itself, so that the count follows the input's size.
    heads = []
    for stride in (8, 16, 32):
        means = ops.avg_pool(image, [stride, stride], [0, 0], [0, 0], [stride, stride], exclude_pad=True)
        six = ops.concat([means, means], axis=1)
        rows = ops.reshape(ops.transpose(six, np.array([0, 2, 3, 1])), np.array([0, -1, 6]), special_zero=True)
        heads += [rows, rows, rows]
    path = tmp_path / "dynamic.xml"
    ov.save_model(ov.Model([ops.concat(heads, axis=1)], [image]), path)
    assert load_model(path).input_hw == (640, 640)
    small = load_model(path, imgsz=(96, 160))
    assert small.input_hw == (96, 160)
    assert small.names == ("class 0",)


def test_a_fixed_input_refuses_another_size(blob_model: Path) -> None:
    with pytest.raises(ConfigError, match="fixed input of 64x96") as caught:
        Detector(blob_model, imgsz=(64, 64))
    assert "dynamic" in (caught.value.hint or "")


def test_onnx_with_its_metadata(tmp_path: Path) -> None:
    # 96x96: 3 x (144 + 36 + 9) = 567 rows, the same for every picture, with one box of the second class.
    rows = np.zeros((1, 567, 7), np.float32)
    rows[0, 5] = (48, 40, 20, 30, 0.9, 0.1, 0.95)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["rows", "nothing"], ["output0"]),
        ],
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 96, 96])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 567, 7])],
        [onnx.numpy_helper.from_array(rows, "rows"), onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"names": "{0: 'cat', 1: 'dog'}", "stride": "32"})
    path = tmp_path / "constant.onnx"
    onnx.save(model, path)
    found = Detector(path)(np.zeros((96, 96, 3), np.uint8))
    assert [found.name(0), *found.boxes_xyxy[0].tolist()] == ["dog", 38, 25, 58, 55]
    np.testing.assert_allclose(found.confidence, [0.9 * 0.95], rtol=1e-2)


def test_names_left_beside_the_model_by_its_exporter(tmp_path: Path) -> None:
    graph = blob_graph()
    graph.set_rt_info("", ["model_info", "labels"])
    ov.save_model(graph, tmp_path / "m.xml")
    (tmp_path / "metadata.yaml").write_text("names:\n  0: rot\n  1: grün\n  2: blau\n", encoding="utf-8")
    assert load_model(tmp_path / "m.xml").names == ("rot", "grün", "blau")


def test_names_in_order_of_trust() -> None:
    model = Path("m.xml")
    fits = {"names": ["a", "b"], "labels": "c d"}
    assert choose_names(2, given=("x", "y"), metadata=fits, model=model) == ("x", "y")
    assert choose_names(2, given=None, metadata=fits, model=model) == ("a", "b")
    assert choose_names(2, given=None, metadata={"labels": "stop_sign car"}, model=model) == ("stop sign", "car")
    assert choose_names(80, given=None, metadata=fits, model=model) == COCO_NAMES
    assert choose_names(3, given=None, metadata=fits, model=model) == ("class 0", "class 1", "class 2")
    with pytest.raises(ConfigError, match=r"1 names for m.xml, which has 2 classes"):
        choose_names(2, given=("x",), metadata=fits, model=model)


def test_names_from_any_of_their_forms() -> None:
    assert names_from_value("{1: 'b', 0: 'a'}") == ("a", "b")
    assert names_from_value(["a", "b"]) == ("a", "b")
    assert names_from_value({0: "a", 2: "c"}) == ()
    assert names_from_value("no python") == names_from_value(None) == names_from_value(3) == ()


def test_names_files(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("person\n\nstop sign \n", encoding="utf-8")
    (tmp_path / "list.yaml").write_text("path: x\nnames: [a, b]\n", encoding="utf-8")
    (tmp_path / "map.yml").write_text("names:\n  0: a\n  1: b\n", encoding="utf-8")
    (tmp_path / "none.yaml").write_text("path: x\n", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("names: [a\n", encoding="utf-8")
    assert load_names(tmp_path / "n.txt") == ("person", "stop sign")
    assert load_names(tmp_path / "list.yaml") == load_names(tmp_path / "map.yml") == ("a", "b")
    for name, words in (("none.yaml", "no class names"), ("bad.yaml", "not valid YAML"), ("missing", "cannot read")):
        with pytest.raises(ConfigError, match=words):
            load_names(tmp_path / name)


def _save(tmp_path: Path, model: ov.Model) -> Path:
    path = tmp_path / "other.xml"
    ov.save_model(model, path)
    return path


def test_what_is_no_such_model_is_refused_with_its_inputs_and_outputs(tmp_path: Path) -> None:
    image = ops.parameter([1, 3, 64, 64], np.float32, name="picture")
    image.output(0).get_tensor().set_names({"picture"})
    mean = ops.reduce_mean(image, np.array([1, 2, 3]))
    mean.output(0).get_tensor().set_names({"scores"})
    with pytest.raises(ModelError) as caught:
        load_model(_save(tmp_path, ov.Model([mean], [image])))
    assert "picture [1,3,64,64] f32" in caught.value.message
    assert "scores [1] f32" in caught.value.message
    assert "[1,25200,85]" in (caught.value.hint or "")


@pytest.mark.parametrize(("shape", "why"), [([1, 1, 64, 64], "three colour channels"), ([1, 3, 64], "four axes")])
def test_an_input_that_is_no_colour_picture_is_refused(tmp_path: Path, shape: list[int], why: str) -> None:
    image = ops.parameter(shape, np.float32)
    with pytest.raises(ModelError, match=why):
        load_model(_save(tmp_path, ov.Model([ops.relu(image)], [image])))


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    first, second = ops.parameter([1, 3, 64, 64], np.float32), ops.parameter([1, 3, 64, 64], np.float32)
    with pytest.raises(ModelError, match="2 inputs"):
        load_model(_save(tmp_path, ov.Model([ops.add(first, second)], [first, second])))


def test_a_batch_that_cannot_become_one_is_refused(tmp_path: Path) -> None:
    image = ops.parameter([2, 3, 64, 64], np.float32)
    fixed = ops.reshape(image, np.array([2, 3 * 64 * 64]), special_zero=False)
    with pytest.raises(ModelError, match="one picture of 64x64"):
        load_model(_save(tmp_path, ov.Model([fixed], [image])))


def test_damaged_and_missing_files(tmp_path: Path, blob_model: Path) -> None:
    whole = blob_model.read_bytes()
    weights = blob_model.with_suffix(".bin").read_bytes()
    cut = tmp_path / "cut.xml"
    cut.write_bytes(whole[: len(whole) // 2])
    cut.with_suffix(".bin").write_bytes(weights)
    light = tmp_path / "light.xml"
    light.write_bytes(whole)
    light.with_suffix(".bin").write_bytes(weights[: len(weights) // 2])
    lone = tmp_path / "lone.xml"
    lone.write_bytes(whole)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    weightless = tmp_path / "model.pt"
    weightless.write_bytes(b"x")
    for path, words in (
        (cut, "cannot be read as a model"),
        (light, "cannot be read as a model"),
        (lone, "lone.bin are missing"),
        (empty, "cannot be read as a model"),
        (tmp_path / "nowhere.xml", "no such model file"),
        (weightless, "is a model of PyTorch, which keepbusy does not read"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            load_model(path)
        assert caught.value.hint and "\n" not in caught.value.message
