"""What a graph is taken for: by shapes, by its last layers, by its metadata, by the user's word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset8
from openvino import opset13 as ops

from keepbusy.errors import ConfigError, ModelError
from keepbusy.models.outputs import recognise_output
from keepbusy.models.outputs.recognise import RULES_OF
from keepbusy.models.pixels import IMAGENET_MEAN, IMAGENET_SCALE, pixels_of
from keepbusy.values.forms import FAMILIES, InputForm, OutputForm
from tests.graphs import concat, constant, dynamic_rows, image_input

HW = (640, 640)
Node = Any
Build = Callable[[Node], Node]
Spec = tuple[str, "Sequence[int] | Build"]

COCO_POSE = {"task": "pose", "names": "{0: 'person'}", "kpt_shape": "[17, 3]"}
NAMES_2 = {"names": ["a", "b"]}
NAMES_80 = {"names": {index: f"n{index}" for index in range(80)}}


def flat(*shape: int, of: str = "f32") -> Build:
    """An output of a shape, with nothing in its graph that would tell what it is."""

    def build(zero: Node) -> Node:
        node = ops.broadcast(zero, np.array(shape))
        return node if of == "f32" else ops.convert(node, of)

    return build


def joined(*shapes: tuple[int, ...], axis: int, first: str = "", last: str = "") -> Build:
    """An output put together from parts; the first and the last one behind a layer."""

    def build(zero: Node) -> Node:
        parts = [ops.broadcast(zero, np.array(shape)) for shape in shapes]
        parts[0] = getattr(ops, first)(parts[0]) if first else parts[0]
        parts[-1] = getattr(ops, last)(parts[-1]) if last else parts[-1]
        return concat(parts, axis)

    return build


def behind(layer: str, *shape: int) -> Build:
    return lambda zero: getattr(ops, layer)(ops.broadcast(zero, np.array(shape)), *([1] if layer == "softmax" else []))


def with_exponential(cells: int, width: int) -> Build:
    def build(zero: Node) -> Node:
        offset, rest = (ops.broadcast(zero, np.array((1, cells, part))) for part in (2, width - 4))
        return concat([offset, ops.exp(offset), rest], 2)

    return build


def with_angle(cells: int, width: int) -> Build:
    def build(zero: Node) -> Node:
        box = ops.broadcast(ops.sin(zero), np.array((1, width, cells)))
        return ops.multiply(box, np.float32(2))

    return build


def some_rows(width: int, score: int, *, axes: int = 2) -> Build:
    def build(zero: Node) -> Node:
        rows = dynamic_rows(np.ones((9, width), np.float32), score, zero)
        return rows if axes == 2 else ops.unsqueeze(rows, np.array(0))

    return build


def make_graph(outputs: Sequence[Spec], input_hw: tuple[int, int] = HW) -> ov.Model:
    image, zero = image_input(input_hw)
    nodes = []
    for name, what in outputs:
        node = what(zero) if callable(what) else ops.broadcast(zero, np.array(what))
        node.output(0).get_tensor().set_names({name})
        nodes.append(node)
    return ov.Model(nodes, [image])


def recognise(
    outputs: Sequence[Spec],
    metadata: Mapping[str, Any] | None = None,
    path: str = "m.xml",
    input_hw: tuple[int, int] = HW,
    **words: Any,
) -> OutputForm:
    return recognise_output(make_graph(outputs, input_hw), input_hw, metadata or {}, path, **words)


PROTO: Spec = ("output1", (1, 32, 160, 160))
HEADS_5D: list[Spec] = [(f"head{side}", (1, 3, side, side, 85)) for side in (40, 80, 20)]
HEADS_4D: list[Spec] = [(f"head{side}", (1, 255, side, side)) for side in (80, 40, 20)]

# outputs, metadata, then what they are: family, task, classes, and a word of the doubt ("" for none).
TABLE: dict[str, tuple[Sequence[Spec], Mapping[str, Any], tuple[str, str, int], str]] = {
    "YOLOv5's own export": ([("o", (1, 25200, 85))], {}, ("yolov5", "detect", 80), ""),
    "YOLOv5 that Model API calls by its name": (
        [("o", (1, 25200, 85))],
        {"model_type": "YOLOv5"},
        ("yolov5", "detect", 80),
        "",
    ),
    "YOLOv5 with its heads beside it": ([*HEADS_5D, ("o", (1, 25200, 85))], {}, ("yolov5", "detect", 80), ""),
    "YOLOv5 segmentation": ([("o", (1, 25200, 117)), PROTO], {}, ("yolov5", "segment", 80), ""),
    "YOLOv5 with other names": ([("o", (1, 25200, 85))], NAMES_2, ("yolov5", "detect", 80), "names 2 classes"),
    "YOLOv7 pose": ([("o", (1, 25200, 57))], {"task": "pose"}, ("yolov5", "pose", 1), ""),
    "heads": (HEADS_5D, {}, ("yolov5-raw", "detect", 80), "YOLOv7's differ"),
    "heads as convolved": (HEADS_4D, {}, ("yolov5-raw", "detect", 80), "YOLOv7's differ"),
    "heads with their anchors": (
        HEADS_5D,
        {"anchors": "[[1,2,3,4,5,6],[7,8,9,10,11,12],[13,14,15,16,17,18]]"},
        ("yolov5-raw", "detect", 80),
        "",
    ),
    "heads and prototypes": (
        [*((f"h{side}", (1, 3 * 117, side, side)) for side in (80, 40, 20)), PROTO],
        {},
        ("yolov5-raw", "segment", 80),
        "YOLOv7's differ",
    ),
    "YOLOv8": ([("o", joined((1, 4, 8400), (1, 80, 8400), axis=1))], {}, ("yolov8", "detect", 80), ""),
    "YOLOv8 by its shape alone": ([("o", (1, 84, 8400))], {}, ("yolov8", "detect", 80), ""),
    "YOLOv8 called YOLOv5 by Model API": (
        [("o", (1, 84, 8400))],
        {"model_type": "YOLOv5"},
        ("yolov8", "detect", 80),
        "",
    ),
    "YOLOv8 P6": ([("o", (1, 84, 8500))], {}, ("yolov8", "detect", 80), ""),
    "YOLOv8 P2": ([("o", (1, 84, 34000))], {}, ("yolov8", "detect", 80), ""),
    "YOLOv8 segmentation": ([("o", (1, 116, 8400)), PROTO], {}, ("yolov8", "segment", 80), ""),
    "pose, said": ([("o", (1, 56, 8400))], COCO_POSE, ("yolov8", "pose", 1), ""),
    "pose, with more classes than names": (
        [("o", (1, 135, 8400))],
        COCO_POSE,
        ("yolov8", "pose", 80),
        "names 1 classes",
    ),
    "pose, by its graph": (
        [("o", joined((1, 4, 8400), (1, 1, 8400), (1, 51, 8400), axis=1))],
        {},
        ("yolov8", "pose", 1),
        "",
    ),
    "52 classes, by its graph": (
        [("o", joined((1, 4, 8400), (1, 52, 8400), axis=1))],
        {},
        ("yolov8", "detect", 52),
        "",
    ),
    "pose or 52 classes": ([("o", (1, 56, 8400))], {}, ("yolov8", "pose", 1), "52 classes"),
    "52 classes, said": ([("o", (1, 56, 8400))], {"task": "detect"}, ("yolov8", "detect", 52), ""),
    "52 classes, by their names": (
        [("o", (1, 56, 8400))],
        {"names": [str(index) for index in range(52)]},
        ("yolov8", "detect", 52),
        "",
    ),
    "pose by one name": ([("o", (1, 56, 8400))], {"labels": "person"}, ("yolov8", "pose", 1), "52 classes"),
    "pose, 4 points without visibility": (
        [("o", (1, 13, 8400))],
        {"task": "pose", "names": ["a"], "kpt_shape": [4, 2]},
        ("yolov8", "pose", 1),
        "",
    ),
    "pose by one name, 5 points": ([("o", (1, 20, 8400))], {"names": ["face"]}, ("yolov8", "pose", 1), "16 classes"),
    "YOLOv8 with other names": ([("o", (1, 84, 8400))], NAMES_2, ("yolov8", "detect", 80), "names 2 classes"),
    "rotated, said": ([("o", (1, 20, 8400))], {"task": "obb"}, ("yolov8", "obb", 15), ""),
    "rotated, by its graph": (
        [("o", joined((1, 4, 8400), (1, 15, 8400), (1, 1, 8400), axis=1))],
        {},
        ("yolov8", "obb", 15),
        "",
    ),
    "rotated, by its sines": ([("o", with_angle(8400, 20))], {}, ("yolov8", "obb", 15), ""),
    "rotated, by its names": ([("o", (1, 7, 8400))], NAMES_2, ("yolov8", "obb", 2), "3 classes"),
    "YOLOv8 with swapped axes, by its graph": (
        [("o", joined((1, 8400, 4), (1, 8400, 80), axis=2))],
        {},
        ("yolov8", "detect", 80),
        "",
    ),
    "YOLOv8 with swapped axes, by its names": ([("o", (1, 8400, 84))], NAMES_80, ("yolov8", "detect", 80), ""),
    "YOLOX decoded, by its exponential": ([("o", with_exponential(8400, 85))], {}, ("yolox", "detect", 80), ""),
    "YOLOX not decoded, by its objectness": (
        [("o", joined((1, 8400, 4), (1, 8400, 1), (1, 8400, 80), axis=2, last="sigmoid"))],
        {},
        ("yolox-raw", "detect", 80),
        "",
    ),
    "YOLOX that Model API calls so": (
        [("o", (1, 8400, 85))],
        {"model_type": "YOLOX"},
        ("yolox-raw", "detect", 80),
        "`family` yolox",
    ),
    "rows of cells, and nothing else known": (
        [("o", (1, 8400, 85))],
        {},
        ("yolox-raw", "detect", 80),
        "81 classes (`family` yolov8)",
    ),
    "YOLOv10": (
        [("o", joined((1, 300, 4), (1, 300, 1), (1, 300, 1), axis=2))],
        NAMES_80,
        ("yolov10", "detect", 80),
        "",
    ),
    "YOLOv10, said": ([("o", (1, 300, 6))], {"task": "detect", **NAMES_80}, ("yolov10", "detect", 80), ""),
    "six numbers, and nothing else known": (
        [("o", (1, 300, 6))],
        {},
        ("yolov10", "detect", 80),
        "2 classes: then say `family` detr",
    ),
    "YOLOv10, some rows": ([("o", some_rows(6, 4, axes=3))], NAMES_80, ("yolov10", "detect", 80), "DETR"),
    "YOLO26 segmentation": (
        [("o", (1, 300, 38)), PROTO],
        {"task": "segment", **NAMES_80},
        ("yolov10", "segment", 80),
        "",
    ),
    "YOLO26 pose": ([("o", (1, 300, 57))], COCO_POSE, ("yolov10", "pose", 1), ""),
    "57 numbers, and nothing else known": ([("o", (1, 300, 57))], {}, ("yolov10", "pose", 80), "53 classes"),
    "YOLO26 rotated": ([("o", (1, 300, 7))], {"task": "obb", **NAMES_2}, ("yolov10", "obb", 2), ""),
    "RT-DETR's rows, by its boxes": (
        [("o", joined((1, 300, 4), (1, 300, 1), (1, 300, 1), axis=2, first="sigmoid"))],
        NAMES_80,
        ("rt-detr", "detect", 80),
        "",
    ),
    "RT-DETR's rows, said": (
        [("o", (1, 300, 6))],
        {"head": "RTDETRDecoder", "task": "detect", **NAMES_80},
        ("rt-detr", "detect", 80),
        "",
    ),
    "RT-DETR's queries": (
        [("o", joined((1, 300, 4), (1, 300, 80), axis=2, first="sigmoid", last="sigmoid"))],
        NAMES_80,
        ("detr", "detect", 80),
        "",
    ),
    "DETR with 2 classes, by its graph": (
        [("o", joined((1, 100, 4), (1, 100, 2), axis=2, first="sigmoid"))],
        NAMES_2,
        ("detr", "detect", 2),
        "",
    ),
    "queries with the names of their classes": (
        [("o", (1, 300, 7))],
        {"names": list("abc")},
        ("detr", "detect", 3),
        "",
    ),
    "DETR, by its 92 scores": (
        [("logits", (1, 100, 92)), ("pred_boxes", (1, 100, 4))],
        {},
        ("detr", "detect", 91),
        "no object",
    ),
    "DETR, by its names": (
        [("logits", (1, 100, 3)), ("pred_boxes", (1, 100, 4))],
        NAMES_2,
        ("detr", "detect", 2),
        "",
    ),
    "RT-DETR, by its names": (
        [("logits", (1, 300, 2)), ("pred_boxes", (1, 300, 4))],
        NAMES_2,
        ("detr", "detect", 2),
        "",
    ),
    "RT-DETR, or DETR": (
        [("logits", (1, 300, 5)), ("pred_boxes", (1, 300, 4))],
        {},
        ("detr", "detect", 5),
        "no object",
    ),
    "DETR with 3 classes and no object: four scores": (
        [("logits", (1, 300, 4)), ("pred_boxes", (1, 300, 4))],
        {"names": list("abc")},
        ("detr", "detect", 3),
        "",
    ),
    "RF-DETR": ([("dets", (1, 300, 4)), ("labels", (1, 300, 91))], {}, ("detr", "detect", 91), ""),
    "DETR, probabilities": (
        [("boxes", (1, 300, 4)), ("scores", behind("sigmoid", 1, 300, 7))],
        {},
        ("detr", "detect", 7),
        "",
    ),
    "RT-DETR with post-processing": (
        [("labels", flat(1, 300, of="i64")), ("boxes", (1, 300, 4)), ("scores", (1, 300))],
        {},
        ("rt-detr", "detect", 80),
        "COCO's 80 are assumed",
    ),
    "RT-DETR with post-processing, unnamed": (
        [("x", (1, 300)), ("y", flat(1, 300, of="i64")), ("z", (1, 300, 4))],
        NAMES_2,
        ("rt-detr", "detect", 2),
        "",
    ),
    "boxes with their score, and labels": (
        [("dets", (1, 100, 5)), ("labels", flat(1, 100, of="i64"))],
        NAMES_2,
        ("rt-detr", "detect", 2),
        "",
    ),
    "YOLOv7 with NMS": ([("o", some_rows(7, 6))], NAMES_80, ("yolov7-nms", "detect", 80), ""),
    "YOLOv7 with NMS, no names": ([("o", some_rows(7, 6))], {}, ("yolov7-nms", "detect", 80), "COCO's 80"),
    "SSD": ([("o", (1, 1, 200, 7))], NAMES_2, ("ssd", "detect", 2), ""),
    "classifier, said": ([("o", (1, 7))], {"task": "classify"}, ("yolov5", "classify", 7), ""),
    "classifier, by its softmax": ([("o", behind("softmax", 1, 1000))], {}, ("yolov8", "classify", 1000), ""),
    "one number a class": ([("o", (1, 10))], {}, ("yolov5", "classify", 10), "taken for a classifier"),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_it_is_taken_for(name: str) -> None:
    outputs, metadata, expected, doubt = TABLE[name]
    form = recognise(outputs, metadata)
    assert (form.family, form.task, form.num_classes) == expected
    assert form.why and "\n" not in form.why + form.doubt
    assert doubt in form.doubt
    assert bool(form.doubt) == bool(doubt), form.doubt


def test_what_a_family_needs_besides() -> None:
    form = recognise(HEADS_5D)
    assert form.outputs == (1, 0, 2) and form.strides_px == (8, 16, 32) and form.is_logits
    assert [head[0] for head in form.anchors_px] == [(10, 13), (30, 61), (116, 90)]
    assert recognise(HEADS_5D, path="a/yolov7x.onnx").anchors_px[2] == ((142, 110), (192, 243), (459, 401))
    assert recognise(HEADS_5D, path="yolov7-tiny.onnx").anchors_px == form.anchors_px
    own = recognise(HEADS_4D, {"anchors": [[[1, 2], [3, 4], [5, 6]]] * 3})
    assert own.anchors_px == (((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),) * 3
    four = recognise([(f"h{s}", (1, 3, s, s, 85)) for s in (80, 40, 20, 10)])
    assert four.strides_px == (8, 16, 32, 64) and four.anchors_px[3][2] == (925.0, 792.0)
    done = recognise([(f"h{s}", behind("sigmoid", 1, 3, s, s, 85)) for s in (80, 40, 20)])
    assert not done.is_logits
    masks = recognise([PROTO, ("o", (1, 116, 8400))])
    assert masks.outputs == (1, 0) and masks.num_coefficients == 32
    assert recognise([("o", (1, 56, 8400))], COCO_POSE).keypoints == (17, 3)
    assert recognise([("o", (1, 13, 8400))], {"task": "pose", "names": ["a"], "kpt_shape": [4, 2]}).keypoints == (4, 2)
    pair = recognise([("logits", (1, 100, 92)), ("pred_boxes", (1, 100, 4))])
    assert pair.outputs == (1, 0) and pair.has_background and pair.is_logits and pair.is_normalized
    lists = recognise([("scores", (1, 300)), ("boxes", (1, 300, 4)), ("labels", flat(1, 300, of="i64"))])
    assert lists.outputs == (2, 1, 0) and not lists.is_normalized
    classes = recognise([("o", behind("softmax", 1, 10))])
    assert not classes.is_logits and not classes.is_imagenet
    assert recognise([("o", (1, 8500, 85))], family="yolox").strides_px == (8, 16, 32, 64)


def test_whether_names_decide_how_many_classes_there_are() -> None:
    rows: list[Spec] = [("o", (1, 300, 6))]
    lists: list[Spec] = [("labels", (1, 300)), ("boxes", (1, 300, 4)), ("scores", (1, 300))]
    for outputs in (rows, lists, [("o", some_rows(7, 6))], [("o", (1, 1, 200, 7))]):
        assert recognise(outputs).names_decide
    assert not recognise_output(ssd_graph(0), (64, 64), {}, "m.xml").names_decide
    assert not recognise([("o", (1, 84, 8400))]).names_decide
    assert not recognise(rows, family="detr").names_decide


@pytest.mark.parametrize("input_hw", [(384, 640), (64, 96), (1280, 1280)])
def test_counts_follow_the_inputs_size(input_hw: tuple[int, int]) -> None:
    cells = sum(input_hw[0] // stride * (input_hw[1] // stride) for stride in (8, 16, 32))
    assert recognise([("o", (1, 3 * cells, 7))], input_hw=input_hw).family == "yolov5"
    assert recognise([("o", (1, 6, cells))], input_hw=input_hw).family == "yolov8"
    with pytest.raises(ModelError, match="is not a model that keepbusy understands"):
        recognise([("o", (1, 84, cells - 1))], input_hw=input_hw)


def ssd_graph(background: int) -> ov.Model:
    """A real DetectionOutput with 5 priors and 4 class ids."""
    image, zero = image_input((64, 64))
    boxes, scores = constant(np.zeros((1, 20), np.float32), zero), constant(np.full((1, 20), 0.5, np.float32), zero)
    priors = ops.constant(np.tile(np.array([0.1, 0.1, 0.2, 0.2], np.float32), (1, 2, 5)))
    node = opset8.detection_output(
        boxes,
        scores,
        priors,
        {
            "background_label_id": background,
            "keep_top_k": [10],
            "nms_threshold": 0.5,
            "normalized": True,
            "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        },
    )
    return ov.Model([node], [image])


@pytest.mark.parametrize(
    ("background", "num_names", "num_classes", "is_shifted"),
    [(0, 0, 3, True), (0, 3, 3, True), (0, 4, 4, False), (-1, 4, 4, False), (-1, 0, 4, False)],
)
def test_a_detection_output_tells_its_classes(
    background: int, num_names: int, num_classes: int, is_shifted: bool
) -> None:
    metadata = {"labels": " ".join("abcd"[:num_names])}
    form = recognise_output(ssd_graph(background), (64, 64), metadata, "m.xml")
    assert (form.family, form.num_classes, form.has_background, form.doubt) == ("ssd", num_classes, is_shifted, "")


OBEYED: list[tuple[list[Spec], dict[str, str], tuple[str, str, int]]] = [
    ([("o", (1, 8400, 85))], {"family": "yolox"}, ("yolox", "detect", 80)),
    ([("o", with_exponential(8400, 85))], {"family": "yolox-raw"}, ("yolox-raw", "detect", 80)),
    ([("o", (1, 8400, 85))], {"family": "yolov8"}, ("yolov8", "detect", 81)),
    ([("o", (1, 300, 6))], {"family": "detr"}, ("detr", "detect", 2)),
    ([("o", (1, 300, 6))], {"family": "rt-detr"}, ("rt-detr", "detect", 80)),
    ([("o", (1, 300, 6))], {"family": "yolov10"}, ("yolov10", "detect", 80)),
    ([*HEADS_5D, ("o", (1, 25200, 85))], {"family": "yolov5-raw"}, ("yolov5-raw", "detect", 80)),
    ([("o", (1, 7))], {"family": "yolov7-nms"}, ("yolov7-nms", "detect", 80)),
    ([("o", (1, 10))], {"family": "yolov8"}, ("yolov8", "classify", 10)),
    ([("o", (1, 56, 8400))], {"task": "detect"}, ("yolov8", "detect", 52)),
    ([("o", (1, 56, 8400))], {"task": "pose"}, ("yolov8", "pose", 1)),
    ([("o", (1, 56, 8400))], {"task": "obb"}, ("yolov8", "obb", 51)),
    ([("o", (1, 116, 8400)), PROTO], {"task": "detect"}, ("yolov8", "detect", 80)),
    ([("o", (1, 300, 38)), PROTO], {"task": "detect"}, ("yolov10", "detect", 80)),
]


@pytest.mark.parametrize(("outputs", "words", "expected"), OBEYED)
def test_the_users_word_is_obeyed(outputs: list[Spec], words: dict[str, Any], expected: tuple[str, str, int]) -> None:
    form = recognise(outputs, **words)
    assert (form.family, form.task, form.num_classes) == expected


@pytest.mark.parametrize("family", RULES_OF)
def test_a_family_that_cannot_be_says_which_shape_it_needs(family: str) -> None:
    with pytest.raises(ConfigError, match=f"`family` {family}: m.xml has no such output") as caught:
        recognise([("odd", (1, 2, 2, 2, 2))], family=family)
    assert "odd [1,2,2,2,2] f32" in caught.value.message
    assert FAMILIES[family] in (caught.value.hint or "")  # type: ignore[index]


@pytest.mark.parametrize(
    ("outputs", "words", "why"),
    [
        ([("o", (1, 84, 8400))], {"task": "segment"}, "masks need a second output"),
        ([("o", (1, 300, 38))], {"task": "segment"}, "masks need a second output"),
        ([("o", (1, 84, 8400))], {"task": "classify"}, "boxes, not classes"),
        ([("o", (1, 8400, 85))], {"family": "yolox", "task": "pose"}, "YOLOX only detects"),
        ([("o", (1, 25200, 85))], {"task": "obb"}, "no rotated boxes"),
        ([("o", (1, 300, 8))], {"task": "obb"}, "rows of 7 numbers"),
        ([("o", (1, 10))], {"task": "detect"}, "has no such output"),
        ([("o", (1, 300, 7))], {"family": "rt-detr"}, "6 numbers, not 7"),
        ([("o", (1, 10))], {"family": "ssd"}, "has no such output"),
        ([("o", (1, 84, 8400))], {"task": "pose"}, "no keypoints"),
        ([("o", (1, 84, 8400))], {"family": "yolov10"}, "8400 columns are the cells"),
        ([("o", (1, 84, 8400))], {"family": "yolov10", "task": "pose"}, "8400 columns are the cells"),
        ([("o", (1, 84, 8400))], {"family": "detr"}, "8400 columns are the cells"),
        ([("o", (1, 8, 8400))], {"family": "rt-detr"}, "8400 columns are the cells"),
        ([("o", joined((1, 4, 8400), (1, 4, 8400), axis=1))], {"task": "pose"}, "nothing behind the classes"),
        ([("o", joined((1, 4, 8400), (1, 80, 8400), axis=1))], {"task": "obb"}, "is an angle"),
        ([("o", joined((1, 4, 8400), (1, 1, 8400), (1, 51, 8400), axis=1))], {"task": "obb"}, "is an angle"),
    ],
)
def test_a_word_that_the_shapes_do_not_allow_is_refused(outputs: list[Spec], words: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        recognise(outputs, **words)
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_refusal_says_what_the_model_is() -> None:
    refused: list[dict[str, Any]] = [{"task": "pose"}, {"task": "obb"}, {"family": "yolov10"}]
    for words in refused:
        with pytest.raises(ConfigError) as caught:
            recognise([("o", (1, 84, 8400))], NAMES_80, **words)
        assert "it is read as yolov8, detect: leave `" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("outputs", "metadata", "why"),
    [
        ([("o", flat(1, 640, 640, of="u8"))], {"task": "semantic"}, "its task is semantic"),
        ([("o", flat(1, 640, 640, of="u8"))], {}, "none of its outputs"),
        ([("o", (1, 640, 640))], {}, "none of its outputs"),
        ([("boxes", (1, 8400, 4)), ("scores", (1, 8400, 80))], {}, "outputs of their own"),
        ([("boxes", (1, 4, 8400)), ("scores", (1, 80, 8400))], {}, "outputs of their own"),
        ([(f"h{side}", (1, 144, side, side)) for side in (80, 40, 20)], {}, "none of its outputs"),
        ([("o", (1, 84, 8400))], {"task": "segment"}, "masks need a second output"),
        ([("o", (1, 1))], {}, "none of its outputs"),
        (
            [("boxes", (1, 9, 4)), ("classes", (1, 9)), ("scores", (1, 9)), ("num_detections", (1,))],
            {},
            "none of its outputs",
        ),
        ([("o", (1, 512)), ("p", (1, 512))], {}, "none of its outputs"),
    ],
)
def test_what_is_not_understood_is_refused(outputs: list[Spec], metadata: dict[str, str], why: str) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        recognise(outputs, metadata)
    assert "[1,25200,85]" in (caught.value.hint or "")


BARE = InputForm("NCHW", HW)


def pixels(family: str, task: str = "detect", metadata: Mapping[str, Any] | None = None, **fields: Any) -> InputForm:
    form = OutputForm(family, task, (0,), 3, **fields)  # type: ignore[arg-type]
    return pixels_of(BARE, form, metadata or {})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (pixels("yolov5"), ("letterbox", False, (0.0,), (255.0,), 114)),
        (pixels("yolov8"), ("letterbox", False, (0.0,), (255.0,), 114)),
        (pixels("yolox"), ("corner", True, (0.0,), (1.0,), 114)),
        (pixels("yolox-raw"), ("corner", True, (0.0,), (1.0,), 114)),
        (pixels("rt-detr"), ("stretch", False, (0.0,), (255.0,), 114)),
        (pixels("detr"), ("stretch", False, (0.0,), (255.0,), 114)),
        (pixels("detr", is_imagenet=True), ("stretch", False, IMAGENET_MEAN, IMAGENET_SCALE, 114)),
        (pixels("ssd"), ("stretch", True, (0.0,), (1.0,), 114)),
        (pixels("yolov8", "classify"), ("crop", False, (0.0,), (255.0,), 114)),
        (pixels("yolov5", "classify", is_imagenet=True), ("crop", False, IMAGENET_MEAN, IMAGENET_SCALE, 114)),
    ],
)
def test_pixels_by_family(form: InputForm, expected: tuple[object, ...]) -> None:
    assert (form.fit, form.is_bgr, form.mean, form.scale, form.pad_value) == expected


def test_the_models_word_about_its_pixels_wins() -> None:
    otx = {
        "resize_type": "fit_to_window",
        "pad_value": "0",
        "reverse_input_channels": "True",
        "mean_values": "123.675 116.28 103.53",
        "scale_values": "[58.395, 57.12, 57.375]",
    }
    form = pixels("ssd", metadata=otx)
    assert (form.fit, form.pad_value, form.is_bgr) == ("corner", 0, False)
    assert (form.mean, form.scale) == (IMAGENET_MEAN, IMAGENET_SCALE)
    assert pixels("yolox", metadata={"reverse_input_channels": "YES", "scale_values": "255"}).scale == (255,)
    assert pixels("yolov8", metadata={"mean_values": [1, 2, 3]}).scale == (1,)
    for word, fit in {"standard": "stretch", "fit_to_window_letterbox": "letterbox", "crop": "crop"}.items():
        assert pixels("ssd", metadata={"resize_type": word}).fit == fit


def test_words_about_pixels_that_say_nothing_or_the_wrong_thing_are_passed_over() -> None:
    odd = {
        "resize_type": "what",
        "pad_value": "300",
        "reverse_input_channels": "",
        "mean_values": "",
        "scale_values": "1 2",
    }
    assert pixels("ssd", metadata=odd) == pixels("ssd")
    assert pixels("yolov8", metadata={"mean_values": "[1", "scale_values": {"a": 1}}) == pixels("yolov8")
    assert pixels("yolov8", metadata={"scale_values": "0 1 1"}).scale == (1,)
    # YOLO's exporter says letterbox of RT-DETR too, and stretches it itself.
    exported = {"head": "RTDETRDecoder", "resize_type": "fit_to_window_letterbox", "scale_values": "255"}
    assert pixels("rt-detr", metadata=exported).fit == "stretch"


def test_preprocessing_inside_the_graph_is_not_done_twice() -> None:
    form = pixels("ssd", metadata={"embedded_processing": "True", "mean_values": "1", "reverse_input_channels": "YES"})
    assert (form.is_bgr, form.mean, form.scale) == (True, (0.0,), (1.0,))
