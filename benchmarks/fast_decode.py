"""What `--fast-decode` brings and costs: the synthetic street, which knows its truth, encoded at several rates.

    python -m benchmarks.fast_decode [--frames N] [--rounds N]

Each clip is decoded as it should be and without smoothing the edges of its blocks (FFmpeg's `skip_loop_filter`): CPU
milliseconds a frame in one decoder thread, in turn, and mAP50-95 of the embedded model on what comes out. Key frames
are five seconds apart, as cameras have them: until the next one, what is left out adds up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

import keepbusy as kb
from keepbusy.config import MAX_PIXELS
from keepbusy.embedded import embedded_model
from keepbusy.evaluate.run import collect
from keepbusy.evaluate.street_data import StreetData
from keepbusy.sources.base import Source
from keepbusy.sources.open import open_source
from keepbusy.sources.street import Street

SIZE_WH = (1920, 1080)
FPS = 30
KEY_FRAME_S = 5
RATES_MBIT = (8.0, 4.0, 2.0, 1.0)


class EncodedStreet(StreetData):
    """A street whose frames come from a video of it."""

    def __init__(self, spec: str, video: Path, *, is_fast: bool) -> None:
        super().__init__(spec)
        self._video = video
        self._is_fast = is_fast

    def open(self, *, max_pixels: int = MAX_PIXELS) -> Source:
        return open_source(self._video, max_pixels=max_pixels, fast_decode=self._is_fast)


def encode(spec: str, path: Path, mbit: float) -> None:
    """A street as H.264 with B-frames, at a bit rate."""
    street = Street(spec)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE_WH
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = round(mbit * 1e6)
        stream.options = {"preset": "veryfast", "g": str(FPS * KEY_FRAME_S), "bf": "3"}
        while (frame := street.read()) is not None:
            assert frame.image is not None
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode())


def decoding_ms(path: Path, *, is_fast: bool) -> float:
    """CPU milliseconds a frame of one decoder thread."""
    source = open_source(path, read_ahead=False, fast_decode=is_fast)
    num_frames, begin_s = 0, time.process_time()
    while source.read() is not None:
        num_frames += 1
    spent_s = time.process_time() - begin_s
    source.close()
    return spent_s * 1e3 / num_frames


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    width, height = SIZE_WH
    spec = f"synth:street?seed=2000001&size={width}x{height}&fps={FPS}&frames={options.frames}"
    print("| Mbit/s | ms of CPU a frame | fast | fast / full | mAP50-95 | fast, points |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder, kb.Pipeline(embedded_model(), conf=0.001, iou=0.6) as pipeline:
        for mbit in RATES_MBIT:
            path = Path(folder) / f"{mbit:g}.mp4"
            encode(spec, path, mbit)
            rounds = [[decoding_ms(path, is_fast=is_fast) for is_fast in (False, True)] for _ in range(options.rounds)]
            full_ms, fast_ms = (statistics.median(one) for one in zip(*rounds, strict=True))
            ratios = [fast / full for full, fast in rounds]
            full_map, fast_map = (
                collect(pipeline, EncodedStreet(spec, path, is_fast=is_fast)).scorer.evaluation.accuracy().map50_95 or 0
                for is_fast in (False, True)
            )
            print(
                f"| {mbit:g} | {full_ms:.2f} | {fast_ms:.2f} | {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}) | {full_map:.4f} | {(fast_map - full_map) * 100:+.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
