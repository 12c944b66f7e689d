"""Pictures of every kind that OpenCV, Pillow's HEIF plug-in and PyAV write here."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from keepbusy.config import RunConfig
from keepbusy.sources import open_source
from keepbusy.testing import ScriptedDevice, scripted_run
from tests.fuzz.bytes_ import damage_bytes
from tests.fuzz.kind import check_results

SUFFIXES = (".jpg", ".png", ".bmp", ".webp", ".tiff", ".pgm", ".ppm", ".jp2", ".avif")
MAX_PIXELS = 20_000_000


class Pictures:
    def seeds(self, folder: Path) -> list[Path]:
        noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
        picture = cv2.GaussianBlur(noise, (9, 9), 3)
        paths = []
        for suffix in SUFFIXES:
            path = folder / f"picture{suffix}"
            if cv2.haveImageWriter(str(path)):
                cv2.imwrite(str(path), picture[:, :, 0] if suffix == ".pgm" else picture)
                paths.append(path)
        return paths

    def damage(self, content: bytes, path: Path, dice: random.Random) -> bytes:
        if path.suffix == ".png" and dice.random() < 0.6:
            return _damage_chunks(content, dice)
        return damage_bytes(content, dice)

    def use(self, path: Path) -> str:
        source = open_source(path, max_pixels=MAX_PIXELS)
        with scripted_run([source], ScriptedDevice(), RunConfig(on_error="skip")) as run:
            return check_results(run)


def _damage_chunks(content: bytes, dice: random.Random) -> bytes:
    """A PNG whose chunks are changed, with the right checksums."""
    chunks = []
    place = 8
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    number = dice.randrange(len(chunks))
    name, body = chunks[number]
    match dice.randrange(5):
        case 0:
            chunks[number] = (name, damage_bytes(body, dice) if body else dice.randbytes(5))
        case 1:
            chunks.insert(dice.randrange(len(chunks) + 1), (name, body))
        case 2:
            del chunks[number]
        case 3:
            chunks.insert(
                1, (dice.choice((b"acTL", b"fcTL", b"iCCP", b"zTXt", b"eXIf", b"PLTE", b"tRNS")), dice.randbytes(26))
            )
        case _:
            dice.shuffle(chunks)
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return content[:8] + b"".join(parts)
