"""A head that was understood once need not be probed again: the probe compiles and runs a part of the graph."""

from __future__ import annotations

import dataclasses
from typing import Any

from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.cache.notes import Notebook
from keepbusy.models.head.find import Head, Level, look_for_head
from keepbusy.models.load import Model

_VERSION = 4
"""To be raised when the probe or a formula changes: what was noted before then no longer counts."""


def recall_head(model: Model, notebook: Notebook) -> Head | None:
    """`find_head`, or what it found when this file was last seen."""
    found = recall_search(model, notebook)
    return None if isinstance(found, str) else found


def recall_search(model: Model, notebook: Notebook) -> Head | str:
    """`look_for_head`, or what it found when this file was last seen."""
    key = {
        "what": "graph",
        "version": _VERSION,
        "model": model_fingerprint(model.path),
        "form": dataclasses.asdict(model.output) | {"why": "", "doubt": ""},
        "input_hw": list(model.input_hw),
    }
    key = _plain(key)
    known = notebook.read(key)
    if known is not None:
        return _from_record(known, model)
    head = look_for_head(model.graph, model.output, model.input_hw)
    notebook.write(key, _to_record(head))
    return head


def _to_record(head: Head | str) -> dict[str, Any]:
    if isinstance(head, str):
        return {"levels": [], "why": head}
    levels = [
        {
            "stride_px": level.stride_px,
            "ports": list(level.ports),
            "anchors_px": [list(one) for one in level.anchors_px],
        }
        for level in head.levels
    ]
    return {
        "levels": levels,
        "num_bins": head.num_bins,
        "num_selected": head.num_selected,
        "num_dropped": head.num_dropped,
        "point_scale": head.form.point_scale,
        "bins": list(head.form.bins),
        "share_steps": list(head.form.share_steps),
    }


def _from_record(record: dict[str, Any], model: Model) -> Head | str:
    levels = tuple(
        Level(one["stride_px"], tuple(one["ports"]), tuple((w, h) for w, h in one["anchors_px"]))
        for one in record["levels"]
    )
    if not levels:
        return str(record["why"])
    lowest, highest, num_steps = record["share_steps"]
    form = dataclasses.replace(
        model.output,
        point_scale=record["point_scale"],
        bins=tuple(record["bins"]),
        share_steps=(lowest, highest, num_steps),
    )
    return Head(form, levels, record["num_bins"], record["num_selected"], record["num_dropped"])


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
