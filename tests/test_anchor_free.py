"""A trained YOLOv8n, exported as Ultralytics' exporter does: its head is found, and gives what the graph gave."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.config import Precision
from keepbusy.embedded import CLIP_SPEC, embedded_clip
from keepbusy.evaluate import CocoEvaluation
from keepbusy.models import load_model
from keepbusy.models.head import Head, find_head
from keepbusy.models.load import Model
from keepbusy.optimize.frames import open_frames, read_samples
from keepbusy.optimize.quantize import quantize_model
from keepbusy.pictures.letterbox import LETTERBOXED
from keepbusy.sources.street import Street
from keepbusy.street import CLASS_NAMES
from keepbusy.values.compare import Agreement, Limits, agree, floor_of, total
from keepbusy.values.forms import HeadStrategy
from tests.build import read_video

MODEL = Path(__file__).parent / "models" / "street-yolov8n.xml"
STRATEGIES: tuple[HeadStrategy, ...] = get_args(HeadStrategy)
CONF = 0.25


@pytest.fixture(scope="module")
def frames() -> list[NDArray[np.uint8]]:
    """Some frames of the embedded clip."""
    return read_video(embedded_clip())[20::70]


def loaded(path: Path = MODEL) -> tuple[Model, Head]:
    model = load_model(path)
    head = find_head(model.graph, model.output, model.input_hw)
    assert head is not None
    return model, head


def found(
    frames: Sequence[NDArray[np.uint8]], head: HeadStrategy, precision: Precision, path: Path = MODEL
) -> list[kb.Detections]:
    options: Any = {"shape": "square"} if head != "stock" else {}
    detector = kb.Detector(path, head=head, precision=precision, conf=floor_of(CONF), **options)
    return [detector(frame) for frame in frames]


def agreement(reference: Sequence[kb.Detections], candidate: Sequence[kb.Detections]) -> Agreement:
    return total([agree(one, other, conf=CONF) for one, other in zip(reference, candidate, strict=True)])


def test_its_head_is_found() -> None:
    model, head = loaded()
    assert (model.output.family, model.output.task, model.names) == ("yolov8", "detect", CLASS_NAMES)
    assert head.num_bins == 16
    assert [(level.stride_px, len(level.ports)) for level in head.levels] == [(8, 2), (16, 2), (32, 2)]


def test_it_finds_the_clips_objects() -> None:
    street, evaluation = Street(CLIP_SPEC), CocoEvaluation(CLASS_NAMES)
    with kb.Pipeline(MODEL, conf=0.001, iou=0.6, multi_label=True) as pipeline:
        for result in pipeline.run(embedded_clip(), stride=30):
            truth = street.truth(result.frame.index)
            size_wh = (result.frame.width, result.frame.height)
            evaluation.add(size_wh, truth.boxes_xyxy, truth.class_id, result.detections)
    score = evaluation.accuracy()
    assert score.num_frames == 10
    # A swapped channel, a shifted box or a wrong scale is far below.
    assert (score.map50_95 or 0) > 0.8 and (score.map50 or 0) > 0.92


def test_every_head_gives_the_same_in_float32(frames: list[NDArray[np.uint8]]) -> None:
    stock, *others = (found(frames, head, "f32") for head in STRATEGIES)
    assert sum(map(len, stock)) > 30
    for other in others:
        same = agreement(stock, other)
        assert not len(same.missing) and not len(same.extra)
        assert same.iou.min() > 0.995 and np.abs(same.drift).max() < 1e-3


@pytest.mark.skipif(
    "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"), reason="the CPU does not compute in bf16"
)
def test_every_head_gives_the_same_in_bfloat16(frames: list[NDArray[np.uint8]]) -> None:
    reference = found(frames, "stock", "f32")
    for head in STRATEGIES:
        assert agreement(reference, found(frames, head, "bf16")).problems(Limits()) == []


def test_its_head_stays_when_it_is_quantized(frames: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    model, head = loaded()
    samples = read_samples(open_frames(str(embedded_clip()), 4), lambda _: model.input_hw, LETTERBOXED, lambda _: None)
    assert len(samples) == 4
    path = tmp_path / "int8.xml"
    ov.save_model(quantize_model(model, head, samples, is_flexible=False), path)
    made, own = loaded(path)
    assert made.output.family == "yolov8" and own.num_bins == 16
    assert [level.stride_px for level in own.levels] == [8, 16, 32]
    stored = [n for n in made.graph.get_ops() if n.get_type_name() == "Constant" and n.get_element_type() == ov.Type.i8]
    # All convolutions but the one that sums the bins.
    assert len(stored) == sum(n.get_type_name() == "Convolution" for n in made.graph.get_ops()) - 1
    in_int8 = partial(found, frames, precision="f32", path=path)
    stock = in_int8("stock")
    assert agreement(found(frames, "stock", "f32"), stock).problems(Limits(min_matched=0.9, max_drift=0.1)) == []
    for other in ("tail", "host"):
        assert agreement(stock, in_int8(other)).problems(Limits()) == []
