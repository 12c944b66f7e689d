"""What taking the head off the graph and the grey bars off the input brings, end to end and for the model alone.

    python benchmarks/heads.py VIDEO MODEL [MODEL ...] [--device D] [--rounds N] [--seconds S]

Every combination runs in turn in each round; ratios are of the same round, to the graph as exported in its own shape.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keepbusy as kb
from keepbusy.bench.windows import measure_end_to_end, measure_model_only

COMBINATIONS: dict[str, dict[str, Any]] = {
    "as exported": {"head": "stock", "shape": "square"},
    "host, square": {"head": "host", "shape": "square"},
    "tail, square": {"head": "tail", "shape": "square"},
    "host, rectangle": {"head": "host", "shape": "rect"},
    "tail, rectangle": {"head": "tail", "shape": "rect"},
    "auto": {},
}


def measure(video: Path, model: Path, device: str, rounds: int, seconds: float) -> list[str]:
    """One model's table, as lines of Markdown."""
    with ExitStack() as stack:
        pipelines: dict[str, kb.Pipeline] = {}
        for name, options in COMBINATIONS.items():
            pipeline = stack.enter_context(kb.Pipeline(model, device, **options))
            pipeline.plan(video)
            pipelines[name] = pipeline
        alone: dict[str, list[float]] = {name: [] for name in pipelines}
        whole: dict[str, list[float]] = {name: [] for name in pipelines}
        names = list(pipelines)
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                alone[name].append(measure_model_only(pipelines[name].warm_requests(), seconds).fps)
                whole[name].append(measure_end_to_end(pipelines[name].run(video, loop=True), seconds).fps)
            print(f"{model.name}: round {number + 1} of {rounds}", file=sys.stderr)
        lines = [
            f"{model.stem}:",
            "",
            "| head, shape | taken | end to end, frames/s | to as exported | model alone, frames/s | share of it |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for name, pipeline in pipelines.items():
            taken = f"{pipeline.head}, {pipeline.input_hw[0]}x{pipeline.input_hw[1]}"
            gain = _spread([own / stock for own, stock in zip(whole[name], whole["as exported"], strict=True)])
            share = _spread([own / bare for own, bare in zip(whole[name], alone[name], strict=True)])
            lines.append(
                f"| {name} | {taken} | {statistics.median(whole[name]):.1f} | {gain} | "
                f"{statistics.median(alone[name]):.1f} | {share} |"
            )
        return [*lines, ""]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    for model in options.models:
        print("\n".join(measure(options.video, model, options.device, options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
