"""What recognising goes by: the outputs' shapes and names, and the model's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from keepbusy.files.parsing import TextError, parse_literal
from keepbusy.models.names import names_from_value
from keepbusy.values.forms import Family, Task

if TYPE_CHECKING:
    import openvino as ov

Shape = tuple["int | None", ...]
"""Sizes by axis, None where one is dynamic."""


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """One output of the graph.

    Attributes:
        index: Its position among the graph's outputs.
        shape: Its sizes.
        names: Its names, in lower case.
        node: What computes it.
        is_float: Its numbers are floating point.
    """

    index: int
    shape: Shape
    names: frozenset[str]
    node: ov.Node
    is_float: bool

    def has_name(self, *parts: str) -> bool:
        """One of its names contains one of these words."""
        return any(part in name for name in self.names for part in parts)


@dataclass(frozen=True, slots=True)
class Words:
    """What the model says of itself.

    Attributes:
        task: Its task; "" where nothing is said. It may be one that keepbusy does not know.
        num_names: How many class names it has, 0 for none.
        keypoints: Number of keypoints, and of values each; (0, 0) where nothing is said.
        kind: Everything that says what network it is (model type, head, description, file name), in lower case.
        anchors_px: Anchors by head, () where nothing is said.
    """

    task: str = ""
    num_names: int = 0
    keypoints: tuple[int, int] = (0, 0)
    kind: str = ""
    anchors_px: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A graph as recognising sees it.

    Attributes:
        ports: Its outputs.
        input_hw: The input's (height, width), pixels.
        words: What the model says of itself.
        family: The family that the user named, if any.
        task: The task that the user named, if any.
    """

    ports: tuple[Port, ...]
    input_hw: tuple[int, int]
    words: Words
    family: Family | None = None
    task: Task | None = None

    @property
    def said_task(self) -> Task | None:
        """The user's word for the task, else the model's, where it is one that keepbusy knows."""
        if self.task is not None:
            return self.task
        return next((task for task in get_args(Task) if task == self.words.task), None)

    def num_cells(self, strides_px: tuple[int, ...]) -> int | None:
        """How many cells the input has at all strides together; None where one does not divide it."""
        height, width = self.input_hw
        if any(height % stride or width % stride for stride in strides_px):
            return None
        return sum((height // stride) * (width // stride) for stride in strides_px)

    def prototypes(self) -> Port | None:
        """The output with the prototypes of masks: [1, coefficients, height / 4, width / 4]."""
        height, width = self.input_hw
        for port in self.ports:
            if len(port.shape) == 4 and port.shape[1] is not None and port.shape[1] <= 256:
                is_quarter = port.shape[2:] == (height // 4, width // 4)
                if is_quarter or port.has_name("proto"):
                    return port
        return None


STRIDES_PX: tuple[tuple[int, ...], ...] = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
"""Strides of the heads: the usual three, with a coarser one (P6), with a finer one (P2)."""


def look(
    graph: ov.Model,
    input_hw: tuple[int, int],
    metadata: Mapping[str, Any],
    path: object,
    family: Family | None,
    task: Task | None,
) -> View:
    """Gather what recognising goes by."""
    ports = []
    for index, output in enumerate(graph.outputs):
        partial = output.partial_shape
        shape = () if partial.rank.is_dynamic else tuple(None if a.is_dynamic else int(a.get_length()) for a in partial)
        node = output.get_node().input_value(0).get_node()
        names = frozenset(name.lower() for name in output.names)
        ports.append(Port(index, shape, names, node, output.element_type.is_real()))
    return View(tuple(ports), input_hw, read_words(metadata, path), family, task)


def read_words(metadata: Mapping[str, Any], path: object) -> Words:
    """What the metadata says that helps to recognise a model; what cannot be read counts as not said."""
    kinds = (metadata.get(key, "") for key in ("model_type", "head", "description"))
    name = str(path).replace("\\", "/").rpartition("/")[2]
    names = names_from_value(metadata.get("names")) or str(metadata.get("labels") or "").split()
    return Words(
        task=str(metadata.get("task", "")).strip().lower(),
        num_names=len(names),
        keypoints=_keypoints(_value(metadata.get("kpt_shape"))),
        kind=" ".join(str(kind) for kind in (*kinds, name)).lower(),
        anchors_px=_anchors(_value(metadata.get("anchors"))),
    )


def _value(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_literal(value)
        except TextError:
            return None
    return value


def _keypoints(value: Any) -> tuple[int, int]:
    try:
        num_points, num_values = (int(number) for number in value)
    except (TypeError, ValueError):
        return (0, 0)
    return (num_points, num_values) if num_points > 0 and num_values in (2, 3) else (0, 0)


def _anchors(value: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Anchors from [[w, h, w, h, ...], ...] or [[[w, h], ...], ...], a list a head."""
    heads = []
    try:
        for head in value:
            flat = [float(number) for item in head for number in (item if isinstance(item, (list, tuple)) else (item,))]
            if not flat or len(flat) % 2 or min(flat) <= 0:
                return ()
            heads.append(tuple(zip(flat[::2], flat[1::2], strict=True)))
    except (TypeError, ValueError):
        return ()
    return tuple(heads)
