"""The files that an ONNX file keeps its weights in, found without reading the rest of it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_LOCATION = b"\x0a\x08location\x12"
"""How an entry of `TensorProto.external_data` with the key `location` begins in `onnx.proto`: field 1, eight bytes, the
key, and the tag of field 2, whose length and bytes follow. Entries of other lists that look the same do no harm: they
name a file that is then taken for one of the model's."""

_MAX_NAME_BYTES = 4096
"""No system has longer paths."""


def weight_files(path: Path) -> list[Path]:
    """The files with weights that an ONNX file names, each once, in the order of their first mention.

    They may have any name, and need not exist. A file that is missing or cannot be read names none.

    Args:
        path: The ONNX file.
    """
    if not os.path.isfile(path):
        return []
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = dict.fromkeys(_locations(content))
    except (OSError, ValueError):  # An empty file cannot be mapped.
        return []
    return [path.parent / os.fsdecode(name) for name in names]


def _locations(content: mmap.mmap) -> Iterator[bytes]:
    place = content.find(_LOCATION)
    while place >= 0:
        start = place + len(_LOCATION)
        name = _value(content, start)
        if name and len(name) <= _MAX_NAME_BYTES and b"\0" not in name:
            yield name
        place = content.find(_LOCATION, start)


def _value(content: mmap.mmap, start: int) -> bytes:
    """The bytes behind their own length, which is a varint of two bytes at most."""
    head = content[start : start + 2]
    if not head:
        return b""
    if head[0] < 0x80:
        return content[start + 1 : start + 1 + head[0]]
    if len(head) < 2 or head[1] >= 0x80:
        return b""
    return content[start + 2 : start + 2 + (head[0] & 0x7F | head[1] << 7)]
