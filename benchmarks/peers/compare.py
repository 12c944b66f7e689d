"""Compare keepbusy end to end with other ways to run a YOLO detector on OpenVINO: same video, device and minutes.

    python -m benchmarks.peers.compare [--video VIDEO] [--model MODEL.xml] [--rounds 7] [--seconds 6]

Every contender is a process of its own that is loaded once. In each round each of them works for some seconds, one at a
time, in an order that rotates. See `benchmarks/README.md` for who they are and what the figures mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.bound import run_alone
from benchmarks.peers.environment import offline_env, prepare_model, preprocess_python
from benchmarks.peers.figures import Contender, Row, rows_of
from benchmarks.peers.report import to_markdown, to_svg
from benchmarks.peers.worker import ROOT, ContenderError, Worker
from keepbusy import KeepbusyError
from keepbusy.bench.environment import cpu_model
from keepbusy.bench.rounds import measure_rounds
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.models import load_model
from keepbusy.threads.cores import usable_cores

Sample = dict[str, float]
Start = Callable[[], Worker]

OTHER = "yolov5nu, random weights"
OTHER_NOTE = (
    "Ultralytics and Model API read the newer head only. They run YOLOv5n with that head and random weights, which "
    "finds few boxes or none: that spares them the suppression, and favours them. Compare their share of their own "
    "model alone, not their frames/s."
)


class Field:
    """The contenders: those that can be measured, and why the others cannot."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.contenders: list[Contender] = []
        self.measures: dict[str, Callable[[], Sample | None]] = {}
        self.not_measured: dict[str, str] = {}
        self.versions: dict[str, dict[str, str]] = {}

    def add(self, contender: Contender, measure: Callable[[], Sample]) -> None:
        """Add one that is ready; when it fails later, it is out."""

        def guarded() -> Sample | None:
            if contender.name in self.not_measured:
                return None
            try:
                return measure()
            except ContenderError as error:
                self.drop(contender.name, f"failed in a round: {error}")
                return None

        self.contenders.append(contender)
        self.measures[contender.name] = guarded

    def drop(self, name: str, reason: str) -> None:
        """Put one down as not measured."""
        print(f"{name}: not measured here: {reason}", file=sys.stderr)
        self.not_measured[name] = reason

    def start(
        self, stack: ExitStack, contender: Contender, python: Path, module: str, model: Path, **arguments: str
    ) -> None:
        """Start a contender's process, and add it when it is loaded."""
        print(f"loading {contender.name}", file=sys.stderr)
        words = ["--video", str(self.options.video), "--model", str(model), "--device", self.options.device]
        for key, value in arguments.items():
            words += [f"--{key}", value]
        try:
            worker = stack.enter_context(Worker(python, module, words, offline_env(self.options.cache)))
        except ContenderError as error:
            self.drop(contender.name, str(error))
            return
        self.versions[contender.name] = worker.versions
        self.add(contender, partial(worker.run, self.options.seconds))

    def add_bounds(self, model: Path, name: str) -> None:
        """Add `benchmark_app`, sync and async, for a model."""
        for api in ("sync", "async"):
            measure = partial(run_alone, model, api, self.options.device, self.options.seconds)
            self.add(Contender(bound_name(api, name), name), measure)


def bound_name(api: str, model: str) -> str:
    """The name of the contender that runs a model alone."""
    return f"benchmark_app {api}, {model.partition(',')[0]}"


def gather(options: argparse.Namespace, stack: ExitStack) -> Field:
    """Start everybody."""
    field = Field(options)
    model: Path = options.model
    own, other = model.stem, OTHER
    own_bound, other_bound = bound_name("async", own), bound_name("async", other)
    here = Path(sys.executable)
    for mode in ("async", "sync"):
        field.start(stack, Contender(f"keepbusy {mode}", own, own_bound), here, "keepbusy_run", model, mode=mode)
    field.add_bounds(model, own)
    articles = {
        "article's sync program": ("article_sync", ""),
        "article's async program": ("article_async", ""),
        "article's async, throughput hint": ("article_async", "throughput"),
    }
    others = {"Ultralytics predict": "ultralytics_predict", "Model API AsyncPipeline": "model_api_async"}
    if options.without_peers:
        for name in (*articles, *others):
            field.drop(name, "left out by --without-peers")
        return field
    try:
        python = preprocess_python(options.peers_python)
    except ContenderError as error:
        for name in (*articles, *others):
            field.drop(name, f"its environment could not be made: {error}")
        return field
    for name, (module, hint) in articles.items():
        field.start(stack, Contender(name, own, own_bound), python, module, model, hint=hint)
    try:
        other_model = prepare_model(python, options.cache, load_model(model).input_hw)
    except ContenderError as error:
        for name in others:
            field.drop(name, f"no model that it reads could be made: {error}")
        return field
    name = "keepbusy async, newer head"
    field.start(stack, Contender(name, other, other_bound), here, "keepbusy_run", other_model, mode="async")
    for name, module in others.items():
        field.start(stack, Contender(name, other, other_bound), python, module, other_model)
    if any(name in field.measures for name in others):
        field.add_bounds(other_model, other)
    return field


