"""Where a graph's detection head begins, and what it computes.

The convolutions that feed the output are found by walking up from it. What lies between them and the output is then
not guessed from its operations but *probed*: run by itself on numbers made up for the purpose, and accepted only
where the family's formula gives the same boxes, scores and extras. A graph that fails is used as exported.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepbusy.models.head.probe import HeadProbe, probe_yolov5, probe_yolov8
from keepbusy.models.head.probe_selected import probe_selected
from keepbusy.models.head.quantized import bins_of, read_quantization
from keepbusy.values.forms import Family, OutputForm, Task

if TYPE_CHECKING:
    import openvino as ov


FAMILIES: tuple[Family, ...] = ("yolov5", "yolov8", "yolov10")
TASKS: tuple[Task, ...] = ("detect", "segment", "pose")
"""Whose heads are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One scale of a head.

    Attributes:
        stride_px: Pixels of the input a cell.
        ports: Friendly names of the nodes that the head reads here: one with everything (YOLOv5), or boxes, classes
            and, for masks and poses, what the task adds (YOLOv8 and relatives).
        anchors_px: For YOLOv5: widths and heights, pixels of the input.
    """

    stride_px: int
    ports: tuple[str, ...]
    anchors_px: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head that is understood.

    Attributes:
        form: The outputs as exported, with what the probe has found out about keypoints.
        levels: Its scales, finest first.
        num_bins: Bins of a box side's distribution: 16 for YOLOv8 to 12, 1 where the distance itself is given.
        num_selected: Rows that the graph selects itself, with no suppression to follow; 0 where it does not.
        num_dropped: Nodes in which the graph as exported rounds numbers that a changed head leaves as they are.
    """

    form: OutputForm
    levels: tuple[Level, ...]
    num_bins: int = 0
    num_selected: int = 0
    num_dropped: int = 0


def find_head(graph: ov.Model, form: OutputForm, input_hw: tuple[int, int]) -> Head | None:
    """`look_for_head`; None where it is none that is known."""
    found = look_for_head(graph, form, input_hw)
    return None if isinstance(found, str) else found


def look_for_head(graph: ov.Model, form: OutputForm, input_hw: tuple[int, int]) -> Head | str:
    """Understand the head of a graph as exported.

    Args:
        graph: Static, without preprocessing; not changed.
        form: Its outputs.
        input_hw: Its input's (height, width), pixels.

    Returns:
        The head; or what keeps it from being understood, in words that name the operation, and "" where none was
        looked for.
    """
    if form.is_rewritten or form.family not in FAMILIES or form.task not in TASKS:
        return ""
    end = graph.outputs[form.outputs[0]].get_node()
    ports = _find_ports(graph, form.outputs[0])
    by_cells: dict[tuple[int, int], list[ov.Output]] = {}
    for port in ports:
        shape = port.get_partial_shape()
        if shape.is_dynamic or len(shape) != 4:
            return f"{_words(port.get_node())} does not give one number per cell"
        _, _, height, width = (int(axis) for axis in port.get_shape())
        by_cells.setdefault((height, width), []).append(port)
    cells = sorted(by_cells, key=lambda hw: -hw[0] * hw[1])
    if not cells:
        return f"no convolution leads to {_words(end.input_value(0).get_node())}"
    strides = [max(input_hw[0] // height, 1) for height, _ in cells]
    for hw, stride in zip(cells, strides, strict=True):
        if (hw[0] * stride, hw[1] * stride) != input_hw:
            return f"{_words(by_cells[hw][0].get_node())} has no whole number of pixels per cell"
    levels = [sorted(by_cells[hw], key=lambda port: int(port.get_shape()[1])) for hw in cells]
    quantization = read_quantization(ports, end)
    if isinstance(quantization, str):
        return quantization
    form = dataclasses.replace(form, bins=quantization.bins)
    understand = {"yolov5": _yolov5_head, "yolov10": _selecting_head}.get(form.family, _yolov8_head)
    every = [port for level in levels for port in level]
    try:
        # The formula must hold exactly, but for what the graph rounds; then, with the shares rounded, for them, too.
        without = (*quantization.shares, *quantization.others)
        head = understand(HeadProbe(graph, every, form.outputs[0], without), levels, strides, form)
        if head is not None and quantization.shares:
            form = dataclasses.replace(form, share_steps=quantization.share_steps)
            probe = HeadProbe(graph, every, form.outputs[0], quantization.others)
            head = understand(probe, levels, strides, form)
    except RuntimeError:  # Whether the whole graph compiles will be seen where it is used.
        return f"what leads to {_words(end.input_value(0).get_node())} does not compile by itself"
    if head is None:
        return f"{_words(end.input_value(0).get_node())} is not computed by a formula that is known"
    return dataclasses.replace(head, num_dropped=len(quantization.others))


def _words(node: ov.Node) -> str:
    return f"{node.get_type_name()} {node.get_friendly_name()}"


def _yolov5_head(probe: HeadProbe, levels: list[list[ov.Output]], strides: list[int], form: OutputForm) -> Head | None:
    if any(len(level) != 1 for level in levels):
        return None
    anchors = probe_yolov5(probe, strides, form)
    if anchors is None:
        return None
    found = [
        Level(stride, (_name(level[0]),), own) for level, stride, own in zip(levels, strides, anchors, strict=True)
    ]
    return Head(form, tuple(found))


def _yolov8_head(probe: HeadProbe, levels: list[list[ov.Output]], strides: list[int], form: OutputForm) -> Head | None:
    roles = probe_yolov8(probe, strides, form)
    if roles is None:
        return None
    order, num_bins, point_scale = roles
    found = [
        Level(stride, tuple(_name(probe.ports[index]) for index in own))
        for stride, own in zip(strides, order, strict=True)
    ]
    return Head(dataclasses.replace(form, point_scale=point_scale), tuple(found), num_bins)


def _selecting_head(
    probe: HeadProbe, levels: list[list[ov.Output]], strides: list[int], form: OutputForm
) -> Head | None:
    found = probe_selected(probe, strides, form)
    if found is None:
        return None
    ports = [tuple(_name(level[role]) for role in found.roles) for level in levels]
    return Head(
        dataclasses.replace(form, point_scale=found.point_scale),
        tuple(Level(stride, own) for stride, own in zip(strides, ports, strict=True)),
        found.num_bins,
        found.num_rows,
    )


def _find_ports(graph: ov.Model, output: int) -> list[ov.Output]:
    """The convolutions (with their bias) that the walk up from an output meets first.

    The sum over a distribution's bins is a convolution too: the walk goes through it.
    """
    found: dict[str, ov.Output] = {}
    seen: set[str] = set()
    waiting = [graph.outputs[output].get_node()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if _is_boundary(node):
            found[node.get_friendly_name()] = node.output(0)
            continue
        if node.get_type_name() == "ShapeOf":
            continue  # Only a size is asked for; what has that size is another part of the network.
        waiting += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return list(found.values())


def _is_boundary(node: ov.Node) -> bool:
    if node.get_type_name() == "Add":
        sources = [node.input_value(index).get_node() for index in range(2)]
        kinds = [source.get_type_name() for source in sources]
        return "Convolution" in kinds and _is_boundary(sources[kinds.index("Convolution")])
    return node.get_type_name() == "Convolution" and bins_of(node) is None


def constant_behind(node: ov.Node) -> ov.Node | None:
    """The constant that a node is, or converts; None for any other node."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _name(port: ov.Output) -> str:
    return str(port.get_node().get_friendly_name())
