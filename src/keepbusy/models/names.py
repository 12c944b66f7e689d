"""Class names: from a file the user gives, the model's metadata, or COCO where the count fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keepbusy.errors import ConfigError, first_line
from keepbusy.files.parsing import TextError, parse_literal, parse_yaml
from keepbusy.files.paths import read_text
from keepbusy.models.coco import COCO_NAMES

log = logging.getLogger("keepbusy")

Names = tuple[str, ...]


MAX_SHOWN = 8


def first_names(names: Names) -> str:
    """The first names of a model's classes, for messages."""
    return ", ".join(names[:MAX_SHOWN]) + (", ..." if len(names) > MAX_SHOWN else "")


def load_names(path: Path) -> Names:
    """Read class names from a file.

    Args:
        path: A text file with one name a line, or a YOLO dataset file (`.yaml`, `.yml`) whose `names` is a list or
            a mapping from class id to name.

    Raises:
        ConfigError: The file cannot be read, or has no names in it.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"names: cannot read {path}: {getattr(error, 'strerror', None) or first_line(error)}",
            hint="give a text file with one name a line, or a YOLO dataset file (.yaml)",
        ) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            content = parse_yaml(text, as_written=True)
        except TextError as error:
            raise ConfigError(
                f"names: {path}{error.place}: is not valid YAML: {error}", hint="correct the file"
            ) from error
        value = content.get("names") if isinstance(content, dict) else content
        names = names_from_value(value) or ((value.strip(),) if isinstance(value, str) and value.strip() else ())
    else:
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise ConfigError(
            f"names: {path} has no class names in it",
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
                f"names: {len(given)} names for {model}, which has {num_classes} classes",
                hint="give the names file of the data that the model was trained on",
            )
        return given
    told = [names_from_value(metadata.get("names")), _labels(metadata.get("labels"))]
    told.append(names_from_value(metadata.get("labels")))
    if isinstance(metadata.get("names"), str) and num_classes == 1:
        told.append((metadata["names"].strip(),))
    for names in told:
        if len(names) == num_classes and all(names):
            return names
    is_coco = num_classes == len(COCO_NAMES)
    problem = f"nothing says how its {num_classes} classes are called" if is_coco else ""
    if metadata.get("names") or metadata.get("labels"):
        count = max(map(len, told)) or ""
        problem = f"its {count} class names do not fit its {num_classes} classes".replace("  ", " ")
    if is_coco:
        problem += ": they are given COCO's names. If they are others, name them: `names=` FILE"
    if problem:
        log.warning("%s: %s", model.name, problem)
    if is_coco:
        return COCO_NAMES
    return tuple(f"class {index}" for index in range(num_classes))


def names_from_value(value: object) -> Names:
    """Names from a list, a mapping of class id to name, the text of either, or words with commas between them.

    Returns:
        () where it is nothing of that.
    """
    if isinstance(value, str):
        text = value
        try:
            value = parse_literal(text)
        except TextError:
            return tuple(name.strip() for name in text.split(",")) if "," in text else ()
    if isinstance(value, Mapping):
        try:
            by_id = {int(key): str(name) for key, name in value.items()}
        except (TypeError, ValueError):
            return ()
        # From 0, or from 1 as people count.
        if not by_id or sorted(by_id) != list(range(min(by_id), min(by_id) + len(by_id))) or min(by_id) not in (0, 1):
            return ()
        return tuple(by_id[index] for index in sorted(by_id))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(name) for name in value)
    return ()


def _labels(value: object) -> Names:
    if not isinstance(value, str):
        return ()
    return tuple(label.replace("_", " ") for label in value.split())
