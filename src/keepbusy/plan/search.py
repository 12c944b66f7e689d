"""Which number of cameras to try next, so that few tries tell how many fit. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from keepbusy.plan.costs import Costs, costs_of
from keepbusy.plan.watching import Seen

CLOSE = 0.04
"""The largest number that fits and the smallest that does not need not be closer, as a share of the first."""

BEYOND = 1.08
"""A guess from cameras that leave the machine idle is tried with so many more: where frames are lost, it is seen what
the machine really gives."""

GROWTH = 4
"""No try has more than so many times the cameras of the one before, or `FEW` where that is more: what is guessed from
few of them may be far too many, and all of them are opened."""

FEW = 12


@dataclass(frozen=True, slots=True)
class Found:
    """What some tries have told.

    Attributes:
        num: How many cameras fit.
        is_tried: Whether just so many were tried, and fit; else it was computed.
        costs: What cameras cost, nearest to that number.
        seen: What was seen nearest to that number.
    """

    num: int
    is_tried: bool
    costs: Costs
    seen: Seen


def next_num(tries: Mapping[int, Seen], num_cores: float, most: int) -> int | None:
    """The number to try next; None where it is known well enough.

    Args:
        tries: What was seen of how many; at least one.
        num_cores: Cores that this process may use.
        most: More are never tried.
    """
    lower, upper = _bounds(tries)
    guess = _costs(tries, num_cores).num
    if upper is None:
        assert lower is not None  # nosec B101 # for mypy: whatever was tried fits
        if lower >= most:
            return None
        return min(most, max(FEW, GROWTH * lower), max(lower + 1, math.ceil(min(guess, most) * BEYOND)))
    least = 0 if lower is None else lower
    if upper - least <= max(1.0, CLOSE * least):
        return None
    return min(max(math.floor(guess), least + 1), upper - 1)


def found(tries: Mapping[int, Seen], num_cores: float) -> Found:
    """How many cameras fit, by all that was seen."""
    lower, upper = _bounds(tries)
    costs = _costs(tries, num_cores)
    if lower is not None and (upper is None or upper - lower <= max(1.0, CLOSE * lower)):
        return Found(lower, True, costs, tries[lower])
    if lower is None and upper == 1:
        return Found(0, True, costs, tries[1])
    least, most = lower or 0, math.inf if upper is None else upper - 1
    num = int(min(max(math.floor(min(costs.num, 1e6)), least), most))
    nearest = min(tries, key=lambda one: abs(one - num))
    return Found(num, num in tries and tries[num].fits, costs, tries[nearest])


def _bounds(tries: Mapping[int, Seen]) -> tuple[int | None, int | None]:
    """The largest number that fits, and the smallest above it that does not."""
    lower = max((num for num, seen in tries.items() if seen.fits), default=None)
    upper = min((num for num, seen in tries.items() if not seen.fits and num > (lower or 0)), default=None)
    return lower, upper


def _costs(tries: Mapping[int, Seen], num_cores: float) -> Costs:
    """What cameras cost, by the try that tells most: the smallest number of which frames are lost."""
    lower, upper = _bounds(tries)
    if upper is not None:
        return costs_of(tries[upper], num_cores)
    assert lower is not None  # nosec B101 # for mypy: there is one of the two
    return costs_of(tries[lower], num_cores)