def finished_rounds(
    found: Mapping[str, list[Sample | None]], not_measured: Mapping[str, str]
) -> dict[str, list[Sample]]:
    """The samples of those that were measured in all rounds."""
    return {
        name: [sample for sample in samples if sample is not None]
        for name, samples in found.items()
        if name not in not_measured
    }


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, its paths made absolute and checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="default: the clip that the package carries")
    parser.add_argument("--model", type=Path, help="YOLOv5 model; default: the one that the package carries")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each contender in each round")
    parser.add_argument(
        "--peers-python", type=Path, help="the others' interpreter; default: build/peers, made if missing"
    )
    parser.add_argument("--without-peers", action="store_true", help="only keepbusy and benchmark_app")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers-models", help="for exported models")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="folder for the results")
    options = parser.parse_args(arguments)
    options.video = Path(os.path.abspath(options.video or embedded_clip()))
    options.model = Path(os.path.abspath(options.model or embedded_model()))
    options.cache, options.output = options.cache.absolute(), options.output.absolute()
    for path in (options.video, options.model):
        if not path.is_file():
            parser.error(f"{path}: no such file")
    if options.peers_python is not None and not options.peers_python.is_file():
        parser.error(f"--peers-python: {options.peers_python}: no such file; leave it out to have build/peers made")
    if options.rounds < 1 or not options.seconds > 0:
        parser.error("--rounds and --seconds must be above 0")
    options.cache.mkdir(parents=True, exist_ok=True)
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def measure(options: argparse.Namespace) -> tuple[Field, dict[str, list[Sample]]]:
    """Run all rounds; Ctrl-C keeps the finished ones."""
    with ExitStack() as stack:
        field = gather(options, stack)
        if not field.measures:
            raise ContenderError("nobody can be measured: see above")

        def on_begin(index: int, name: str) -> None:
            print(f"round {index + 1} of {options.rounds}: {name}", file=sys.stderr)

        found, is_interrupted = measure_rounds(field.measures, options.rounds, on_begin)
    if is_interrupted:
        print("interrupted: the finished rounds count", file=sys.stderr)
    return field, finished_rounds(found, field.not_measured)


def notes_of(options: argparse.Namespace, field: Field, rows: list[Row], num_rounds: int) -> list[str]:
    """What a reader must know beside the table."""
    plural = "" if num_rounds == 1 else "s"
    notes = [
        f"{options.video.name}, device {options.device}, {cpu_model()} ({usable_cores():g} cores usable); "
        f"{num_rounds} round{plural} of {options.seconds:g} s each, interleaved."
    ]
    if any(row.contender.model == OTHER and row.contender.bound for row in rows):
        notes.append(OTHER_NOTE)
    runtimes = {found["openvino"] for found in field.versions.values() if "openvino" in found}
    if len(runtimes) > 1:
        notes.append(f"The contenders ran different versions of OpenVINO: {', '.join(sorted(runtimes))}.")
    return notes


def main() -> None:
    """Run the comparison and write its results."""
    options = parse_options()
    try:
        field, rounds = measure(options)
    except (ContenderError, KeepbusyError) as error:
        sys.exit(f"compare: {error}")
    rows = rows_of(field.contenders, rounds)
    num_rounds = max((len(samples) for samples in rounds.values()), default=0)
    notes = notes_of(options, field, rows, num_rounds)
    results: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu_model": cpu_model(),
        "usable_cores": usable_cores(),
        "video": options.video.name,
        "model": options.model.name,
        "device": options.device,
        "seconds": options.seconds,
        "versions": field.versions,
        "not_measured": field.not_measured,
        "rounds": rounds,
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    table = to_markdown(rows, field.not_measured, notes)
    (options.output / "peers.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.output / "peers.md").write_text(table, encoding="utf-8")
    (options.output / "peers.svg").write_text(to_svg(rows, notes[0]), encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
