"""`python -m tests.fuzz`: run cases, tell findings; exit code 1 if there are any."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.drive import Worker, keep, worker
from tests.fuzz.worker import KINDS


def run(made: Worker, numbers: Iterable[int], end_s: float, kept: Path, *, always: bool) -> None:
    """Run cases until the numbers or the time end, and keep the inputs of findings, or of all."""
    for number in numbers:
        if time.monotonic() > end_s:
            return
        finding = made.run(number)
        if finding is not None or always:
            place = keep(made, number, kept)
            print(f"{made.kind} {number}: input: {place}", flush=True)
        if finding is not None:
            print(f"FINDING, {finding.what}: replay: {finding.replay}\n{finding.fault}\n", flush=True)


def summary(workers: Iterable[Worker]) -> str:
    """A table: kind, cases, refused, accepted, findings."""
    lines = [f"{'kind':10}{'cases':>9}{'refused':>9}{'accepted':>9}{'findings':>9}"]
    for one in workers:
        endings = one.tally.endings
        counts = (one.tally.num_cases, endings["refused"], endings["accepted"], endings["finding"])
        lines.append(f"{one.kind:10}" + "".join(f"{count:9}" for count in counts))
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.fuzz")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind; may be repeated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all kinds together")
    parser.add_argument("--count", type=int, help="at most so many cases of each kind")
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--keep", type=Path, help="where inputs are written: of findings, with --only of the case")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    kept = options.keep or Path("fuzz-findings")
    numbers = itertools.count() if options.only is None else [options.only]
    done = []
    with tempfile.TemporaryDirectory(prefix="keepbusy-fuzz-") as name:
        for kind in kinds:
            with worker(kind, options.seed, Path(name)) as made:
                end_s = time.monotonic() + options.seconds / len(kinds)
                chosen = itertools.islice(numbers if options.only is not None else itertools.count(), options.count)
                run(made, chosen, end_s, kept, always=options.only is not None and options.keep is not None)
            done.append(made)
    print(summary(done))
    return 1 if any(one.tally.findings for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
