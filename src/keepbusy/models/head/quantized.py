"""What quantization does to a head: the bins that it moves, the numbers that it rounds.

NNCF quantizes whatever its ignored scope does not name. In a head that is the sum over a distribution's bins, whose
weights become multiples of a step (0, 0.945, 2.008 instead of 0, 1, 2), and numbers before and behind it, which pass
through `FakeQuantize` nodes. All of this is read from the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.constants import numbers_of

if TYPE_CHECKING:
    import openvino as ov

Array = NDArray[np.float64]

Steps = tuple[float, float, int]
"""Lowest, highest and number of the numbers that others are rounded to."""

NOT_ROUNDED: Steps = (0.0, 0.0, 0)

MIN_LEVELS, MAX_LEVELS = 255, 65_536
"""Of a `FakeQuantize`: from 8 bits (255 where it is symmetric) to 16."""

_MIN_BIN_STEPS = 63
"""Steps of a quantized bin's weight from 0 to the largest, at least: 7 bits with a sign. NNCF's have 127."""

_PLAIN_BIN_STEPS = 127
"""The same, of weights that were quantized once and are stored as plain numbers."""

_ROUNDED = 1e-3
"""Share by which a stored number may be off: float16 keeps eleven bits."""

_MOVING = frozenset({"Reshape", "Transpose", "Squeeze", "Unsqueeze"})
"""Nodes that leave numbers as they are."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a head is quantized; all empty where it is not.

    Attributes:
        bins: What the bins of a distribution stand for, in cells; empty for 0, 1, 2, ...
        share_steps: How the bins' shares are rounded: lowest, highest, levels; 0 levels where they are not.
        shares: Names of the nodes that do that.
        others: Names of the nodes that round something else.
    """

    bins: tuple[float, ...] = ()
    share_steps: Steps = NOT_ROUNDED
    shares: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def read_quantization(ports: Collection[ov.Output], end: ov.Node) -> Quantization | str:
    """How a head is quantized; where it is in a way that is not understood, what is not, in words.

    Args:
        ports: Where the head begins.
        end: The node of the output that it feeds.
    """
    nodes = _between(ports, end)
    roundings = [node for node in nodes if node.get_type_name() == "FakeQuantize"]
    odd = next((node for node in roundings if not _only_rounds(node)), None)
    if odd is not None:
        return f"FakeQuantize {odd.get_friendly_name()} does more than round to 8 bits or finer"
    sums = [(node, bins) for node in nodes if (bins := bins_of(node)) is not None]
    if not sums:
        return Quantization(others=_names(roundings))
    before = [_share_rounding(node) for node, _ in sums]
    shares = [node for node in before if node is not None]
    steps = {_uniform_steps(node) for node in shares}
    # One formula for all sums: the same bins, and all of their shares are rounded in the same way, or none.
    if len({bins for _, bins in sums}) > 1 or len(steps) > 1 or len(shares) not in (0, len(before)):
        return f"Convolution {sums[0][0].get_friendly_name()} is quantized in another way than others of its kind"
    own = steps.pop() if steps else NOT_ROUNDED
    if own is None:
        return f"FakeQuantize {shares[0].get_friendly_name()} rounds each channel in another way"
    bins = sums[0][1]
    names = _names(shares)
    return Quantization(
        bins=() if bins == tuple(range(len(bins))) else bins,
        share_steps=own,
        shares=names,
        others=tuple(name for name in _names(roundings) if name not in names),
    )


def _names(nodes: Iterable[ov.Node]) -> tuple[str, ...]:
    return tuple(sorted({node.get_friendly_name() for node in nodes}))


def bins_of(node: ov.Node) -> tuple[float, ...] | None:
    """What a convolution weights the bins of a distribution with, if it only adds these up; None for anything else.

    These are 0, 1, 2, ... themselves, or, after a quantization, within half its step of them. The step is the graph's
    own where it has one, or that of 8 bits where only the numbers are left of it.
    """
    if node.get_type_name() != "Convolution":
        return None
    weights = numbers_of(node.input_value(1).get_node())
    if weights is None or weights.size < 2:
        return None
    values, ideal = weights.reshape(-1), np.arange(weights.size)
    if bool((values == ideal).all()):
        return tuple(float(value) for value in ideal)
    if weights.shape != (1, weights.size, 1, 1):
        return None
    step = _weight_step(node.input_value(1).get_node()) or ideal[-1] / _PLAIN_BIN_STEPS
    if not 0 < step <= ideal[-1] / _MIN_BIN_STEPS * (1 + _ROUNDED):
        return None
    is_near = np.abs(values - ideal) <= step / 2 + _ROUNDED * ideal
    return tuple(float(value) for value in values) if bool(is_near.all()) else None


def _weight_step(node: ov.Node) -> float | None:
    """The step of quantized weights, one for all of them; None where nothing shows it."""
    if node.get_type_name() == "Convert":
        return _weight_step(node.input_value(0).get_node())
    if node.get_type_name() == "FakeQuantize":
        steps = _uniform_steps(node, 3)
        return (steps[1] - steps[0]) / (steps[2] - 1) if steps and steps[2] > 1 else None
    if node.get_type_name() != "Multiply":
        return None
    scale = numbers_of(node.input_value(1).get_node())
    return abs(float(scale.reshape(-1)[0])) if scale is not None and scale.size == 1 else None


def _only_rounds(node: ov.Node) -> bool:
    """Whether a `FakeQuantize` only rounds: to 8 bits or more, within a range that goes in and comes out the same."""
    ends = [numbers_of(node.input_value(index).get_node()) for index in range(1, 5)]
    found = [end for end in ends if end is not None]
    if len(found) < len(ends) or not MIN_LEVELS <= int(node.get_attributes()["levels"]) <= MAX_LEVELS:
        return False
    low, high, out_low, out_high = found
    is_range = np.isfinite(low) & np.isfinite(high) & (low < high)
    if not bool(is_range.all()):
        return False
    slack = (high - low) * _ROUNDED
    return bool(((np.abs(out_low - low) <= slack) & (np.abs(out_high - high) <= slack)).all())


def _uniform_steps(node: ov.Node, first: int = 1) -> Steps | None:
    """Lowest, highest and levels of a `FakeQuantize` with one range for all its numbers; None for others."""
    ends = [numbers_of(node.input_value(index).get_node()) for index in (first, first + 1)]
    sizes = [end.size for end in ends if end is not None]
    if sizes != [1, 1]:
        return None
    low, high = (float(end.reshape(-1)[0]) for end in ends if end is not None)
    return low, high, int(node.get_attributes()["levels"])


def _share_rounding(bins_sum: ov.Node) -> ov.Node | None:
    """The `FakeQuantize` between a softmax and the convolution that sums its shares; None where there is none."""
    node = _unmoved(bins_sum.input_value(0).get_node())
    if node.get_type_name() != "FakeQuantize":
        return None
    return node if _unmoved(node.input_value(0).get_node()).get_type_name() == "Softmax" else None


def _unmoved(node: ov.Node) -> ov.Node:
    while node.get_type_name() in _MOVING:
        node = node.input_value(0).get_node()
    return node


def _between(ports: Collection[ov.Output], end: ov.Node) -> list[ov.Node]:
    """The nodes from a head's beginning, without it, to its end."""
    seen = {port.get_node().get_friendly_name() for port in ports}
    found: list[ov.Node] = []
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        found.append(node)
        if node.get_type_name() == "ShapeOf":
            continue  # Only a size is asked for.
        is_sum = bins_of(node) is not None  # What its weights are has been read from them.
        waiting += [node.input_value(index).get_node() for index in range(1 if is_sum else node.get_input_size())]
    return found
