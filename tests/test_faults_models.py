"""Models as exporters and people leave them."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

import keepbusy as kb
from keepbusy.device.names import usable_device
from keepbusy.embedded import embedded_model
from keepbusy.errors import ConfigError, DeviceError, FrameError, ModelError
from keepbusy.files.paths import check_outputs
from keepbusy.models import load_model
from keepbusy.models.files import model_files
from keepbusy.models.names import choose_names, load_names
from keepbusy.models.opsets import highest_opset
from keepbusy.models.store import find_model
from keepbusy.values.forms import FAMILIES, Task
from tests.build import blob_graph, build_blob_model, square_picture
from tests.graphs import onnx_model


def nameless(folder: Path, name: str = "best.xml") -> Path:
    """The blob detector without class names inside."""
    folder.mkdir(parents=True, exist_ok=True)
    path = build_blob_model(folder / name)
    path.write_text(path.read_text().replace('value="red green blue"', 'value=""'))
    return path


@pytest.mark.parametrize("name", ["best.yaml", "best.yml", "metadata.yaml"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stride: 32\nnames: {0: worker, 1: necktie, 2: hat}\n", ("worker", "necktie", "hat")),
        ("names: [yes, no, on]\n", ("yes", "no", "on")),
        ("names: {0: 007, 1: 1.10, 2: null}\n", ("007", "1.10", "null")),
        ("names: {1: a, 2: b, 3: c}\n", ("a", "b", "c")),
        ("- yes\n- b\n- 010\n", ("yes", "b", "010")),
        ("names: a, b, c\n", ("a", "b", "c")),
        ("labels: a b hard_hat\n", ("a", "b", "hard hat")),
        ("labels: [a, no, c]\n", ("a", "no", "c")),
        ("\ufeffnames:\n- 行人\n- b\n- c\n", ("行人", "b", "c")),
    ],
)
def test_names_beside_the_model_are_taken_as_written(
    tmp_path: Path, name: str, text: str, expected: tuple[str, ...]
) -> None:
    model = nameless(tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_model(model).names == expected


@pytest.mark.parametrize(
    "content",
    [
        b"names: [\n",
        b"\xff\xfe\x00",
        "names: {0: 行}".encode("gbk"),
        b"&a [*a" * 9,
        b"",
        b"worker",
    ],
)
def test_a_bad_file_beside_the_model_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    model = nameless(tmp_path)
    (tmp_path / "metadata.yaml").write_bytes(content)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(model).names == ("class 0", "class 1", "class 2")
    assert "metadata.yaml" in caplog.text


def test_an_impossible_date_does_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = nameless(tmp_path)
    (tmp_path / "metadata.yaml").write_text("date: 2026-13-45\nnames: {0: a, 1: b, 2: c}\n")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(model).names == ("a", "b", "c")
    assert not caplog.records


def test_names_that_do_not_fit_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = nameless(tmp_path)
    (tmp_path / "best.yaml").write_text("names: [a, b]\n")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(model).names[0] == "class 0"
    assert "do not fit" in caplog.text


def test_cocos_names_are_never_given_silently(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copy(data / "models" / f"yolov5n{suffix}", tmp_path / f"best{suffix}")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(tmp_path / "best.xml").names[0] == "person"
    assert "COCO's names" in caplog.text and "`names=`" in caplog.text
    (tmp_path / "best.yaml").write_text("names: {" + ", ".join(f"{i}: part-{i}" for i in range(80)) + "}\n")
    caplog.clear()
    assert load_model(tmp_path / "best.xml").names[:2] == ("part-0", "part-1")
    assert "COCO" not in caplog.text


def test_an_exporters_folder_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "best_openvino_model"
    nameless(folder)
    (folder / "metadata.yaml").write_text("names: {0: a, 1: b, 2: c}\n")
    detector = kb.Detector(folder)
    assert detector.names == ("a", "b", "c") and len(detector(square_picture()))
    nameless(folder, "other.xml")
    with pytest.raises(ModelError, match=r"several models: best\.xml, other\.xml"):
        kb.Detector(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="without a model"):
        kb.Detector(tmp_path / "empty")


@pytest.mark.parametrize(
    ("model", "weights", "notes"),
    [
        ("MODEL.XML", "MODEL.BIN", "MODEL.YAML"),
        ("model.xml", "model.BIN", "Metadata.yaml"),
        ("Model.Xml", "Model.Bin", "model.Yml"),
        ("Model.xml", "model.bin", "METADATA.YAML"),
    ],
)
def test_files_of_a_model_in_any_case(tmp_path: Path, model: str, weights: str, notes: str) -> None:
    nameless(tmp_path).rename(tmp_path / model)
    (tmp_path / "best.bin").rename(tmp_path / weights)
    (tmp_path / notes).write_text("names: [a, b, c]\n")
    assert load_model(tmp_path / model).names == ("a", "b", "c")
    outputs = {"--json": tmp_path / weights}
    with pytest.raises(ConfigError, match=re.escape(weights)):
        check_outputs(outputs, model_files(tmp_path / model))


@pytest.mark.parametrize(
    ("text", "expected"), [("names: person\n", ("person",)), ("names: a, b\n", ("a", "b")), ("- yes\n", ("yes",))]
)
def test_names_of_a_yaml_file_as_people_write_it(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert load_names(tmp_path / "data.yaml") == expected


def test_the_name_of_the_only_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert choose_names(1, given=None, metadata={"names": "hard hat"}, model=tmp_path) == ("hard hat",)
    assert choose_names(2, given=None, metadata={"names": "hard hat"}, model=tmp_path) == ("class 0", "class 1")
    assert "do not fit" in caplog.text


def test_a_list_of_devices_is_a_wish(caplog: pytest.LogCaptureFixture) -> None:
    core = ov.Core()
    if any(name.startswith(("GPU", "NPU")) for name in core.available_devices):
        pytest.skip("this machine has the devices that are to be missing")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert usable_device("AUTO:GPU,CPU", core) == "AUTO:CPU"
        assert usable_device("AUTO:GPU(2),CPU", core) == "AUTO:CPU"
        assert usable_device("MULTI:GPU,NPU,CPU", core) == "MULTI:CPU"
    assert caplog.text.count("left out") == 3
    assert usable_device("AUTO:-GPU", core) == "AUTO"
    assert usable_device("AUTO", core) == "AUTO" and usable_device("CPU", core) == "CPU"
    assert usable_device("cpu", core) == "CPU" and usable_device("auto:gpu,cpu", core) == "AUTO:CPU"
    for name in ("GPU", "AUTO:GPU", "MULTI:GPU,NPU", "HETERO:GPU,CPU", "AUTO:XYZ,CPU", "AUTO:-GPPU", "GPPU"):
        with pytest.raises(DeviceError, match="there is no"):
            usable_device(name, core)
    with pytest.raises(DeviceError, match="no device is left"):
        usable_device("AUTO:-CPU", core)


def test_a_run_on_a_list_of_devices(blob_model: Path) -> None:
    assert len(kb.Detector(blob_model, "AUTO:GPU,CPU")(square_picture()))


def test_boxes_as_shares_of_the_input_are_refused(data: Path, tmp_path: Path) -> None:
    graph = ov.Core().read_model(data / "models" / "yolov5n.xml")
    factor = np.ones((1, 1, 85), np.float32)
    factor[..., :4] = 1 / 640
    result = graph.get_results()[0]
    scaled = ops.multiply(result.input_value(0), ops.constant(factor))
    shares = ov.Model([scaled], graph.get_parameters(), "shares")
    ov.save_model(shares, tmp_path / "norm.xml")
    for shape in ("square", "auto"):
        with pytest.raises(FrameError, match="shares of the input") as caught:
            kb.Detector(tmp_path / "norm.xml", shape=shape)(data / "images" / "zidane.jpg")
        assert caught.value.hint is not None and "export the model again" in caught.value.hint


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n-pose", "yolo11n_int8"])
def test_shares_in_other_families_are_refused(data: Path, tmp_path: Path, name: str) -> None:
    file = name.removesuffix("_int8")
    graph = ov.Core().read_model(data / "models" / f"{name}_openvino_model" / f"{file}.xml")
    graph.reshape([1, 3, 640, 640])
    result = graph.get_results()[0]
    factor = np.ones((1, result.input_value(0).get_shape()[1], 1), np.float32)
    factor[:, :4] = 1 / 640
    if "pose" in name:
        factor[:, 5:] = np.resize([1 / 640, 1 / 640, 1], 51).reshape(1, 51, 1)
    scaled = ops.multiply(result.input_value(0), ops.constant(factor))
    shares = ov.Model([scaled], graph.get_parameters(), "shares")
    ov.save_model(shares, tmp_path / "norm.xml")
    options = {"task": "pose", "family": "yolov8"} if "pose" in name else {}
    with pytest.raises(FrameError, match="shares of the input"):
        kb.Detector(tmp_path / "norm.xml", **options)(data / "images" / "zidane.jpg")  # type: ignore[arg-type]


def test_numbers_that_are_no_confidences_are_refused(data: Path, tmp_path: Path) -> None:
    graph = ov.Core().read_model(data / "models" / "yolov5n.xml")
    factor = np.ones((1, 1, 85), np.float32)
    factor[..., 4:] = 10
    result = graph.get_results()[0]
    scaled = ops.multiply(result.input_value(0), ops.constant(factor))
    ov.save_model(ov.Model([scaled], graph.get_parameters(), "large"), tmp_path / "large.xml")
    with pytest.raises(FrameError, match=r"a confidence is [0-9.]+, and 0 to 1 is expected") as caught:
        kb.Detector(tmp_path / "large.xml")(data / "images" / "zidane.jpg")
    assert caught.value.hint is not None and "`family` and `task`" in caught.value.hint


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n-pose"])
def test_no_word_of_the_user_makes_nonsense(data: Path, name: str) -> None:
    model = data / "models" / f"{name}_openvino_model"
    own = "pose" if "pose" in name else "detect"
    for family in (None, *FAMILIES):
        for task in (None, *get_args(Task)):
            if family in (None, "yolov8") and task in (None, own, "detect"):
                continue
            with pytest.raises(ConfigError, match="has no such output") as caught:
                load_model(model, family=family, task=task)
            assert f"it is read as yolov8, {own}" in (caught.value.hint or ""), (family, task)


def preprocessed(source: Path, target: Path, *, number: str, colours: str, is_scaled: bool) -> Path:
    """A model with preprocessing compiled into it, as people do it for cameras."""
    graph = ov.Core().read_model(source)
    graph.reshape([1, 3, 640, 640])
    builder = PrePostProcessor(graph)
    tensor = builder.input().tensor()
    tensor.set_element_type(getattr(ov.Type, number)).set_layout(ov.Layout("NHWC" if number == "u8" else "NCHW"))
    tensor.set_color_format(getattr(ColorFormat, colours))
    builder.input().model().set_layout(ov.Layout("NCHW"))
    steps = builder.input().preprocess()
    steps.convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB)
    if is_scaled:
        steps.scale(255.0)
    ov.save_model(builder.build(), target)
    return target


@functools.cache
def as_exported(plain: Path, picture: Path) -> kb.Detections:
    return kb.Detector(plain, head="stock", shape="square", precision="f32")(picture)


def see_same_detections(model: Path, plain: Path, picture: Path) -> None:
    # Named heads: to measure which one is the fastest takes longer than the rest.
    expected = as_exported(plain, picture)
    found = kb.Detector(model, head="host", shape="square", precision="f32")(picture)
    assert found.class_id.tolist() == expected.class_id.tolist() and len(found)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=2)
    # A network that rounds its activations carries on each that comes to lie on the other side of a step.
    atol = 0.05 if "int8" in str(plain) else 0.02
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=atol)


@pytest.mark.parametrize(
    ("name", "number", "colours", "is_scaled"),
    [
        ("yolov5n", "u8", "BGR", True),
        ("yolov5n", "u8", "RGB", True),
        ("yolov5n", "u8", "BGR", False),
        ("yolov5n", "u8", "RGB", False),
        ("yolov5n", "f32", "BGR", True),
        ("yolov5n", "f32", "RGB", True),
        ("yolov8n_openvino_model/yolov8n", "u8", "BGR", True),
        ("yolov8n_openvino_model/yolov8n", "u8", "RGB", False),
        ("yolov8n_openvino_model/yolov8n", "f32", "BGR", True),
        ("yolo11n_int8_openvino_model/yolo11n", "u8", "BGR", True),
        ("yolo11n_int8_openvino_model/yolo11n", "u8", "RGB", False),
        ("yolo11n_int8_openvino_model/yolo11n", "f32", "BGR", True),
    ],
)
def test_preprocessing_inside_is_found_and_not_done_twice(
    data: Path, tmp_path: Path, name: str, number: str, colours: str, is_scaled: bool
) -> None:
    plain = data / "models" / f"{name}.xml"
    model = preprocessed(plain, tmp_path / "inside.xml", number=number, colours=colours, is_scaled=is_scaled)
    see_same_detections(model, plain, data / "images" / "zidane.jpg")


def test_colours_that_are_turned_inside_a_float_model_are_suspected_and_can_be_said(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = data / "models" / "yolov5n.xml"
    model = preprocessed(plain, tmp_path / "inside.xml", number="f32", colours="BGR", is_scaled=False)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        load_model(model)
    assert "reverse_input_channels: false" in caplog.text
    caplog.clear()
    (tmp_path / "inside.yaml").write_text("reverse_input_channels: false\n")
    see_same_detections(model, plain, data / "images" / "zidane.jpg")
    assert "reverse_input_channels" not in caplog.text


@pytest.mark.parametrize("name", ["yolov8n_openvino_model", "yolov8n_int8_openvino_model", "yolo11n_openvino_model"])
def test_colours_that_are_turned_against_the_metadata_are_suspected(
    data: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain = next((data / "models" / name).glob("*.xml"))
    model = preprocessed(plain, tmp_path / "inside.xml", number="f32", colours="BGR", is_scaled=False)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        load_model(plain)
        assert "looks as if" not in caplog.text
        load_model(model)
    assert "looks as if it took blue, green, red; it is given red, green, blue, as its metadata say" in caplog.text


def test_colours_that_nothing_shows_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = preprocessed(embedded_model(), tmp_path / "inside.xml", number="u8", colours="RGB", is_scaled=True)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(model).input.is_bgr
    assert "reverse_input_channels: true" in caplog.text
    caplog.clear()
    (tmp_path / "inside.yaml").write_text("reverse_input_channels: true\n")
    assert not load_model(model).input.is_bgr
    assert not caplog.text


def folded_model(source: Path, target: Path, *, number: str) -> Path:
    """A model with ÷ 255 and the reversal of colours put into its first convolution."""
    graph = ov.Core().read_model(source)
    parameter = graph.get_parameters()[0]
    convolution = next(node for node in graph.get_ordered_ops() if node.get_type_name() == "Convolution")
    weights = convolution.input_value(1).get_node()
    while weights.get_type_name() != "Constant":
        weights = weights.input_value(0).get_node()
    folded = ops.constant((np.asarray(weights.get_data(), np.float32)[:, ::-1] / 255).astype(np.float32))
    convolution.input(1).replace_source_output(folded.output(0))
    if number == "u8":
        users = list(parameter.output(0).get_target_inputs())
        parameter.set_element_type(ov.Type.u8)
        floats = ops.convert(parameter, "f32")
        for user in users:
            user.replace_source_output(floats.output(0))
    graph.validate_nodes_and_infer_types()
    ov.save_model(graph, target, compress_to_fp16=False)
    return target


@pytest.mark.parametrize("number", ["u8", "f32"])
def test_preprocessing_that_is_folded_into_the_first_convolution_is_found(
    data: Path, tmp_path: Path, number: str
) -> None:
    plain = data / "models" / "yolov5n.xml"
    see_same_detections(folded_model(plain, tmp_path / "folded.xml", number=number), plain, data / "images/zidane.jpg")


@pytest.fixture
def fixed_inside(data: Path, tmp_path: Path) -> Path:
    """An input of any size in front of sizes that are fixed: what `ovc --input [-1,3,-1,-1]` makes of YOLOv5."""
    graph = ov.Core().read_model(data / "models" / "yolov5n.xml")
    graph.reshape([-1, 3, -1, -1])
    ov.save_model(graph, tmp_path / "any.xml")
    return tmp_path / "any.xml"


@pytest.mark.parametrize(("shape", "head"), [("auto", "auto"), ("rect", "stock"), ("square", "tail")])
def test_sizes_fixed_behind_an_input_of_any_size(data: Path, fixed_inside: Path, shape: str, head: str) -> None:
    plain = data / "models" / "yolov5n.xml"
    options = {"shape": shape, "head": head, "precision": "f32"}
    expected = kb.Detector(plain, **options)(data / "images" / "zidane.jpg")  # type: ignore[arg-type]
    found = kb.Detector(fixed_inside, **options)(data / "images" / "zidane.jpg")  # type: ignore[arg-type]
    assert found.class_id.tolist() == expected.class_id.tolist() and len(found)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1)


def test_another_size_than_the_one_fixed_inside_is_refused(data: Path, fixed_inside: Path) -> None:
    with pytest.raises(ConfigError, match="fixed input of 640x640"):
        kb.Detector(fixed_inside, imgsz=(320, 320), head="stock")(data / "images" / "zidane.jpg")


def test_a_size_fixed_inside_that_is_not_the_default_is_found(tmp_path: Path) -> None:
    graph = blob_graph(input_hw=(416, 416))
    rows = ops.reshape(graph.get_results()[0].input_value(0), np.array([1, 3 * (52**2 + 26**2 + 13**2), 8]), False)
    graph = ov.Model([rows], graph.get_parameters(), "blob")
    graph.reshape([-1, 3, -1, -1])
    ov.save_model(graph, tmp_path / "any.xml")
    assert load_model(tmp_path / "any.xml").input_hw == (416, 416)


def test_names_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    content = onnx_model(400, seed=1)
    for name in (b"weights", b"output"):
        model = tmp_path / "model.onnx"
        model.write_bytes(content.replace(name, b"\xb4\xff" + name[2:]))
        with pytest.raises(ModelError, match="cannot be read as a model"):
            load_model(model)
    model = build_blob_model(tmp_path / "blob.xml")
    text = model.read_bytes()
    place = text.index(b'name="') + 6
    model.write_bytes(text[:place] + b"\xb4\xff" + text[place:])
    with contextlib.suppress(ModelError):
        load_model(model)
    model.write_bytes(text.replace(b'type="Convolution"', b'type="Convolution" ', 1).replace(b'name="', b'name="\xb4'))
    with pytest.raises(ModelError, match="cannot be read as a model"):
        load_model(model)


def test_an_operator_set_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_model(400, seed=1))
    assert highest_opset(path) == 13
    model = onnx.load(path)
    model.opset_import[0].version = 2147483647
    onnx.save(model, path)
    assert highest_opset(path) == 2147483647
    with pytest.raises(ModelError, match="names version 2147483647 of an operator set, which there is not"):
        load_model(path)
    for content in (b"", b"\xff" * 50, b"B\x02\x10", b"B\xff\xff\x03\x10\x01"):
        path.write_bytes(content)
        assert highest_opset(path) == 0


def test_an_onnx_file_that_is_too_large_to_be_one_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.ONNX"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    monkeypatch.setattr("keepbusy.models.load.unknown_opset", lambda _: pytest.fail("it was read"))
    for refuse in (load_model, find_model, kb.Detector):
        with pytest.raises(ModelError, match="has 2 GiB, and an ONNX file has less than 2 GiB") as caught:
            refuse(path)
        assert caught.value.hint is not None and "external data" in caught.value.hint
