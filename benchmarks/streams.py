"""What many streams cost, and how old their results get: scripted streams on a scripted device.

    python -m benchmarks.streams [--frames N] [--rounds N]

First as many frames as the threads carry, from sources that take no time: the total rate of 1, 4, 16 and 64 streams, on
a device that takes no time either, and on one that takes 2 ms for each frame and serves two at once. Then live streams,
each with its own share of twice what the device can do: how old results are when they are handed over, and how evenly
the device is shared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter

from benchmarks.engine_only import SIDE_PX, InMemory, no_detections
from keepbusy.config import RunConfig, StreamConfig
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run

STREAMS = (1, 4, 16, 64)
DEVICE_S = 0.002
OVERLOAD = 2.0


def total_rate(num_streams: int, num_frames: int, device_s: float = 0.0) -> float:
    """Frames a second of all streams together."""
    sources = [InMemory(num_frames // num_streams) for _ in range(num_streams)]
    device = ScriptedDevice(device_s, num_servers=2, input_hw=(SIDE_PX, SIDE_PX))
    begin_s = time.perf_counter()
    num_done = sum(1 for _ in scripted_run(sources, device, RunConfig(nireq=4), to_detections=no_detections))
    return num_done / (time.perf_counter() - begin_s)


def live_ages(num_streams: int, seconds: float) -> tuple[float, float, float]:
    """Median and highest p99 of the streams' ages, ms; the most frames of one stream over the fewest."""
    period_s = num_streams * DEVICE_S / OVERLOAD
    num_frames = max(2, round(seconds / period_s))
    with scripted_run(None, ScriptedDevice(DEVICE_S), RunConfig(nireq=4)) as run:
        for number in range(num_streams):
            source = ScriptedSource(num_frames, read_s=period_s, is_live=True, name=f"camera {number}")
            run.add(source, StreamConfig())
        run.end()
        counts = Counter(result.frame.source_id for result in run)
    streams = run.stats.snapshot().streams
    p50_ms = statistics.median(one.age_p50_ms for one in streams)
    return p50_ms, max(one.age_p99_ms for one in streams), max(counts.values()) / min(counts.values())


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of live streams")
    options = parser.parse_args()
    devices_s = (0.0, DEVICE_S)
    rates: dict[tuple[float, int], list[float]] = {(one, number): [] for one in devices_s for number in STREAMS}
    for _ in range(options.rounds):
        for device_s in devices_s:
            for number in STREAMS:
                num_frames = options.frames if device_s == 0 else options.frames // 8
                rates[device_s, number].append(total_rate(number, num_frames, device_s))
    for number in STREAMS:
        free, busy = (_told(rates[one, number], rates[one, STREAMS[0]]) for one in devices_s)
        p50_ms, p99_ms, spread = live_ages(number, options.seconds)
        print(
            f"{number:3} streams: {free}; device of 2 ms: {busy}; "
            f"live: age p50 {p50_ms:5.1f} ms, p99 {p99_ms:5.1f} ms, most over fewest frames {spread:.2f}"
        )


def _told(rates: list[float], ones: list[float]) -> str:
    """Median rate, and its ratio to one stream's with the range."""
    ratios = [rate / one for rate, one in zip(rates, ones, strict=True)]
    median = statistics.median(ratios)
    return f"{statistics.median(rates):6.0f} frames/s, {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of one's"


if __name__ == "__main__":
    main()
