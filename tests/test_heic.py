"""Photos as phones write them: HEIC, of one piece and of tiles, turned and mirrored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pillow_heif
import pytest
from numpy.typing import NDArray

from keepbusy.sources import open_source
from keepbusy.sources.picture import read_image
from tests.build import write_video

TILE_PX = 128
SIZES_WH = ((300, 200), (256, 384), (130, 130))
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image)[:, ::-1],
    8: lambda image: np.rot90(image, 1),
}
"""What each EXIF orientation does to a stored picture to show it."""


def scene(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture that no turn maps to itself; uint8 (H, W, 3), BGR."""
    width, height = size_wh
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    picture = np.stack((across, down, 255 - across), axis=2).astype(np.uint8)
    picture[: height // 3, : width // 4] = 255
    return picture


def write_heic(path: Path, picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, **options: object) -> Path:
    monkeypatch.setattr(pillow_heif.options, "GRID_TILE_SIZE", TILE_PX)
    image = PIL.Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    pillow_heif.from_pillow(image).save(path, quality=95, **options)
    return path


def mean_difference(found: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    return float(np.abs(found.astype(np.int64) - wanted.astype(np.int64)).mean())


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("name", ["photo.heic", "photo.hif", "photo.jpg"])
def test_a_photo_of_tiles_is_read_whole(
    tmp_path: Path, size_wh: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_heic(tmp_path / "photo.heic", scene(size_wh), monkeypatch).rename(tmp_path / name)
    assert b"grid" in path.read_bytes()[:4096]
    found = read_image(path)
    assert found.shape == (size_wh[1], size_wh[0], 3)
    assert mean_difference(found, scene(size_wh)) < 4


@pytest.mark.parametrize("orientation", sorted(TURNS))
@pytest.mark.parametrize("is_tiled", [True, False])
def test_a_turned_photo_is_upright(
    tmp_path: Path, orientation: int, is_tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = scene((300, 200) if is_tiled else (96, 64))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = write_heic(tmp_path / "photo.heic", stored, monkeypatch, exif=exif.tobytes())
    wanted = TURNS[orientation](stored)
    found = read_image(path)
    assert found.shape == wanted.shape
    assert mean_difference(found, wanted) < 4


def test_photos_and_videos_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_heic(tmp_path / "a.heic", scene((300, 200)), monkeypatch)
    write_video(tmp_path / "b.mp4", num_frames=2)
    write_heic(tmp_path / "c.HEIC", scene((96, 64)), monkeypatch)
    source = open_source(tmp_path)
    try:
        shapes = []
        while (frame := source.read()) is not None:
            assert frame.image is not None
            shapes.append(frame.image.shape[:2])
    finally:
        source.close()
    assert shapes == [(200, 300), (64, 96), (64, 96), (64, 96)]


def test_a_photo_that_is_cut_short_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_heic(tmp_path / "photo.heic", scene((300, 200)), monkeypatch)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(Exception, match=r"photo\.heic") as caught:
        read_image(path)
    assert type(caught.value).__name__ == "FrameError"
