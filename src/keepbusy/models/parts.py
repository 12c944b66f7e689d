"""Tensors that are taken apart and put together again: the whole is there already.

YOLOv8's blocks and their successors' split a tensor in two, work on the second half, and concatenate both halves with
what came of it. On a CPU each is a copy. A concatenation that begins with all parts of one tensor takes the tensor
itself, and only what is worked on is cut out of it: the same numbers, with fewer copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keepbusy.models.operations import redirect

if TYPE_CHECKING:
    import openvino as ov

_SPLITS = frozenset({"Split", "VariadicSplit"})


def concatenate_wholes(graph: ov.Model) -> int:
    """Have concatenations take a tensor instead of its parts; returns how many do so now.

    Args:
        graph: Changed in place. What is of no fixed shape in it stays as it is.
    """
    changed = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Concat" and _take_whole(node)]
    if changed:
        graph.validate_nodes_and_infer_types()
    return len(changed)


def _take_whole(concat: ov.Node) -> bool:
    """Change one concatenation, if it begins with all parts of a tensor, in their order and along its own axis."""
    from openvino import opset13 as ops

    sources = [concat.input_value(index) for index in range(concat.get_input_size())]
    split = sources[0].get_node()
    num_parts = split.get_output_size()
    parts = [split.output(index) for index in range(num_parts)]
    if split.get_type_name() not in _SPLITS or sources[:num_parts] != parts:
        return False
    whole = split.input_value(0)
    if whole.get_partial_shape().is_dynamic or any(part.get_partial_shape().is_dynamic for part in parts):
        return False
    num_axes = len(whole.get_shape())
    axis = int(concat.get_attributes()["axis"]) % num_axes
    if _axis_of(split, num_axes) != axis:
        return False
    new = ops.concat([whole, *sources[num_parts:]], axis)
    new.set_friendly_name(concat.get_friendly_name())
    redirect(concat.output(0), new.output(0))
    begin = 0
    for part in parts:
        end = begin + int(part.get_shape()[axis])
        others = [target for target in part.get_target_inputs() if target.get_node() != concat]
        if others:
            cut = ops.slice(whole, *(np.array([number]) for number in (begin, end, 1, axis)))
            for target in others:
                target.replace_source_output(cut.output(0))
        begin = end
    return True


def _axis_of(split: ov.Node, num_axes: int) -> int | None:
    """Along which axis a tensor is taken apart, counted from the front; None where that is not written down."""
    axis = split.input_value(1).get_node()
    return int(np.asarray(axis.get_data()).item()) % num_axes if axis.get_type_name() == "Constant" else None
