"""What a graph does to its pixels itself, before its first convolution: their order, and their range.

Exports for cameras are made so with OpenVINO's `PrePostProcessor`, and say nothing of it but by their input's type. The
layers are there to see, or folded into the first convolution: then its weights tell, which are 255 times smaller.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import first_line
from keepbusy.models.compile import compile_graph
from keepbusy.models.constants import numbers_of
from keepbusy.values.forms import InputForm

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")

WEAK_ANSWER = 0.5
"""Spread of a first convolution's strongest channel over noise from 0 to 1, below which it wants 0 to 255.

Trained YOLO networks that want 0 to 1 are at 5.7 to 12.6 (YOLOv5n, v8n, 11n, float and INT8), those with ÷ 255 inside
at 0.02 to 0.05: the bound is the geometric mean, rounded."""

SMALL_GAIN = 0.05
"""Layers that multiply pixels by less bring 0 to 255 into a network's range: ÷ 255 is 0.004, ImageNet's ÷ 58 0.017."""

_LEVELS = np.array([0.25, 0.5, 0.75], np.float32)
"""Values of the three channels that are told apart; 255 times as much where a quantizer rounds them to nothing."""

VERY_WEAK_ANSWER = 0.1
"""The same for graphs that take float32 and show nothing: here untrained networks (0.17) are not to be suspected."""

WEAK_BLUE = 1.3
"""How much stronger a first convolution answers to red than to blue, at least, for the two to be told apart by it.

In networks trained on photographs, which have less to see in blue (JPEG keeps a quarter of its pixels), it is 1.7 to
2.1 (the networks above); in one trained on drawings 1.02."""

_NEUTRAL = frozenset({"Convert", "FakeQuantize", "Transpose", "Reshape"})
"""Layers that leave colours and range as they are."""

_PREPROCESSING = frozenset({"Add", "Concat", "Divide", "Gather", "Multiply", "Reverse", "Split", "Subtract"})
"""Layers that preprocessing is made of, where they stand before the first convolution."""


Answers = NDArray[np.float64]
"""Spread of the first convolution's channels over noise from 0 to 1 in one channel of the input: (3, outputs)."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found.

    Attributes:
        is_bgr: The pixels are to be given as blue, green, red; None where nothing shows it.
        is_scaled: Pixels are brought from 0..255 into the network's range.
    """

    is_bgr: bool | None
    is_scaled: bool


def with_what_is_inside(graph: ov.Model, form: InputForm, metadata: Mapping[str, object], path: Path) -> InputForm:
    """The input's form without what the graph does itself.

    What the graph shows wins over metadata: exporters write there what a program is to do, and the preprocessing that
    somebody put into the graph later does not change it. Only `embedded_processing` says what is inside.

    A graph that takes bytes and does not scale them is changed to take float32: its range is then brought about before
    it, as for any other.

    Args:
        graph: Static; changed where it takes bytes as they are.
        form: What the network wants, by its family or by its metadata.
        metadata: What the model says of itself.
        path: The model's file, for messages.
    """
    if "embedded_processing" in metadata:
        return form
    parameter = next(one for one in graph.get_parameters() if len(one.get_partial_shape()) == 4)
    is_bytes = parameter.get_element_type().get_type_name() == "u8"
    is_seen = is_bytes or _has_preprocessing(parameter)
    found: Inside | None
    try:
        found = look_inside(graph, is_bgr=form.is_bgr) if is_seen else _folded_inside(parameter, form)
    except RuntimeError as error:
        log.warning("%s: what it does to its pixels could not be found out: %s", path.name, first_line(error))
        found = Inside(is_bgr=None, is_scaled=is_bytes)
    is_told = "reverse_input_channels" in metadata
    if found is None or not (is_seen or found.is_scaled):
        if found is not None and found.is_bgr and not form.is_bgr:
            why, remedy = "as its family is", f"write `reverse_input_channels: false` into {path.stem}.yaml beside it"
            if is_told:
                why, remedy = "as its metadata say", "correct `reverse_input_channels` where it was exported"
            log.warning(
                "%s: its first layer looks as if it took blue, green, red; it is given red, green, blue, %s. If it "
                "finds the wrong things, %s",
                path.name,
                why,
                remedy,
            )
        return form
    if found.is_scaled:
        form = dataclasses.replace(form, mean=(0.0,), scale=(1.0,))
    elif is_bytes:
        _take_floats(graph)
    is_bgr = found.is_bgr
    if is_bgr is None:
        is_bgr = form.is_bgr or (is_bytes and not is_told)
        if not is_told:
            log.warning(
                "%s: nothing shows whether it takes blue, green, red or red, green, blue: it is given %s. If it finds "
                "the wrong things, write `reverse_input_channels: %s` into %s.yaml beside it",
                path.name,
                _order(is_bgr),
                "true" if is_bgr else "false",
                path.stem,
            )
    log.info(
        "%s: is given %s, %s", path.name, _order(is_bgr), "0 to 255: it scales them" if found.is_scaled else "scaled"
    )
    return dataclasses.replace(form, is_bgr=is_bgr)


def look_inside(graph: ov.Model, *, is_bgr: bool) -> Inside:
    """Find out by trying: the layers up to the first convolution are run by themselves.

    Args:
        graph: Static, one picture; not changed.
        is_bgr: The order that the network's family wants.

    Raises:
        RuntimeError: There is no convolution behind the input, or the layers do not compile.
    """
    import openvino

    own = graph.clone()
    _take_floats(own)
    parameter = next(one for one in own.get_parameters() if len(one.get_shape()) == 4)
    convolution = _first_convolution(parameter)
    if convolution is None:
        raise RuntimeError("it has no convolution")
    start = openvino.Model([convolution.input_value(0), convolution.output(0)], [parameter], "start")
    run = compile_graph(openvino.Core(), start, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shape = tuple(parameter.get_shape())
    axis = 1 if shape[1] == 3 else 3

    change = np.zeros(3, np.float32)
    nothing = run(np.zeros(shape, np.float32))[0].copy()
    for levels in (_LEVELS, _LEVELS * 255):
        planes = np.ascontiguousarray(np.broadcast_to(np.expand_dims(levels, _others(axis)), shape))
        change = _first_three(run(planes)[0] - nothing)
        if np.any(change):
            break
    straight, turned = change / levels, change / levels[::-1]
    is_turned = _unlike(turned) < _unlike(straight)

    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    answers = []
    for channel in range(3):
        alone = np.zeros(shape, np.float32)
        place = tuple(channel if index == axis else slice(None) for index in range(4))
        alone[place] = noise[place]
        answers.append(run(alone)[1].std(axis=(0, 2, 3)))
    seen = np.array(answers, np.float64)
    wants_bgr = _wants_bgr(seen)
    if wants_bgr is None and is_turned:
        wants_bgr = not is_bgr
    gain = float(np.median(np.abs(turned if is_turned else straight)))
    return Inside(is_bgr=wants_bgr, is_scaled=gain < SMALL_GAIN or _strength(seen) < WEAK_ANSWER)


def _folded_inside(parameter: ov.Node, form: InputForm) -> Inside | None:
    """What the first convolution's weights tell where nothing stands before it; None where they are not plain."""
    answers = _answers_of_weights(parameter)
    if answers is None or form.scale == (1.0,):
        return None
    return Inside(is_bgr=_wants_bgr(answers), is_scaled=_strength(answers) < VERY_WEAK_ANSWER)


