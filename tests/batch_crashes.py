"""A batch killed at random moments, again and again: `python -m tests.batch_crashes --clips 60 --kills 20 --seed 1`.

Each round starts the job, waits for a random while, and kills it with SIGKILL: the supervisor and its workers at once,
as a power cut does, or the supervisor alone. The last round is left to end. The tables have to be those of a job that
was never disturbed, row for row.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from keepbusy.batch.manifest import read_manifest
from tests.batch_jobs import batch_command, frames_of, rows_in, run_program, state_in
from tests.build import build_blob_model, square_picture, write_picture, write_video


def make_archive(folder: Path, num_clips: int) -> Path:
    """Clips of different lengths, one of them long enough to be cut, and some pictures."""
    archive = folder / "archive"
    archive.mkdir()
    for number in range(num_clips):
        write_video(archive / f"clip{number:03d}.mp4", num_frames=15 + number % 10)
    write_video(archive / "long.mp4", num_frames=700)
    for number in range(6):
        write_picture(archive / f"{number}.png", square_picture(8 * number))
    return archive


def crash(archive: Path, model: Path, folder: Path, *, num_kills: int, seed: int) -> list[str]:
    """Kill a job so often, and let it end; what is wrong then, a line each.

    Args:
        archive: What `make_archive` has made.
        model: The model.
        folder: Where results go.
        num_kills: How often.
        seed: Of the moments.
    """
    options = ("-m", model, "--unit-frames", "150", "--unit-pictures", "2", "--conf", "0.6", "-q")
    started = _start(archive, "-o", folder / "whole", *options)
    _wait_for_work(started, folder / "whole", 0)
    begin_s = time.monotonic()
    started.communicate()
    assert started.returncode == 0
    work_s = time.monotonic() - begin_s
    dice = random.Random(seed)
    output = folder / "killed"
    for number in range(num_kills):
        num_runs = _num_runs(output)
        job = _start(archive, "-o", output, *options)
        if dice.random() < 0.8:
            _wait_for_work(job, output, num_runs)
            after_s = dice.uniform(0.0, 1.5 * work_s / num_kills)
        else:
            after_s = dice.uniform(0.0, 3.0)
        with suppress(subprocess.TimeoutExpired):
            job.wait(after_s)
        _kill(job, with_workers=dice.random() < 0.5)
        if job.returncode not in (0, -signal.SIGKILL):
            return [f"kill {number}: exit code {job.returncode}"]
    done = run_program(archive, "-o", output, *options)
    if done.returncode != 0:
        return [f"the last run: exit code {done.returncode}: {done.stderr}"]
    return compare(folder / "whole", output)


def _start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(batch_command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _num_runs(output: Path) -> int:
    state = read_manifest(output)
    return 0 if state is None else state.num_runs


def _wait_for_work(job: subprocess.Popen[bytes], output: Path, num_runs: int) -> None:
    """Wait until a job has begun with its units, or has ended."""
    while job.poll() is None and _num_runs(output) == num_runs:
        time.sleep(0.02)


def _kill(job: subprocess.Popen[bytes], *, with_workers: bool) -> None:
    """Kill a job; its workers, too, or leave them to notice."""
    workers: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        workers = psutil.Process(job.pid).children()
    job.send_signal(signal.SIGKILL)
    for worker in workers if with_workers else []:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    job.communicate()


def compare(whole: Path, other: Path) -> list[str]:
    """How the tables of a batch differ from those of an undisturbed one, a line each."""
    wanted, found = rows_in(whole), rows_in(other)
    wrong: list[str] = []
    frames = frames_of(found)
    if len(set(frames)) != len(frames):
        wrong.append(f"{len(frames) - len(set(frames))} frames are there twice")
    if missing := set(frames_of(wanted)) - set(frames):
        wrong.append(f"{len(missing)} frames are missing")
    wrong += [f"the table {table} differs" for table in wanted if wanted[table] != found[table]]
    left = {path.stem for table in wanted for path in (other / table).iterdir()} - state_in(other).shards
    return wrong + [f"{name} is left" for name in sorted(left)]


def main() -> int:
    """Do it as the arguments say; 0 where all is well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = build_blob_model(folder / "blob.xml")
        archive = make_archive(folder, given.clips)
        wrong = crash(archive, model, folder, num_kills=given.kills, seed=given.seed)
        runs = state_in(folder / "killed").num_runs
    print(f"{given.clips} clips, {given.kills} kills, {runs} runs that did work: {'; '.join(wrong) or 'equal'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
