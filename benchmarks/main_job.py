"""Sync against async against `benchmark_app`, interleaved: the same model, device and minutes for all.

    python benchmarks/main_job.py VIDEO MODEL [--rounds 7] [--seconds 8]

In each round every contender runs for some seconds, in an order that rotates, so that a machine that drifts favours
nobody. Printed are medians over rounds with their range, and the ratios, computed round by round.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keepbusy as kb


def end_to_end(pipeline: kb.Pipeline, video: Path, seconds: float) -> float:
    """Frames a second from decoding to detections, after a second of warm-up."""
    with pipeline.run(video, loop=True) as run:
        begin = time.perf_counter()
        while time.perf_counter() - begin < 1.0:
            next(run)
        num_frames, begin = 0, time.perf_counter()
        while (now := time.perf_counter()) - begin < seconds:
            next(run)
            num_frames += 1
    return num_frames / (now - begin)


def benchmark_app(model: Path, api: str, device: str, seconds: float) -> float:
    """Frames a second that OpenVINO's own tool reports for the model alone."""
    hint = "throughput" if api == "async" else "latency"
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-d", device, "-api", api]
    command += ["-t", str(round(seconds)), "-hint", hint]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Throughput:\s+([\d.]+) FPS", text)
    assert found, text
    return float(found[1])


def spread(values: list[float]) -> str:
    """Median, and the range."""
    return f"{statistics.median(values):7.2f}  ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--nireq", type=int, nargs="*", default=[], help="more async depths to compare")
    options = parser.parse_args()
    seconds = options.seconds
    contenders: dict[str, Callable[[], float]] = {}
    for label, settings in (
        ("keepbusy sync", {"mode": "sync"}),
        ("keepbusy async", {}),
        *((f"keepbusy async, {n} requests", {"nireq": n}) for n in options.nireq),
    ):
        pipeline = kb.Pipeline(options.model, options.device, **settings)  # type: ignore[arg-type]
        pipeline.plan(options.video)
        contenders[label] = lambda p=pipeline: end_to_end(p, options.video, seconds)  # type: ignore[misc]
    for api in ("sync", "async"):
        contenders[f"benchmark_app {api}"] = lambda a=api: benchmark_app(options.model, a, options.device, seconds)  # type: ignore[misc]
    results: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(options.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            results[name].append(contenders[name]())
            print(f"round {number + 1}: {name}: {results[name][-1]:.2f}", file=sys.stderr)
    for name, values in results.items():
        print(f"{name:32} {spread(values)} frames/s")
    for top, bottom in (("keepbusy async", "keepbusy sync"), ("keepbusy async", "benchmark_app async")):
        ratios = [a / b for a, b in zip(results[top], results[bottom], strict=True)]
        print(f"{top} / {bottom:22} {spread(ratios)}")


if __name__ == "__main__":
    main()
