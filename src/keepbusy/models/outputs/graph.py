"""What the last layers of a graph tell of its outputs, where shapes do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino as ov

# Layers that only move numbers: what flows through their first input is what comes out.
_MOVES = frozenset(
    (
        *("Convert", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Broadcast", "Pad"),
        *("Gather", "GatherElements", "GatherND", "Slice", "StridedSlice", "Split", "VariadicSplit", "TopK"),
        *("Concat", "ScatterNDUpdate"),
    )
)
# Behind these lies the network itself.
_NETWORK = frozenset(("Convolution", "GroupConvolution", "MatMul", "Parameter", "LSTMSequence"))
_MAX_NODES = 1000


def tail_types(node: ov.Node) -> frozenset[str]:
    """Types of all layers between an output and the network's last convolutions or matrix products."""
    types: set[str] = set()
    seen: set[str] = set()
    waiting = [node]
    while waiting and len(seen) < _MAX_NODES:
        one = waiting.pop()
        if one.get_name() in seen:
            continue
        seen.add(one.get_name())
        types.add(one.get_type_name())
        if one.get_type_name() not in _NETWORK:
            waiting += [one.input_value(index).get_node() for index in range(one.get_input_size())]
    return frozenset(types)


def numbers_from(node: ov.Node, *, last: bool = False) -> str:
    """The type of the layer that computes an output's first numbers: see `source_of`."""
    return str(source_of(node, last=last).get_type_name())


def source_of(node: ov.Node, *, last: bool = False) -> ov.Node:
    """The layer that computes an output's first numbers, behind all layers that only move them.

    Where parts are joined it is the first part that is followed: a row's box. With `last` it is the last: its classes.
    """
    for _ in range(_MAX_NODES):
        kind = node.get_type_name()
        if kind not in _MOVES or node.get_input_size() == 0:
            break
        node = node.input_value(node.get_input_size() - 1 if last and kind == "Concat" else 0).get_node()
    return node


def row_parts(node: ov.Node, width: int) -> tuple[int, ...]:
    """Of what parts an output's rows are put together: their widths, or () where that cannot be seen.

    (4, 80) is a box and 80 classes, (4, 1, 80) has an objectness, (4, 1, 51) one class and 17 keypoints.
    """
    for _ in range(_MAX_NODES):
        if node.get_type_name() == "Concat":
            sizes = _varying_sizes(node)
            if sum(sizes) == width and len(sizes) > 1:
                return _merge_box(_flatten(node, sizes))
        if node.get_type_name() not in _MOVES or node.get_input_size() == 0:
            return ()
        node = node.input_value(0).get_node()
    return ()


def _flatten(node: ov.Node, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The parts, with the first one taken apart if it is itself put together along the same axis."""
    first = node.input_value(0).get_node()
    if first.get_type_name() == "Concat" and _rank(first) == _rank(node) and _axis(first) == _axis(node):
        inner = _varying_sizes(first)
        if sum(inner) == sizes[0]:
            return _flatten(first, inner) + sizes[1:]
    return sizes


def _merge_box(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Centre and size (2, 2, ...) as one box (4, ...)."""
    total = 0
    for position, part in enumerate(parts):
        total += part
        if total >= 4:
            return (total, *parts[position + 1 :])
    return ()


def _varying_sizes(node: ov.Node) -> tuple[int, ...]:
    """What each input of a concatenation adds along its axis; () where one is not known."""
    axis = _axis(node)
    sizes: list[int] = []
    for index in range(node.get_input_size()):
        shape = node.input_value(index).get_partial_shape()
        if shape.rank.is_dynamic or shape[axis].is_dynamic:
            return ()
        sizes.append(int(shape[axis].get_length()))
    return tuple(sizes)


def _axis(node: ov.Node) -> int:
    axis = int(node.get_attributes()["axis"])
    return axis + _rank(node) if axis < 0 else axis


def _rank(node: ov.Node) -> int:
    rank = node.get_output_partial_shape(0).rank
    return 0 if rank.is_dynamic else int(rank.get_length())
