"""Scores as a rich table and lines, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit

CLASSES_SHOWN = 10
"""Rows of the table of classes where not all are wanted: those with the most objects."""


def render(content: Mapping[str, Any], *, all_classes: bool = False, say: Callable[[str], str] = str) -> RenderableType:
    """What `report` made.

    Args:
        content: The scores.
        all_classes: Show every class that has objects.
        say: Makes what is shown of a text that names options.
    """
    found = [(name, row) for name, row in content["by_class"].items() if row["num_objects"]]
    found.sort(key=lambda item: -item[1]["num_objects"])
    shown = found if all_classes else found[:CLASSES_SHOWN]
    table = FigureTable("class")
    table.add_figures("objects", "precision", "recall", "mAP50", "mAP50-95")
    best = content["best_f1"] or {}
    table.add_row("all", *_cells({**content, **best}), style="bold")
    for name, row in shown:
        table.add_row(Text(fit(name)), *_cells(row))
    parts: list[RenderableType] = [table]
    if len(shown) < len(found):
        parts.append(Text(say(f"... and {len(found) - len(shown)} more classes (`all_classes`)")))
    sizes = ", ".join(f"{name} {_number(value)}" for name, value in content["by_area"].items())
    parts.append(Text(f"mAP75 {_number(content['map75'])}; mAP50-95 by size: {sizes}"))
    parts.append(Text(f"{content['num_frames']} pictures, {content['num_objects']} objects; {_footnote(content)}"))
    return Group(*parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    numbers = [_number(row.get(key)) for key in ("precision", "recall", "map50", "map50_95")]
    return [str(row["num_objects"]), *numbers]


def _footnote(content: Mapping[str, Any]) -> str:
    best = content["best_f1"]
    if best is not None:
        return (
            f"precision and recall at overlap 0.50 and confidence {best['confidence']:.3f}, where F1 is best "
            f"({_number(best['f1'])})"
        )
    return "nothing was found" if content["num_objects"] else "there is nothing to find"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
