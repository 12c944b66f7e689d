"""What most people run: Ultralytics' exports, each program on the very same file.

    python -m benchmarks.peers.exports --models MODEL.xml ... --videos VIDEO ... [--rounds 5] [--seconds 4]

For each model and video, keepbusy, Ultralytics' `predict`, Model API's `AsyncPipeline` and `benchmark_app` take turns
as in `compare`. Only boxes are compared; Model API reads no other task.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.peers.bound import run_alone
from benchmarks.peers.compare import Field, bound_name, finished_rounds
from benchmarks.peers.environment import preprocess_python
from benchmarks.peers.figures import Contender, Rounds, Spread, ratios
from benchmarks.peers.worker import ROOT, ContenderError
from keepbusy import KeepbusyError
from keepbusy.bench.rounds import measure_rounds
from keepbusy.models import load_model

KEEPBUSY = "keepbusy async"
OTHERS = {"Ultralytics predict": "ultralytics_predict", "Model API AsyncPipeline": "model_api_async"}
HEADER = (
    "| model | video | keepbusy | Ultralytics | Model API | `benchmark_app` | ÷ `benchmark_app` | ÷ Ultralytics |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def gather(options: argparse.Namespace, stack: ExitStack) -> Field:
    """Start everybody on one model and one video."""
    field = Field(options)
    model: Path = options.model
    bound = bound_name("async", model.stem)
    here = Path(sys.executable)
    field.start(stack, Contender(KEEPBUSY, model.stem, bound), here, "keepbusy_run", model, mode="async")
    field.add(Contender(bound, model.stem), partial(run_alone, model, "async", options.device, options.seconds))
    try:
        python = preprocess_python(options.peers_python)
    except ContenderError as error:
        for name in OTHERS:
            field.drop(name, f"its environment could not be made: {error}")
        return field
    for name, module in OTHERS.items():
        field.start(stack, Contender(name, model.stem, bound), python, module, model)
    return field


def compared(options: argparse.Namespace, model: Path, video: Path) -> tuple[Rounds, str]:
    """The samples of all that were measured in all rounds, and the bound's name.

    Raises:
        ContenderError: Nobody could be measured.
    """
    own = copy.copy(options)
    own.model, own.video = model, video
    with ExitStack() as stack:
        field = gather(own, stack)
        if KEEPBUSY not in field.measures:
            raise ContenderError(f"{model.name}: keepbusy cannot be measured: see above")
        found, _ = measure_rounds(field.measures, own.rounds, lambda index, name: _report(own, index, name))
    return finished_rounds(found, field.not_measured), bound_name("async", model.stem)


def to_row(model: Path, video: Path, rounds: Rounds, bound: str) -> str:
    """One line of the table: medians; ratios with their range over rounds."""
    names = (KEEPBUSY, *OTHERS, bound)
    rates = [_rate(rounds, name) for name in names]
    shares = [_share(rounds, name) for name in (bound, "Ultralytics predict")]
    kind = "INT8" if "FakeQuantize" in model.read_text(encoding="utf-8") else "float"
    return f"| {model.stem} {kind} | {video.stem} | **{rates[0]}** | " + " | ".join(rates[1:] + shares) + " |"


def _rate(rounds: Rounds, name: str) -> str:
    return f"{Spread.of([one['fps'] for one in rounds[name]]).median:.1f}" if name in rounds else "–"


def _share(rounds: Rounds, bottom: str) -> str:
    if bottom not in rounds:
        return "–"
    spread = Spread.of(ratios(rounds, KEEPBUSY, bottom))
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def _report(options: argparse.Namespace, index: int, name: str) -> None:
    where = f"{options.model.stem} on {options.video.name}"
    print(f"{where}, round {index + 1} of {options.rounds}: {name}", file=sys.stderr)


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, its paths made absolute and checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="MODEL", help="exports of Ultralytics")
    parser.add_argument("--videos", type=Path, nargs="+", required=True, metavar="VIDEO")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each contender in each round")
    parser.add_argument(
        "--peers-python", type=Path, help="the others' interpreter; default: build/peers, made if missing"
    )
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers-models", help="the others' settings")
    options = parser.parse_args(arguments)
    for name in ("models", "videos"):
        paths = [Path(os.path.abspath(path)) for path in getattr(options, name)]
        setattr(options, name, paths)
        for path in paths:
            if not path.is_file():
                parser.error(f"{path}: no such file")
    if options.rounds < 1 or not options.seconds > 0:
        parser.error("--rounds and --seconds must be above 0")
    options.cache = options.cache.absolute()
    options.cache.mkdir(parents=True, exist_ok=True)
    return options


def main() -> None:
    """Run all comparisons, printing each line as soon as it is known."""
    options = parse_options()
    print(HEADER, flush=True)
    try:
        for model in options.models:
            load_model(model)  # A model that is none is found before the first minutes have passed.
        for model in options.models:
            for video in options.videos:
                rounds, bound = compared(options, model, video)
                print(to_row(model, video, rounds, bound), flush=True)
    except (ContenderError, KeepbusyError) as error:
        sys.exit(f"exports: {error}")


if __name__ == "__main__":
    main()
