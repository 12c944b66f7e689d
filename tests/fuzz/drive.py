"""Hands numbers to a worker, and sees to it that it ends, crashes or grows in sight."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

HANGS_S = 20.0
READY_S = 300.0
GROWTH_BYTES = 2 << 30
POLL_S = 0.05


@dataclasses.dataclass
class Finding:
    """Something that must not be.

    Attributes:
        kind: The kind of case.
        seed: Its seed.
        number: Its number.
        what: What the case was made of.
        fault: What is wrong: a traceback, or a sentence.
    """

    kind: str
    seed: int
    number: int
    what: str
    fault: str

    @property
    def replay(self) -> str:
        """The command that does it again."""
        return f"python -m tests.fuzz --kind {self.kind} --seed {self.seed} --only {self.number}"


@dataclasses.dataclass
class Tally:
    """What came of a kind's cases.

    Attributes:
        endings: How many were `accepted`, `refused` or a `finding`.
        findings: These.
    """

    endings: dict[str, int] = dataclasses.field(default_factory=lambda: {"refused": 0, "accepted": 0, "finding": 0})
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def num_cases(self) -> int:
        """All."""
        return sum(self.endings.values())


class Worker:
    """A process for cases of one kind; started at the first case, and again after a crash.

    Args:
        kind: The kind of cases.
        seed: Their seed.
        work: A folder for all files of theirs.
    """

    def __init__(self, kind: str, seed: int, work: Path) -> None:
        self.kind, self.seed, self.work = kind, seed, work
        self.tally = Tally()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._log = work / "log"
        self._base_bytes = 0

    def run(self, number: int) -> Finding | None:
        """Run one case."""
        process = self._process or self._start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(number, file=process.stdin, flush=True)
        answer, fault = self._wait(process, HANGS_S)
        if answer is None:
            self.stop()
            answer = {
                "what": "",
                "ending": "finding",
                "fault": f"{fault}\n{self._log.read_text(errors='replace')[-6000:]}",
            }
        self.tally.endings[answer["ending"]] += 1
        if answer["fault"] is None:
            return None
        finding = Finding(self.kind, self.seed, number, answer["what"], answer["fault"])
        self.tally.findings.append(finding)
        return finding

    def stop(self) -> None:
        """End the process."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process = None

    def _start(self) -> subprocess.Popen[str]:
        self.work.mkdir(parents=True, exist_ok=True)
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", self.kind, str(self.seed), str(self.work)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        self._process, self._answers = process, queue.SimpleQueue()
        self._reader = threading.Thread(target=_read, args=(process, self._answers))
        self._reader.start()
        self._base_bytes = sys.maxsize - GROWTH_BYTES
        answer, fault = self._wait(process, READY_S)
        if answer is None:
            self.stop()
            raise RuntimeError(f"{self.kind}: the worker does not start: {fault}\n{self._log.read_text()}")
        self._base_bytes = _resident_bytes(process)
        return process

    def _wait(self, process: subprocess.Popen[str], limit_s: float) -> tuple[dict[str, Any] | None, str]:
        """The answer, or None and what happened instead."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            with contextlib.suppress(queue.Empty):
                line = self._answers.get(timeout=POLL_S)
                if line is not None:
                    return json.loads(line), ""
                code = process.wait()
                return None, f"died: {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"
            if _resident_bytes(process) > self._base_bytes + GROWTH_BYTES:
                process.kill()
                return None, f"memory grew by more than {GROWTH_BYTES >> 30} GiB"
        process.kill()
        return None, f"hangs: no answer within {limit_s:g} s"


def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put(None)


def _resident_bytes(process: subprocess.Popen[str]) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(process.pid).memory_info().rss)
    return 0


@contextlib.contextmanager
def worker(kind: str, seed: int, work: Path) -> Iterator[Worker]:
    """A worker that is ended with the block."""
    made = Worker(kind, seed, work / kind)
    try:
        yield made
    finally:
        made.stop()


def keep(made: Worker, number: int, folder: Path) -> Path:
    """Copy the input of the case that ran last."""
    target = folder / f"{made.kind}-{made.seed}-{number}"
    shutil.copytree(made.work / "case" / "inputs", target, dirs_exist_ok=True)
    return target
