"""How a contender is driven: one long-lived process, told over its standard input when to work.

The process loads and warms up once and says `{"ready": true, ...}`. For each line `run SECONDS` it works for that long
over the looped video and answers with one line of JSON; between two runs it only waits for the next line. It ends with
its input. Needs the standard library only, so that it runs in any contender's environment.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

CONF = 0.25
"""Boxes below this confidence are dropped, by all contenders."""
IOU = 0.45
"""Boxes of one class that overlap a better one by more than this are dropped, by all contenders."""
MAX_BOXES = 300
"""At most this many boxes a frame, by all contenders that can be told so."""
WARM_UP_S = 0.5
"""Work at the beginning of each run that is not counted: caches, clocks, the filling of a pipeline."""

PACKAGES = (
    *("keepbusy", "openvino", "torch", "torchvision", "opencv-python-headless", "opencv-python", "numpy"),
    *("ultralytics", "openvino-model-api", "av"),
)


class Done(NamedTuple):
    """One frame's end: seconds from the frame having been read to its boxes, and how many boxes."""

    latency_s: float
    num_boxes: int


Frames = Generator[Done, None, None]
"""Works for as long as it is iterated; `close()` lets what is in flight finish and leaves nothing working."""


def measure(frames: Frames, seconds: float, warm_up_s: float = WARM_UP_S) -> dict[str, float]:
    """Work for some seconds and count; the generator is closed.

    Returns:
        Frames a second, frames, median latency (ms), boxes a frame, and core time a frame (ms) over all threads.
    """
    latencies: list[float] = []
    num_boxes = 0
    try:
        begin = time.perf_counter()
        while time.perf_counter() - begin < warm_up_s:
            next(frames)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        while True:
            done = next(frames)
            latencies.append(done.latency_s)
            num_boxes += done.num_boxes
            elapsed = time.perf_counter() - begin
            if elapsed >= seconds:
                break
        cpu_s = time.process_time() - begin_cpu
    finally:
        frames.close()
    count = len(latencies)
    return {
        "fps": count / elapsed,
        "frames": count,
        "latency_ms_p50": statistics.median(latencies) * 1e3,
        "boxes_per_frame": num_boxes / count,
        "cpu_ms_per_frame": cpu_s / count * 1e3,
    }


def serve(load: Callable[[argparse.Namespace], Callable[[], Frames]], description: str | None) -> None:
    """Be a contender's process.

    Args:
        load: Takes the options, loads everything, and returns what begins to work over the looped video.
        description: What the contender is.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--mode", default="async", choices=("sync", "async"), help="keepbusy's mode")
    parser.add_argument("--hint", default="", help="OpenVINO performance hint; none unless given")
    options = parser.parse_args()
    # Libraries may print what they like: to the error stream.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer: dict[str, Any]) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    try:
        begin = load(options)
        measure(begin(), 0.0)
        say({"ready": True, "versions": versions()})
        for line in sys.stdin:
            command, _, seconds = line.strip().partition(" ")
            if command != "run":
                raise ValueError(f"unknown command {line.strip()!r}: `run SECONDS` is the only one")
            say(measure(begin(), float(seconds)))
    except Exception as error:
        say({"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"})
        raise


def versions() -> dict[str, str]:
    """The versions of the packages that matter, as far as they are installed here."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
