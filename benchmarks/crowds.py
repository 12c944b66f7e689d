"""What a crowd costs the host: milliseconds per frame of postprocessing, drawing and JSON, for 10 to 1,000 boxes.

The outputs are made up: a YOLOv8 of 80 classes at 640x640, in which so many cells have a box. In `spread` no two boxes
overlap enough to suppress each other, so that every candidate becomes a detection; in `heaped` ten candidates lie on
each thing, as a network gives them, and one of ten stays. The frame has 1920x1080 pixels.

Each figure is the median over the frames of the thread's CPU time, over all rounds, with the range of the rounds'
medians. `growth` is the time for 1,000 over that for 100: ten where time grows as the number does. With `--against` the
two checkouts take turns, each in a process of its own.

    python benchmarks/crowds.py [--against CHECKOUT] [--rounds 5] [--frames 40] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.config import DetectConfig
from keepbusy.models import COCO_NAMES
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import to_detections
from keepbusy.sinks.draw import annotate
from keepbusy.sinks.jsonl import JsonLines
from keepbusy.values.forms import OutputForm
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings

REPOSITORY = Path(__file__).resolve().parent.parent
COUNTS = (10, 100, 300, 1000)
KINDS = ("spread", "heaped")
PARTS = ("postprocess", "draw", "json")
NUM_CELLS, NUM_CLASSES, SIDE = 8400, 80, 640
FRAME_HW = (1080, 1920)
CONF = 0.25

FORM = OutputForm("yolov8", "detect", (0,), NUM_CLASSES)
CONFIG = DetectConfig(conf=CONF, max_det=1000)

Figures = dict[str, dict[str, float]]
"""By part: by kind and number of candidates, milliseconds."""


def crowd(num: int, kind: str) -> NDArray[np.float32]:
    """An output (1, 4 + classes, cells) with so many candidates."""
    rng = np.random.default_rng(num)
    output = rng.random((1, 4 + NUM_CLASSES, NUM_CELLS), np.float32) * (CONF / 2)
    num_things = num if kind == "spread" else max(num // 10, 1)
    num_columns = int(np.ceil(np.sqrt(num_things * 16 / 9)))
    step_wh = (SIDE / num_columns, SIDE * 9 / 16 / max(-(-num_things // num_columns), 1))
    thing = np.arange(num) % num_things
    left, top = (thing % num_columns) * step_wh[0], SIDE * 7 / 32 + (thing // num_columns) * step_wh[1]
    cells = rng.choice(NUM_CELLS, num, replace=False)
    jitter = rng.uniform(0.98, 1.02, (4, num))
    sides = np.array([step_wh[0] * 0.9, step_wh[1] * 0.9])[:, None] * jitter[2:]
    output[0, :2, cells] = np.stack([left + step_wh[0] / 2 * jitter[0], top + step_wh[1] / 2 * jitter[1]], 1)
    output[0, 2:4, cells] = sides.T
    output[0, 4 + thing % 8, cells] = rng.uniform(CONF + 0.05, 0.95, num)
    return output


def timed(call: Callable[[], object], num_frames: int) -> float:
    """Milliseconds of the calling thread's CPU time that the median call takes."""
    spent = []
    for _ in range(num_frames):
        begin_ns = time.thread_time_ns()
        call()
        spent.append(time.thread_time_ns() - begin_ns)
    return statistics.median(spent) / 1e6


def measure(num_frames: int) -> Figures:
    """One round, with the keepbusy that Python finds."""
    cv2.setNumThreads(1)
    letterbox = Letterbox.fit(FRAME_HW, (SIDE, SIDE))
    image = np.random.default_rng(0).integers(0, 256, (*FRAME_HW, 3), np.uint8)
    figures: Figures = {part: {} for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for num in COUNTS:
                outputs = (crowd(num, kind),)
                found = to_detections(outputs, letterbox, FORM, CONFIG, COCO_NAMES)
                assert len(found) == (num if kind == "spread" else max(num // 10, 1)), (kind, num, len(found))
                frame = Frame(image, 0, 0.0, 0, "crowd.mp4")
                result = Result(frame, found, Timings())
                sink = JsonLines(Path(folder, "crowd.jsonl"))
                calls: dict[str, Callable[[], object]] = {
                    "postprocess": lambda: to_detections(outputs, letterbox, FORM, CONFIG, COCO_NAMES),  # noqa: B023
                    "draw": lambda: annotate(result, 25.0),  # noqa: B023
                    "json": lambda: sink.write(result),  # noqa: B023
                }
                for part, call in calls.items():
                    call()
                    figures[part][f"{kind} {num}"] = timed(call, num_frames)
                sink.close()
    return figures


def run_once(checkout: Path, num_frames: int) -> Figures:
    """One round in a process of its own, with the keepbusy of a checkout and the made-up outputs of this file."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inner", "--frames", str(num_frames)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    done = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, encoding="utf-8")
    figures: Figures = json.loads(done.stdout)
    return figures


def median_and_range(rounds: list[Figures], part: str, what: str) -> tuple[float, float, float]:
    """Of one figure over the rounds."""
    values = [figures[part][what] for figures in rounds]
    return statistics.median(values), min(values), max(values)


def to_markdown(rounds: dict[str, list[Figures]]) -> str:
    """One row for each part, kind and checkout."""
    lines = [f"| ms per frame | {' | '.join(f'{num:,}' for num in COUNTS)} | growth |", f"| --- |{' ---: |' * 5}"]
    for part in PARTS:
        for kind in KINDS:
            for name, own in rounds.items():
                found = [median_and_range(own, part, f"{kind} {num}") for num in COUNTS]
                cells = [f"{middle:.2f} ({low:.2f} to {high:.2f})" for middle, low, high in found]
                growth = found[-1][0] / found[1][0]
                label = f"{part}, {kind}" + (f", {name}" if len(rounds) > 1 else "")
                lines.append(f"| {label} | {' | '.join(cells)} | {growth:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--json", type=Path, help="where all figures go")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inner:
        print(json.dumps(measure(args.frames)))
        return
    checkouts = {"before": args.against.resolve(), "now": REPOSITORY} if args.against else {"now": REPOSITORY}
    rounds: dict[str, list[Figures]] = {name: [] for name in checkouts}
    for number in range(args.rounds):
        order = list(checkouts.items())
        for name, checkout in order if number % 2 == 0 else order[::-1]:
            rounds[name].append(run_once(checkout, args.frames))
            print(f"round {number + 1}, {name}: done", file=sys.stderr)
    print(to_markdown(rounds))
    if args.json:
        content: dict[str, Any] = {"rounds": rounds, "frames": args.frames}
        args.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
