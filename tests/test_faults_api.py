"""What people give to `Detector` and `Pipeline.run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

import keepbusy as kb
from keepbusy.api.options import split_options
from keepbusy.errors import ConfigError, FrameError
from keepbusy.sources import open_source
from tests.build import square_picture, write_picture


def test_a_detector_takes_pictures_as_people_have_them(blob_model: Path, tmp_path: Path) -> None:
    bgr = square_picture()
    path = write_picture(tmp_path / "a.png", bgr)
    detector = kb.Detector(blob_model)
    expected = detector(path)
    assert len(expected)
    rgb = PIL.Image.fromarray(np.ascontiguousarray(bgr[:, :, ::-1]))
    with_alpha = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA), np.uint8)
    for given in (bgr, rgb, with_alpha, PIL.Image.open(path), str(path)):
        found = detector(given)
        assert np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
        assert np.array_equal(found.class_id, expected.class_id)
    assert detector(bgr[:, :, 0]) is not None


@pytest.mark.parametrize("given", [3.5, None, object(), {"a": 1}])
def test_what_is_no_picture_is_refused_by_its_type(blob_model: Path, given: object) -> None:
    with pytest.raises(ConfigError) as caught:
        kb.Detector(blob_model)(given)  # type: ignore[call-overload]
    assert caught.value.hint
    assert type(given).__name__ in caught.value.message


@pytest.mark.parametrize("given", [np.zeros((4, 4, 3)), np.zeros(5, np.uint8), np.zeros((4, 4, 2), np.uint8)])
def test_an_array_that_is_no_picture_is_refused(blob_model: Path, given: Any) -> None:
    with pytest.raises((FrameError, ConfigError), match=r"must be uint8|no picture"):
        kb.Detector(blob_model)(given)
    with kb.Pipeline(blob_model) as pipeline, pytest.raises(ConfigError, match="no picture"):
        pipeline.run(given)


def test_a_run_takes_arrays_and_lists(blob_model: Path, tmp_path: Path) -> None:
    bgr = square_picture()
    path = write_picture(tmp_path / "a.png", bgr)
    with kb.Pipeline(blob_model) as pipeline:
        results = list(pipeline.run([bgr, path], (bgr,), PIL.Image.open(path)))
        assert len(results) == 4 and all(len(result.detections) for result in results)
        with pytest.raises(ConfigError, match="float"):
            pipeline.run(1.5)  # type: ignore[arg-type]
        assert len(list(pipeline.run(path))) == 1


def test_planning_leaves_ones_own_source_open(blob_model: Path, tmp_path: Path) -> None:
    paths = [write_picture(tmp_path / f"{name}.png", square_picture()) for name in "abc"]
    own = open_source(paths[2])
    with kb.Pipeline(blob_model) as pipeline:
        pipeline.plan(paths[0], paths[1], own)
    assert own.read() is not None
    own.close()


def test_after_a_fork_it_says_so_at_once(blob_model: Path) -> None:
    program = f"""
import os, sys
import keepbusy as kb
import numpy as np
picture = np.zeros((64, 96, 3), np.uint8)
detector, pipeline = kb.Detector({str(blob_model)!r}), kb.Pipeline({str(blob_model)!r})
detector(picture)
list(pipeline.run(picture))
child = os.fork()
if child == 0:
    told = 0
    for use in (lambda: detector(picture), lambda: pipeline.run(picture), lambda: pipeline.plan(picture)):
        try:
            use()
        except kb.KeepbusyError as error:
            told += "after a fork" in error.message
    os._exit(told)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr


def test_a_size_is_one_side_or_two(blob_model: Path) -> None:
    assert kb.DeviceConfig(imgsz=320).imgsz == (320, 320)  # type: ignore[arg-type]
    assert kb.DeviceConfig(imgsz=[320, 416], shape=[64, 96]).imgsz == (320, 416)  # type: ignore[arg-type]
    for bad in ("320", 3.5, (1, 2, 3), (), True):
        with pytest.raises(ConfigError, match="is no size"):
            kb.Detector(blob_model, imgsz=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is no number"):
        kb.Detector(blob_model, conf="0.5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"channel_frames": 10_000_000_000},
        {"results_buffered": 10_000_000_000},
        {"nireq": 1_000_000},
        {"read_threads": 1_000_000},
        {"preprocess_threads": 1_000_000},
        {"threads": 1_000_000},
        {"nstreams": 1_000_000},
        {"max_det": 10**30},
        {"device_timeout_s": float("inf")},
        {"device_timeout_s": float("nan")},
        {"device_timeout_s": 0.0},
    ],
)
def test_no_option_takes_all_of_the_machine(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"is out of range|is no number") as caught:
        split_options(options)
    assert caught.value.hint is not None and caught.value.hint.startswith("give a value from ")
