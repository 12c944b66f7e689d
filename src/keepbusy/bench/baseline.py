"""This measurement against an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepbusy.bench.environment import differences
from keepbusy.errors import ConfigError

MAIN = "end-to-end async"


def check_comparable(environment: Mapping[str, Any], baseline: Mapping[str, Any], path: Path, *, force: bool) -> None:
    """See that a baseline was measured under the same conditions.

    Args:
        environment: Of this measurement.
        baseline: From `report.read_json`.
        path: Where the baseline is from, for the message.
        force: Compare nevertheless.

    Raises:
        ConfigError: It was not; all differences are named.
    """
    found = differences(environment, baseline["environment"])
    if found and not force:
        raise ConfigError(
            f"--baseline: {path} was measured under other conditions: {'; '.join(found)}",
            hint="measure a baseline here with --json, or compare nevertheless with --force",
        )


def ratio_to_baseline(fps: float, baseline: Mapping[str, Any]) -> float:
    """End-to-end async throughput ÷ the baseline's."""
    return fps / float(baseline["measurements"][MAIN]["fps"])
