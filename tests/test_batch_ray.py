"""A batch on Ray: the same tables, a node that is lost, a cluster that is too small."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from keepbusy.batch import UnitConfig, run_batch
from keepbusy.batch.nodes import NodeFacts, check_nodes
from keepbusy.batch.on_ray import cpus_for_each, reason_of_ray
from keepbusy.errors import ConfigError, KeepbusyError, MissingExtraError
from tests.batch_jobs import rows_in
from tests.build import write_video


def test_cpus_are_shared_among_workers() -> None:
    assert cpus_for_each([16, 16], 2) == 16
    assert cpus_for_each([16, 8], 2) == 8
    assert cpus_for_each([16, 8], 3) == 8
    assert cpus_for_each([4], 3) == 1
    with pytest.raises(ConfigError, match="the cluster has 4 CPUs, not 5"):
        cpus_for_each([4], 5)


def test_without_ray_the_extra_is_named(
    blob_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as raised:
        run_batch(clip, tmp_path / "out", blob_model, ray="local")
    assert raised.value.hint == "pip install 'keepbusy[ray]'"


def test_an_address_where_nothing_listens_is_told_at_once(blob_model: Path, clip: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    begin_s = time.monotonic()
    with pytest.raises(KeepbusyError, match=f"no cluster can be reached at {address}: .*refused") as raised:
        run_batch(clip, tmp_path / "out", blob_model, ray=address)
    assert "RAY_AUTH_MODE" in (raised.value.hint or "")
    assert time.monotonic() - begin_s < 60


def test_what_ray_raises_is_one_line() -> None:
    text = (
        "The actor died because of an error raised in its creation task, \x1b[36mray::Relay.__init__()\x1b[39m\n"
        "           ^^^^^^^^\n"
        "RuntimeError: The actor with name Relay failed to import on the worker:\n\n"
        "\x1b[36mray::Relay.__init__()\x1b[39m\n"
        "ModuleNotFoundError: No module named 'keepbusy'"
    )
    assert reason_of_ray(RuntimeError(text)) == "ModuleNotFoundError: No module named 'keepbusy'"
    assert reason_of_ray(RuntimeError("The actor is dead.\nMore of it.")) == "The actor is dead."


def test_nodes_that_differ_are_refused_before_anything_is_done() -> None:
    alike = {"keepbusy": "1.0", "openvino": "2026.4", "instruction_set": "x86_64 avx2"}
    one = NodeFacts(has_model=True, has_folder=True, alike=alike)
    check_nodes({})
    check_nodes({"10.0.0.1": one, "10.0.0.2": one})
    other = NodeFacts(has_model=True, has_folder=True, alike=alike | {"instruction_set": "x86_64 avx2 amx_int8"})
    words = r"node 10\.0\.0\.2 would find something else than node 10\.0\.0\.1: instruction_set: x86_64 avx2 there, x86"
    with pytest.raises(KeepbusyError, match=words):
        check_nodes({"10.0.0.1": one, "10.0.0.2": other})
    for words, bare in (
        (r"10\.0\.0\.2 does not have the model", NodeFacts(False, True, alike)),
        (r"10\.0\.0\.2 does not have the folder of the results", NodeFacts(True, False, alike)),
    ):
        with pytest.raises(KeepbusyError, match=words):
            check_nodes({"10.0.0.1": one, "10.0.0.2": bare})


def test_the_cluster_file_is_one_that_ray_takes() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    path = Path(__file__).parents[1] / "deploy" / "ray-cluster.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    validate_config(prepare_config(config))
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in commands if "ray start" in line)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Ray cluster of two nodes with one CPU each on this machine: its address."""
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.mark.filterwarnings("ignore::Warning")
def test_a_cluster_finds_the_same_also_where_a_worker_is_lost(two_nodes: str, blob_model: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(4):
        write_video(files / f"{number}.mp4", num_frames=60 + number)
    run_batch(files, tmp_path / "alone", blob_model, units=UnitConfig(frames=None))
    lost: list[int] = []

    def workers() -> list[psutil.Process]:
        found = []
        for one in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # Ended meanwhile, or ended and not heard of by its parent.
                found += [one] if "ray::Relay" in " ".join(one.cmdline()) else []
        return found

    def lose(progress: object) -> None:
        actors = workers()
        if actors and not lost:
            lost.append(actors[0].pid)
            os.kill(actors[0].pid, signal.SIGKILL)

    done = run_batch(files, tmp_path / "ray", blob_model, ray=two_nodes, on_progress=lose)
    assert lost and done.num_done == 4 and done.num_aside == 0
    assert rows_in(tmp_path / "ray") == rows_in(tmp_path / "alone")
