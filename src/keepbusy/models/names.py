"""Class names: from a file the user gives, the model's metadata, or COCO where the count fits."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from keepbusy.errors import ConfigError, first_line
from keepbusy.models.coco import COCO_NAMES

Names = tuple[str, ...]


def load_names(path: Path) -> Names:
    """Read class names from a file.

    Args:
        path: A text file with one name a line, or a YOLO dataset file (`.yaml`, `.yml`) whose `names` is a list or
            a mapping from class id to name.

    Raises:
        ConfigError: The file cannot be read, or has no names in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--names: cannot read {path}: {getattr(error, 'strerror', None) or first_line(error)}",
            hint="give a text file with one name a line, or a YOLO dataset file (.yaml)",
        ) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"--names: {path} is not valid YAML: {first_line(error)}", hint="correct the file"
            ) from error
        names = names_from_value(content.get("names") if isinstance(content, dict) else content)
    else:
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise ConfigError(
            f"--names: {path} has no class names in it",
            hint="give a text file with one name a line, or a YAML file with a list or mapping called names",
        )
    return names


def choose_names(num_classes: int, *, given: Names | None, metadata: Mapping[str, Any], model: Path) -> Names:
    """The names of a model's classes.

    Args:
        num_classes: How many the model's output has.
        given: Those from the user's file, if any: they must fit.
        metadata: The model's metadata: `names` (list, mapping or its text) or OpenVINO's `labels` (names
            separated by spaces, with underscores for spaces inside a name).
        model: The model's path, for the message.

    Raises:
        ConfigError: The user's names do not fit the model.
    """
    if given is not None:
        if len(given) != num_classes:
            raise ConfigError(
                f"--names: {len(given)} names for {model}, which has {num_classes} classes",
                hint="give the names file of the data that the model was trained on",
            )
        return given
    for names in (names_from_value(metadata.get("names")), _labels(metadata.get("labels"))):
        if len(names) == num_classes:
            return names
    if num_classes == len(COCO_NAMES):
        return COCO_NAMES
    return tuple(f"class {index}" for index in range(num_classes))


def names_from_value(value: object) -> Names:
    """Names from a list, from a mapping of class id to name, or from the text of either; () where it is neither."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return ()
    if isinstance(value, Mapping):
        try:
            by_id = {int(key): str(name) for key, name in value.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(by_id) != list(range(len(by_id))):
            return ()
        return tuple(by_id[index] for index in range(len(by_id)))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(name) for name in value)
    return ()


def _labels(value: object) -> Names:
    if not isinstance(value, str):
        return ()
    return tuple(label.replace("_", " ") for label in value.split())
