"""Values of options, checked: each error names the option, what was given, and what is taken."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping, Set
from pathlib import Path
from types import NoneType
from typing import Any, SupportsFloat, cast, get_args, get_type_hints

from keepbusy.errors import ConfigError
from keepbusy.texts import shortened


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
    is_pair = isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping, Set))
    sides = tuple(value) if is_pair else (value, value)
    if len(sides) != 2 or not all(map(is_whole, sides)):
        raise ConfigError(
            f"{name}: {_shown(value)} is no size", hint="give one side, 640, or (height, width), (480, 640), pixels"
        )
    height, width = (int(side) for side in sides)
    for side in (height, width):
        check_range(name, side, 32, 8192)
    return height, width


def is_whole(value: object) -> bool:
    """Whether something is a whole number by its type: one of Python's or NumPy's, and no truth value."""
    return hasattr(value, "__index__") and not isinstance(value, bool) and not hasattr(value, "__len__")


def check_numbers(name: str, rows: Any) -> None:
    """See that what was found is there in numbers, and none of them is NaN or infinite.

    Args:
        name: The array's, for the message.
        rows: Floating point, (N, ...); None is nothing to look at.

    Raises:
        ConfigError: A row has such a number.
    """
    if rows is None:
        return
    import numpy as np  # Options alone are checked without it.

    is_finite = np.isfinite(rows)
    if not is_finite.all():
        row = int(np.argwhere(~is_finite)[0][0])
        raise ConfigError(
            f"{name}: row {row} has numbers that are not finite: {_shown(rows[row].tolist())}",
            hint="leave such rows out: found[numpy.isfinite(found.boxes_xyxy).all(axis=1)]",
        )


def check_flag(name: str, value: Any) -> None:
    """See that something is True or False.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise ConfigError(f"{name}: {_shown(value)} is neither True nor False", hint="give True or False")


def check_count(name: str, value: Any, low: int, high: int | None) -> None:
    """See that a whole number is within its limits; None for no upper one.

    Raises:
        ConfigError: It is not, or is no whole number.
    """
    check_range(name, value, low, high)
    if not is_whole(value):
        raise ConfigError(
            f"{name}: {_shown(value)} is no whole number", hint=f"give a whole number, {_limits(low, high)}"
        )


def check_range(name: str, value: Any, low: float, high: float | None) -> None:
    """See that a number is within its limits; None for no upper one.

    Raises:
        ConfigError: It is not.
    """
    wanted = _limits(low, high)
    if not isinstance(value, SupportsFloat) or isinstance(value, bool) or hasattr(value, "__len__"):
        is_text = isinstance(value, str)
        hint = "give a number, not text" if is_text else f"give a number {wanted}"
        raise ConfigError(f"{name}: {_shown(value)} is no number", hint=hint)
    number = cast("float", value)
    if math.isnan(number):
        raise ConfigError(f"{name}: {value} is no number", hint=f"give a value {wanted}")
    if not (number >= low and (high is None or number <= high)):
        raise ConfigError(f"{name}: {value} is out of range", hint=f"give a value {wanted}")


def _limits(low: float, high: float | None) -> str:
    return f"from {low} to {high}" if high is not None else f"at least {low}"


def check_choice(config: Any, name: str) -> None:
    """See that an attribute of a configuration is one of the words that its type names, or None where that is one.

    Raises:
        ConfigError: It is not.
    """
    value = getattr(config, name)
    choices: list[str] = []
    hints = get_type_hints(type(config), localns={"StepFactory": object})  # Not imported: it would load NumPy.
    if value is None and NoneType in get_args(hints[name]):
        return
    for part in (hints[name], *get_args(hints[name])):
        choices += [choice for choice in get_args(part) if isinstance(choice, str)]
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(
            f"{name}: {_shown(value)} is none of the choices",
            hint=f"choose from {', '.join(dict.fromkeys(choices))}",
        )


def check_class_ids(classes: Any) -> tuple[int, ...]:
    """Class ids as a tuple, checked.

    Raises:
        ConfigError: They are something else, or there are none.
    """
    hint = 'give ids, pipeline.names.index("person") for one; Detector and Pipeline also take names: ["person", "bus"]'
    if isinstance(classes, (str, bytes, Mapping)) or not isinstance(classes, Collection):
        raise ConfigError(f"classes: {_shown(classes)} is no sequence of class ids", hint=hint)
    if len(classes) == 0:
        raise ConfigError("classes: is empty", hint="give None for all classes, or at least one")
    for class_id in classes:
        if not is_whole(class_id):
            raise ConfigError(f"classes: {_shown(class_id)} is not a class id", hint=hint)
        check_range("classes", class_id, 0, None)
    return tuple(int(class_id) for class_id in classes)


def check_folder(name: str, value: Any) -> Path:
    """A folder's path, checked.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(path := os.fspath(value), str):
        raise ConfigError(f"{name}: {_shown(value)} is no folder", hint="give a path, or False for none")
    return Path(path)


def check_path(name: str, value: Any) -> None:
    """See that a value names a file or a folder.

    Raises:
        ConfigError: It is no path, is empty, or has a zero byte in it.
    """
    is_one = isinstance(value, (str, os.PathLike)) and isinstance(path := os.fspath(value), str)
    if not is_one or not path or "\0" in path:
        raise ConfigError(f"{name}: {_shown(value)} is no path", hint="give the path of a file or folder")


def check_device(value: Any) -> str:
    """A device's name as people write it → OpenVINO's: `cpu`, `intel:gpu`, `gpu:1` → CPU, GPU, GPU.1.

    Raises:
        ConfigError: It is no text, or another library's name of a device that OpenVINO does not use.
    """
    if f"{type(value).__module__}.{type(value).__name__}" == "torch.device":
        value = str(value)
    listed = "`keepbusy devices` lists what there is"
    if not isinstance(value, str):
        raise ConfigError(f"device: {_shown(value)} is no device's name", hint=f'give "CPU", "GPU" or "NPU"; {listed}')
    name = value.strip()
    if not name:
        raise ConfigError("device: is empty", hint=listed)
    plain = name.lower()
    if plain.isdecimal() or plain.partition(":")[0] in _FOREIGN_DEVICES:
        whose = "a number that PyTorch gives" if plain.isdecimal() else "PyTorch's name of a device"
        raise ConfigError(
            f"device: {_shown(value)} is {whose}, and none of OpenVINO's",
            hint=f"give CPU, GPU (Intel's), NPU or AUTO:GPU,CPU; {listed}",
        )
    match = re.fullmatch(r"(?:intel:)?(cpu|gpu|npu|auto)(?:([:.])(\d+))?", plain)
    if match is None:
        return name
    kind, mark, number = match[1].upper(), match[2], match[3]
    if kind == "AUTO" and number is not None:
        return name
    # PyTorch's first device is OpenVINO's device without a number.
    return kind if number is None or (mark == ":" and int(number) == 0) else f"{kind}.{int(number)}"


_FOREIGN_DEVICES = frozenset({"cuda", "mps", "xpu", "hip", "vulkan"})


def _shown(value: object) -> str:
    """A value as a message has it, on one line."""
    return shortened(" ".join(repr(value).split()))
