"""Metadata that contradicts its graph: the graph decides, and one line says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
import pytest

import keepbusy as kb
from keepbusy.models import load_model
from keepbusy.models.saved_form import SECTION
from keepbusy.values.forms import Task
from tests.graphs import concat, constant, image_input, save

Suffix = Literal[".xml", ".onnx"]

INPUT_HW = (64, 96)
NUM_CELLS = 8 * 12 + 4 * 6 + 2 * 3
NUM_CELLS_P6 = NUM_CELLS + 1 * 2
INPUT_HW_P6, CELLS_P6 = (64, 128), 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2


def exported(
    folder: Path,
    suffix: Suffix,
    notes: str,
    parts: Sequence[int] = (4, 3),
    *,
    num_cells: int = NUM_CELLS,
    input_hw: tuple[int, int] = INPUT_HW,
    num_prototypes: int = 0,
    sides: tuple[Any, Any] | None = None,
) -> Path:
    """A model of rows that are put together from parts, with its exporter's `metadata.yaml` beside it."""
    rng = np.random.default_rng(1)
    values = [rng.random((1, width, num_cells), np.float32) * (1 if index else 30) for index, width in enumerate(parts)]
    protos = np.zeros((1, num_prototypes, input_hw[0] // 4, input_hw[1] // 4), np.float32)
    path = folder / f"best{suffix}"
    (folder / "metadata.yaml").write_text(notes)
    if suffix == ".xml":
        image, zero = image_input(input_hw)
        outputs = [concat([constant(value, zero) for value in values], 1)]
        return save(path, image, [*outputs, *([constant(protos, zero)] if num_prototypes else [])])
    return _as_onnx(path, values, protos if num_prototypes else None, list(sides or input_hw))


def _as_onnx(path: Path, values: Sequence[Any], protos: Any, sides: list[Any]) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0)]
    nodes.append(helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    given = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    for index, value in enumerate(values):
        given.append(numpy_helper.from_array(value, f"v{index}"))
        nodes.append(helper.make_node("Add", [f"v{index}", "nothing"], [f"p{index}"]))
    nodes.append(helper.make_node("Concat", [f"p{index}" for index in range(len(values))], ["output0"], axis=1))
    shape = [1, sum(value.shape[1] for value in values), values[0].shape[2]]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)]
    if protos is not None:
        given.append(numpy_helper.from_array(protos, "protos"))
        nodes.append(helper.make_node("Add", ["protos", "nothing"], ["output1"]))
        outputs.append(helper.make_tensor_value_info("output1", TensorProto.FLOAT, list(protos.shape)))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *sides])
    graph = helper.make_graph(nodes, "rows", [image], outputs, given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


NAMES = "names: {0: a, 1: b, 2: c}\n"
FITTING = f"task: detect\nstride: 32\nimgsz: [64, 96]\nbatch: 1\n{NAMES}"


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keepbusy")


@pytest.fixture(params=[".xml", ".onnx"])
def suffix(request: pytest.FixtureRequest) -> Suffix:
    found: Suffix = request.param
    return found


def test_metadata_that_fits_is_silent(tmp_path: Path, suffix: Suffix, caplog: pytest.LogCaptureFixture) -> None:
    model = load_model(exported(tmp_path, suffix, FITTING))
    assert (model.output.family, model.output.task, model.names) == ("yolov8", "detect", ("a", "b", "c"))
    assert warned(caplog) == []


@pytest.mark.parametrize(
    ("notes", "parts", "options", "task", "words"),
    [
        (
            "task: pose\nkpt_shape: [17, 3]\n",
            (4, 60),
            {},
            "detect",
            "says that its task is pose, its outputs are detect",
        ),
        ("task: pose\n", (4, 3), {}, "detect", "says that its task is pose, its outputs are detect"),
        ("task: obb\n", (4, 3), {}, "detect", "says that its task is obb, its outputs are detect"),
        ("task: segment\n", (4, 3), {}, "detect", "says that its task is segment, its outputs are detect"),
        ("task: classify\n", (4, 3), {}, "detect", "says that its task is classify, its outputs are detect"),
        ("task: detect\n", (4, 3, 4), {"num_prototypes": 4}, "segment", "its task is detect, its outputs are segment"),
        ("task: pose\n", (4, 3, 4), {"num_prototypes": 4}, "segment", "its task is pose, its outputs are segment"),
        (
            "task: detect\nkpt_shape: [5, 3]\n",
            (4, 3, 15),
            {},
            "pose",
            "says that its task is detect, its outputs are pose",
        ),
        ("task: obb\n", (4, 3, 15), {}, "pose", "says that its task is obb, its outputs are pose"),
        ("task: pose\n", (4, 3, 1), {}, "obb", "says that its task is pose, its outputs are obb"),
        ("task: pose\nkpt_shape: [17, 3]\n", (4, 3, 15), {}, "pose", "says 17x3 keypoints, its outputs have 5x3"),
        ("imgsz: [320, 320]\n", (4, 3), {}, "detect", "says an input of 320x320, its own is 64x96"),
        ("imgsz: 96\n", (4, 3), {}, "detect", "says an input of 96x96, its own is 64x96"),
        ("stride: 64\n", (4, 3), {}, "detect", "says a stride of 64, its coarsest cells have 32"),
        (
            "stride: 32\n",
            (4, 3),
            {"num_cells": CELLS_P6, "input_hw": INPUT_HW_P6},
            "detect",
            "says a stride of 32, its coarsest cells have 64",
        ),
        (
            "task: obb\nstride: 64\nimgsz: 640\n",
            (4, 3),
            {},
            "detect",
            "obb, its outputs are detect; says an input of 640x640, its own is 64x96; says a stride of 64, its",
        ),
    ],
)
def test_the_graph_decides_and_one_line_says_so(
    tmp_path: Path,
    suffix: Suffix,
    notes: str,
    parts: tuple[int, ...],
    options: Any,
    task: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = "names: {" + ", ".join(f"{index}: n{index}" for index in range(parts[1])) + "}\n"
    path = exported(tmp_path, suffix, notes + names, parts, **options)
    model = load_model(path)
    assert model.output.task == task and model.output.num_classes == len(model.names) == parts[1]
    assert model.names[0] == "n0"
    lines = warned(caplog)
    assert len(lines) == 1 and lines[0].startswith(f"best{suffix}: its metadata says") and words in lines[0], lines
    assert lines[0].endswith(": the graph decides")
    caplog.clear()
    kb.Detector(path)(np.zeros((*model.input_hw, 3), np.uint8))
    assert [line for line in warned(caplog) if "metadata" in line] == lines


@pytest.mark.parametrize(("num_names", "num_classes"), [(2, 3), (4, 3), (1, 3), (3, 80), (79, 80), (81, 80)])
def test_names_that_do_not_fit_are_one_line(
    tmp_path: Path, suffix: Suffix, num_names: int, num_classes: int, caplog: pytest.LogCaptureFixture
) -> None:
    notes = "task: detect\nnames: {" + ", ".join(f"{index}: n{index}" for index in range(num_names)) + "}\n"
    model = load_model(exported(tmp_path, suffix, notes, (4, num_classes)))
    assert model.output.num_classes == len(model.names) == num_classes
    assert model.names[0] == ("person" if num_classes == 80 else "class 0")
    lines = warned(caplog)
    assert len(lines) == 1 and f"its {num_names} class names do not fit its {num_classes} classes" in lines[0]
    assert ("COCO's names" in lines[0]) == (num_classes == 80)


def test_a_users_word_is_no_contradiction(tmp_path: Path, suffix: Suffix, caplog: pytest.LogCaptureFixture) -> None:
    path = exported(tmp_path, suffix, f"task: pose\nkpt_shape: [5, 3]\n{NAMES}", (4, 3, 15))
    assert load_model(path, task="detect").output.task == "detect"
    assert [line.partition(": ")[2] for line in warned(caplog)] == [
        "read as detect, as `task` says, though its metadata says pose: boxes only"
    ]
    caplog.clear()
    path = exported(tmp_path, suffix, "task: detect\nnames: [x]\n")
    assert load_model(path, names=("a", "b", "c")).names == ("a", "b", "c")
    assert warned(caplog) == []


@pytest.mark.parametrize(
    "notes", ["imgsz: big\n", "stride: none\n", "stride: [8, 16]\n", "imgsz: []\n", "stride: -1\n"]
)
def test_what_says_nothing_contradicts_nothing(
    tmp_path: Path, suffix: Suffix, notes: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_model(exported(tmp_path, suffix, notes + NAMES)).output.task == "detect"
    assert warned(caplog) == []


def test_a_segmenters_rows_without_prototypes_are_no_poses(tmp_path: Path, suffix: Suffix) -> None:
    path = exported(tmp_path, suffix, f"task: segment\n{NAMES}", (4, 3, 32))
    with pytest.raises(kb.ModelError, match="masks need a second output"):
        load_model(path)
    # Who took the masks off on purpose and says so has boxes.
    model = load_model(exported(tmp_path, suffix, f"task: detect\n{NAMES}", (4, 3, 32)))
    assert (model.output.task, model.output.num_classes) == ("detect", 3)


def test_what_keepbusy_has_rewritten_is_as_it_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from keepbusy.embedded import embedded_model
    from keepbusy.models.head import find_head
    from keepbusy.optimize.rewrite import rewritten_graph

    model = load_model(embedded_model())
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    graph = rewritten_graph(model, head, (128, 192))
    graph.set_rt_info("640", ["model_info", "imgsz"])
    assert graph.has_rt_info([SECTION])
    ov.save_model(graph, tmp_path / "own.xml", compress_to_fp16=False)
    caplog.clear()
    assert load_model(tmp_path / "own.xml").input_hw == (128, 192)
    assert warned(caplog) == []


def test_a_task_that_nothing_but_the_user_says_is_warned_of(blob_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Its graph does not show where the classes end: their three numbers can be read as one class and a point.
    assert load_model(blob_model, task="pose").output.task == "pose"
    (line,) = [record for record in caplog.records if "as `task` says" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert line.getMessage().endswith("though it looks like detect: what is found may mean nothing")
    caplog.clear()
    load_model(blob_model, task="detect")
    load_model(blob_model)
    assert not [record for record in caplog.records if "as `task` says" in record.getMessage()]


@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify"])
@pytest.mark.parametrize("name", ["yolov8n_openvino_model", "yolo11n_openvino_model", "yolov5n.xml"])
def test_a_detector_is_not_read_as_anything_else(data: Path, name: str, task: Task) -> None:
    with pytest.raises(kb.ConfigError, match=f"`task` {task}: .* has no such output") as caught:
        load_model(data / "models" / name, task=task)
    assert caught.value.hint is not None and ", detect: leave `task` out" in caught.value.hint
