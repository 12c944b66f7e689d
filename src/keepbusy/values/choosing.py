"""What detections are chosen by: numbers, bools, classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ConfigError
from keepbusy.texts import fit, shortened

Chosen: TypeAlias = "int | slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]"
"""What detections are chosen by."""

Classes: TypeAlias = "str | int | Iterable[str | int]"
"""Classes by their names or ids: one or several."""

_NAMES_SHOWN = 5

MAX_ID_DIGITS = 10
"""Of a class's id in a text. Python refuses to convert texts of thousands of digits."""


def as_index(chosen: object) -> NDArray[np.integer[Any]] | NDArray[np.bool_] | None:
    """Numbers or bools, one or a row of them; None where it is something else."""
    try:
        index: NDArray[Any] = np.asarray(chosen)
    except ValueError:  # Rows of several lengths.
        return None
    if index.size == 0 and index.ndim == 1 and index.dtype != np.bool_:
        index = index.astype(np.intp)
    is_row = index.ndim <= 1 and (index.dtype == np.bool_ or np.issubdtype(index.dtype, np.integer))
    return index if is_row else None


def form_of(chosen: object) -> str:
    """What was given, for messages."""
    if isinstance(chosen, np.ndarray):
        return f"an array of {chosen.dtype} with the shape {chosen.shape}"
    return shortened(repr(chosen), 80)


def ids_of(classes: Classes, names: Sequence[str]) -> list[int]:
    """The ids of classes. A name that several classes have means all of them.

    Args:
        classes: Names or ids, one or several.
        names: The model's class names; where there are none, any id is taken.

    Raises:
        ConfigError: There is no such class, or it is neither a name nor an id.
    """
    if isinstance(classes, np.ndarray) and classes.ndim == 0:
        classes = [classes.item()]
    several = [classes] if isinstance(classes, (str, bytes)) or not isinstance(classes, Iterable) else classes
    return [class_id for one in several for class_id in _ids_of_one(one, names)]


def _ids_of_one(one: object, names: Sequence[str]) -> list[int]:
    if isinstance(one, str):
        found = [class_id for class_id, name in enumerate(names) if name == one]
        if not found:
            raise ConfigError(f"classes: the model has no class {fit(one)!r}", hint=_hint_for(one, names))
        return found
    if isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, np.integer)):
        raise ConfigError(
            f"classes: {shortened(repr(one), 80)} is no class", hint="give names or ids: classes=['person', 2]"
        )
    if one < 0 or (names and one >= len(names)):
        raise ConfigError(
            f"classes: {one} is no class id", hint=f"give 0 to {len(names) - 1}" if names else "give 0 or more"
        )
    return [int(one)]


def is_id(word: str) -> bool:
    """Whether a word can be a class's id: a whole number, and not one that no model has classes for."""
    return word.isascii() and word.isdecimal() and len(word) <= MAX_ID_DIGITS


def meant_as_list(given: str) -> str:
    """The hint for several classes, or an id, in one text; empty where it is neither."""
    parts = [part.strip() for part in given.split(",") if part.strip()]
    listed = [int(part) if is_id(part) else fit(part) for part in parts]
    if len(parts) > 1:
        return f"give a list: classes={shortened(repr(listed), 80)}"
    return f"an id is a number: classes={listed}" if parts and isinstance(listed[0], int) else ""


def _hint_for(given: str, names: Sequence[str]) -> str:
    if as_list := meant_as_list(given):
        return as_list
    if not names:
        return "its classes have no names: give ids, such as classes=[0, 2]"
    import difflib  # Only where something is wrong.

    near = difflib.get_close_matches(given.casefold(), [name.casefold() for name in names], 1)
    if near:
        meant = next(name for name in names if name.casefold() == near[0])
        return f"did you mean {fit(meant)!r}?"
    shown = ", ".join(fit(shortened(name, 40)) for name in names[:_NAMES_SHOWN])
    return f"it has {shown}" + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")
