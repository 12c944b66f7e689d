"""Interleaved rounds: every contender once a round, in an order that rotates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def order_of(names: Sequence[str], round_index: int) -> list[str]:
    """Who goes when in a round: the first of one round goes last in the next, so that drift favours nobody."""
    first = round_index % len(names)
    return [*names[first:], *names[:first]]


def measure_rounds(
    contenders: Mapping[str, Callable[[], T]],
    num_rounds: int,
    on_begin: Callable[[int, str], None] = lambda _index, _name: None,
) -> tuple[dict[str, list[T]], bool]:
    """Measure all contenders round by round.

    Ctrl-C ends it early: the rounds finished before it are returned, the unfinished one is forgotten.

    Args:
        contenders: Name → one measurement.
        num_rounds: How many rounds.
        on_begin: Told the round's index and the contender's name before each measurement.

    Returns:
        Name → one value for each finished round, and whether it was interrupted.

    Raises:
        KeyboardInterrupt: Interrupted before the first round was finished.
    """
    rounds: list[dict[str, T]] = []
    is_interrupted = False
    try:
        for index in range(num_rounds):
            finished: dict[str, T] = {}
            for name in order_of(list(contenders), index):
                on_begin(index, name)
                finished[name] = contenders[name]()
            rounds.append(finished)
    except KeyboardInterrupt:
        if not rounds:
            raise
        is_interrupted = True
    return {name: [finished[name] for finished in rounds] for name in contenders}, is_interrupted
