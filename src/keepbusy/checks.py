"""Values of options, checked: each error names the option, what was given, and what is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsFloat, get_args, get_type_hints

from keepbusy.errors import ConfigError


def check_polygon(region: Any) -> tuple[tuple[float, float], ...]:
    """Corners, checked; two of them become those of a rectangle.

    Raises:
        ConfigError: They are no polygon.
    """
    try:
        corners = tuple((float(x), float(y)) for x, y in region)
    except (TypeError, ValueError):
        corners = ()
    if len(corners) < 2 or not all(0 <= number <= 1 for corner in corners for number in corner):
        raise ConfigError(
            f"region: {region!r} is no polygon", hint="give 2 corners or more, x and y from 0 to 1: 0.1,0.2 0.9,0.8"
        )
    if len(corners) == 2:
        (left, top), (right, bottom) = corners
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return corners


def check_size(name: str, value: Any) -> tuple[int, int]:
    """One side, or (height, width) → (height, width), checked.

    Raises:
        ConfigError: It is no size.
    """
    sides = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, int) for side in sides):
        raise ConfigError(f"{name}: {value!r} is no size", hint="give one side, or (height, width), pixels")
    for side in sides:
        check_range(name, side, 32, 8192)
    return (sides[0], sides[1])


def check_range(name: str, value: float, low: float, high: float | None) -> None:
    """See that a number is within its limits; None for no upper one.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, SupportsFloat):
        raise ConfigError(f"{name}: {value!r} is no number", hint="give a number, not text")
    wanted = f"from {low} to {high}" if high is not None else f"at least {low}"
    if math.isnan(value):
        raise ConfigError(f"{name}: {value} is no number", hint=f"give a value {wanted}")
    if not (value >= low and (high is None or value <= high)):
        raise ConfigError(f"{name}: {value} is out of range", hint=f"give a value {wanted}")


def check_choice(config: Any, name: str) -> None:
    """See that an attribute of a configuration is one of the words that its type names, or None.

    Raises:
        ConfigError: It is not.
    """
    value = getattr(config, name)
    if value is None:
        return
    choices: list[str] = []
    hints = get_type_hints(type(config), localns={"StepFactory": object})  # Not imported: it would load NumPy.
    for part in (hints[name], *get_args(hints[name])):
        choices += [choice for choice in get_args(part) if isinstance(choice, str)]
    if value not in choices:
        raise ConfigError(
            f"{name}: {value!r} is none of the choices",
            hint=f"choose from {', '.join(dict.fromkeys(choices))}",
        )
