"""Videos in several containers and codecs, really encoded."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np

from keepbusy.config import RunConfig
from keepbusy.sources import open_source
from keepbusy.testing import ScriptedDevice, scripted_run
from tests.fuzz.bytes_ import damage_bytes
from tests.fuzz.kind import check_results

FORMS = (
    ("mp4", "libx264", "yuv420p", {}),
    ("mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    ("mkv", "libx264", "yuv420p", {}),
    ("ts", "libx264", "yuv420p", {}),
    ("avi", "mpeg4", "yuv420p", {}),
    ("mov", "mjpeg", "yuvj420p", {}),
    ("webm", "libvpx-vp9", "yuv420p", {}),
    ("mkv", "ffv1", "yuv420p", {}),
    ("mov", "png", "rgb24", {}),
    ("gif", "gif", "rgb8", {}),
    ("flv", "flv1", "yuv420p", {}),
)
MAX_FRAMES = 200
"""Of a damaged video; a header may promise any number."""


class Videos:
    def seeds(self, folder: Path) -> list[Path]:
        paths = []
        for number, (suffix, codec, pixels, options) in enumerate(FORMS):
            try:
                av.codec.Codec(codec, "w")
            except ValueError:
                continue
            paths.append(_encode(folder / f"{number}-{codec}.{suffix}", codec, pixels, options))
        return paths

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        if dice.random() < 0.1:
            return content[: dice.randrange(len(content))] + content
        return damage_bytes(content, dice)

    def use(self, path: Path) -> str:
        source = open_source(path, max_pixels=20_000_000)
        with scripted_run([source], ScriptedDevice(), RunConfig(on_error="skip")) as run:
            return check_results(result for result, _ in zip(run, range(MAX_FRAMES), strict=False))


def _encode(path: Path, codec: str, pixels: str, options: dict[str, str]) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.options = {"g": "4"}
        for index in range(10):
            picture = np.full((48, 64, 3), 20 * index, np.uint8)
            picture[10:30, 3 * index : 3 * index + 20] = (0, 0, 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path
