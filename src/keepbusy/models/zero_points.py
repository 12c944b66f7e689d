"""An INT8 network whose convolutions know nothing of zero points.

A quantizer writes an activation as a whole number from 0 to 255 for `lowest + number x step`. Where negative values
occur, as behind SiLU, 0.0 is not the number 0 but the *zero point*, 2 for instance, and each convolution has to take it
into account: a CPU adds what it comes to at each place, and takes another, slower way around the picture's edge, where
fewer weights count (on a CPU with AMX a 3x3 convolution takes 1.2 to 1.4 times the time). Here

- a convolution gets `number x step`, and what the zero point comes to is subtracted once, from its bias;
- a convolution that reaches over the edge gets the numbers with zero points written around them, and reaches no more.

The sums are the same. What passes numbers on as they are (slices, concatenations, the largest of some, the nearest)
works on the numbers; everything else gets `lowest + number x step` as before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.models.constants import numbers_of
from keepbusy.models.operations import redirect

if TYPE_CHECKING:
    import openvino as ov

LEVELS = 256
"""Of a byte."""

TOLERANCE = 1e-3
"""So far, in steps, a zero point may lie off a whole number: it is one, rounded."""

_PASSING = frozenset({"Concat", "Interpolate", "MaxPool", "Slice", "Split", "VariadicSplit"})
_CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})


@dataclass(frozen=True, slots=True)
class _Scale:
    """What whole numbers stand for: `(number - zero) x step`, which is `lowest + number x step`."""

    zero: int
    lowest: float
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class _Bytes:
    """An activation as whole numbers, uint8."""

    numbers: ov.Output
    scale: _Scale


def without_zero_points(graph: ov.Model) -> int:
    """Free convolutions of the zero points of what they get; returns how many are free now.

    Args:
        graph: An INT8 network; changed in place. What is of another form, or of no fixed shape, stays as it is.
    """
    activations = _Activations()
    convolutions = [node for node in graph.get_ordered_ops() if node.get_type_name() in _CONVOLUTIONS]
    num_free = sum(_free(node, activations) for node in convolutions)
    if num_free:
        activations.lead_others()
        graph.validate_nodes_and_infer_types()
    return num_free


class _Activations:
    """A graph's activations as whole numbers, as far as they are asked for."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[ov.Node, list[_Bytes]]] = {}

    def as_bytes(self, output: ov.Output) -> _Bytes | None:
        """An activation as whole numbers, if it is quantized to bytes with one zero point."""
        node = output.get_node()
        name = node.get_name()
        if name not in self._made:
            self._made[name] = node, self._make(node)
        made = self._made[name][1]
        return made[output.get_index()] if output.get_index() < len(made) else None

    def lead_others(self) -> None:
        """Have all that still take an activation take what its numbers stand for."""
        from openvino import opset13 as ops

        for node, made in self._made.values():
            for index, one in enumerate(made):
                old = node.output(index)
                if old.get_target_inputs():
                    moved = ops.subtract(ops.convert(one.numbers, "f32"), ops.constant(np.float32(one.scale.zero)))
                    redirect(old, ops.multiply(moved, ops.constant(np.float32(one.scale.step))).output(0))

    def _make(self, node: ov.Node) -> list[_Bytes]:
        """Each output as whole numbers; none where they are not."""
        if node.get_type_name() == "FakeQuantize":
            made = _quantized(node)
            return [] if made is None else [made]
        if not _passes(node):
            return []
        num_given = node.get_input_size() if node.get_type_name() == "Concat" else 1
        given = [self.as_bytes(node.input_value(index)) for index in range(num_given)]
        found = [one for one in given if one is not None]
        if len(found) < len(given) or any(one.scale != found[0].scale for one in found):
            return []
        inputs = [one.numbers for one in found]
        inputs += [node.input_value(index) for index in range(num_given, node.get_input_size())]
        outputs = _like(node, inputs)
        # The places of the largest, a second output of MaxPool, are no activation.
        outputs = outputs[:1] if node.get_type_name() == "MaxPool" else outputs
        return [_Bytes(output, found[0].scale) for output in outputs]


