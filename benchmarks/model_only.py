"""Our model-only figures against OpenVINO's own `benchmark_app`: the same models, device and minutes.

    python benchmarks/model_only.py MODEL [MODEL ...] [--device CPU] [--rounds 5] [--seconds 5]

In each round each of the four contenders (ours and theirs, sync and async) runs once for each model, in an order that
rotates, so that a machine that drifts favours nobody. `benchmark_app` runs the model file as it is: float input, no
preprocessing. Ours runs what keepbusy compiles of it: uint8 input, preprocessing in the graph. With `--same-graph`
`benchmark_app` gets that graph and our number of requests (`-nireq`), so that nothing is compared but the loops. The
ratio without it says what keepbusy's handling of the model brings, the one with it whether its figure can be trusted.

Printed are medians over rounds with their range, and the ratios, computed round by round.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import openvino as ov

import keepbusy as kb
from keepbusy.bench.rounds import measure_rounds
from keepbusy.bench.windows import measure_model_only
from keepbusy.config import Mode
from keepbusy.models import load_model


def ours(pipeline: kb.Pipeline, seconds: float) -> float:
    """Frames a second of our own loop."""
    requests = pipeline.warm_requests()
    return measure_model_only(requests, seconds).fps


def theirs(model: Path, api: str, device: str, seconds: float, nireq: int | None) -> float:
    """Frames a second that `benchmark_app` reports."""
    hint = "throughput" if api == "async" else "latency"
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-d", device, "-api", api]
    command += ["-t", str(max(1, round(seconds))), "-hint", hint]
    if nireq is not None:
        command += ["-nireq", str(nireq)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Throughput:\s+([\d.]+) FPS", text)
    assert found, text
    return float(found[1])


def spread(values: list[float], form: str) -> str:
    """Median, and the range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--same-graph", action="store_true", help="give benchmark_app our graph and requests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compared = model
            if options.same_graph:
                compared = Path(folder) / f"{model.stem}.xml"
                ov.save_model(load_model(model).graph, compared, compress_to_fp16=False)
            compare(model, compared, options.device, options.rounds, options.seconds)


def compare(model: Path, their_model: Path, device: str, num_rounds: int, seconds: float) -> None:
    """Compare both loops on one model."""
    contenders: dict[str, Callable[[], float]] = {}
    modes: tuple[Mode, Mode] = ("sync", "async")
    for api in modes:
        pipeline = kb.Pipeline(model, device, mode=api)
        pipeline.plan()
        nireq = pipeline.num_slots if their_model != model and api == "async" else None
        contenders[f"keepbusy {api}"] = partial(ours, pipeline, seconds)
        contenders[f"benchmark_app {api}"] = partial(theirs, their_model, api, device, seconds, nireq)

    def on_begin(index: int, name: str) -> None:
        print(f"{model.name}: round {index + 1} of {num_rounds}: {name}", file=sys.stderr)

    found, _ = measure_rounds(contenders, num_rounds, on_begin)
    print(model)
    for name, values in found.items():
        print(f"  {name:22} {spread(values, '.1f')} frames/s")
    for api in ("sync", "async"):
        pairs = zip(found[f"keepbusy {api}"], found[f"benchmark_app {api}"], strict=True)
        print(f"  keepbusy / benchmark_app {api:6} {spread([a / b for a, b in pairs], '.3f')}")


if __name__ == "__main__":
    main()
