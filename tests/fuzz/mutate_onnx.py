"""Changes of ONNX: any field of any message, by its type; messages removed, doubled or swapped."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

from tests.fuzz.values import WORDS, value

_INTEGERS = (0, 1, -1, 2, 7, 16, 65536, 2**31 - 1, -(2**31))


def messages(message: Any) -> Iterator[Any]:
    """A message and all in it."""
    yield message
    for field, content in message.ListFields():
        if field.message_type is not None:
            for inner in [content] if hasattr(content, "ListFields") else content:
                yield from messages(inner)


def mutated_onnx(dice: random.Random, model: Any) -> Any:
    """A copy with one to three fields changed."""
    changed = copy.deepcopy(model)
    for _ in range(dice.choice([1, 1, 2, 3])):
        message = dice.choice(list(messages(changed)))
        fields = message.ListFields()
        if fields:
            field, content = dice.choice(fields)
            with contextlib.suppress(ValueError):  # A choice that the format does not have.
                _change(dice, message, field.name, content)
    return changed


def _change(dice: random.Random, message: Any, name: str, content: Any) -> None:
    if isinstance(content, (int, float, str, bytes)):
        setattr(message, name, _other(dice, content))
    elif hasattr(content, "ListFields"):
        message.ClearField(name)
    elif dice.random() < 0.4 and isinstance(content[0], (int, float, str, bytes)):
        content[dice.randrange(len(content))] = _other(dice, content[0])
    else:
        items = [copy.deepcopy(one) for one in content]
        at = dice.randrange(len(items))
        match dice.randrange(3):
            case 0:
                del items[at]
            case 1:
                items.insert(at, copy.deepcopy(items[at]))
            case _:
                dice.shuffle(items)
        del content[:]
        content.extend(items)


def _other(dice: random.Random, content: Any) -> Any:
    if isinstance(content, bool):
        return not content
    if isinstance(content, int):
        # Out of the field's range is refused by protobuf itself; 32 bits fit all of them.
        return dice.choice([*_INTEGERS, content + 1, content - 1])
    if isinstance(content, float):
        return dice.choice([0.0, -1.0, 1e30, float("nan"), float("inf")])
    if isinstance(content, bytes):
        return dice.choice([b"", content[: len(content) // 2], dice.randbytes(len(content))])
    words = [word for word in WORDS if "\ud800" not in word]
    return dice.choice([dice.choice(words), content + "x", content[:-1], value(dice)]).replace("\ud800", "?")
