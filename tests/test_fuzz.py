"""A short run of the fuzzer with a fixed seed: `python -m tests.fuzz` runs as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.drive import keep, worker
from tests.fuzz.worker import KINDS

SEED = 3
NUM_CASES = {"texts": 150, "pictures": 300, "videos": 100, "models": 60, "store": 60}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    with worker(name, SEED, tmp_path) as made:
        for number in range(NUM_CASES[name]):
            finding = made.run(number)
            assert finding is None, f"{finding.replay}\n{finding.fault}"
        assert made.tally.num_cases == NUM_CASES[name]
        # Neither all refused, which would try no more than the first check, nor all accepted.
        assert min(made.tally.endings["refused"], made.tally.endings["accepted"]) > NUM_CASES[name] // 50


def test_the_same_number_is_the_same_case(tmp_path: Path) -> None:
    inputs = []
    for turn in ("one", "two"):
        with worker("videos", SEED, tmp_path / turn) as made:
            made.run(7)
            kept = keep(made, 7, tmp_path / f"{turn}-kept")
            inputs.append({path.name: path.read_bytes() for path in kept.iterdir()})
    assert inputs[0] == inputs[1] and inputs[0]


def test_a_worker_that_dies_is_a_finding_and_is_started_again(tmp_path: Path) -> None:
    with worker("texts", SEED, tmp_path) as made:
        assert made.run(0) is None
        assert made._process is not None
        made._process.kill()
        finding = made.run(1)
        assert finding is not None and "SIGKILL" in finding.fault
        assert finding.replay == f"python -m tests.fuzz --kind texts --seed {SEED} --only 1"
        assert made.run(1) is None
