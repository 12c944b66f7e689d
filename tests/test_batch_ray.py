"""A batch on Ray: the same tables, a node that is lost, a cluster that is too small."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from keepbusy.batch import UnitConfig, run_batch
from keepbusy.batch.on_ray import cpus_for_each
from keepbusy.errors import ConfigError, MissingExtraError
from tests.batch_jobs import rows_in
from tests.build import write_video


def test_cpus_are_shared_among_workers() -> None:
    assert cpus_for_each([16, 16], 2) == 16
    assert cpus_for_each([16, 8], 2) == 8
    assert cpus_for_each([16, 8], 3) == 8
    assert cpus_for_each([4], 3) == 1
    with pytest.raises(ConfigError, match="the cluster has 4 CPUs, not 5"):
        cpus_for_each([4], 5)


def test_without_ray_the_extra_is_named(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError) as raised:
            run_batch(clip, tmp_path / "out", blob_model, ray="local")
        assert raised.value.hint == "pip install 'keepbusy[ray]'"


@pytest.mark.filterwarnings("ignore::Warning")
def test_a_cluster_finds_the_same_also_where_a_worker_is_lost(blob_model: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    psutil = pytest.importorskip("psutil")
    files = tmp_path / "files"
    files.mkdir()
    for number in range(4):
        write_video(files / f"{number}.mp4", num_frames=60 + number)
    run_batch(files, tmp_path / "alone", blob_model, units=UnitConfig(frames=None))
    # Ray's first words go to standard error.
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    lost: list[int] = []

    def lose(progress: object) -> None:
        actors = [one for one in psutil.Process().children(recursive=True) if "ray::Relay" in one.name()]
        actors = actors or [
            one for one in psutil.Process().children(recursive=True) if "ray::Relay" in " ".join(one.cmdline())
        ]
        if actors and not lost:
            lost.append(actors[0].pid)
            os.kill(actors[0].pid, signal.SIGKILL)

    try:
        done = run_batch(files, tmp_path / "ray", blob_model, ray="auto", processes=2, on_progress=lose)
    finally:
        ray.shutdown()
    assert lost and done.num_done == 4 and done.num_aside == 0
    assert rows_in(tmp_path / "ray") == rows_in(tmp_path / "alone")
