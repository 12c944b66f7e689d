"""Ctrl-C, SIGTERM and SIGHUP at random moments of the program: `python -m tests.signal_job --count 500 --seed 1`.

Each run of a command gets a signal at a random moment, from its start to a while behind its usual end, and every third
one another signal soon after. It has to end in time, with a documented exit code, no traceback, and outputs that can be
read in full; see `MAX_ODD_SHARE`. A number's command, signal and moment depend on the seed alone, so that `--only 123`
tries one again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from tests.build import build_blob_model, write_video

ENDS_IN_S = 60.0
"""How long a command may take to end behind its signal, on a machine that is busy."""

MAX_ODD_SHARE = 0.01
"""So many may end with another exit code or a traceback: where Python itself loses or changes the exception. None may
hang, or leave an output that cannot be read."""

ODD = "ends oddly"

ENDINGS = {0: "done before", 130: "interrupted", 143: "terminated", 129: "hung up"}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BEFORE = tuple(-one for one in SIGNALS)
"""Python dies of a signal before it has begun with the program."""


@dataclass(frozen=True)
class Inputs:
    """What commands are run on."""

    model: Path
    clip: Path
    pictures: Path

    @staticmethod
    def make(folder: Path) -> Inputs:
        """Make them: a tiny detector, a clip of 40 frames, and 12 pictures."""
        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(12):
            picture = np.zeros((64, 96, 3), np.uint8)
            picture[20:40, 5 * number : 5 * number + 20] = (0, 0, 255)
            cv2.imwrite(str(pictures / f"{number}.png"), picture)
        return Inputs(build_blob_model(folder / "blob.xml"), write_video(folder / "clip.mp4", num_frames=40), pictures)


def commands(inputs: Inputs, out: Path) -> list[list[str | Path]]:
    """The commands that are tried; all outputs go to a folder."""
    detect: list[str | Path] = ["detect", inputs.clip, "-m", inputs.model, "--loop", "--limit", "400"]
    files: list[str | Path] = ["--json", out / "a.jsonl", "--save", out / "a.mp4", "--trace", out / "trace.json"]
    folders: list[str | Path] = ["--save", out, "--save-txt", out / "labels", "--save-crop", out / "crops"]
    return [
        [*detect, *files],
        [*detect, *files, "--mode", "sync", "-q"],
        [*detect, *folders, "--conf", "0.9"],
        ["detect", inputs.pictures, "-m", inputs.model, *folders, "--json", out / "a.jsonl"],
        ["bench", inputs.clip, "-m", inputs.model, "--seconds", "0.1", "--rounds", "2", "--json", out / "bench.json"],
        ["verify", inputs.pictures, "-m", inputs.model, "--json", out / "verify.json"],
    ]


def usual_spans_s(inputs: Inputs, folder: Path) -> list[float]:
    """How long each command takes when nothing disturbs it."""
    spans = []
    for number in range(len(commands(inputs, folder))):
        out = folder / f"undisturbed-{number}"
        out.mkdir()
        for _ in range(2):  # The first one compiles the model.
            begin_s = time.monotonic()
            subprocess.run(_program(commands(inputs, out)[number]), check=True, capture_output=True, timeout=300)
        spans.append(time.monotonic() - begin_s)
        assert (fault := fault_in(out)) is None, fault
    return spans


def _program(arguments: list[str | Path]) -> list[str]:
    return [sys.executable, "-m", "keepbusy", *map(str, arguments)]


def disturb(inputs: Inputs, folder: Path, spans_s: list[float], seed: int, number: int) -> tuple[str, str | None]:
    """Run one command and signal it.

    Returns:
        How it ended, and what is wrong with that; None where nothing is.
    """
    dice = random.Random(f"{seed}/{number}")
    out = folder / f"run-{number}"
    out.mkdir()
    choices = commands(inputs, out)
    chosen = dice.randrange(len(choices))
    one = dice.choice(SIGNALS)
    process = subprocess.Popen(
        _program(choices[chosen]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    time.sleep(dice.uniform(0.0, 1.2 * spans_s[chosen]))
    process.send_signal(one)
    if dice.random() < 0.3:  # Once more, as people do.
        time.sleep(dice.choice([0.0, 0.001, 0.01, 0.1]))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(dice.choice(SIGNALS))
    try:
        _, told = process.communicate(timeout=ENDS_IN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "hangs", f"{choices[chosen][0]}: did not end within {ENDS_IN_S:g} s of {one.name}"
    ending = "before it began" if _has_not_begun(process.returncode, told) else ENDINGS.get(process.returncode)
    if ending is None:
        ending, odd = ODD, f"exit code {process.returncode}\n{told}"
    elif "Exception ignored" in told or ("Traceback" in told and ending != "before it began"):
        ending, odd = ODD, told
    else:
        odd = None
    fault = fault_in(out)
    if fault is not None:
        ending = "leaves outputs that cannot be read"
        fault = f"{fault}\nexit code {process.returncode}\n{told}"
    fault = fault or odd
    if fault is None:
        shutil.rmtree(out)
    return ending, fault and f"{choices[chosen][0]}, {one.name}, {ending}: {fault}"


def _has_not_begun(code: int, told: str) -> bool:
    """Whether Python was interrupted while it was starting itself, and before the program's first step."""
    is_pythons = told == "" or (
        "KeyboardInterrupt" in told and re.search(r'__main__\.py", line \d+, in main', told) is None
    )
    return code in (*BEFORE, 1) and is_pythons


