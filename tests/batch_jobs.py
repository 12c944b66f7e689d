"""Batches for tests: run as a program, killed at chosen steps, and compared by what is in their tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keepbusy.batch.manifest import JobState, read_manifest
from keepbusy.batch.schema import TABLES, TIMINGS

_KILLS = """
import os, signal, sys

def is_wanted(who):
    return (who == "worker") == ("keepbusy.batch.process" in " ".join(sys.orig_argv))

who, wanted = os.environ["BATCH_KILLED"].split(":")
step = [0]

def counted(function):
    def call(*arguments, **options):
        step[0] += 1
        if step[0] == int(wanted):
            if who == "worker":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

if is_wanted(who):
    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
"""
"""What Python runs first where `BATCH_KILLED` is set: it ends the job before the n-th fsync or rename of a process."""


def batch_command(*arguments: str | Path) -> list[str]:
    """The program, as a command."""
    return [sys.executable, "-m", "keepbusy", "batch", *map(str, arguments)]


def run_program(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `keepbusy batch`."""
    return subprocess.run(
        batch_command(*arguments),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
        env={**os.environ, **environment},
    )


def killed_at(step: str, folder: Path) -> dict[str, str]:
    """The environment in which a batch is killed.

    Args:
        step: `worker:3`, before the third fsync or rename of a worker process, or `supervisor:3`.
        folder: A folder for what it needs.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_KILLS, encoding="utf-8")
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": paths, "BATCH_KILLED": step}


def state_in(folder: Path) -> JobState:
    """What a batch's manifest says."""
    state = read_manifest(folder)
    assert state is not None
    return state


def rows_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of a batch's tables by table, in the order of their frames, without timings."""
    import pyarrow.parquet

    shards = state_in(folder).shards
    found: dict[str, list[dict[str, Any]]] = {}
    for table in TABLES:
        rows: list[dict[str, Any]] = []
        for shard in sorted(shards):
            rows += pyarrow.parquet.read_table(folder / table / f"{shard}.parquet").to_pylist()
        for row in rows:
            for name in TIMINGS:
                row.pop(name, None)
        # Sorting keeps the order within a frame.
        found[table] = sorted(rows, key=lambda row: (row["source"], row["index"]))
    return found


def records_in(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON Lines, without the numbers of streams."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for one in records:
        one.pop("source_id", None)
    return records


def frames_of(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[str, int]]:
    """Which frames have a row, in order."""
    return [(row["source"], row["index"]) for row in rows["frames"]]


def names_in(folder: Path) -> Sequence[str]:
    """The files in a batch's folders of tables."""
    return sorted(path.name for table in TABLES for path in (folder / table).iterdir())
