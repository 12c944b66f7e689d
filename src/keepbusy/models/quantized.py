"""Whether a graph is quantized, and what of that can only be damage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.errors import ModelError
from keepbusy.models.constants import numbers_of
from keepbusy.models.operations import WEIGHTED

if TYPE_CHECKING:
    import openvino as ov

_BYTES = frozenset({"i8", "u8"})

MAX_FLOATING = 0.05
"""Up to this share of its products an INT8 network may compute in floating point: for YOLO11's attention it is 1 %."""


def why_quantized(graph: ov.Model) -> str:
    """What shows that a graph is INT8 already, in words; "" where nothing does."""
    for node in graph.get_ops():
        if node.get_type_name() == "FakeQuantize":
            return f"it has FakeQuantize operations, {node.get_friendly_name()} for one"
    for node, weights, _ in _byte_weights(graph):
        return f"{node.get_type_name()} {node.get_friendly_name()} has weights of {_type(weights)}"
    return ""


def computes_in_bytes(graph: ov.Model) -> bool:
    """Whether next to nothing of a network is computed in floating point, so that its type costs no time."""
    in_bytes = in_floats = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in WEIGHTED:
            continue
        if any(port.get_partial_shape().is_dynamic for port in (node.output(0), node.input(1))):
            return False
        if all(_is_rounded(node.input_value(index).get_node()) for index in range(2)):
            in_bytes += _num_products(node)
        else:
            in_floats += _num_products(node)
    return in_bytes > 0 and in_floats <= MAX_FLOATING * (in_bytes + in_floats)


def _is_rounded(node: ov.Node) -> bool:
    """Whether it gives bytes that are scaled at most, or what has been rounded to be such."""
    for _ in range(4):  # Multiply, Subtract, Convert.
        if node.get_type_name() == "FakeQuantize" or node.output(0).get_element_type().get_type_name() in _BYTES:
            return True
        if node.get_type_name() not in ("Convert", "Multiply", "Subtract"):
            return False
        node = node.input_value(0).get_node()
    return False


def _num_products(node: ov.Node) -> int:
    """So many products an operation with weights adds up for all of its results."""
    factors: list[int] = list(node.input_value(1).get_shape())
    results: list[int] = list(node.output(0).get_shape())
    if node.get_type_name() == "MatMul":
        return math.prod(results) * (factors[-1] if node.get_attributes()["transpose_b"] else factors[-2])
    return math.prod(results) * (math.prod(factors) // results[1])


def check_levels(graph: ov.Model, model: Path) -> None:
    """See that each rounding leaves two numbers at least: with fewer it divides by zero, and no device computes it.

    Raises:
        ModelError: One does not.
    """
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and (levels := int(node.get_attributes()["levels"])) < 2:
            raise ModelError(
                f"{model}: FakeQuantize {node.get_friendly_name()} rounds to {levels} level{'s' * (levels != 1)}, and "
                "2 are the fewest that there can be",
                hint="its quantization is damaged: export or quantize the model anew",
            )


def odd_quantization(graph: ov.Model) -> list[str]:
    """What of a graph's quantization can only be damage, one part of a sentence each.

    One channel that is always zero has an empty range of its own and is no damage; all of them are.
    """
    found = []
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        name = f"FakeQuantize {node.get_friendly_name()}"
        low, high = (numbers_of(node.input_value(index).get_node()) for index in (1, 2))
        if int(node.get_attributes()["levels"]) < 3:
            found.append(f"{name} leaves {node.get_attributes()['levels']} levels")
        elif low is None or high is None:
            continue
        elif not bool(np.isfinite(low).all() and np.isfinite(high).all()):
            found.append(f"the range of {name} is not finite")
        elif bool((low >= high).all()):
            found.append(f"the range of {name} is empty")
    for node, weights, scale in _byte_weights(graph):
        name = f"{node.get_type_name()} {node.get_friendly_name()}"
        factors = None if scale is None else numbers_of(scale)
        if factors is not None and not bool(np.isfinite(factors).all()):
            found.append(f"the scale of the weights of {name} is not finite")
        elif (factors is not None and not factors.any()) or not np.asarray(weights.get_data()).any():
            found.append(f"all weights of {name} are zero")
    return found


def _byte_weights(graph: ov.Model) -> Iterator[tuple[ov.Node, ov.Node, ov.Node | None]]:
    """Operations whose weights are stored as bytes: the operation, the constant, and its scale, if any."""
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in WEIGHTED:
            continue
        weights, scale = node.input_value(1).get_node(), None
        for _ in range(6):  # Convert, Subtract, Multiply, Reshape, FakeQuantize, in any order.
            if weights.get_type_name() == "Constant" or weights.get_input_size() == 0:
                break
            if weights.get_type_name() == "Multiply":
                scale = weights.input_value(1).get_node()
            weights = weights.input_value(0).get_node()
        if weights.get_type_name() == "Constant" and _type(weights) in _BYTES:
            yield node, weights, scale


def _type(constant: ov.Node) -> str:
    return str(constant.get_element_type().get_type_name())
