"""One process of one kind: cases one after the other, each announced before it begins and told of when it has ended."""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from keepbusy.errors import KeepbusyError
from tests.fuzz.answers import Answers
from tests.fuzz.kind import Kind
from tests.fuzz.models import Models
from tests.fuzz.pictures import Pictures
from tests.fuzz.texts import Texts
from tests.fuzz.videos import Videos

KINDS: dict[str, type[Kind]] = {
    "texts": Texts,
    "pictures": Pictures,
    "videos": Videos,
    "models": Models,
    "answers": Answers,
}
MAX_GROWTH_BYTES = 2 << 30
FILES = Path("/proc/self/fd")


class Worker:
    """Makes cases of a kind and uses them.

    Args:
        kind: Its name.
        seed: With a case's number, all that it depends on.
        folder: Where inputs are made.
    """

    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        self._name, self._seed = kind, seed
        self._kind = KINDS[kind]()
        self._folder = folder / "cases"
        for place in (folder / "seeds", self._folder):
            place.mkdir(exist_ok=True)
        self._seeds = [(path, path.read_bytes()) for path in self._kind.seeds(folder / "seeds")]

    def make(self, number: int) -> Path:
        """A case's input."""
        dice = random.Random(f"{self._name}/{self._seed}/{number}")
        path, content = dice.choice(self._seeds)
        case = self._folder / f"{number}-{path.name}"
        case.write_bytes(self._kind.damage(content, path, dice))
        return case

    def run(self, number: int) -> dict[str, Any]:
        """One case: what came of it, and what is wrong with that."""
        path = self.make(number)
        before = hashlib.sha256(path.read_bytes()).digest()
        num_threads, num_files, memory = threading.active_count(), _num_files(), _peak_bytes()
        outcome, fault = "", None
        try:
            outcome = self._kind.use(path)
        except KeepbusyError as error:
            outcome = type(error).__name__
            fault = _fault_in_message(str(error))
        except BaseException:
            fault = traceback.format_exc()
        gc.collect()
        if fault is None:
            fault = _left_over(num_threads, num_files)
        if fault is None and _peak_bytes() - memory > MAX_GROWTH_BYTES:
            fault = f"{(_peak_bytes() - memory) >> 20} MiB more memory"
        if fault is None and hashlib.sha256(path.read_bytes()).digest() != before:
            fault = "the input was changed"
        path.unlink(missing_ok=True)
        path.with_suffix(".bin").unlink(missing_ok=True)
        return {"number": number, "outcome": outcome, "fault": fault}


def _fault_in_message(message: str) -> str | None:
    return f"a message of several lines: {message!r}" if "\n" in message else None


def _left_over(num_threads: int, num_files: int) -> str | None:
    until = time.monotonic() + 2.0
    while threading.active_count() > num_threads or _num_files() > num_files:
        if time.monotonic() > until:
            return f"{threading.active_count() - num_threads} threads and {_num_files() - num_files} files are left"
        time.sleep(0.01)
    return None


def _num_files() -> int:
    return len(os.listdir(FILES)) if FILES.exists() else 0


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run cases until there is no more time; the parent reads what is printed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    until = time.monotonic() + options.seconds
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What libraries print is not ours.
    with tempfile.TemporaryDirectory() as name:
        os.environ["KEEPBUSY_CACHE"] = f"{name}/cache"
        worker = Worker(options.kind, options.seed, Path(name))
        if options.keep is not None:
            content = worker.make(options.first)
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / content.name).write_bytes(content.read_bytes())
            out.write(json.dumps({"kept": str(options.keep / content.name)}) + "\n")
            return
        for number in range(options.first, options.first + options.count):
            if time.monotonic() > until:
                break
            out.write(json.dumps({"begin": number}) + "\n")
            out.write(json.dumps(worker.run(number)) + "\n")
        out.write(json.dumps({"end": True}) + "\n")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
