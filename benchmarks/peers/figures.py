"""From the rounds' samples to the figures that are reported."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REFERENCE = "keepbusy async"
NUM_RESAMPLES = 2000

Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""Contender → one sample for each round, as `protocol.measure` gives them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Contender:
    """Who is compared.

    Attributes:
        name: Its name.
        model: The name of the model that it runs.
        bound: The contender whose throughput is the bound of this one: the same model alone; empty for those.
    """

    name: str
    model: str
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one contender; None where there is no such figure.

    Attributes:
        contender: Whose.
        fps: Frames a second.
        latency_ms: Median over rounds of each round's median latency.
        boxes_per_frame: Boxes found a frame.
        cpu_ms_per_frame: Core time a frame over all threads.
        ratio: Throughput divided by the reference's, round by round; only with the same model.
        ratio_interval: 95 % bootstrap interval of the ratio's median.
        efficiency: Throughput divided by that of the same model alone, round by round.
        efficiency_interval: 95 % bootstrap interval of the efficiency's median.
    """

    contender: Contender
    fps: Spread
    latency_ms: float | None
    boxes_per_frame: float | None
    cpu_ms_per_frame: float | None
    ratio: Spread | None
    ratio_interval: tuple[float, float] | None
    efficiency: Spread | None
    efficiency_interval: tuple[float, float] | None


def ratios(rounds: Rounds, top: str, bottom: str) -> list[float]:
    """One contender's throughput divided by another's, round by round."""
    return [a["fps"] / b["fps"] for a, b in zip(rounds[top], rounds[bottom], strict=True)]


def bootstrap_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """Where the median lies with 95 % confidence: percentiles of the medians of resampled rounds.

    Few rounds make this interval too narrow rather than too wide; with one round it is that round.
    """
    drawn = np.random.default_rng(seed).choice(np.asarray(values, np.float64), (NUM_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def rows_of(contenders: Sequence[Contender], rounds: Rounds) -> list[Row]:
    """The figures of all contenders that were measured, in their order."""
    models = {contender.name: contender.model for contender in contenders}
    rows: list[Row] = []
    for contender in contenders:
        samples = rounds.get(contender.name)
        if not samples:
            continue

        def median(key: str, samples: Sequence[Mapping[str, float]] = samples) -> float | None:
            values = [sample[key] for sample in samples if key in sample]
            return statistics.median(values) if values else None

        is_comparable = bool(rounds.get(REFERENCE)) and contender.model == models[REFERENCE]
        to_reference = ratios(rounds, contender.name, REFERENCE) if is_comparable else []
        to_bound = ratios(rounds, contender.name, contender.bound) if rounds.get(contender.bound) else []
        rows.append(
            Row(
                contender,
                Spread.of([sample["fps"] for sample in samples]),
                median("latency_ms_p50"),
                median("boxes_per_frame"),
                median("cpu_ms_per_frame"),
                Spread.of(to_reference) if to_reference else None,
                bootstrap_interval(to_reference) if to_reference else None,
                Spread.of(to_bound) if to_bound else None,
                bootstrap_interval(to_bound) if to_bound else None,
            )
        )
    return rows
