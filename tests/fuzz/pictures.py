"""Pictures of every suffix that is read, damaged."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image as Pillow

from keepbusy.files.endings import IMAGE_SUFFIXES
from keepbusy.sources import frame_sizes, open_source
from keepbusy.sources.picture import read_image
from tests.build import square_picture
from tests.fuzz.check import check_frames
from tests.fuzz.mutate_bytes import mutated_bytes
from tests.fuzz.mutate_parts import boxes, jpeg_segments, mutated_parts, riff_chunks
from tests.fuzz.mutate_png import mutated_png

MAX_PIXELS = 1 << 24
SUFFIXES = tuple(sorted(IMAGE_SUFFIXES))


def create(seeds: Path) -> Pictures:
    """Make the kind."""
    return Pictures()


class Pictures:
    """See the module."""

    def __init__(self) -> None:
        self._good = {suffix: _encoded(suffix) for suffix in SUFFIXES}

    def damaged(self, dice: random.Random) -> tuple[str, bytes]:
        """A suffix, and a damaged file of that kind."""
        suffix = dice.choice(SUFFIXES)
        return suffix, _damaged(dice, suffix, dice.choice(self._good[suffix]))

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """See `Kind.make`."""
        suffix, content = self.damaged(dice)
        path = folder / f"a{suffix if dice.random() < 0.9 else dice.choice(SUFFIXES)}"
        path.write_bytes(content)
        threads = dice.choice([1, 2])

        def use() -> None:
            with contextlib.closing(open_source(path, read_threads=threads, max_pixels=MAX_PIXELS)) as source:
                for height, width in frame_sizes([source]):
                    assert height > 0 and width > 0
                check_frames(source)
            image = read_image(path, max_pixels=MAX_PIXELS)
            assert image.dtype == np.uint8 and image.ndim == 3 and 0 < image.size <= 3 * MAX_PIXELS

        return suffix, use


def _damaged(dice: random.Random, suffix: str, good: bytes) -> bytes:
    if dice.random() < 0.5:
        return mutated_bytes(dice, good)
    if suffix == ".png":
        return mutated_png(dice, good)
    if suffix in (".avif", ".heic", ".heif", ".hif", ".jp2"):
        return mutated_parts(dice, good, boxes)
    if suffix == ".webp":
        return mutated_parts(dice, good, riff_chunks)
    return mutated_parts(dice, good, jpeg_segments)


def _encoded(suffix: str) -> list[bytes]:
    """Good files of a suffix: colour, and where it can be grey, 16 bits, and others."""
    colour = square_picture()
    colour[:, :, 1] = np.arange(96, dtype=np.uint8)
    if suffix in (".heic", ".heif", ".hif"):
        return [_heif(colour)]
    saved = Pillow.fromarray(np.ascontiguousarray(colour[:, :, ::-1]))
    if suffix == ".tga":
        return [_saved(saved, "TGA"), _saved(saved, "TGA", compression="tga_rle"), _saved(saved.convert("L"), "TGA")]
    if suffix == ".mpo":
        return [_saved(saved, "MPO", save_all=True, append_images=[saved])]
    if suffix in (".jpg", ".jpeg", ".jpe", ".jfif"):
        exif = Pillow.Exif()
        exif[0x0112] = 6
        return [
            _saved(saved, "JPEG", exif=exif),
            _saved(saved, "JPEG", progressive=True),
            _saved(saved.convert("L"), "JPEG"),
        ]
    if suffix == ".png":
        palette = saved.convert("P", palette=Pillow.Palette.ADAPTIVE)
        return [_saved(saved, "PNG"), _saved(palette, "PNG", bits=4), _cv2(".png", colour.astype(np.uint16) * 257)]
    if suffix in (".tif", ".tiff"):
        return [
            _cv2(".tif", colour),
            _saved(saved, "TIFF", compression="jpeg"),
            _cv2(".tif", colour.astype(np.uint16) * 257),
        ]
    if suffix == ".pbm":
        return [_cv2(suffix, colour[:, :, 2])]
    if suffix == ".pgm":
        return [_cv2(suffix, colour[:, :, 2]), b"P2\n# c\n3 2\n255\n0 1 2\n3 4 255\n"]
    return [_cv2(".ppm" if suffix == ".pnm" else suffix, colour)]


def _heif(picture: np.ndarray) -> bytes:
    target = io.BytesIO()
    heif = pillow_heif.from_bytes("RGB", (picture.shape[1], picture.shape[0]), picture[:, :, ::-1].tobytes())
    heif.save(target, quality=60)
    return target.getvalue()


def _saved(picture: Pillow.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def _cv2(suffix: str, picture: np.ndarray) -> bytes:
    is_encoded, content = cv2.imencode(suffix, picture)
    assert is_encoded
    return content.tobytes()
