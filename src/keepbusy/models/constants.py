"""The numbers of a graph's constants, through what conversion and quantization put behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino as ov

Array = NDArray[np.float64]

_NUMBERS = frozenset({"f32", "f16", "i8", "u8"})


def numbers_of(node: ov.Node) -> Array | None:
    """The numbers of a constant, converted, moved, scaled and rounded as it is, float64; None for anything else."""
    kind = node.get_type_name()
    if kind == "Constant":
        is_number = node.get_element_type().get_type_name() in _NUMBERS
        return np.asarray(node.get_data(), np.float64) if is_number else None
    if kind not in ("Convert", "FakeQuantize", "Multiply", "Subtract"):
        return None
    values = [numbers_of(node.input_value(index).get_node()) for index in range(node.get_input_size())]
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        return None
    if kind == "Convert":
        return found[0]
    if kind == "FakeQuantize":
        return _rounded(found, int(node.get_attributes()["levels"]))
    with np.errstate(all="ignore"):  # What is not finite is for the caller to judge.
        return found[0] * found[1] if kind == "Multiply" else found[0] - found[1]


def _rounded(values: list[Array], levels: int) -> Array | None:
    """What a `FakeQuantize` gives for its five inputs; None where its range is empty or endless."""
    given, low, high, out_low, out_high = values
    if levels < 2 or not bool((np.isfinite(low) & np.isfinite(high) & (low < high)).all()):
        return None
    width = high - low
    share = np.round((np.clip(given, low, high) - low) / width * (levels - 1)) / (levels - 1)
    rounded: Array = share * (out_high - out_low) + out_low
    return rounded