def _order(is_bgr: bool) -> str:
    return "blue, green, red" if is_bgr else "red, green, blue"


def _strength(answers: Answers) -> float:
    """The strongest channel's answer to noise in all three."""
    return float(np.sqrt((answers**2).sum(axis=0)).max())


def _wants_bgr(answers: Answers) -> bool | None:
    """Whether blue, the colour with the weakest answer, comes first; None where neither first nor last is weak."""
    first, _, last = np.sqrt((answers**2).sum(axis=1))
    return False if first > WEAK_BLUE * last else True if last > WEAK_BLUE * first else None


def _answers_of_weights(parameter: ov.Node) -> Answers | None:
    """What weights alone say of the answers; None where they are not plain.

    Of independent inputs the variance is the sum of squared weights x theirs, which is 1/12.
    """
    convolution = _first_convolution(parameter)
    if convolution is None:
        return None
    values = numbers_of(convolution.input_value(1).get_node())
    if values is None or values.shape[1] != 3:
        return None
    answers: Answers = np.sqrt((values**2).sum(axis=(2, 3)) / 12).T
    return answers


def _first_convolution(parameter: ov.Node) -> ov.Node | None:
    """The convolution that pixels come to first, whatever stands before it."""
    seen: set[str] = set()
    waiting = [parameter]
    while waiting:
        node = waiting.pop(0)
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        if node.get_type_name() == "Convolution":
            return node
        waiting += _users(node)
    return None


def _has_preprocessing(parameter: ov.Node) -> bool:
    """Whether layers that may change colours or range stand between the pixels and the first convolution."""
    node = parameter
    while True:
        kinds = {one.get_type_name(): one for one in _users(node)}
        if _PREPROCESSING & kinds.keys():
            return True
        neutral = [one for kind, one in kinds.items() if kind in _NEUTRAL]
        if len(neutral) != 1:
            return False
        node = neutral[0]


def _users(node: ov.Node) -> list[ov.Node]:
    """In the same order each time: OpenVINO's own follows the places in memory."""
    users = [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]
    return sorted(users, key=lambda user: user.get_friendly_name())


def _take_floats(graph: ov.Model) -> None:
    import openvino

    for parameter in graph.get_parameters():
        if parameter.get_element_type().get_type_name() == "u8":
            parameter.set_element_type(openvino.Type.f32)
    graph.validate_nodes_and_infer_types()


def _first_three(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle value of each of the first three channels (1, C, H, W)."""
    return np.median(planes[0, :3], axis=(1, 2))


def _unlike(values: NDArray[np.float32]) -> float:
    """How unlike three gains are, whatever their size."""
    return float(values.std() / max(abs(float(values.mean())), 1e-12))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(4) if other != axis)
