"""What stands in COCO files, as many programs write it: ids as numbers or texts, sizes as floats, and nonsense."""

from __future__ import annotations

from typing import Final, TypeGuard

MAX_ID: Final = 2**63 - 1
"""What the programs that read results can hold."""

MAX_SIDE_PX: Final = 10_000_000
"""No picture is larger; a box that is comes from a program's fault."""

_MAX_SHOWN = 60


def clean_id(value: object) -> int | str | None:
    """An id as results name it: a whole number or a text; None where it is neither."""
    if isinstance(value, str):
        return value or None
    number = _whole(value)
    return number if number is not None and abs(number) <= MAX_ID else None


def id_key(value: object) -> str | None:
    """What ids are compared by: some programs write a number in one place and its digits in another."""
    found = clean_id(value)
    return None if found is None else str(found)


def clean_size(value: object) -> int | None:
    """A side of a picture, pixels; None where it is none."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else _whole(value)
    return number if number is not None and 0 < number <= MAX_SIDE_PX else None


def is_box(value: object) -> bool:
    """Four numbers with sides that are not negative; COCO itself has boxes of no width."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(_is_number(side) and abs(side) <= MAX_SIDE_PX for side in value)
        and value[2] >= 0
        and value[3] >= 0
    )


def is_area(value: object) -> bool:
    """A number of square pixels."""
    return _is_number(value) and 0 <= value <= MAX_SIDE_PX**2


def is_flag(value: object) -> bool:
    """What `iscrowd` may be."""
    return value is None or (isinstance(value, (bool, int, float)) and value in (0, 1))


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _whole(value: object) -> int | None:
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