def _free(convolution: ov.Node, activations: _Activations) -> bool:
    """Have one convolution get numbers times a step; returns whether it does."""
    from openvino import opset13 as ops

    attributes = convolution.get_attributes()
    sums = _sums(convolution)
    if sums is None or attributes["auto_pad"] != "explicit":
        return False
    given = activations.as_bytes(convolution.input_value(0))
    if given is None:
        return False
    numbers, scale = given.numbers, given.scale
    pads = [[0, 0, *map(int, attributes[name])] for name in ("pads_begin", "pads_end")]
    if any(map(any, pads)):
        numbers = ops.pad(numbers, *map(np.array, pads), "constant", ops.constant(np.uint8(scale.zero))).output(0)
        for name in ("pads_begin", "pads_end"):
            convolution.set_attribute(name, [0] * len(attributes[name]))
    values = ops.multiply(ops.convert(numbers, "f32"), ops.constant(np.float32(scale.step)))
    convolution.input(0).replace_source_output(values.output(0))
    _add(convolution, scale.lowest * sums)
    return True


def _quantized(node: ov.Node) -> _Bytes | None:
    """A `FakeQuantize` that gives whole numbers, if that is what it does, and 0.0 is one of them but not the first."""
    from openvino import opset13 as ops

    if int(node.get_attributes()["levels"]) != LEVELS or node.get_element_type().get_type_name() != "f32":
        return None
    ends = [numbers_of(node.input_value(index).get_node()) for index in range(1, 5)]
    single = [float(end.item()) for end in ends if end is not None and end.size == 1]
    if len(single) < len(ends) or single[:2] != single[2:]:
        return None
    low, high = single[:2]
    step = (high - low) / (LEVELS - 1)
    if not (math.isfinite(step) and step > 0):
        return None
    zero = round(-low / step)
    if not 0 < zero < LEVELS or abs(-low / step - zero) > TOLERANCE:
        return None
    whole = [ops.constant(np.float32(end)) for end in (0, LEVELS - 1)]
    rounded = ops.fake_quantize(*(node.input_value(index) for index in range(3)), *whole, LEVELS)
    return _Bytes(ops.convert(rounded, "u8").output(0), _Scale(zero, low, step))


def _passes(node: ov.Node) -> bool:
    """Whether an operation gives numbers that it got, at other places, and nothing else."""
    outputs = [node.output(index) for index in range(node.get_output_size())]
    if node.get_type_name() not in _PASSING or any(output.get_partial_shape().is_dynamic for output in outputs):
        return False
    attributes = node.get_attributes()
    is_padded = any(any(attributes.get(name, ())) for name in ("pads_begin", "pads_end"))
    return node.get_type_name() != "Interpolate" or (attributes["mode"] == "nearest" and not is_padded)


def _like(node: ov.Node, inputs: list[ov.Output]) -> list[ov.Output]:
    """The outputs of the same operation on other inputs."""
    from openvino.utils.node_factory import NodeFactory

    made: ov.Node = NodeFactory(node.get_type_info().version_id).create(
        node.get_type_name(), inputs, node.get_attributes()
    )
    return list(made.outputs())


def _sums(convolution: ov.Node) -> NDArray[np.float64] | None:
    """All weights of each output channel added up, (1, out, 1, 1); None where they are no constant of four axes."""
    if convolution.output(0).get_partial_shape().is_dynamic or convolution.get_element_type().get_type_name() != "f32":
        return None
    weights = numbers_of(convolution.input_value(1).get_node())
    num_own = 2 if convolution.get_type_name() == "GroupConvolution" else 1
    if weights is None or weights.ndim != num_own + 3:
        return None
    sums: NDArray[np.float64] = weights.sum(axis=tuple(range(num_own, weights.ndim))).reshape(1, -1, 1, 1)
    return sums


def _add(convolution: ov.Node, bias: NDArray[np.float64]) -> None:
    """Add to what a convolution gives, to the bias that it has where there is one."""
    from openvino import opset13 as ops

    targets = list(convolution.output(0).get_target_inputs())
    if len(targets) == 1 and targets[0].get_node().get_type_name() == "Add":
        port = targets[0].get_node().input(1 - targets[0].get_index())
        own = numbers_of(port.get_source_output().get_node())
        if own is not None and own.size in (1, bias.size):
            port.replace_source_output(ops.constant((own + bias).astype(np.float32)).output(0))
            return
    added = ops.add(convolution, ops.constant(bias.astype(np.float32)))
    for target in targets:
        target.replace_source_output(added.output(0))
