"""Every family's decoding against its definition, on random outputs, and through a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from openvino import opset13 as ops

from keepbusy import Detector
from keepbusy.config import DetectConfig
from keepbusy.errors import FrameError
from keepbusy.models import load_model
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import to_detections
from keepbusy.postprocess.end_to_end import yolov10_candidates
from keepbusy.postprocess.to_detections import CANDIDATES
from keepbusy.values.detections import Detections
from keepbusy.values.forms import Fit, OutputForm
from tests import families
from tests.graphs import concat, constant, dynamic_rows, image_input, pixel_mean, save
from tests.reference import Detection

Array = NDArray[np.float32]
Outputs = tuple[Array, ...]

INPUT_HW = (64, 96)
NUM_CELLS = 8 * 12 + 4 * 6 + 2 * 3
NAMES = ("a", "b", "c")
ANCHORS_PX: list[list[tuple[float, float]]] = [
    [(8, 10), (16, 12), (20, 30)],
    [(24, 20), (30, 36), (40, 40)],
    [(50, 40), (60, 60), (90, 60)],
]
STRIDES_PX = [8, 16, 32]


@dataclass(frozen=True)
class Case:
    """A family: random outputs, how keepbusy is told to read them, and what they mean."""

    form: OutputForm
    make: Callable[[np.random.Generator], Outputs]
    expected: Callable[[Outputs, float, bool], list[Detection]]
    fit: Fit = "letterbox"
    suppressed: bool = False


def crowd(rng: np.random.Generator, num: int, width: float = 96, height: float = 64) -> Array:
    """Boxes (N, 4) as centre and size that crowd around few places, so that suppression has work to do."""
    places = rng.uniform(0, 1, (5, 2))[rng.integers(0, 5, num)] + rng.normal(0, 0.06, (num, 2))
    sizes = rng.uniform(0.05, 0.5, (num, 2))
    return (np.concatenate((places, sizes), axis=1) * (width, height, width, height)).astype(np.float32)


def to_corners(boxes: Array) -> Array:
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), axis=1)


def scores_of(rng: np.random.Generator, num: int, classes: int = 3) -> Array:
    return rng.uniform(0, 1, (num, classes)).astype(np.float32) ** 2


def make_yolov5(rng: np.random.Generator) -> Outputs:
    return (np.concatenate((crowd(rng, 90), scores_of(rng, 90, 4)), axis=1)[None],)


def make_yolov8(rng: np.random.Generator) -> Outputs:
    return (np.ascontiguousarray(np.concatenate((crowd(rng, NUM_CELLS), scores_of(rng, NUM_CELLS)), axis=1).T[None]),)


def make_heads(rng: np.random.Generator) -> Outputs:
    return tuple(
        rng.normal(0, 1.5, (1, 3, INPUT_HW[0] // stride, INPUT_HW[1] // stride, 8)).astype(np.float32)
        for stride in STRIDES_PX
    )


def as_convolved(heads: Outputs) -> Outputs:
    """The same heads as the convolution leaves them: (1, 3 x 8, h, w)."""
    return tuple(np.ascontiguousarray(head[0].transpose(0, 3, 1, 2)).reshape(1, 24, *head.shape[2:4]) for head in heads)


def as_anchors(heads: Outputs) -> Outputs:
    return tuple(head.reshape(3, 8, *head.shape[2:]).transpose(0, 2, 3, 1)[None] for head in heads)


def make_yolox_raw(rng: np.random.Generator) -> Outputs:
    offsets, sizes = rng.normal(0.5, 1, (NUM_CELLS, 2)), rng.normal(0.5, 0.7, (NUM_CELLS, 2))
    return (np.concatenate((offsets, sizes, scores_of(rng, NUM_CELLS, 4)), axis=1, dtype=np.float32)[None],)


def make_selected(rng: np.random.Generator) -> Outputs:
    labels = rng.integers(0, 3, (40, 1))
    return (
        np.concatenate((to_corners(crowd(rng, 40)), scores_of(rng, 40, 1), labels), axis=1, dtype=np.float32)[None],
    )


def make_yolov7_nms(rng: np.random.Generator) -> Outputs:
    rows = make_selected(rng)[0][0]
    return (np.concatenate((np.zeros((40, 1)), rows[:, :4], rows[:, 5:], rows[:, 4:5]), axis=1, dtype=np.float32),)


def make_detr(rng: np.random.Generator) -> Outputs:
    return (np.concatenate((crowd(rng, 40, 1, 1), scores_of(rng, 40)), axis=1)[None],)


def make_queries(num_scores: int) -> Callable[[np.random.Generator], Outputs]:
    return lambda rng: (
        crowd(rng, 40, 1, 1)[None],
        rng.normal(0, 2, (1, 40, num_scores)).astype(np.float32),
    )


def make_rt_detr(rng: np.random.Generator) -> Outputs:
    rows = make_selected(rng)[0]
    return tuple(np.ascontiguousarray(part) for part in (rows[..., 5], rows[..., :4], rows[..., 4]))


def make_scored_boxes(rng: np.random.Generator) -> Outputs:
    labels, boxes, scores = make_rt_detr(rng)
    return labels, np.concatenate((boxes, scores[..., None]), axis=2)


def make_rt_detr_rows(rng: np.random.Generator) -> Outputs:
    labels = rng.integers(0, 3, (40, 1))
    return (np.concatenate((crowd(rng, 40, 1, 1), scores_of(rng, 40, 1), labels), axis=1, dtype=np.float32)[None],)


def make_ssd(rng: np.random.Generator) -> Outputs:
    labels = rng.integers(1, 4, (40, 1))
    parts = (np.zeros((40, 1)), labels, scores_of(rng, 40, 1), to_corners(crowd(rng, 40, 1, 1)))
    rows = np.concatenate(parts, axis=1, dtype=np.float32)
    rows[30, 0] = -1  # what follows is no detection, whatever it says
    return (rows[None, None],)


def logit(probabilities: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.log(probabilities / (1 - probabilities)))


def form(family: str, **fields: object) -> OutputForm:
    return OutputForm(family, "detect", (0,), 3, **fields)  # type: ignore[arg-type]


RAW = form(
    "yolov5-raw",
    is_logits=True,
    strides_px=tuple(STRIDES_PX),
    anchors_px=tuple(tuple(head) for head in ANCHORS_PX),
)

CASES: dict[str, Case] = {
    "yolov5": Case(form("yolov5"), make_yolov5, lambda o, conf, multi: families.objectness_rows(o[0], 3, conf, multi)),
    "yolov5-raw": Case(
        RAW, make_heads, lambda o, conf, multi: families.anchor_heads(list(o), ANCHORS_PX, STRIDES_PX, conf, multi)
    ),
    "yolov5-raw as convolved": Case(
        RAW,
        lambda rng: as_convolved(make_heads(rng)),
        lambda o, conf, multi: families.anchor_heads(list(as_anchors(o)), ANCHORS_PX, STRIDES_PX, conf, multi),
    ),
    "yolov5-raw behind its sigmoid": Case(
        dataclasses.replace(RAW, is_logits=False),
        lambda rng: tuple(np.asarray(1 / (1 + np.exp(-head)), np.float32) for head in make_heads(rng)),
        lambda o, conf, multi: families.anchor_heads(
            [logit(np.clip(head.astype(np.float64), 1e-7, 1 - 1e-7)) for head in o], ANCHORS_PX, STRIDES_PX, conf, multi
        ),
    ),
    "yolov8": Case(form("yolov8"), make_yolov8, lambda o, conf, multi: families.yolov8(o[0], 3, conf, multi)),
    "yolov8 with swapped axes": Case(
        form("yolov8"),
        lambda rng: (np.ascontiguousarray(make_yolov8(rng)[0].transpose(0, 2, 1)),),
        lambda o, conf, multi: families.yolov8(o[0].transpose(0, 2, 1), 3, conf, multi),
    ),
    "yolox": Case(
        form("yolox"),
        make_yolov5,
        lambda o, conf, multi: families.objectness_rows(o[0], 3, conf, multi),
        "corner",
    ),
    "yolox-raw": Case(
        form("yolox-raw", strides_px=tuple(STRIDES_PX)),
        make_yolox_raw,
        lambda o, conf, multi: families.yolox_raw(o[0], INPUT_HW, conf, multi),
        "corner",
    ),
    "yolov10": Case(
        form("yolov10"), make_selected, lambda o, conf, multi: families.yolov10(o[0], conf), suppressed=True
    ),
    "yolov7-nms": Case(
        form("yolov7-nms"), make_yolov7_nms, lambda o, conf, multi: families.yolov7_nms(o[0], conf), suppressed=True
    ),
    "detr": Case(
        form("detr", is_normalized=True),
        make_detr,
        lambda o, conf, multi: families.detr(o[0][..., :4], o[0][..., 4:], INPUT_HW, "probabilities", conf, multi),
        "stretch",
        suppressed=True,
    ),
    "detr logits": Case(
        form("detr", is_normalized=True, is_logits=True),
        make_queries(3),
        lambda o, conf, multi: families.detr(o[0], o[1], INPUT_HW, "logits", conf, multi),
        "stretch",
        suppressed=True,
    ),
    "detr no object": Case(
        form("detr", is_normalized=True, is_logits=True, has_background=True),
        make_queries(4),
        lambda o, conf, multi: families.detr(o[0], o[1], INPUT_HW, "no object", conf, multi),
        "stretch",
        suppressed=True,
    ),
    "rt-detr": Case(
        form("rt-detr"),
        make_rt_detr,
        lambda o, conf, multi: families.rt_detr(o[0], o[1], o[2], conf),
        "stretch",
        suppressed=True,
    ),
    "rt-detr shares": Case(
        form("rt-detr", is_normalized=True),
        lambda rng: tuple(np.asarray(part / 96, np.float32) if part.ndim == 3 else part for part in make_rt_detr(rng)),
        lambda o, conf, multi: families.rt_detr(o[0], o[1], o[2], conf, (96, 64)),
        "stretch",
        suppressed=True,
    ),
    "rt-detr with scores in boxes": Case(
        form("rt-detr"),
        make_scored_boxes,
        lambda o, conf, multi: families.rt_detr(o[0], o[1][..., :4], o[1][..., 4], conf),
        "stretch",
        suppressed=True,
    ),
    "rt-detr rows": Case(
        form("rt-detr", is_normalized=True),
        make_rt_detr_rows,
        lambda o, conf, multi: families.rt_detr(
            o[0][..., 5], to_corners(o[0][0][:, :4])[None], o[0][..., 4], conf, (96, 64)
        ),
        "stretch",
        suppressed=True,
    ),
    "ssd": Case(
        form("ssd", is_normalized=True, has_background=True),
        make_ssd,
        lambda o, conf, multi: families.ssd(o[0], INPUT_HW, conf, has_background=True),
        "stretch",
        suppressed=True,
    ),
}


def check(found: Detections, expected: list[Detection]) -> None:
    assert found.class_id.tolist() == [class_id for class_id, _, _ in expected]
    np.testing.assert_allclose(found.confidence, np.array([c for _, c, _ in expected]), rtol=2e-6, atol=1e-7)
    # float32 holds 24 bits; exponentials and the way back to the frame enlarge their rounding.
    boxes = np.array([box for _, _, box in expected]).reshape(-1, 4)
    np.testing.assert_allclose(found.boxes_xyxy, boxes, rtol=1e-5, atol=5e-3)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    conf=st.sampled_from([0.0, 0.1, 0.25, 0.6, 1.0]),
    iou=st.sampled_from([0.0, 0.45, 0.9]),
    max_det=st.sampled_from([1, 7, 300]),
    classes=st.sampled_from([None, (1,), (0, 2)]),
    multi_label=st.booleans(),
    frame_wh=st.tuples(st.integers(1, 900), st.integers(1, 900)),
)
def test_agrees_with_the_definition(
    name: str,
    seed: int,
    conf: float,
    iou: float,
    max_det: int,
    classes: tuple[int, ...] | None,
    multi_label: bool,
    frame_wh: tuple[int, int],
) -> None:
    case = CASES[name]
    outputs = case.make(np.random.default_rng(seed))
    kept = [output.copy() for output in outputs]
    frame_hw = (frame_wh[1], frame_wh[0])
    config = DetectConfig(conf=conf, iou=iou, max_det=max_det, classes=classes, multi_label=multi_label)
    found = to_detections(outputs, Letterbox.fit(frame_hw, INPUT_HW, case.fit), case.form, config, NAMES)
    expected = families.finish(
        case.expected(outputs, conf, multi_label),
        frame_hw,
        INPUT_HW,
        case.fit,
        suppressed=case.suppressed,
        iou=iou,
        max_det=max_det,
        classes=classes,
    )
    check(found, expected)
    for output, before in zip(outputs, kept, strict=True):
        np.testing.assert_array_equal(output, before)  # the device's memory is read, never written


def loud(name: str) -> tuple[Outputs, tuple[NDArray[np.intp], ...]]:
    """Outputs with one certain detection, and every number of it as (output, position in its flat array)."""
    case = CASES[name]
    outputs = tuple(np.zeros_like(output) for output in case.make(np.random.default_rng(0)))
    if name.startswith("yolov5-raw") and case.form.is_logits:
        outputs = tuple(np.full_like(output, -9) for output in outputs)
    if case.form.is_logits and len(outputs) == 2:
        outputs[1][...] = -9
    row: list[NDArray[np.intp]] = []
    for output in outputs:
        index = np.arange(output.size).reshape(output.shape)
        if name in ("yolov5-raw", "yolov5-raw behind its sigmoid"):
            numbers = index[0, 1, 1, 1]
        elif name == "yolov5-raw as convolved":
            numbers = index.reshape(3, 8, *output.shape[2:])[1, :, 1, 1]
        elif name == "yolov8":
            numbers = index[0, :, 5]
        else:
            numbers = (
                index.reshape(-1, output.shape[-1])[5] if output.ndim > 2 or name == "yolov7-nms" else index[0, 5:6]
            )
        row.append(numbers)
        output.reshape(-1)[numbers] = 0.9 if len(outputs) != 3 or name.startswith("rt") else 2.0
    return outputs, tuple(row)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", CASES)
def test_numbers_that_are_not_finite_are_an_error_never_a_box(name: str, bad: float) -> None:
    case = CASES[name]
    letterbox = Letterbox.fit((64, 96), INPUT_HW, case.fit)
    outputs, row = loud(name)
    assert len(to_detections(outputs, letterbox, case.form, DetectConfig(conf=0.1), NAMES)) >= 1
    tried = 0
    for which, numbers in enumerate(row):
        for position in numbers.tolist():
            if name in ("yolov7-nms", "ssd") and position == numbers[0]:
                continue  # the picture's number, which is not read
            broken = [output.copy() for output in outputs]
            broken[which].reshape(-1)[position] = bad
            with pytest.raises(ValueError, match="not finite"):
                to_detections(tuple(broken), letterbox, case.form, DetectConfig(conf=0.1), NAMES)
            tried += 1
    assert tried >= 5


@pytest.mark.parametrize("name", ["yolov10", "yolov7-nms", "rt-detr", "ssd"])
@pytest.mark.parametrize("wrong", [-2, 4])
def test_a_class_that_there_is_not_is_an_error_that_names_it(name: str, wrong: int) -> None:
    outputs, _ = loud(name)
    case = CASES[name]
    column = {"yolov10": 5, "yolov7-nms": 5, "ssd": 1, "rt-detr": 0}[name]
    labels = outputs[0].reshape(-1) if name == "rt-detr" else outputs[0].reshape(-1, outputs[0].shape[-1])[:, column]
    labels[5] = wrong
    shown = wrong - 1 if name == "ssd" else wrong
    with pytest.raises(ValueError, match=f"class {shown}, but there are 3 classes"):
        to_detections(outputs, Letterbox.fit((64, 96), INPUT_HW), case.form, DetectConfig(), NAMES)


def test_rotated_boxes_of_selected_rows_begin_with_their_centre() -> None:
    row = np.array([[[30, 20, 10, 6, 0.9, 2, 0.5]]], np.float32)
    found = yolov10_candidates((row,), OutputForm("yolov10", "obb", (0,), 3), INPUT_HW, DetectConfig())
    assert found.boxes_xyxy.tolist() == [[25, 17, 35, 23]]
    assert (found.class_id.tolist(), found.extra.tolist()) == ([2], [[0.5]])


@pytest.mark.parametrize(
    ("family", "output"),
    [
        ("yolov5", [[[30, 20, 10, 6, 0.9, 0.1, 0.9, 0.2, 0.5, -7]]]),
        ("yolov8", [[[30], [20], [10], [6], [0.1], [0.81], [0.2], [0.5], [-7]]]),
        ("yolov8", [[[30, 20, 10, 6, 0.1, 0.81, 0.2, 0.5, -7]]]),
        ("yolov10", [[[25, 17, 35, 23, 0.81, 1, 0.5, -7]]]),
    ],
)
def test_what_the_task_adds_travels_with_its_box(family: str, output: list[object]) -> None:
    wanted = dataclasses.replace(form(family), task="segment", num_coefficients=2)
    found = CANDIDATES[wanted.family]((np.array(output, np.float32),), wanted, INPUT_HW, DetectConfig(conf=0.5))
    assert (found.boxes_xyxy.tolist(), found.class_id.tolist()) == ([[25, 17, 35, 23]], [1])
    np.testing.assert_allclose(found.confidence, [0.81], rtol=1e-6)
    assert found.extra.tolist() == [[0.5, -7]]


def test_logits_beyond_what_an_exponential_holds() -> None:
    boxes = np.full((1, 2, 4), 0.5, np.float32)
    logits = np.array([[[200, -200, 0], [-300, -200, -90]]], np.float32)
    letterbox = Letterbox.fit((64, 96), INPUT_HW, "stretch")
    found = to_detections((boxes, logits), letterbox, CASES["detr logits"].form, DetectConfig(conf=0.0), NAMES)
    assert found.confidence.tolist() == [1.0]  # the second one's best is 1e-39, nought in float32's normal range


# --- through a graph: recognised, prepared, decoded, without a word from the user -----------------------------------


def yolov8_graph(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
    return [concat([constant(outputs[0][:, :4], zero), constant(outputs[0][:, 4:], zero)], 1)]


def yolox_graph(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
    parts = [outputs[0][..., :2], np.log(outputs[0][..., 2:4]), outputs[0][..., 4:]]
    nodes = [constant(part, zero) for part in parts]
    return [concat([nodes[0], ops.exp(nodes[1]), nodes[2]], 2)]


def yolox_raw_graph(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
    return [concat([constant(part, zero) for part in np.split(outputs[0], [4, 5], axis=2)], 2)]


def detr_graph(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
    boxes, scores = np.split(outputs[0], [4], axis=2)
    clipped = np.clip(boxes, 1e-3, 1 - 1e-3)
    outputs[0][..., :4] = clipped
    return [concat([ops.sigmoid(constant(logit(part), zero)) for part in (clipped, np.clip(scores, 1e-6, None))], 2)]


def plain_graph(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
    return [constant(output, zero) for output in outputs]


def named(*names: str) -> Callable[[Outputs, ov.Node], list[ov.Node]]:
    def build(outputs: Outputs, zero: ov.Node) -> list[ov.Node]:
        nodes = plain_graph(outputs, zero)
        for node, name in zip(nodes, names, strict=True):
            node.output(0).get_tensor().set_names({name})
        return nodes

    return build


def full_yolov5(rng: np.random.Generator) -> Outputs:
    return (np.concatenate((crowd(rng, 3 * NUM_CELLS), scores_of(rng, 3 * NUM_CELLS, 4)), axis=1)[None],)


def full_yolox(rng: np.random.Generator) -> Outputs:
    return (full_yolov5(rng)[0][:, :NUM_CELLS],)


def v5_anchored(outputs: Outputs, conf: float, multi: bool) -> list[Detection]:
    published = [
        [(10.0, 13.0), (16.0, 30.0), (33.0, 23.0)],
        [(30.0, 61.0), (62.0, 45.0), (59.0, 119.0)],
        [(116.0, 90.0), (156.0, 198.0), (373.0, 326.0)],
    ]
    return families.anchor_heads(list(outputs), published, STRIDES_PX, conf, multi)


GRAPHS: dict[str, tuple[str, Callable[[np.random.Generator], Outputs], Callable[[Outputs, ov.Node], list[ov.Node]]]] = {
    "yolov5": ("yolov5", full_yolov5, plain_graph),
    "yolov8": ("yolov8", make_yolov8, yolov8_graph),
    "yolox": ("yolox", full_yolox, yolox_graph),
    "yolox-raw": ("yolox-raw", make_yolox_raw, yolox_raw_graph),
    "yolov10": ("yolov10", make_selected, plain_graph),
    "yolov7-nms": ("yolov7-nms", make_yolov7_nms, lambda o, zero: [dynamic_rows(o[0], 6, zero)]),
    "detr": ("detr", make_detr, detr_graph),
    "detr logits": ("detr", make_queries(3), named("pred_boxes", "logits")),
    "detr no object": ("detr", make_queries(4), named("pred_boxes", "logits")),
    "rt-detr": ("rt-detr", make_rt_detr, named("labels", "boxes", "scores")),
    "ssd": ("ssd", make_ssd, plain_graph),
    "yolov5-raw": ("yolov5-raw", make_heads, lambda o, zero: plain_graph(o, zero)[::-1]),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("frame_hw", [(50, 120), (211, 97)])
def test_a_graph_is_recognised_and_decoded(tmp_path: Path, name: str, frame_hw: tuple[int, int]) -> None:
    family, make, build = GRAPHS[name]
    case = CASES[name]
    outputs = make(np.random.default_rng(7))
    image, zero = image_input(INPUT_HW)
    names = "background a b c" if name == "ssd" else "a b c"
    path = save(tmp_path / "m.xml", image, build(outputs, zero), labels=names)
    assert load_model(path).output.family == family
    expected = v5_anchored(outputs, 0.25, False) if family == "yolov5-raw" else case.expected(outputs, 0.25, False)
    if name == "ssd":  # nothing says that class 0 is the background, and the names count it
        expected = families.ssd(outputs[0], INPUT_HW, 0.25, has_background=False)
    wanted = families.finish(expected, frame_hw, INPUT_HW, case.fit, suppressed=case.suppressed, iou=0.6)
    assert len(wanted) > 3
    check(Detector(path, precision="f32", iou=0.6)(np.zeros((*frame_hw, 3), np.uint8)), wanted)


def test_a_graph_that_finds_nothing_gives_nothing(tmp_path: Path) -> None:
    rows = make_yolov7_nms(np.random.default_rng(1))[0]
    rows[:, 6] = 0
    image, zero = image_input(INPUT_HW)
    detector = Detector(save(tmp_path / "m.xml", image, [dynamic_rows(rows, 6, zero)], labels="a b c"))
    assert len(detector(np.zeros((30, 40, 3), np.uint8))) == 0


def test_broken_numbers_are_that_frames_error(tmp_path: Path) -> None:
    output = make_yolov8(np.random.default_rng(0))[0]
    output[0, 2, 3], output[0, 4, 3] = np.nan, 0.9
    image, zero = image_input(INPUT_HW)
    detector = Detector(save(tmp_path / "m.xml", image, yolov8_graph((output,), zero), labels="a b c"))
    with pytest.raises(FrameError, match=r"postprocess: .* not finite"):
        detector(np.zeros((30, 40, 3), np.uint8))


@pytest.mark.parametrize(
    ("family", "channel", "most"),
    [("ssd", 0, 255.0), ("rt-detr", 2, 1.0), ("yolox", 0, 255.0)],
    ids=["ssd: blue first, 0 to 255", "rt-detr: blue last, 0 to 1", "yolox: blue first, 0 to 255"],
)
def test_the_network_sees_the_pixels_that_its_family_is_trained_on(
    tmp_path: Path, family: str, channel: int, most: float
) -> None:
    image, zero = image_input(INPUT_HW)
    score = ops.multiply(pixel_mean(image, channel), np.float32(0.8 / most))
    if family == "ssd":
        left, right = np.zeros((1, 1, 20, 2), np.float32), np.full((1, 1, 20, 4), 0.5, np.float32)
        middle = ops.broadcast(score, np.array([1, 1, 20, 1]))
        nodes = [concat([constant(left, zero), middle, constant(right, zero)], 3)]
    elif family == "rt-detr":
        shapes = ((1, 20), (1, 20, 4))
        labels, boxes = (constant(np.zeros(shape, np.float32), zero) for shape in shapes)
        scores = ops.broadcast(ops.reshape(score, np.array([1, 1]), special_zero=False), np.array([1, 20]))
        nodes = [labels, boxes, scores]
        for node, name in zip(nodes, ("labels", "boxes", "scores"), strict=True):
            node.output(0).get_tensor().set_names({name})
    else:
        boxes = constant(np.zeros((1, NUM_CELLS, 4), np.float32), zero)
        scores = ops.broadcast(ops.reshape(score, np.array([1, 1, 1]), special_zero=False), np.array([1, NUM_CELLS, 1]))
        nodes = [concat([ops.exp(boxes), scores, constant(np.ones((1, NUM_CELLS, 1), np.float32), zero)], 2)]
    path = save(tmp_path / "m.xml", image, nodes, labels="a")
    picture = np.zeros((*INPUT_HW, 3), np.uint8)
    picture[..., 0] = 255
    assert load_model(path).output.family == family
    np.testing.assert_allclose(Detector(path, precision="f32")(picture).confidence[0], 0.8, rtol=1e-5)
