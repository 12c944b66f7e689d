"""Sync, async and the graph alone against `benchmark_app`, interleaved: the same model, device and minutes for all.

    python benchmarks/main_job.py VIDEO MODEL [--rounds 7] [--seconds 8] [--also MODEL ...]

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
from typing import Any

import cv2

import keepbusy as kb
from keepbusy.bench.windows import measure_model_only
from keepbusy.threads.cores import has_many, whole_cores


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


def model_only(pipeline: kb.Pipeline, seconds: float) -> float:
    """Frames a second of the pipeline's own requests, filled once and started over and over."""
    return measure_model_only(pipeline.warm_requests(), seconds).fps


def benchmark_app(model: Path, api: str, device: str, seconds: float) -> float:
    """Frames a second that OpenVINO's own tool reports for the model alone."""
    hint = "throughput" if api == "async" else "latency"
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-d", device, "-api", api]
    command += ["-t", str(round(seconds)), "-hint", hint]
    text = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
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
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more models, such as one made by optimize")
    options = parser.parse_args()
    seconds = options.seconds
    if has_many(whole_cores()):
        cv2.setNumThreads(1)  # As the `keepbusy` program does.
    contenders: dict[str, Callable[[], float]] = {}

    def add(label: str, model: Path = options.model, **settings: Any) -> kb.Pipeline:
        pipeline = kb.Pipeline(model, options.device, **settings)
        pipeline.plan(options.video)
        contenders[label] = lambda: end_to_end(pipeline, options.video, seconds)
        return pipeline

    add("keepbusy sync", mode="sync")
    pipeline = add("keepbusy async")
    contenders["its graph alone"] = lambda: model_only(pipeline, seconds)
    if int(pipeline.device.describe().get("threads", 0)) not in (0, whole_cores()):
        greedy = kb.Pipeline(options.model, options.device, threads=whole_cores())
        greedy.plan(options.video)
        contenders["its graph alone, all cores"] = lambda: model_only(greedy, seconds)
    if pipeline.input_hw[0] != pipeline.input_hw[1]:
        add("keepbusy async, square", shape="square")
    if pipeline.quantized is not None:
        add("keepbusy async, in floating point", quantized="drop")
    for number in options.nireq:
        add(f"keepbusy async, {number} requests", nireq=number)
    for model in options.also:
        add(f"keepbusy async, {model.stem}", model)
    for api in ("sync", "async"):
        contenders[f"benchmark_app {api}"] = lambda a=api: benchmark_app(options.model, a, options.device, seconds)  # type: ignore[misc]
    results: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(options.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            results[name].append(contenders[name]())
            print(f"round {number + 1}: {name}: {results[name][-1]:.2f}", file=sys.stderr)
    for name, values in results.items():
        print(f"{name:48} {spread(values)} frames/s")
    pairs = [("keepbusy async", "keepbusy sync")]
    pairs += [("keepbusy async", name) for name in names if name.startswith("its graph")]
    pairs += [(name, "benchmark_app async") for name in names if name.startswith(("keepbusy async", "its graph"))]
    for top, bottom in pairs:
        ratios = [a / b for a, b in zip(results[top], results[bottom], strict=True)]
        print(f"{top + ' / ' + bottom:48} {spread(ratios)}")


if __name__ == "__main__":
    main()
