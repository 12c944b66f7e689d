"""Class names, as people have them, against the names that a model has."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from keepbusy.checks import is_whole
from keepbusy.config import ClassConf, DetectConfig
from keepbusy.errors import ConfigError
from keepbusy.models.names import first_names
from keepbusy.texts import shortened
from keepbusy.values.choosing import meant_as_list

_TAKEN = 'give names or ids: ["person", "bus"], (0, 5); None for all classes'
_THRESHOLDS_TAKEN = 'give a threshold for each class, by its name or id: {"person": 0.5}, {0: 0.5}'


def class_ids(classes: Any, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """What is to be the option `classes` → ids.

    Args:
        classes: Names or ids, one or several; None for all.
        names: The model's class names.

    Raises:
        ConfigError: It is something else, is empty, or names no class of the model.
    """
    if classes is None:
        return None
    if isinstance(classes, str) or is_whole(classes):
        classes = (classes,)
    if isinstance(classes, (bytes, Mapping)) or not isinstance(classes, Collection):
        raise ConfigError(f"classes: {shortened(repr(classes))} is no sequence of classes", hint=_TAKEN)
    if len(classes) == 0:
        raise ConfigError("classes: is empty", hint=_TAKEN)
    return tuple(_class_id("classes", one, names, _TAKEN) for one in classes)


def thresholds(class_conf: Any, names: tuple[str, ...]) -> dict[int, float] | ClassConf | None:
    """What is to be the option `class_conf` → thresholds by id.

    Args:
        class_conf: Class name or id → threshold; None for none.
        names: The model's class names.

    Raises:
        ConfigError: It is something else, or names no class of the model.
    """
    if class_conf is None or isinstance(class_conf, ClassConf):
        return class_conf
    if not isinstance(class_conf, Mapping):
        raise ConfigError(
            f"class_conf: {shortened(repr(class_conf))} names no thresholds by class", hint=_THRESHOLDS_TAKEN
        )
    return {_class_id("class_conf", one, names, _THRESHOLDS_TAKEN): conf for one, conf in class_conf.items()}


def check_classes(config: DetectConfig, names: tuple[str, ...]) -> None:
    """See that the classes of an option are classes of the model.

    Raises:
        ConfigError: The model has no such class.
    """
    by_id = config.class_conf.by_id if isinstance(config.class_conf, ClassConf) else ()
    for option, ids in (("classes", config.classes or ()), ("class_conf", [one for one, _ in by_id])):
        for class_id in ids:
            _check_id(option, class_id, names)


def _class_id(option: str, given: Any, names: tuple[str, ...], taken: str) -> int:
    if isinstance(given, str):
        return _id_of_name(option, given, names)
    if not is_whole(given):
        raise ConfigError(f"{option}: {shortened(repr(given))} is neither a class's name nor its id", hint=taken)
    class_id = int(given)
    if class_id < 0:
        raise ConfigError(f"{option}: {shortened(str(class_id))} is out of range", hint="ids are counted from 0")
    _check_id(option, class_id, names)
    return class_id


def _check_id(option: str, class_id: int, names: tuple[str, ...]) -> None:
    if class_id >= len(names):
        raise ConfigError(
            f"{option}: {shortened(str(class_id))} is beyond the model's last class, {len(names) - 1}",
            hint=f"the model has {len(names)} classes, numbered from 0: {first_names(names)}",
        )


def _id_of_name(option: str, given: str, names: tuple[str, ...]) -> int:
    """The id of a class. Letter case and spaces around the name count only where they tell two classes apart."""
    if given in names:
        return names.index(given)
    plain = {name.strip().casefold(): class_id for class_id, name in reversed([*enumerate(names)])}
    wanted = given.strip().casefold()
    if wanted in plain:
        return plain[wanted]
    if option == "classes" and (hint := meant_as_list(given)):
        raise ConfigError(f"{option}: the model has no class {shortened(given)!r}", hint=hint)
    near = difflib.get_close_matches(wanted, plain, 1)
    meant = f"did you mean {names[plain[near[0]]]!r}? " if near else ""
    raise ConfigError(
        f"{option}: the model has no class {shortened(given)!r}",
        hint=f"{meant}its {len(names)} classes are {first_names(names)}",
    )
