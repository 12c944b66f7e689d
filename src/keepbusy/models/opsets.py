"""The operator sets that an ONNX file names, read from its outermost fields without the rest of it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

MAX_VERSION = 1000
"""ONNX is at 26. OpenVINO counts up to the version that a file names, for minutes if it is in the millions."""

_OPSET_IMPORT, _VERSION = 8, 2
"""Numbers of the fields `ModelProto.opset_import` and `OperatorSetIdProto.version` in `onnx.proto`."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def unknown_opset(path: Path) -> int | None:
    """The version of an operator set that a file names and that there is not; None where there is none such.

    Raises:
        OSError: The file cannot be read.
    """
    version = highest_opset(path)
    return version if version > MAX_VERSION else None


def highest_opset(path: Path) -> int:
    """The highest version among a file's operator sets; 0 where none can be read.

    Raises:
        OSError: The file cannot be read.
    """
    highest = 0
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        while file.tell() < size:
            field = _field(file)
            if field is None:
                break
            number, kind, value = field
            if kind == _BYTES and number == _OPSET_IMPORT and value <= size - file.tell():
                end = file.tell() + value
                while file.tell() < end and (inner := _field(file)) is not None:
                    if inner[:2] == (_VERSION, _VARINT):
                        highest = max(highest, inner[2])
                    elif inner[1] == _BYTES:
                        file.seek(inner[2], 1)
                file.seek(end)
            elif kind == _BYTES:
                file.seek(value, 1)
    return highest


def _field(file: BinaryIO) -> tuple[int, int, int] | None:
    """A field's number, its kind, and its value or length; None where there is none."""
    tag = _varint(file)
    if tag is None:
        return None
    number, kind = tag >> 3, tag & 7
    if kind in (_VARINT, _BYTES):
        value = _varint(file)
        return None if value is None else (number, kind, value)
    if kind in (_FIXED64, _FIXED32):
        file.seek(8 if kind == _FIXED64 else 4, 1)
        return number, kind, 0
    return None


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
