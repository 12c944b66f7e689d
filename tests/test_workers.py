"""Threads and their one owner."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from keepbusy.threads.channel import Gate
from keepbusy.threads.workers import Workers
from tests.interrupted_waits import WAITS


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_that_is_broken_off_does_no_harm(name: str) -> None:
    command = [sys.executable, "-m", "tests.interrupted_waits", name]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", timeout=100, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_two_can_wait_for_the_same_threads() -> None:
    tokens: SimpleQueue[None] = SimpleQueue()
    workers = Workers([("worker", tokens.get)], on_end=lambda: None)
    workers.start()

    other = threading.Thread(target=workers.join)
    other.start()
    tokens.put(None)
    assert workers.join()

    other.join(5)
    assert not other.is_alive()


FORK = """
import os, sys
import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model
from keepbusy.sinks import SinkRunner
from keepbusy.sinks.jsonl import JsonLines

pipeline = kb.Pipeline(embedded_model())
run = pipeline.run(embedded_clip(), limit=40)
with SinkRunner([JsonLines(sys.argv[2])], run.stats) as runner:
    runner.put(next(run))
    child = os.fork()
    if child == 0:
        {in_child}
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    for result in run:
        runner.put(result)
"""


@pytest.mark.parametrize(
    "in_child", ["pass", "run.close(); pipeline.close(); runner.close()", "del run, pipeline, runner"]
)
def test_a_forked_child_ends_and_the_run_of_its_parent_goes_on(tmp_path: Path, in_child: str) -> None:
    lines = tmp_path / "out.jsonl"
    script = FORK.replace("{in_child}", in_child)
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, "x", str(lines)], check=True, timeout=100)
    assert len(lines.read_text().splitlines()) == 40


def test_a_forked_child_cannot_go_on_with_the_run_of_its_parent(tmp_path: Path) -> None:
    script = FORK.replace("{in_child}", "next(run)")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, "x", str(tmp_path / "out.jsonl")],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert "the run belongs to the process that this one was forked from" in done.stderr


def test_a_gate_is_waited_for_no_longer_than_was_said_however_short_that_is() -> None:
    begin_s = time.monotonic()
    assert not any(Gate().wait(1e-6) for _ in range(5000))
    assert time.monotonic() - begin_s < 60
