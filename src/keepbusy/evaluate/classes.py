"""The data's classes → the model's."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ConfigError
from keepbusy.evaluate.dataset import Dataset
from keepbusy.evaluate.problems import Problems

ClassMatch = Literal["auto", "name", "index"]

_UNNAMED_HINT = "correct the labels, or the names that the data gives; `ignore_missing` leaves such objects out"
_UNKNOWN_HINT = "leave such objects out with `ignore_missing`, or give the model's names with `names=`"


def match_classes(
    dataset: Dataset,
    model_names: tuple[str, ...],
    how: ClassMatch = "auto",
    *,
    ignore_missing: bool = False,
) -> tuple[NDArray[np.int64], list[str]]:
    """Find each of the data's classes among the model's.

    Args:
        dataset: The data.
        model_names: The model's class names.
        how: `name` compares names, whatever their order; `index` takes class n for class n; `auto` is `name` where
            both have names, else `index`.
        ignore_missing: Leave out objects of classes that the model does not have, instead of stopping.

    Returns:
        The model's class for each of the data's, int64, -1 for none (classes beyond the end have none, too); and
        sentences on what a person should know.

    Raises:
        DataError: Objects are of classes that the model does not have.
        ConfigError: The two have no class in common; or `name` is wanted where there are no names, or one twice.
    """
    data_names = dataset.class_names
    if how == "auto":
        is_named = bool(data_names) and _are_distinct(data_names) and _are_distinct(model_names)
        how = "name" if is_named and not _are_generic(model_names) else "index"
    if how == "name":
        if not data_names or not (_are_distinct(data_names) and _are_distinct(model_names)):
            raise ConfigError(
                "class_match: name needs class names, none twice, on both sides", hint="use `class_match` index"
            )
        known = {_plain(name): number for number, name in enumerate(model_names)}
        mapping = np.array([known.get(_plain(name), -1) for name in data_names], np.int64)
    else:
        mapping = np.arange(len(model_names), dtype=np.int64)
        if len(data_names) > len(model_names):
            mapping = np.append(mapping, np.full(len(data_names) - len(model_names), -1))
    return mapping, _check(dataset, mapping, model_names, how, ignore_missing=ignore_missing)


def to_model(class_id: NDArray[np.int64], mapping: NDArray[np.int64]) -> NDArray[np.int64]:
    """The data's class ids → the model's; -1 for none. int64 (N,)."""
    found: NDArray[np.int64] = np.append(mapping, -1)[np.minimum(class_id, len(mapping))]
    return found


def _check(
    dataset: Dataset, mapping: NDArray[np.int64], model_names: tuple[str, ...], how: str, *, ignore_missing: bool
) -> list[str]:
    counts: dict[int, int] = {}
    places: dict[int, str] = {}
    for class_id, place in dataset.objects():
        if class_id >= len(mapping) or mapping[class_id] < 0:
            counts[class_id] = counts.get(class_id, 0) + 1
            places.setdefault(class_id, place)
    if how == "name" and (mapping < 0).all():
        raise ConfigError(
            f"{dataset.name}: none of its classes ({_listed(dataset.class_names)}) is one of the model's "
            f"({_listed(model_names)})",
            hint="the model for this data? The same classes by other names? Then `class_match` index, or `names=`",
        )
    if not counts:
        return []
    if ignore_missing:
        shown = ", ".join(_describe(class_id, dataset) for class_id in sorted(counts)[:5])
        more = ", ..." if len(counts) > 5 else ""
        total = sum(counts.values())
        return [f"{total} objects of {len(counts)} classes that the model does not have left out: {shown}{more}"]
    problems = Problems()
    num_unnamed = 0
    for class_id in sorted(counts):
        if how == "name" and class_id >= len(mapping):
            num_unnamed += 1
            what = f"class {class_id} is beyond the {len(mapping)} that the data itself names"
        else:
            what = f"class {_describe(class_id, dataset)} is not one of the model's {len(model_names)}"
        problems.add(places[class_id], what + (f" ({counts[class_id]} objects)" if counts[class_id] > 1 else ""))
    hint = _UNNAMED_HINT if num_unnamed == len(counts) else _UNKNOWN_HINT
    if hint == _UNKNOWN_HINT and how == "name" and len(mapping) == len(model_names):
        hint += "; same classes by other names? `class_match` index"
    problems.raise_if_any(dataset.name, hint=hint)
    return []


def _describe(class_id: int, dataset: Dataset) -> str:
    """By the id that the data's own files use, and its name."""
    names, ids = dataset.class_names, dataset.category_ids
    own = ids[class_id] if class_id < len(ids) else class_id
    return f"{own} ({names[class_id]})" if class_id < len(names) else str(own)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _plain(name: str) -> str:
    """Spelling that differs only in case, underscores and spaces is the same name."""
    return " ".join(name.replace("_", " ").casefold().split())


def _are_distinct(names: tuple[str, ...]) -> bool:
    return len({_plain(name) for name in names}) == len(names)


def _are_generic(names: tuple[str, ...]) -> bool:
    """The names that a model gets that has none."""
    return all(name == f"class {number}" for number, name in enumerate(names))
