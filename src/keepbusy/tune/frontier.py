"""What was found, as points of throughput and latency: the frontier, and the choice. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keepbusy.tune.rounds import Standing
from keepbusy.tune.space import Candidate

MIN_GAIN = 1.01
"""The default is left only for more than this, and only where the interval lies above 1: it wins ties."""

MIN_GAIN_UNSURE = 1.1
"""Where there are fewer than `SURE_ROUNDS`."""

SURE_ROUNDS = 5
"""That noise alone puts all of them on one side happens once in 32 times; with three rounds it is once in eight."""

MIN_GAIN_GUESSED = 1.25
"""Where there are not even three, so that nothing is known of the noise."""

STEEPNESS = 4
"""How fast a candidate loses with its distance above the limit, while measurements are still short and noisy."""


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate, measured.

    Attributes:
        candidate: Its options.
        standing: Gain over the default, latency.
        fps: Its throughput, frames/s: its gain times the default's.
        level: How much its figures can be trusted: 0 from a stage, where the best is also the luckiest; 1 from the
            final; 2 from the duel with the default, which had no part in choosing it.
    """

    candidate: Candidate
    standing: Standing
    fps: float
    level: int = 0

    @property
    def latency_ms(self) -> float:
        """The latency percentile that counts, milliseconds."""
        return self.standing.latency_ms


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points of which no other has both more throughput and less latency; by throughput, the highest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (-one.fps, one.latency_ms)):
        if not found or point.latency_ms < found[-1].latency_ms:
            found.append(point)
    return found


def scorer(max_latency_ms: float | None) -> Callable[[Standing], float]:
    """How good a standing is while the search goes on.

    Throughput; above the limit it falls with the fourth power of the latency, so that one measurement a little above
    it does not end a candidate.
    """

    def score(standing: Standing) -> float:
        if max_latency_ms is None or standing.latency_ms <= max_latency_ms:
            return standing.gain.median
        return standing.gain.median * float((max_latency_ms / standing.latency_ms) ** STEEPNESS)

    return score


def choose(points: Sequence[Point], default: Point, max_latency_ms: float | None = None) -> Point | None:
    """The candidate to use.

    The fastest within the limit, among those whose figures can be trusted most. It takes the default's place only if
    it is faster beyond doubt, or if the default is above the limit.

    Args:
        points: All that were measured, with or without the default.
        default: What it is without any options.
        max_latency_ms: The limit.

    Returns:
        None where nothing keeps the limit.
    """

    def is_within(point: Point) -> bool:
        return max_latency_ms is None or point.latency_ms <= max_latency_ms

    within = [point for point in points if is_within(point)]
    best = max(within, key=lambda point: (point.level, point.standing.gain.median), default=None)
    if not is_within(default):
        return best
    return best if best is not None and is_surely_faster(best.standing) else default


def is_surely_faster(standing: Standing) -> bool:
    """More than noise says that it is faster than the default."""
    gain = standing.gain
    if gain.low is not None and gain.low <= 1:
        return False
    if standing.num_rounds >= SURE_ROUNDS:
        return gain.median >= MIN_GAIN
    return gain.median >= (MIN_GAIN_UNSURE if gain.low is not None else MIN_GAIN_GUESSED)


def finalists(points: Sequence[Point], max_latency_ms: float | None, num: int) -> list[Candidate]:
    """Who is measured once more, longest: the best by score, then what else lies on the frontier.

    Args:
        points: All that were measured, but not the default.
        max_latency_ms: The limit; then one is among them that is clearly within it, if there is one.
        num: At most so many.
    """
    score = scorer(max_latency_ms)
    ranking = sorted(points, key=lambda point: -score(point.standing))
    chosen = ranking[: -(-num // 2)]
    if max_latency_ms is not None:
        chosen += [point for point in ranking if point.latency_ms <= 0.9 * max_latency_ms][:1]
    edge = frontier(points)
    num_left = max(1, num - len(dict.fromkeys(chosen)))
    chosen += edge[:: -max(1, len(edge) // num_left)]
    return list(dict.fromkeys(point.candidate for point in [*chosen, *ranking]))[:num]
