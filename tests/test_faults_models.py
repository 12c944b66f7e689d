"""Models as exporters and people leave them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

import keepbusy as kb
from keepbusy.device_names import usable_device
from keepbusy.errors import DeviceError, FrameError, ModelError
from keepbusy.models import load_model
from tests.build import build_blob_model, square_picture


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
    "content", [b"date: 2026-13-45\n", b"names: [\n", b"\xff\xfe\x00", "names: {0: 行}".encode("gbk"), b"&a [*a" * 9]
)
def test_a_bad_file_beside_the_model_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    model = nameless(tmp_path)
    (tmp_path / "metadata.yaml").write_bytes(content)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert load_model(model).names == ("class 0", "class 1", "class 2")
    assert "metadata.yaml" in caplog.text


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
    assert "COCO's names" in caplog.text and "--names" in caplog.text
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


def test_upper_case_endings(tmp_path: Path) -> None:
    model = nameless(tmp_path)
    model.rename(tmp_path / "MODEL.XML")
    (tmp_path / "best.bin").rename(tmp_path / "MODEL.BIN")
    assert len(load_model(tmp_path / "MODEL.XML").names) == 3


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
    for name in ("GPU", "AUTO:GPU", "MULTI:GPU,NPU", "HETERO:GPU,CPU"):
        with pytest.raises(DeviceError, match="there is no"):
            usable_device(name, core)


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
        with pytest.raises(FrameError, match="shares of the input"):
            kb.Detector(tmp_path / "norm.xml", shape=shape)(data / "images" / "zidane.jpg")


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_preprocessing_inside_is_not_done_twice(data: Path, tmp_path: Path, layout: str) -> None:
    plain = data / "models" / "yolov5n.xml"
    builder = PrePostProcessor(ov.Core().read_model(plain))
    tensor = builder.input().tensor()
    tensor.set_element_type(ov.Type.u8).set_layout(ov.Layout(layout)).set_color_format(ColorFormat.BGR)
    builder.input().model().set_layout(ov.Layout("NCHW"))
    steps = builder.input().preprocess()
    steps.convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
    ov.save_model(builder.build(), tmp_path / "u8.xml")
    expected = kb.Detector(plain, shape="square", precision="f32")(data / "images" / "zidane.jpg")
    found = kb.Detector(tmp_path / "u8.xml", shape="square", precision="f32")(data / "images" / "zidane.jpg")
    assert found.class_id.tolist() == expected.class_id.tolist()
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=2)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.02)
