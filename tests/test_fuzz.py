"""A short fuzzing run with a fixed seed; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.worker import KINDS

COUNTS = {"texts": 300, "pictures": 300, "videos": 100, "models": 80, "answers": 40}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_input_is_read_or_refused(kind: str) -> None:
    tally = fuzz(kind, seed=1, count=COUNTS[kind])
    assert tally.findings == []
    assert tally.num_cases == COUNTS[kind]
    assert len(tally.outcomes) > 1
