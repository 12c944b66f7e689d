"""How old the results of one camera are: a real RTSP server, 1280x720, 30 frames/s, on loopback.

    python -m benchmarks.age [--model MODEL.xml] [--seconds 20] [--cuts 3] [--only NAME ...]
                             [--options "{'hint': 'latency'}"]

Each picture carries its number, and the server notes when it sent it: an age is from there to the moment at which the
result is handed over. It therefore has in it what the network and FFmpeg's parser take, which is a picture's period,
because a picture ends where the next one begins.

`decoder`: to the moment at which a frame has been read, without a model. `default`, `latency`, `throughput`: results by
the hint; `start`: a run that the camera is added to. `cuts`: as `start`, told of the rate, while a proxy cuts the
connection again and again. All results count, from the first one on, and each connection is shown by itself, with its
first ages.

The verdict: the median is at most the decoder's and 1.2 times what preprocessing, inference and postprocessing take,
and the 99th percentile at most 1.5 times the median, of all and of each connection.

Debian packages that it needs: see tests/live/debian.txt.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import keepbusy as kb
from keepbusy.embedded import embedded_model
from keepbusy.sources import open_source
from tests.live.cameras import RtspCamera, number_in, rtsp_camera, why_no_server, write_clip
from tests.live.proxy import proxy_to

FPS = 30

NAMES = ("decoder", "default", "start", "latency", "throughput", "cuts")


def age_ms(camera: RtspCamera, image: Any) -> float:
    """How long ago a picture was sent."""
    return (time.monotonic_ns() - camera.sent_ns(number_in(image))) / 1e6


@dataclass
class Ages:
    """What was measured.

    Attributes:
        connections: Ages of results, ms, of each connection to the camera.
        spent_ms: What preprocessing, inference and postprocessing took together, of each result.
        told: What else is known.
    """

    connections: list[list[float]] = field(default_factory=lambda: [[]])
    spent_ms: list[float] = field(default_factory=list)
    told: str = ""

    @property
    def all(self) -> list[float]:
        """Of all connections."""
        return [one for ages in self.connections for one in ages]


def decoder(camera: RtspCamera, seconds: float, num_cuts: int) -> Ages:
    """Ages of frames that nobody infers; the camera is opened again and again."""
    found = Ages([[] for _ in range(num_cuts + 1)])
    for ages in found.connections:
        source = open_source(camera.url)
        end_s = time.monotonic() + seconds / (num_cuts + 1)
        while time.monotonic() < end_s and (frame := source.read()) is not None:
            ages.append(age_ms(camera, frame.image))
        source.close()
    return found


def results(run: kb.Run, seconds: float) -> Iterator[kb.Result]:
    """Results for some seconds from the first one on."""
    end_s = 0.0
    for result in run:
        end_s = end_s or time.monotonic() + seconds
        yield result
        if time.monotonic() > end_s:
            return


def detector(camera: RtspCamera, model: Path, seconds: float, options: dict[str, Any], how: str, num_cuts: int) -> Ages:
    """Ages of results, and what is known of the run."""
    found = Ages()
    with proxy_to(camera.port) as proxy, kb.Pipeline(model, **options) as pipeline:
        begin_s = time.monotonic()
        if how not in ("start", "cuts"):
            run = pipeline.run(camera.url)
        else:
            run = pipeline.start(live_fps=FPS if how == "cuts" else None)
            run.add(proxy.url, kb.StreamConfig(retry=kb.Retry(first_wait_s=0.2), on_error="end"))
        cuts = [threading.Timer(seconds / (num_cuts + 1) * (one + 1), proxy.cut) for one in range(num_cuts)]
        with run:
            num_reopened = last_ns = 0
            for result in results(run, seconds):
                if not found.spent_ms:
                    first_s = time.monotonic() - begin_s
                    for cut in cuts if how == "cuts" else ():
                        cut.start()
                if result.error is not None or result.frame.image is None:
                    continue
                numbers = run.streams[result.frame.source_id].stats
                if numbers.num_reopened > num_reopened and result.timings.arrival_ns > last_ns + 0.1e9:
                    num_reopened = numbers.num_reopened
                    found.connections.append([])
                last_ns = result.timings.arrival_ns
                found.connections[-1].append(age_ms(camera, result.frame.image))
                timings = result.timings
                found.spent_ms.append((timings.postprocess_end_ns - timings.preprocess_start_ns) / 1e6)
            numbers = run.stats.snapshot().streams[0]
        chosen, num_slots = pipeline.device.describe(), pipeline.num_slots
    found.told = (
        f"first result after {first_s:.1f} s; preprocess to postprocess p50 {np.median(found.spent_ms):.0f} ms; "
        f"{chosen.get('streams')} streams, {num_slots} slots; reopened {numbers.num_reopened}; "
        f"dropped {dict(numbers.dropped)}; age by the run p50 {numbers.age_p50_ms:.0f}, p99 {numbers.age_p99_ms:.0f} ms"
    )
    return found


def shown(ages: list[float]) -> str:
    """Percentiles, and the first ones."""
    p50, p90, p99 = np.percentile(ages, (50, 90, 99))
    first = " ".join(f"{one:.0f}" for one in ages[:6])
    return f"age p50 {p50:4.0f} p90 {p90:4.0f} p99 {p99:4.0f} max {max(ages):4.0f} ms, first {first} ms"


def verdict(found: Ages, decoder_ms: float) -> str:
    """Whether ages are what they should be."""
    bound_ms = decoder_ms + 1.2 * float(np.median(found.spent_ms))
    p50_ms = float(np.median(found.all))
    parts = [f"p50 {p50_ms:.0f} ms, at most {bound_ms:.0f}: {'yes' if p50_ms <= bound_ms else 'NO'}"]
    for what, ages in [("all", found.all), *((f"connection {at}", one) for at, one in enumerate(found.connections))]:
        p50, p99 = np.percentile(ages, (50, 99))
        parts.append(f"p99 of {what} {p99 / p50:.2f} times p50{'' if p99 <= 1.5 * p50 else ' NO'}")
    return "; ".join(parts)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=embedded_model())
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--codec", choices=("h264", "hevc"), default="h264")
    parser.add_argument("--only", action="append", choices=NAMES)
    parser.add_argument("--options", type=ast.literal_eval, default={}, help="of the pipeline, as a Python dict")
    given = parser.parse_args()
    if missing := why_no_server():
        sys.exit(f"age: {missing}")
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip", size_wh=(1280, 720), fps=FPS, num=240, codec=given.codec)
        decoder_ms: float | None = None
        for name in given.only or NAMES:
            with rtsp_camera([clip]) as camera:
                if name == "decoder":
                    found = decoder(camera, given.seconds, given.cuts)
                    decoder_ms = float(np.median(found.all))
                else:
                    hint = {"hint": name} if name in ("latency", "throughput") else {}
                    options = {**given.options, **hint}
                    found = detector(camera, given.model, given.seconds, options, name, given.cuts)
            print(f"{name:10} {len(found.all) / given.seconds:5.1f} frames/s, {shown(found.all)}; {found.told}")
            if len(found.connections) > 1:
                for number, ages in enumerate(found.connections):
                    print(f"  connection {number}: {shown(ages)}")
            if decoder_ms is not None and found.spent_ms:
                print(f"  {verdict(found, decoder_ms)}", flush=True)


if __name__ == "__main__":
    main()
