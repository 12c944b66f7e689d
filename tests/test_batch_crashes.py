"""A batch that is killed at every step between shard and manifest, and at random moments, ends as if it was not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("psutil")

from tests.batch_crashes import compare, crash, make_archive
from tests.batch_jobs import killed_at, run_program, state_in
from tests.build import write_video

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are killed by signals")

STEPS = {
    "worker": (1, 2, 3, 4, 5, 6),
    "beginning": (1, 2, 3, 4),
    "planned": (6, 2, 3),
    "done": (8, 1),
}
"""Before which steps a batch is killed, one run after the other. A worker's are those of one shard: fsync of both
tables, rename of both, fsync of both folders. The others are the supervisor's: the rename of a new manifest, its
fsyncs, and one fsync for each line; of a manifest that is there, one fsync when it is opened, and one for each line."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(2):
        write_video(folder / f"{number}.mp4", num_frames=12 + number)
    return folder


@pytest.fixture(scope="module")
def whole(clips: Path, blob_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "out"
    done = run_program(clips, "-o", output, "-m", blob_model, "-q")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return output


@pytest.mark.parametrize("name", STEPS)
def test_killed_before_each_step(name: str, clips: Path, whole: Path, blob_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = (clips, "-o", output, "-m", blob_model, "-q")
    who = "worker" if name == "worker" else "supervisor"
    for step in STEPS[name]:
        killed = run_program(*arguments, **killed_at(f"{who}:{step}", tmp_path / "hook"))
        assert killed.returncode == -signal.SIGKILL, (step, killed.stderr)
    if name == "worker":
        assert state_in(output).shards == set()
    done = run_program(*arguments)
    assert done.returncode == 0, done.stderr
    assert compare(whole, output) == []


def test_killed_at_random_moments(blob_model: Path, tmp_path: Path) -> None:
    archive = make_archive(tmp_path, 3)
    assert crash(archive, blob_model, tmp_path, num_kills=3, seed=1) == []
