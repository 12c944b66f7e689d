"""Changes of any file: bits, fields, blocks, its end."""

from __future__ import annotations

import random

ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def field(dice: random.Random, content: bytearray, at: int) -> None:
    """Overwrite a number of 1 to 4 bytes, of either byte order."""
    size = dice.choice([1, 2, 4])
    number = dice.choice([*ODD, dice.getrandbits(32), dice.randrange(64)]) % (1 << 8 * size)
    content[at : at + size] = number.to_bytes(size, dice.choice(["little", "big"]))


def mutated_bytes(dice: random.Random, content: bytes, other: bytes = b"") -> bytes:
    """A copy with some damage.

    Args:
        dice: The case's.
        content: A good file.
        other: Another one, for joined files; none needed.
    """
    now = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 3, 8])):
        length = len(now)
        if length < 8:
            break
        at = dice.randrange(length)
        block = dice.choice([1, 4, 16, 200, 2000])
        match dice.randrange(10):
            case 0 | 1:
                for _ in range(dice.choice([1, 1, 4, 30])):
                    now[dice.randrange(length)] ^= 1 << dice.randrange(8)
            case 2 | 3:
                field(dice, now, dice.randrange(min(length, 200)))
            case 4:
                field(dice, now, at)
            case 5:
                del now[at:]
            case 6:
                del now[at : at + block]
            case 7:
                now[at:at] = now[dice.randrange(length) :][:block]
            case 8:
                now[at : at + block] = dice.randbytes(block) if dice.random() < 0.5 else bytes(block)
            case 9 if other:
                now = dice.choice([now + other, now[:at] + other[dice.randrange(len(other)) :]])
            case _:
                now += dice.randbytes(block)
    return bytes(now)
