"""An INT8 network without its roundings: the same weights, computed in the device's floating-point type.

Quantization rounds the weights once, and each activation anew. On a CPU that has fast instructions for bfloat16, the
convolutions gain little from INT8, and the roundings cost time of their own. Left out, a network computes what its
weights say, with fewer roundings than before: it is closer to the model that it was quantized from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.constants import numbers_of
from keepbusy.models.operations import WEIGHTED, redirect

if TYPE_CHECKING:
    import openvino as ov


def without_rounding(graph: ov.Model) -> ov.Model:
    """A copy in which nothing is rounded, and the weights are the numbers that they stand for.

    Args:
        graph: An INT8 network; not changed. Names of operations stay, but for those that are left out.
    """
    copy = graph.clone()
    for node in copy.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and numbers_of(node) is None:
            redirect(node.output(0), node.input_value(0))
    for node in copy.get_ordered_ops():
        if node.get_type_name() in WEIGHTED:
            _fold_weights(node)
    copy.validate_nodes_and_infer_types()
    return copy


def _fold_weights(node: ov.Node) -> None:
    """Replace what computes a constant of weights by the constant, of the same number type."""
    from openvino import opset13 as ops

    source = node.input_value(1)
    kind = source.get_element_type().get_type_name()
    numbers = None if source.get_node().get_type_name() == "Constant" else numbers_of(source.get_node())
    if numbers is None or kind not in ("f32", "f16"):
        return
    folded = ops.constant(numbers.astype(np.float32 if kind == "f32" else np.float16))
    folded.set_friendly_name(source.get_node().get_friendly_name())
    node.input(1).replace_source_output(folded.output(0))
