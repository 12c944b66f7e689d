"""`python -m tests.fuzz`: workers, one kind after the other; findings, and counts at the end."""

from __future__ import annotations

import argparse
import collections
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tests.fuzz
from tests.fuzz.worker import KINDS

CASE_S = 20.0
START_S = 120.0
NEVER = 10**9


@dataclass
class Tally:
    """What came of the cases of a kind."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def num_cases(self) -> int:
        """Cases that were tried."""
        return sum(self.outcomes.values())


def fuzz(kind: str, seed: int, *, seconds: float = 1e9, count: int = NEVER, first: int = 0) -> Tally:
    """Try cases of a kind until there is no more time, or so many were tried.

    Args:
        kind: One of `KINDS`.
        seed: With a case's number, all that it depends on.
        seconds: For how long new cases begin.
        count: How many.
        first: The first one's number.
    """
    tally = Tally()
    until = time.monotonic() + seconds
    number = first
    while number < first + count and time.monotonic() < until:
        left = ["--count", str(first + count - number), "--seconds", str(until - time.monotonic())]
        number = _run_worker(kind, seed, number, left, tally)
    return tally


def _run_worker(kind: str, seed: int, first: int, left: list[str], tally: Tally) -> int:
    """One worker until it ends, dies or hangs; the number to go on with."""
    command = [sys.executable, "-m", "tests.fuzz.worker", "--kind", kind, "--seed", str(seed), "--first", str(first)]
    process = subprocess.Popen([*command, *left], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    number = first - 1
    replay = f"python -m tests.fuzz --kind {kind} --seed {seed} --only"
    reason = ""
    try:
        for said in _said(process):
            if said is None:
                reason = "hangs"
            elif "end" in said:
                return NEVER * 2
            elif "begin" in said:
                number = said["begin"]
            else:
                tally.outcomes[said["outcome"] or "finding"] += 1
                if said["fault"] is not None:
                    tally.findings.append(f"{replay} {number}: {said['fault']}")
    finally:
        process.kill()
        code = process.wait()
    tally.outcomes["finding"] += 1
    tally.findings.append(f"{replay} {number}: {reason or f'the process died with {code}'}")
    return max(number, first) + 1


def _said(process: subprocess.Popen[str]) -> Iterator[dict[str, Any] | None]:
    """What a worker says; None, and no more, if it says nothing for too long."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    stdout = process.stdout

    def read() -> None:
        for line in stdout:
            lines.put(line)
        lines.put("")

    thread = threading.Thread(target=read)
    thread.start()
    wait_s = START_S
    try:
        while line := lines.get(timeout=wait_s):
            yield json.loads(line)
            wait_s = CASE_S
    except queue.Empty:
        yield None
    finally:
        process.kill()
        thread.join()
        stdout.close()


def main() -> int:
    """Fuzz as the command line says; 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=tests.fuzz.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="by default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0, help="for all kinds together")
    parser.add_argument("--count", type=int, default=NEVER, help="cases of each kind, at most")
    parser.add_argument("--first", type=int, default=0, help="the first case's number")
    parser.add_argument("--only", type=int, help="one case")
    parser.add_argument("--keep", type=Path, help="write the input of --only to this folder, and do no more")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    first, count = (options.first, options.count) if options.only is None else (options.only, 1)
    if options.keep is not None:
        worker = [sys.executable, "-m", "tests.fuzz.worker", "--kind", kinds[0], "--seed", str(options.seed)]
        limits = ["--first", str(first), "--count", "1", "--seconds", "60", "--keep", str(options.keep)]
        return subprocess.run([*worker, *limits], check=False).returncode
    num_findings = 0
    for kind in kinds:
        tally = fuzz(kind, options.seed, seconds=options.seconds / len(kinds), count=count, first=first)
        told = ", ".join(f"{number} {outcome}" for outcome, number in tally.outcomes.most_common())
        print(f"{kind}: {tally.num_cases} cases: {told}", flush=True)
        for finding in tally.findings:
            print(f"  {finding}", flush=True)
        num_findings += len(tally.findings)
    print(f"{num_findings} findings")
    return 1 if num_findings else 0


if __name__ == "__main__":
    sys.exit(main())
