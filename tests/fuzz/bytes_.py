"""Damage that knows nothing of what it damages."""

from __future__ import annotations

import random

INTERESTING = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)


def damage_bytes(content: bytes, dice: random.Random) -> bytes:
    """One to eight changes: bits, bytes, numbers, pieces cut, doubled, moved or made noise, an end that is missing."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        if changed:
            dice.choice(_CHANGES)(changed, dice)
    return bytes(changed)


def _place(changed: bytearray, dice: random.Random) -> int:
    """Anywhere, and more often near the beginning, where headers are."""
    return dice.randrange(min(len(changed), dice.choice((64, 512, len(changed)))))


def _flip(changed: bytearray, dice: random.Random) -> None:
    changed[_place(changed, dice)] ^= 1 << dice.randrange(8)


def _byte(changed: bytearray, dice: random.Random) -> None:
    changed[_place(changed, dice)] = dice.choice(INTERESTING)


def _number(changed: bytearray, dice: random.Random) -> None:
    place, width = _place(changed, dice), dice.choice((2, 4, 8))
    value = dice.choice((0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), dice.getrandbits(8 * width)))
    changed[place : place + width] = value.to_bytes(width, dice.choice(("big", "little")))


def _cut(changed: bytearray, dice: random.Random) -> None:
    place = _place(changed, dice)
    del changed[place : place + dice.choice((1, 4, 100, 5000))]


def _end(changed: bytearray, dice: random.Random) -> None:
    del changed[dice.randrange(len(changed)) :]


def _double(changed: bytearray, dice: random.Random) -> None:
    place = _place(changed, dice)
    piece = changed[place : place + dice.choice((1, 8, 500))]
    changed[place:place] = piece * dice.choice((1, 2, 50))


def _move(changed: bytearray, dice: random.Random) -> None:
    place = _place(changed, dice)
    piece = changed[place : place + dice.choice((8, 200))]
    del changed[place : place + len(piece)]
    target = dice.randrange(len(changed) + 1)
    changed[target:target] = piece


def _noise(changed: bytearray, dice: random.Random) -> None:
    place = _place(changed, dice)
    length = min(dice.choice((4, 64, 2000)), len(changed) - place)
    changed[place : place + length] = dice.randbytes(length)


_CHANGES = (_flip, _flip, _byte, _number, _number, _cut, _end, _double, _move, _noise)
