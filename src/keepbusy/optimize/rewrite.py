"""The rewritten graph as a file: preprocessing and the best candidates' decoding inside, for keepbusy and others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.errors import SinkError, first_line
from keepbusy.files.paths import beside
from keepbusy.files.whole import copy_whole
from keepbusy.models.head import Head
from keepbusy.models.load import Model, read_metadata
from keepbusy.models.prepare import prepare
from keepbusy.models.saved_form import write_form

if TYPE_CHECKING:
    import openvino as ov

OUTPUT_NAMES = ("detections", "left_out", "prototypes")
"""What the rewritten graph's outputs are called, in their order: the second one where the graph does not select its
rows itself, the last one of models with masks only."""

MAX_CELLS = 512
"""Cells of the finest level that it decodes: more than in a run, where a frame with too many is done again."""


def rewritten_graph(model: Model, head: Head, input_hw: tuple[int, int]) -> ov.Model:
    """A model in the form in which keepbusy runs it, ready to be saved.

    Args:
        model: As loaded; not changed.
        head: Its head.
        input_hw: The input's (height, width), multiples of the head's largest stride, pixels.

    Returns:
        The graph: input `image`, uint8 (1, H, W, 3), BGR; outputs as `tail_graph` makes them, float32, called
        `OUTPUT_NAMES`.
    """
    prepared = prepare(model, head=head, strategy="tail", input_hw=input_hw, max_cells=MAX_CELLS)
    graph = prepared.graph
    graph.inputs[0].get_tensor().set_names({"image"})
    names = [name for name in OUTPUT_NAMES if name != "left_out" or not head.num_selected]
    for name, output in zip(names, graph.outputs, strict=False):
        output.get_tensor().set_names({name})
    write_form(graph, model.input, prepared.output, model.names)
    return graph


def carry_metadata(model: Model, graph: ov.Model) -> None:
    """Give a graph what the model that it was made from says of itself, in its file or in one beside it."""
    known: dict[str, Any] = read_metadata(model.graph, model.path)
    known["names"] = dict(enumerate(model.names))
    for key, value in known.items():
        graph.set_rt_info(str(value), ["model_info", str(key)])


def save_graph(graph: ov.Model, path: Path) -> None:
    """Save a graph as IR, its numbers as they are.

    Raises:
        SinkError: It cannot be written.
    """
    import openvino as ov

    try:
        # What was stored as float16 stays so. The rest is little, and anchors and grids need their digits.
        ov.save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise SinkError(
            f"{path}: cannot be written: {first_line(error)}", hint="is the disk full, or the folder read-only?"
        ) from error


def size_bytes(path: Path) -> int:
    """Bytes that a model takes on the disk, with its weights."""
    weights = beside(path, f"{path.stem}.bin") if path.suffix.lower() == ".xml" else path
    return sum(one.stat().st_size for one in {path, weights} if os.path.isfile(one))


def publish(made: Path, folder: Path) -> Path:
    """Bring a model into the folder: a file is whole or not there, the weights before the graph that needs them.

    Args:
        made: Its `.xml`, with the `.bin` beside it.
        folder: Where it goes.

    Returns:
        Its `.xml` there.

    Raises:
        SinkError: It cannot be written.
    """
    graph, weights = folder / made.name, folder / made.with_suffix(".bin").name
    is_new = not (os.path.lexists(graph) or os.path.lexists(weights))
    try:
        copy_whole(made.with_suffix(".bin"), weights)
        copy_whole(made, graph)
    except BaseException:
        if is_new:  # Without their graph nobody knows whose weights they are.
            weights.unlink(missing_ok=True)
        raise
    return graph
