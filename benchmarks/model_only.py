"""The figures of the model alone against OpenVINO's own `benchmark_app`: the same graph, device and minutes.

    python benchmarks/model_only.py MODEL [MODEL ...] [--device CPU] [--rounds 5] [--seconds 5] [--same-graph]

In each round each of the four contenders (ours and theirs, sync and async) runs once for each model, in an order that
rotates, so that a machine that drifts favours nobody; each time in a process of its own. Both measure the same graph:

- without `--same-graph` the model as exported: the row that `keepbusy bench` calls so, and `benchmark_app` on the file.
  Both give pixels as bytes in the layout of the model's input, with a conversion to its number type before it;
- with `--same-graph` the model as keepbusy runs it, in the shape for frames of unknown size: our ring of requests, and
  `benchmark_app` on that very graph, saved as IR with head and preprocessing, with our number of requests (`-nireq`)
  and of threads.

`benchmark_app -api sync` copies what each inference gives, and so do ours here. (The row of the model as run in
`keepbusy bench` does not: nothing in a run does.)

The ratio says whether our figure can be trusted; it is to be 1. What keepbusy's handling of the model brings is
another question, which `keepbusy bench` and `benchmarks/main_job.py` answer.

Printed are medians over rounds with their range, and the ratios, computed round by round.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import openvino as ov

import keepbusy as kb
from keepbusy.bench.exported import Exported
from keepbusy.bench.rounds import measure_rounds
from keepbusy.bench.windows import measure_model_only
from keepbusy.config import Mode, Options
from keepbusy.models import load_model
from keepbusy.threads.cores import whole_cores

Contenders: TypeAlias = tuple[Callable[[float], float], Callable[[float], float]]
"""Ours and theirs: seconds → frames a second."""


def as_exported(model: Path, api: Mode, device: str) -> Contenders:
    """The model as exported: ours, and `benchmark_app` on its file."""
    return partial(apart, model, api, device), partial(theirs, model, api, device)


def as_run(model: Path, api: Mode, device: str, folder: Path) -> Contenders:
    """The model as run: ours, and `benchmark_app` on the graph that runs."""
    pipeline = kb.Pipeline(model, device, mode=api)
    pipeline.plan()
    words = ["-nireq", str(pipeline.num_slots)] if api == "async" else []
    threads = pipeline.device.describe().get("threads", "0")
    if device == "CPU" and threads not in ("0", str(whole_cores())):
        # `-nthreads` is refused beside `-hint`.
        config = folder / f"{model.stem}-{api}.json"
        config.write_text(json.dumps({device: {"INFERENCE_NUM_THREADS": threads}}))
        words += ["-load_config", str(config)]
    graph = save_graph(pipeline, folder / f"{model.stem}-{api}.xml")
    return partial(apart, model, api, device, words=["--same-graph"]), partial(theirs, graph, api, device, words=words)


def apart(model: Path, api: Mode, device: str, seconds: float, *, words: Sequence[str] = ()) -> float:
    """Ours, in a process of its own, as `benchmark_app` is: models that one process has compiled share its threads."""
    command = [sys.executable, str(Path(__file__).resolve()), str(model), "--ours", api, "--device", device]
    command += ["--seconds", str(seconds), *words]
    return float(subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout)


def ours(model: Path, api: Mode, device: str, seconds: float, *, is_as_run: bool) -> float:
    """Frames a second of our loop.

    Args:
        model: The model's file.
        api: `sync` or `async`.
        device: OpenVINO's device name.
        seconds: How long.
        is_as_run: The graph that keepbusy runs; otherwise the model as exported.
    """
    if not is_as_run:
        return Exported(load_model(model), device, api, Options()).measure(seconds).fps
    pipeline = kb.Pipeline(model, device, mode=api)
    pipeline.plan()
    return measure_model_only(pipeline.warm_requests(), seconds, copies_results=api == "sync").fps


def save_graph(pipeline: kb.Pipeline, path: Path) -> Path:
    """Save the graph that a pipeline has compiled for most frames, with its preprocessing."""
    ov.save_model(pipeline._compiled.graph().graph, path, compress_to_fp16=False)
    return path


def theirs(model: Path, api: str, device: str, seconds: float, *, words: Sequence[str] = ()) -> float:
    """Frames a second that `benchmark_app` reports.

    Args:
        model: The file that it is given.
        api: `sync` (latency hint) or `async` (throughput hint).
        device: OpenVINO's device name.
        seconds: How long; the tool takes whole seconds, at least one.
        words: More of its options.
    """
    hint = "throughput" if api == "async" else "latency"
    command = [str(Path(sys.executable).parent / "benchmark_app"), "-m", str(model), "-d", device, "-api", api]
    command += ["-t", str(max(1, round(seconds))), "-hint", hint, *words]
    text = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
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
    parser.add_argument(
        "--same-graph",
        action="store_true",
        help="measure the graph as keepbusy runs it, both with our number of requests",
    )
    parser.add_argument("--ours", choices=("sync", "async"), help="print the frames a second of our loop alone, once")
    options = parser.parse_args()
    if options.ours:
        (model,) = options.models
        print(ours(model, options.ours, options.device, options.seconds, is_as_run=options.same_graph))
        return
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compare(
                model, options.device, options.rounds, options.seconds, Path(folder) if options.same_graph else None
            )


def compare(model: Path, device: str, num_rounds: int, seconds: float, folder: Path | None) -> None:
    """Compare both loops on one graph.

    Args:
        model: The model's file.
        device: OpenVINO's device name.
        num_rounds: How often each is measured.
        seconds: How long.
        folder: Where to save the graph that keepbusy runs; None compares the model as exported.
    """
    contenders: dict[str, Callable[[], float]] = {}
    modes: tuple[Mode, Mode] = ("sync", "async")
    for api in modes:
        pair = as_exported(model, api, device) if folder is None else as_run(model, api, device, folder)
        for name, measure in zip(("keepbusy", "benchmark_app"), pair, strict=True):
            contenders[f"{name} {api}"] = partial(measure, seconds)

    def on_begin(index: int, name: str) -> None:
        print(f"{model.name}: round {index + 1} of {num_rounds}: {name}", file=sys.stderr)

    found, _ = measure_rounds(contenders, num_rounds, on_begin)
    print(f"{model}, {'as exported' if folder is None else 'as run by keepbusy'}")
    for name, values in found.items():
        print(f"  {name:22} {spread(values, '.1f')} frames/s")
    for api in ("sync", "async"):
        pairs = zip(found[f"keepbusy {api}"], found[f"benchmark_app {api}"], strict=True)
        print(f"  keepbusy / benchmark_app {api:6} {spread([a / b for a, b in pairs], '.3f')}")


if __name__ == "__main__":
    main()