def fault_in(out: Path) -> str | None:
    """What is wrong with the outputs in a folder; None where all of them can be read in full."""
    for path in sorted(out.rglob("*")):
        check = _CHECKS.get(path.suffix)
        try:
            if check is not None:
                check(path)
            elif path.is_file() and path.name != ".keepbusy":
                return f"{path.name} was left behind"
        except Exception as error:
            return f"{path.name} ({path.stat().st_size} bytes): {error!r}"
    return None


def _check_video(path: Path) -> None:
    with av.open(str(path)) as container:
        if sum(1 for _ in container.decode(video=0)) == 0:
            raise ValueError("no pictures")


def _check_lines(path: Path) -> None:
    text = path.read_text()
    if text and not text.endswith("\n"):
        raise ValueError("the last line is cut")
    for one in text.splitlines():
        json.loads(one)


def _check_labels(path: Path) -> None:
    for one in path.read_text().splitlines():
        if len(one.split()) != 5:
            raise ValueError(one)


def _check_picture(path: Path) -> None:
    if cv2.imread(str(path)) is None:
        raise ValueError("not a picture")


_CHECKS: dict[str, Callable[[Path], object]] = {
    ".mp4": _check_video,
    ".jsonl": _check_lines,
    ".txt": _check_labels,
    ".png": _check_picture,
    ".jpg": _check_picture,
    ".json": lambda path: json.loads(path.read_text()),
}


def main() -> int:
    """Try them, tell what came of it; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one run")
    options = parser.parse_args()
    endings: collections.Counter[str] = collections.Counter()
    num_told = 0
    # Whoever runs this may ignore it, as `nohup` does; the program would, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["KEEPBUSY_CACHE"] = str(folder / "cache")
        inputs = Inputs.make(folder)
        spans_s = usual_spans_s(inputs, folder)
        numbers = range(options.count) if options.only is None else [options.only]
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            results = executor.map(lambda number: disturb(inputs, folder, spans_s, options.seed, number), numbers)
            for number, (ending, fault) in zip(numbers, results, strict=True):
                endings[ending] += 1
                if fault is not None:
                    num_told += 1
                    print(f"run {number}: {fault}", flush=True)
    print(f"{sum(endings.values())} signals:", ", ".join(f"{count} {ending}" for ending, count in endings.items()))
    return 1 if num_told > endings[ODD] or endings[ODD] > MAX_ODD_SHARE * sum(endings.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
