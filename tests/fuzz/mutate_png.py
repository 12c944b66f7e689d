"""Changes of PNG and APNG chunks, with right checksums: what a decoder cannot refuse at once."""

from __future__ import annotations

import random
import struct
import zlib

from tests.fuzz.mutate_bytes import field

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"tEXt", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"cICP")


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """The kind and data of each chunk."""
    found, at = [], len(SIGNATURE)
    while at + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    """A file of chunks."""
    sums = (struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + one for (kind, data), one in zip(parts, sums, strict=True)
    )


def mutated_png(dice: random.Random, content: bytes) -> bytes:
    """A copy with one to three chunks changed."""
    parts = chunks(content)
    for _ in range(dice.choice([1, 1, 2, 3])):
        if not parts:
            break
        at = dice.randrange(len(parts))
        kind, data = parts[at]
        match dice.randrange(7):
            case 0:
                del parts[at]
            case 1:
                parts.insert(dice.randrange(len(parts)), parts[at])
            case 2:
                other = dice.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts.insert(at, (dice.choice(_KINDS), dice.randbytes(dice.choice([0, 1, 9, 13, 26, 300]))))
            case 4 if kind == b"IHDR" and len(data) == 13:
                width, height = (dice.choice([0, 1, 95, 97, 4000, 1 << 20, (1 << 31) - 1]) for _ in range(2))
                depth, colour, interlace = (
                    dice.choice([1, 2, 4, 8, 16, 3]),
                    dice.choice(range(8)),
                    dice.choice([0, 1, 2]),
                )
                parts[at] = (kind, struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
            case _ if data:
                changed = bytearray(data)
                field(dice, changed, dice.randrange(min(len(changed), 40)))
                parts[at] = (kind, bytes(changed[: dice.choice([len(changed), dice.randint(0, len(changed))])]))
            case _:
                parts[at] = (dice.choice(_KINDS), data)
    return joined(parts)
