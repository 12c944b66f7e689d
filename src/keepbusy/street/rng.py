"""A small integer random stream that gives the same numbers on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def mix64(value: int) -> int:
    """Scramble a 64-bit integer (the splitmix64 finaliser)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Rng:
    """A splitmix64 stream addressed by a tuple of integers.

    Two streams with the same key give the same numbers, whatever was drawn before from others.

    Args:
        key: Integers (of any size and sign) that name the stream.
    """

    __slots__ = ("_state",)

    def __init__(self, *key: int) -> None:
        state = 0
        for part in key:
            state = mix64(state ^ mix64(part + _GOLDEN))
        self._state = state

    def bits(self) -> int:
        """Return the next 64 random bits."""
        self._state = (self._state + _GOLDEN) & _MASK
        return mix64(self._state)

    def unit(self) -> float:
        """Return a float in [0, 1)."""
        return (self.bits() >> 11) * (1.0 / (1 << 53))

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        return low + self.bits() % (high - low + 1)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.bits() % len(items)]

    def weighted(self, items: Sequence[tuple[T, float]]) -> T:
        """Return one of (item, weight) pairs' items, in proportion to the weights."""
        left = self.unit() * sum(weight for _, weight in items)
        for item, weight in items:
            left -= weight
            if left < 0.0:
                return item
        return items[-1][0]
