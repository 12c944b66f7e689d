"""Changes of the parts that formats are made of: JPEG segments, boxes of MP4 and HEIF, RIFF chunks, packets of TS."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz.mutate_bytes import field

Parts = list[bytes]


def jpeg_segments(content: bytes) -> Parts:
    """A JPEG cut before each marker."""
    return [one for one in re.split(rb"(?=\xff[\xc0-\xfe])", content) if one]


def boxes(content: bytes) -> Parts:
    """ISO boxes, cut before each name of four letters that follows a length: at every depth."""
    return [one for one in re.split(rb"(?=\0\0..[a-z][a-zA-Z0-9]{2}[a-zA-Z0-9 ])", content, flags=re.DOTALL) if one]


def riff_chunks(content: bytes) -> Parts:
    """AVI and WebP, cut before each chunk's name."""
    return [
        one
        for one in re.split(rb"(?=(?:LIST|RIFF|VP8[ LX]|ALPH|ANMF|EXIF|idx1|avih|str[hfl]|00dc|movi))", content)
        if one
    ]


def ts_packets(content: bytes) -> Parts:
    """MPEG-TS packets; of other files blocks of 188 bytes."""
    return [content[at : at + 188] for at in range(0, len(content), 188)]


def mutated_parts(dice: random.Random, content: bytes, split: Callable[[bytes], Parts]) -> bytes:
    """A copy with one to three parts removed, doubled, swapped, or with a field near their start changed."""
    parts = split(content)
    for _ in range(dice.choice([1, 1, 2, 3])):
        if len(parts) < 2:
            break
        at, other = dice.randrange(len(parts)), dice.randrange(len(parts))
        match dice.randrange(6):
            case 0:
                del parts[at]
            case 1:
                parts.insert(other, parts[at])
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case _:
                changed = bytearray(parts[at])
                field(dice, changed, dice.randrange(min(len(changed), 40)))
                parts[at] = bytes(changed)
    return b"".join(parts)
