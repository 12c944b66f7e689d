"""The real model, videos and pictures, where they are at hand: against a reference written from the definition."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import keepbusy as kb
from tests import reference
from tests.build import read_video

CONF = 0.15
"""Low enough that yolov5n reports the half-hidden fourth person of bus.jpg, to which it gives 0.16."""


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    return data / "models" / "yolov5n.xml"


@pytest.mark.parametrize(
    ("name", "must_have"),
    [("bus", {"bus": 1, "person": 4}), ("zidane", {"person": 2, "tie": 1})],
)
def test_the_articles_pictures_agree_with_the_definition(
    data: Path, model: Path, name: str, must_have: dict[str, int]
) -> None:
    path = data / "images" / f"{name}.jpg"
    picture = np.asarray(cv2.imread(str(path)), np.uint8)
    expected = reference.detect(reference.infer(model, picture), picture.shape[:2], (640, 640), conf=CONF)
    found = kb.Detector(model, conf=CONF, precision="f32", shape="square")(path)
    names = [found.name(index) for index in range(len(found))]
    for wanted, count in must_have.items():
        assert names.count(wanted) >= count, names
    # Both compute in float32, ours with the division by 255 inside the graph: each of some 60 layers may round its
    # sums differently by 2**-24, which a box of a thousand pixels magnifies to hundredths of a pixel.
    assert found.class_id.tolist() == [class_id for class_id, _, _ in expected]
    np.testing.assert_allclose(found.confidence, [confidence for _, confidence, _ in expected], atol=1e-4)
    np.testing.assert_allclose(found.boxes_xyxy, [box for _, _, box in expected], atol=0.1)


@pytest.mark.parametrize("name", ["bus", "zidane"])
def test_the_devices_own_precision_finds_the_same_objects(data: Path, model: Path, name: str) -> None:
    """bfloat16 keeps 8 bits: of two anchors nearly as good, the other one may win, so boxes agree less closely."""
    path = data / "images" / f"{name}.jpg"
    exact = kb.Detector(model, conf=CONF, precision="f32", shape="square")(path)
    found = kb.Detector(model, conf=CONF - 0.02)(path)
    for index in range(len(exact)):
        box = tuple(exact.boxes_xyxy[index].tolist())
        rivals = [
            reference.overlap(box, tuple(found.boxes_xyxy[other].tolist()))
            for other in np.flatnonzero(found.class_id == exact.class_id[index])
        ]
        assert max(rivals, default=0.0) > 0.8, exact.name(index)


@pytest.mark.parametrize("clip", ["car-detection", "one-by-one-person-detection"])
def test_sync_and_async_give_the_same_bytes_at_every_depth(data: Path, model: Path, clip: str) -> None:
    def run(**options: object) -> list[bytes]:
        with kb.Pipeline(model, **options) as pipeline:  # type: ignore[arg-type]
            return [
                result.detections.boxes_xyxy.tobytes()
                + result.detections.confidence.tobytes()
                + result.detections.class_id.tobytes()
                for result in pipeline.run(data / "videos" / f"{clip}.mp4", stride=6, limit=60)
            ]

    plain = run(mode="sync")
    assert len(plain) == 60 and any(plain)
    for nireq in (1, 2, 4, 7):
        assert run(nireq=nireq) == plain, nireq


def test_the_whole_job_on_a_real_video(data: Path, model: Path, tmp_path: Path) -> None:
    video, out, annotated = data / "videos" / "car-detection.mp4", tmp_path / "out.jsonl", tmp_path / "out.mp4"
    command = [sys.executable, "-m", "keepbusy", "detect", str(video), "-m", str(model)]
    subprocess.run([*command, "--save", str(annotated), "--json", str(out), "-q"], check=True, timeout=200)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["index"] for record in records] == list(range(377))
    assert [record["timestamp_s"] for record in records] == pytest.approx([n / 12.5 for n in range(377)], abs=1e-3)
    frames, originals = read_video(annotated), read_video(video)
    assert len(frames) == 377 and frames[0].shape == originals[0].shape
    # Where there is something, its box is drawn: the picture differs from the original along the box's left edge.
    seen = 0
    for record, frame, original in zip(records, frames, originals, strict=True):
        for detection in record["detections"]:
            left, top, _, bottom = (round(value) for value in detection["box_xyxy"])
            if bottom - top > 80 and left > 4:
                edge = slice(top + 30, bottom - 10), slice(max(0, left - 1), left + 2)
                changed = np.abs(frame[edge].astype(int) - original[edge].astype(int)).max(axis=(1, 2))
                assert (changed > 20).mean() > 0.8
                seen += 1
    assert seen > 20


def test_ctrl_c_in_the_middle_of_a_real_video(data: Path, model: Path, tmp_path: Path) -> None:
    out, annotated = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    video = data / "videos" / "one-by-one-person-detection.mp4"
    command = [sys.executable, "-m", "keepbusy", "detect", str(video), "-m", str(model)]
    process = subprocess.Popen([*command, "--save", str(annotated), "--json", str(out), "-q"])
    until = time.monotonic() + 60
    while (not out.exists() or out.read_text().count("\n") < 40) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert 40 <= len(records) < 1394
    assert len(read_video(annotated)) == len(records)
