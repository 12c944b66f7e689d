"""Changes of texts: tokens, lines, nesting, anchors, encodings."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz.mutate_bytes import mutated_bytes
from tests.fuzz.values import ENCODINGS, NEWLINES, WORDS, number, value

Change = Callable[[random.Random, str], str]
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(r"[^\s,:\[\]{}\"'<>=/]+")


def _replace(dice: random.Random, text: str, pattern: re.Pattern[str], new: str) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text + new
    one = dice.choice(found)
    return text[: one.start()] + new + text[one.end() :]


def _swap_tokens(dice: random.Random, text: str) -> str:
    found = [one.group() for one in _TOKEN.finditer(text)]
    return _replace(dice, text, _TOKEN, dice.choice(found)) if found else text


def _insert(dice: random.Random, text: str) -> str:
    at = dice.randint(0, len(text))
    return text[:at] + value(dice) + text[at:]


def _lines(dice: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at = dice.randrange(len(lines))
    how = dice.randrange(5)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, lines[dice.randrange(len(lines))])
    elif how == 2:
        lines[at] = dice.choice([" ", "  ", "\t", "- "]) + lines[at]
    elif how == 3:
        lines[at] = lines[at].rstrip("\n")
    else:
        lines[at:at] = [lines[at][:1000]] * dice.choice([10, 1000, 5000])
    return "".join(lines)


def _deep(dice: random.Random, text: str) -> str:
    opened, closed = dice.choice(
        [("[", "]"), ("{a: ", "}"), ('{"a":', "}"), ("- ", ""), ("? ", ""), ("(", ")"), ("!", "")]
    )
    depth = dice.choice([3, 40, 400, 3000])
    return _replace(dice, text, _TOKEN, opened * depth + "1" + (closed * depth if dice.random() < 0.8 else ""))


def _anchors(dice: random.Random, text: str) -> str:
    levels = dice.choice([2, 5, 9, 20])
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, levels))
    use = dice.choice([f"names: *a{levels - 1}\n", f"<<: *a{levels - 1}\n", "self: &s [*s]\n", "names: *gone\n"])
    return dice.choice([bomb + text + use, bomb + use + text, text + bomb])


def _cut(dice: random.Random, text: str) -> str:
    return text[: dice.randint(0, len(text))] if dice.random() < 0.5 else text[dice.randint(0, len(text)) :]


def _control(dice: random.Random, text: str) -> str:
    at = dice.randint(0, len(text))
    return (
        text[:at] + chr(dice.choice([*range(32), 127, 0x85, 0xA0, 0x2028, 0x202E, 0xFEFF, 0xFFFF, 0xD800])) + text[at:]
    )


CHANGES: tuple[Change, ...] = (
    lambda dice, text: _replace(dice, text, _NUMBER, number(dice)),
    lambda dice, text: _replace(dice, text, _TOKEN, value(dice)),
    lambda dice, text: _replace(dice, text, re.compile(r"[\[\]{},:\"'<>=-]"), dice.choice([*"[]{},:\"'<>=-", ""])),
    lambda dice, text: text.replace("\n", dice.choice(NEWLINES)),
    lambda dice, text: _replace(dice, text, _TOKEN, dice.choice(WORDS[-8:]) * dice.choice([100, 20_000])),
    *(_swap_tokens, _insert, _lines, _lines, _deep, _anchors, _cut, _control),
)


def mutated_text(dice: random.Random, text: str) -> bytes:
    """A text with one to four changes, mostly in UTF-8."""
    for _ in range(dice.choice([1, 1, 1, 2, 2, 3, 4])):
        text = dice.choice(CHANGES)(dice, text)[: 1 << 20]
    how = dice.random()
    if how < 0.8:
        return text.encode("utf-8", "surrogatepass")
    if how < 0.93:
        return text.encode(dice.choice(ENCODINGS), "replace")
    return mutated_bytes(dice, text.encode("utf-8", "surrogatepass"))
