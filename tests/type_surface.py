"""What the public names are to a type checker. Checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import keepbusy as kb
from keepbusy.api import Pipeline
from keepbusy.config import Options
from keepbusy.values.masks import Masks


def pipeline_over_sources(picture: NDArray[np.uint8]) -> None:
    with kb.Pipeline("m.xml", device="CPU", names=("a", "b"), conf=0.5, nireq=2, shape=(384, 640)) as pipeline:
        assert_type(pipeline, Pipeline)
        assert_type(pipeline.input_hw, tuple[int, int])
        assert_type(pipeline.names, tuple[str, ...])
        run = pipeline.run("a.mp4", Path("b.jpg"), 0, picture, ["c.png", picture], loop=True, limit=3, stride=2)
        assert_type(run, kb.Run)
        for result in run:
            assert_type(result, kb.Result)
        assert_type(next(run), kb.Result)
        assert_type(run.stats.snapshot(), kb.Snapshot)
        assert_type(pipeline.start(), kb.Run)


def streams_that_come_and_go(run: kb.Run) -> None:
    stream = run.add("rtsp://door/stream", kb.StreamConfig(name="door", max_age_ms=500, retry=kb.Retry()))
    assert_type(stream, kb.Stream)
    assert_type(run.streams, Mapping[int, kb.Stream])
    for one in run.stats.snapshot().streams:
        assert_type(one, kb.StreamStats)
    for stage in run.stats.snapshot().stages:
        assert_type(stage, kb.StageStats)
    run.remove(stream, drain=True)
    run.end()


def result_of_a_frame(result: kb.Result) -> None:
    assert_type(result.frame, kb.Frame)
    assert_type(result.frame.image, NDArray[np.uint8] | None)
    assert_type(result.frame.timestamp_s, float)
    assert_type(result.timings, kb.Timings)
    assert_type(result.error, kb.FrameError | None)
    found = result.detections
    assert_type(found, kb.Detections)
    assert_type(found.boxes_xyxy, NDArray[np.float32])
    assert_type(found.confidence, NDArray[np.float32])
    assert_type(found.class_id, NDArray[np.int64])
    assert_type(found.masks, Masks | None)
    assert_type(found.keypoints, NDArray[np.float32] | None)
    for one in found:
        assert_type(one, kb.Detections)
    assert_type(found[0], kb.Detections)
    assert_type(found[found.confidence > 0.5], kb.Detections)


def what_becomes_of_detections(found: kb.Detections, result: kb.Result, image: NDArray[np.uint8]) -> None:
    assert_type(found.where(classes=["person", 2], conf=0.5), kb.Detections)
    assert_type(found.where(classes="person"), kb.Detections)
    assert_type(found.boxes_xywh, NDArray[np.float32])
    assert_type(found.boxes_xyxyn, NDArray[np.float32])
    assert_type(found.frame_hw, tuple[int, int] | None)
    assert_type(found.to_dict(), dict[str, Any])
    assert_type(found.to_csv(), str)
    assert_type(found.plot(image, labels=False), NDArray[np.uint8])
    assert_type(found.crops(image), list[NDArray[np.uint8]])
    assert_type(found.save("a.jpg", image, exist_ok=True), Path)
    assert_type(result.plot(line_width=2), NDArray[np.uint8])
    assert_type(result.save(Path("a.jpg")), Path)
    kb.drawing.draw(image, found, kb.drawing.Style(has_labels=False))
    assert_type(kb.records.record(result), dict[str, Any])
    found.xyxy  # type: ignore[attr-defined]  # noqa: B018
    result.boxes  # type: ignore[attr-defined]  # noqa: B018


async def asyncio_programs(pipeline: kb.Pipeline) -> None:
    async with pipeline.stream("a.mp4", limit=3) as results:
        async for result in results:
            assert_type(result, kb.Result)
    assert_type(results.stats, kb.Snapshot | None)


def detector_of_pictures(picture: NDArray[np.uint8]) -> None:
    with kb.Detector("m.xml", conf=0.5, classes=["person"], class_conf={"person": 0.5}, imgsz=640) as detector:
        assert_type(detector, kb.Detector)
        for found in (detector(picture), detector("a.jpg"), detector(Path("a.jpg")), detector(b"...")):
            assert_type(found, kb.Detections)
        assert_type(detector([picture, picture]), list[kb.Detections])
        assert_type(detector(["a.jpg", picture, b"..."]), list[kb.Detections])
        for found in detector.stream(picture for _ in range(3)):
            assert_type(found, kb.Detections)


async def detector_in_asyncio(detector: kb.Detector, picture: NDArray[np.uint8]) -> None:
    assert_type(await detector.detect(picture), kb.Detections)
    assert_type(await detector.detect([picture, "a.jpg"]), list[kb.Detections])


def options_by_name() -> None:
    options: Options = {"precision": "f16", "hint": "latency", "class_conf": {0: 0.5}}
    kb.Pipeline("m.xml", **options)
    kb.Pipeline("m.xml", classes=(0, 2), channels="rgb", imgsz=(480, 640), names=["a", "b"])
    kb.Pipeline("m.xml", precission="f16")  # type: ignore[call-arg]
    kb.Pipeline("m.xml", precision="f17")  # type: ignore[arg-type]


class Microscope(kb.Source):
    """A source of one's own."""

    def __init__(self) -> None:
        self.info = kb.SourceInfo("microscope", is_live=True)

    def read(self) -> kb.Frame | None:
        return kb.Frame(np.zeros((64, 96, 3), np.uint8), 0, 0.0, 0, self.info.name)


def sources(pipeline: kb.Pipeline) -> None:
    source = kb.open_source("a.mp4")
    assert_type(source, kb.Source)
    assert_type(source.frame_sizes(), dict[tuple[int, int], int])
    pipeline.run(Microscope(), source)
    pipeline.run((np.zeros((64, 96, 3), np.uint8) for _ in range(3)), b"...", [b"...", "a.jpg"])


def errors(error: kb.KeepbusyError) -> None:
    assert_type(error.message, str)
    assert_type(error.hint, str | None)
