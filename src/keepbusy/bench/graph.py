"""What a model's graph holds: operations, parameters, number types. And where a device's time goes, by layer type.

Operations are counted as the field does: a multiply-add is two. Counted are convolutions (grouped and transposed
ones, too) and matrix products, from their shapes; everything else (activations, resizing, pooling, the box
arithmetic) is left out, as it is in the tables of YOLO's authors.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openvino as ov

METHOD = "multiply-adds x 2 of convolutions and matrix products, from their shapes"

_THROUGH = frozenset({"Convert", "Multiply", "Subtract", "Reshape", "FakeQuantize", "Transpose", "FakeConvert"})
"""What may stand between stored weights and the layer that uses them: decompression and dequantisation."""

_WEIGHTED = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"})

LAYOUT_TYPES = frozenset(
    {"Reorder", "Transpose", "Concat", "Concatenation", "Split", "VariadicSplit", "Reshape", "Gather", "StridedSlice"}
    | {"Slice", "Permute", "Pad", "Squeeze", "Unsqueeze", "Broadcast", "Tile", "Crop"}
)
"""Layer types that only move numbers about."""

COMPUTE_TYPES = frozenset(
    {"Convolution", "GroupConvolution", "Deconvolution", "ConvolutionBackpropData", "MatMul", "FullyConnected"}
)


@dataclass(frozen=True, slots=True)
class GraphCost:
    """What a graph costs, whatever runs it.

    Attributes:
        gflops: Billions of operations for one picture; see the module's beginning.
        num_parameters: Weights and biases of convolutions and matrix products.
        weight_types: Stored number type of the weights → its share of them, 0 to 1.
        layer_counts: Layer type → how many, without constants, inputs and outputs.
    """

    gflops: float
    num_parameters: int
    weight_types: dict[str, float]
    layer_counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class LayerTypeTime:
    """Time of all layers of one type.

    Attributes:
        layer_type: The device's name of it.
        num_layers: Executed layers in one inference.
        ms: Milliseconds of one inference, median.
        share: Of all layers' time.
    """

    layer_type: str
    num_layers: int
    ms: float
    share: float


def graph_cost(graph: ov.Model) -> GraphCost:
    """Count what a graph does for one picture.

    Args:
        graph: Static: every shape must be known.
    """
    operations = 0
    layers: Counter[str] = Counter()
    weights: dict[str, tuple[str, int]] = {}
    for node in graph.get_ops():
        kind = node.get_type_name()
        if kind in ("Parameter", "Result", "Constant"):
            continue
        layers[kind] += 1
        if kind in _WEIGHTED:
            operations += 2 * _multiply_adds(node, kind)
            for index in range(node.get_input_size()):
                _collect_weights(node.input(index).get_source_output().get_node(), weights)
            _collect_bias(node, weights)
    num_parameters = sum(size for _, size in weights.values())
    types: Counter[str] = Counter()
    for type_name, size in weights.values():
        types[type_name] += size
    shares = {name: size / num_parameters for name, size in types.most_common()}
    return GraphCost(operations / 1e9, num_parameters, shares, dict(layers.most_common()))


def layer_type_times(infer: Callable[[], Iterable[tuple[str, str, float]]], num_inferences: int) -> list[LayerTypeTime]:
    """Run some inferences and add up the time of their layers by type, the largest first.

    For each type the median over the inferences is taken: a thread that loses its core in one of them would
    otherwise be blamed on the layer that it was in.

    Args:
        infer: Runs one inference and returns (layer type, implementation, seconds) of each layer executed.
        num_inferences: How many to take the median of; one more is run before them and not counted.
    """
    infer()
    runs: list[dict[str, list[float]]] = []
    for _ in range(num_inferences):
        by_type: dict[str, list[float]] = {}
        for layer_type, _, layer_s in infer():
            by_type.setdefault(layer_type, []).append(layer_s)
        runs.append(by_type)
    kinds = {kind for by_type in runs for kind in by_type}
    spent_s = {kind: statistics.median(sum(by_type.get(kind, ())) for by_type in runs) for kind in kinds}
    total_s = sum(spent_s.values()) or 1.0
    rows = [
        LayerTypeTime(kind, max(len(by_type.get(kind, ())) for by_type in runs), one_s * 1e3, one_s / total_s)
        for kind, one_s in spent_s.items()
    ]
    return sorted(rows, key=lambda row: -row.ms)


def share_of(times: Iterable[LayerTypeTime], kinds: frozenset[str]) -> float:
    """Share of the time of some layer types together."""
    return sum(one.share for one in times if one.layer_type in kinds)


def _multiply_adds(node: Any, kind: str) -> int:
    out = math.prod(node.output(0).get_shape())
    shape = list(node.input(1).get_shape())
    if kind == "Convolution":  # (out, in, kernel...)
        return int(out * math.prod(shape[1:]))
    if kind == "GroupConvolution":  # (groups, out, in, kernel...)
        return int(out * math.prod(shape[2:]))
    if kind == "ConvolutionBackpropData":  # (in, out, kernel...): every input value goes to out x kernel places
        return int(math.prod(node.input(0).get_shape()) * math.prod(shape[1:]))
    inner = list(node.input(0).get_shape())
    return int(out * (inner[-2] if node.get_attributes().get("transpose_a") and len(inner) > 1 else inner[-1]))


def _collect_weights(node: Any, found: dict[str, tuple[str, int]]) -> None:
    """Follow one input back through decompression to the stored weights, if that is where it comes from."""
    while node.get_type_name() in _THROUGH:
        node = node.input(0).get_source_output().get_node()
    if node.get_type_name() == "Constant":
        found[node.get_friendly_name()] = (node.get_element_type().get_type_name(), math.prod(node.get_output_shape(0)))


def _collect_bias(node: Any, found: dict[str, tuple[str, int]]) -> None:
    for target in node.output(0).get_target_inputs():
        adder = target.get_node()
        if adder.get_type_name() == "Add":
            _collect_weights(adder.input(1 - target.get_index()).get_source_output().get_node(), found)
