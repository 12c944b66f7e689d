"""Changes of documents: a part replaced, taken out, doubled or moved."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from typing import Any

from tests.fuzz.values import WORDS

_NUMBERS = (0, -1, 1, 2, 7, 0.5, -0.0, 1e308, 10**10, 10**20, 10**400, -(10**20), 2**53 + 1, 2**63, 2**64)
_OTHERS: tuple[Any, ...] = (
    math.nan,
    math.inf,
    True,
    False,
    None,
    [],
    {},
    [1],
    [[1]],
    {"id": 1},
    [None] * 4,
    [math.nan] * 4,
    [1] * 3000,
)
VALUES: tuple[Any, ...] = (*_NUMBERS, *_OTHERS)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document but the whole."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def part(document: Any, path: tuple[Any, ...]) -> Any:
    """What is at a place."""
    for key in path:
        document = document[key]
    return document


def mutated_tree(dice: random.Random, document: Any) -> Any:
    """A copy with one to three changes."""
    whole = copy.deepcopy(document)
    for _ in range(dice.choice([1, 1, 2, 3])):
        ways = list(places(whole))
        if not ways:
            return whole
        path = dice.choice(ways)
        holder = part(whole, path[:-1])
        match dice.randrange(6):
            case 0:
                del holder[path[-1]]
            case 1 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
            case 2:
                holder[path[-1]] = copy.deepcopy(part(whole, dice.choice(ways)))
            case 3:
                holder[path[-1]] = dice.choice(WORDS)
            case _:
                holder[path[-1]] = copy.deepcopy(dice.choice(VALUES))
    return whole
