"""Threads and their one owner."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from keepbusy.threads.channel import Gate
from keepbusy.threads.workers import Workers, to_the_end


def interrupted(wait: Callable[[], object]) -> None:
    """Wait for something, with a Ctrl-C while it is waited for."""
    waits = threading.Event()

    def interrupt() -> None:
        waits.wait()
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        waits.set()
        wait()
        time.sleep(60)
    thread.join()


def test_an_interrupt_while_threads_are_joined_does_not_end_the_wait() -> None:
    # `Thread.join`, broken off, takes the thread for ended, and a second call returns at once.
    tokens: SimpleQueue[None] = SimpleQueue()
    done = []

    def body() -> None:
        tokens.get()
        time.sleep(0.2)
        done.append(True)

    workers = Workers([("worker", body)], on_end=lambda: done.append(True))
    workers.start()

    releaser = threading.Timer(0.3, tokens.put, [None])
    releaser.start()
    interrupted(lambda: to_the_end(workers.join))

    assert done == [True, True]
    releaser.join()


def test_joining_can_be_broken_off_again_and_again() -> None:
    tokens: SimpleQueue[None] = SimpleQueue()
    workers = Workers([("worker", tokens.get)], on_end=lambda: None)
    workers.start()

    for _ in range(3):
        interrupted(workers.join)
    tokens.put(None)
    assert workers.join()

    assert not [thread for thread in threading.enumerate() if thread.name == "worker"]


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


def test_an_open_gate_stays_open_where_a_wait_was_broken_off() -> None:
    gate = Gate()
    interrupted(gate.wait)

    gate.open()

    assert gate.wait(1)
    assert gate.wait(1)


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
        text=True,
        timeout=100,
        check=False,
    )
    assert "the run belongs to the process that this one was forked from" in done.stderr
