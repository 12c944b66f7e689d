"""Boxes that stand in a region of the picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.errors import ConfigError
from tests.build import square_picture


def two_squares() -> np.ndarray:
    """Red squares of 32 pixels at the top left and further right, 96x64: their feet are at (32, 32) and (64, 64)."""
    return np.maximum(square_picture(0, 0), square_picture(64, 32))


def feet(found: kb.Detections) -> list[tuple[float, float]]:
    boxes = found.boxes_xyxy
    return sorted(zip(((boxes[:, 0] + boxes[:, 2]) / 2 / 96).tolist(), (boxes[:, 3] / 64).tolist(), strict=True))


@pytest.mark.parametrize(
    "region",
    [
        [(0, 0), (0.5, 0.75)],
        [(0, 0.4), (1, 1)],
        [(0, 0), (1, 0), (0, 1)],
        [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)],
        [(0, 0), (1, 1)],
    ],
)
def test_only_boxes_whose_foot_is_in_the_region_stay(blob_model: Path, region: list[tuple[float, float]]) -> None:
    everything = feet(kb.Detector(blob_model, iou=1.0)(two_squares()))
    found = feet(kb.Detector(blob_model, iou=1.0, region=region)(two_squares()))
    if len(region) == 2:
        (left, top), (right, bottom) = region
        region = [(left, top), (right, top), (right, bottom), (left, bottom)]
    polygon = np.array(region, np.float32) * 1000
    inside = [
        foot
        for foot in everything
        if cv2.pointPolygonTest(polygon, (foot[0] * 1000, min(foot[1], 0.9999) * 1000), False) > 0
    ]
    border = [
        foot for foot in everything if cv2.pointPolygonTest(polygon, (foot[0] * 1000, foot[1] * 1000), False) == 0
    ]
    assert set(inside) <= set(found) <= {*inside, *border}
    assert len(everything) > 4


def test_the_region_on_the_command_line(blob_model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "two.png"), two_squares())
    command = [sys.executable, "-m", "keepbusy", "detect", str(tmp_path / "two.png"), "-m", str(blob_model)]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, "--json", "-", *options], capture_output=True, encoding="utf-8", check=False)

    whole, part = (json.loads(run(*options).stdout)["detections"] for options in ([], ["--region", "0,0 0.5,0.75"]))
    assert 0 < len(part) < len(whole)
    bad = run("--region", "0,0 2,1")
    assert bad.returncode == 2 and "--region" in bad.stderr and "hint:" in bad.stderr


@pytest.mark.parametrize("region", ["all", [(0, 0)], [(0, 0), (1, 2)], [(0, 0, 1), (1, 1, 1)], 5])
def test_what_is_no_region_is_refused(blob_model: Path, region: object) -> None:
    with pytest.raises(ConfigError, match="is no polygon"):
        kb.Detector(blob_model, region=region)  # type: ignore[arg-type]
