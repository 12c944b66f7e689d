"""What a network says, without the rounding of the number type that the device computes in.

A device that computes in bfloat16 writes the result of a network's last convolution in it, with eight bits: a number
for 100 pixels moves by up to a quarter of a pixel, and is then turned into float32 for what follows. An INT8
convolution has its sums in 32 bits and can as well write float32 at once, which spares that turn, too: it is asked to.
So is the one that an exported head of YOLOv8 ends with: it makes a distance of 16 numbers, and costs next to nothing.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from keepbusy.models.operations import WEIGHTED, redirect

if TYPE_CHECKING:
    import openvino as ov

_MARK = '<attribute name="DisablePrecisionConversion" version="0" value="dynamic:f16"/>'
"""OpenVINO's word for an operation whose results are to stay float32. It can be read from an IR file, not set from
Python; versions that do not know it read over it."""

MAX_BINS = 32

_LISTS = ("strides", "dilations", "pads_begin", "pads_end")


def keep_last_sums(graph: ov.Model) -> int:
    """Have the last convolutions of a network write float32 where that is cheap; returns how many do so now.

    Those that are not quantized stay as they are: they would have to compute in float32 as well, which costs 3 % of the
    whole for YOLOv8n.

    Args:
        graph: Changed in place. What is of no fixed shape in it stays as it is.
    """
    found = [node for node in _last_of(graph) if _is_plain(node) and (_is_quantized(node) or _is_small(node))]
    if not found:
        return 0
    for convolution, kept in zip(found, _marked_like(found), strict=True):
        for index in range(2):
            kept.input(index).replace_source_output(convolution.input_value(index))
        kept.set_friendly_name(convolution.get_friendly_name())
        redirect(convolution.output(0), kept.output(0))
    graph.validate_nodes_and_infer_types()
    return len(found)


def _last_of(graph: ov.Model) -> list[ov.Node]:
    """The convolutions and matrix products between which and the results there are no others."""
    found, seen = [], set()
    waiting = [result.input_value(0).get_node() for result in graph.get_results()]
    while waiting:
        node = waiting.pop()
        name = node.get_name()
        if name in seen:
            continue
        seen.add(name)
        if node.get_type_name() in WEIGHTED:  # Behind these the CPU keeps float32 by itself.
            found.append(node)
        else:
            waiting += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return found


def _is_plain(node: ov.Node) -> bool:
    if node.get_type_name() != "Convolution" or node.get_element_type().get_type_name() != "f32":
        return False
    return not any(node.input_value(index).get_partial_shape().is_dynamic for index in range(2))


def _is_quantized(node: ov.Node) -> bool:
    """Whether a convolution gets what a `FakeQuantize` has rounded, so that it runs in INT8."""
    kinds = [node.input_value(index).get_node().get_type_name() for index in range(2)]
    return kinds[0] == "FakeQuantize" and kinds[1] in ("Multiply", "FakeQuantize")


def _is_small(node: ov.Node) -> bool:
    """Whether it makes one number of a few: the mean of a distribution, which is 16 in YOLOv8."""
    num_out, num_in, *kernel = list(node.input_value(1).get_shape())
    return bool(num_out == 1 and num_in <= MAX_BINS and all(side == 1 for side in kernel))


def _marked_like(convolutions: list[ov.Node]) -> list[ov.Node]:
    """Convolutions of the same attributes and shapes with the mark, whose two inputs are to be replaced."""
    layers, edges = [], []
    for place, convolution in enumerate(convolutions):
        attributes = convolution.get_attributes()
        data = " ".join(f'{name}="{", ".join(str(int(number)) for number in attributes[name])}"' for name in _LISTS)
        shapes = [list(convolution.input_value(index).get_shape()) for index in range(2)]
        out, first = list(convolution.get_output_shape(0)), 4 * place
        layers += [
            f'<layer id="{first + index}" name="{first + index}" type="Parameter" version="opset1"><data '
            f'shape="{",".join(map(str, shape))}" element_type="f32"/><output>{_port(0, shape)}</output></layer>'
            for index, shape in enumerate(shapes)
        ]
        layers += [
            f'<layer id="{first + 2}" name="{first + 2}" type="Convolution" version="opset1"><data {data} '
            f'auto_pad="{attributes["auto_pad"]}"/><rt_info>{_MARK}</rt_info><input>{_port(0, shapes[0])}'
            f"{_port(1, shapes[1])}</input><output>{_port(2, out)}</output></layer>",
            f'<layer id="{first + 3}" name="{first + 3}" type="Result" version="opset1">'
            f"<input>{_port(0, out)}</input></layer>",
        ]
        edges += [_edge(first, 0, first + 2, 0), _edge(first + 1, 0, first + 2, 1), _edge(first + 2, 2, first + 3, 0)]
    text = f'<net name="marked" version="11"><layers>{"".join(layers)}</layers><edges>{"".join(edges)}</edges></net>'
    results = {
        int(result.get_friendly_name()): result for result in _core().read_model(text.encode(), b"").get_results()
    }
    return [results[4 * place + 3].input_value(0).get_node() for place in range(len(convolutions))]


def _edge(layer: int, port: int, to_layer: int, to_port: int) -> str:
    return f'<edge from-layer="{layer}" from-port="{port}" to-layer="{to_layer}" to-port="{to_port}"/>'


def _port(number: int, shape: list[int]) -> str:
    return f'<port id="{number}" precision="FP32">{"".join(f"<dim>{side}</dim>" for side in shape)}</port>'


@cache
def _core() -> ov.Core:
    """Reads models; compiles nothing."""
    import openvino

    return openvino.Core()
