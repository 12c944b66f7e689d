"""Videos in several containers and codecs, damaged; read directly, and run over with failed frames skipped."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from keepbusy.api import Pipeline
from keepbusy.sources import open_source
from tests.build import build_blob_model, square_picture
from tests.fuzz.check import check_frames, check_results
from tests.fuzz.mutate_bytes import mutated_bytes
from tests.fuzz.mutate_parts import boxes, mutated_parts, riff_chunks, ts_packets
from tests.fuzz.mutate_png import mutated_png

NUM_FRAMES = 8
SIZE_WH = (96, 64)
MAX_PIXELS = 1 << 24
FORMS = (
    *((".mp4", "libx264", "yuv420p"), (".mp4", "mpeg4", "yuv420p"), (".mov", "mjpeg", "yuvj420p")),
    *((".mov", "prores_ks", "yuv422p10le"), (".mkv", "libx264", "yuv420p"), (".mkv", "ffv1", "yuv420p")),
    *((".webm", "libvpx", "yuv420p"), (".webm", "libvpx-vp9", "yuv420p"), (".avi", "mjpeg", "yuvj420p")),
    *((".avi", "mpeg4", "yuv420p"), (".ts", "libx264", "yuv420p"), (".ts", "mpeg2video", "yuv420p")),
    *((".mpg", "mpeg2video", "yuv420p"), (".flv", "flv1", "yuv420p"), (".asf", "wmv2", "yuv420p")),
    *((".gif", "gif", "rgb8"), (".apng", "apng", "rgb24"), (".mp4", "libx265", "yuv420p")),
)


def create(seeds: Path) -> Videos:
    """Make the kind."""
    return Videos(seeds)


class Videos:
    """See the module."""

    def __init__(self, seeds: Path) -> None:
        self._good = [
            encode(seeds / f"{codec}{suffix}", codec, pix_fmt).read_bytes() for suffix, codec, pix_fmt in FORMS
        ]
        model = build_blob_model(seeds / "blob.xml")
        self._pipelines = [
            Pipeline(model, on_error="skip", mode=mode, head="stock", cache_dir=False, max_pixels=MAX_PIXELS)
            for mode in ("async", "sync")
        ]

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """See `Kind.make`."""
        chosen = dice.randrange(len(FORMS))
        suffix, codec, _ = FORMS[chosen]
        path = folder / f"a{suffix}"
        path.write_bytes(_damaged(dice, suffix, self._good[chosen], dice.choice(self._good)))
        is_async = dice.random() < 0.5
        pipeline = self._pipelines[0 if is_async else 1]

        def use() -> None:
            with contextlib.closing(open_source(path, read_ahead=is_async, max_pixels=MAX_PIXELS)) as source:
                num_frames = check_frames(source)
            with pipeline.run(path) as run:
                num_results = check_results(run)
            assert num_results == num_frames, f"{num_results} results of {num_frames} frames"

        return f"{codec}{suffix}", use


def encode(path: Path, codec: str, pix_fmt: str) -> Path:
    """A video of a red square that moves, the same bytes each time."""
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt, stream.thread_count = pix_fmt, 1
        stream.options = {"x265-params": "log-level=none:pools=1:frame-threads=1"} if codec == "libx265" else {}
        for index in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(square_picture(4 * index, size_wh=SIZE_WH), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _damaged(dice: random.Random, suffix: str, good: bytes, other: bytes) -> bytes:
    if dice.random() < 0.5:
        return mutated_bytes(dice, good, other)
    if suffix == ".apng":
        return mutated_png(dice, good)
    split = {".mp4": boxes, ".mov": boxes, ".avi": riff_chunks}.get(suffix, ts_packets)
    return mutated_parts(dice, good, split)
