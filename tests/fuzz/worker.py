"""The process that cases of one kind run in: reads numbers, answers each with how it ended, as JSON, one a line."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from keepbusy.errors import KeepbusyError
from tests.fuzz.watch import Unheard, Watch

TELLS_AFTER_S = 15.0
"""A case that takes longer tells where each thread is; it counts as hanging a little later."""

KINDS = ("texts", "pictures", "videos", "models", "store")


class Kind(Protocol):
    """A kind of cases, with the good files that they are made of."""

    def make(self, dice: random.Random, folder: Path, scratch: Path) -> tuple[str, Callable[[], None]]:
        """Write a case's input.

        Args:
            dice: All chance there is.
            folder: Where inputs are written; nothing in it may change later.
            scratch: For what the case writes.

        Returns:
            What it is in a word or two, and the function that uses it: a KeepbusyError is a refusal, any other
            exception a finding.
        """
        ...


def load(kind: str, seeds: Path) -> Kind:
    """Make a kind, and its good files in a folder."""
    seeds.mkdir(parents=True, exist_ok=True)
    made: Kind = importlib.import_module(f"tests.fuzz.{kind}").create(seeds)
    return made


def run_case(kind: Kind, name: str, seed: int, number: int, folder: Path, unheard: Unheard) -> dict[str, Any]:
    """Make one case and use it."""
    shutil.rmtree(folder, ignore_errors=True)
    inputs, scratch = folder / "inputs", folder / "scratch"
    for one in (inputs, scratch):
        one.mkdir(parents=True)
    what, use = kind.make(random.Random(f"{name}/{seed}/{number}"), inputs, scratch)
    watch = Watch(inputs)
    ending, fault = "accepted", None
    try:
        use()
    except KeepbusyError:
        ending = "refused"
    except BaseException:
        fault = traceback.format_exc()
    del use
    fault = fault or watch.fault() or unheard.take()
    return {"number": number, "what": what, "ending": "finding" if fault else ending, "fault": fault}


def main() -> None:
    """Answer until the numbers end."""
    name, seed, work = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    # What libraries print must not mix with the answers, and nothing a case does may read the numbers.
    answers, numbers = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(0))
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    faulthandler.enable()
    warnings.simplefilter("error")
    temporary = work / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ["KEEPBUSY_CACHE"] = str(work / "cache")
    os.environ["NO_PROXY"] = "*"
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    kind, unheard = load(name, work / "seeds"), Unheard()
    # What is loaded or opened once, at first use, is no leak.
    for number in range(-3, 0):
        with contextlib.suppress(Exception):
            run_case(kind, name, seed, number, work / "case", unheard)
    unheard.take()
    print(json.dumps({"number": "ready"}), file=answers, flush=True)
    with answers, numbers:
        for line in numbers:
            # Told before the worker is ended: a library may have taken the signal's handler.
            faulthandler.dump_traceback_later(TELLS_AFTER_S)
            answer = run_case(kind, name, seed, int(line), work / "case", unheard)
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
