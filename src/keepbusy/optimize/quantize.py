"""INT8 by NNCF: the network without its head's arithmetic is quantized, then the head is put back as it was exported.

What turns raw numbers into boxes (sigmoids, grids, anchors, the sum over a distribution's bins) spans a range of
numbers that eight bits cannot hold, and costs little: it never sees the quantizer. With it gone the graph takes any
shape, so that every calibration frame is laid out as in a run, without grey bars.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepbusy.errors import KeepbusyError, MissingExtraError, ModelError, first_line
from keepbusy.models.head import Head, raw_graph
from keepbusy.models.load import Model
from keepbusy.models.operations import redirect
from keepbusy.optimize.frames import Sample, network_input
from keepbusy.postprocess import Outputs
from keepbusy.telemetry import without_sender
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm

if TYPE_CHECKING:
    import openvino as ov

Score = Callable[[Iterable[tuple[Sample, Detections]]], float]
"""Samples with what was found in them → accuracy, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyControl:
    """Layers go back to float, the most harmful first, until accuracy is within the limit.

    Attributes:
        samples: Frames with labels.
        detect: Raw outputs → detections of a sample.
        score: Detections of all samples → accuracy.
        max_drop: How much of it may be lost, 0 to 1.
    """

    samples: Sequence[Sample]
    detect: Callable[[Outputs, Sample, OutputForm], Detections]
    score: Score
    max_drop: float


def import_nncf() -> Any:
    """NNCF, which talks neither to the terminal nor to the network.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), without_sender():
            import nncf
    except ImportError as error:
        raise MissingExtraError("`int8`", extra="quantize") from error
    # Not by `nncf.set_log_level`, which changes the handlers of whoever listens to its logger, too.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def quantize_model(
    model: Model,
    head: Head | None,
    samples: Sequence[Sample],
    *,
    is_flexible: bool = True,
    is_head_float: bool = False,
    control: AccuracyControl | None = None,
    on_step: Callable[[str], None] = lambda _text: None,
) -> ov.Model:
    """Quantize a model.

    Args:
        model: As loaded; not changed.
        head: Its head, as found; None keeps everything behind the last convolutions in float instead.
        samples: What it is calibrated on.
        is_flexible: Without its head the graph takes any shape, and the samples have several.
        is_head_float: Keep the head's last convolutions in float, too.
        control: Keep as many further layers in float as accuracy asks for.
        on_step: Told what is being done.

    Returns:
        The graph, with the inputs and outputs that it was exported with.

    Raises:
        MissingExtraError: NNCF is not installed.
        ModelError: NNCF cannot quantize it.
    """
    nncf = import_nncf()
    if head is None:
        graph, form = model.graph.clone(), model.output
        kept = _behind_last_convolutions(graph)
    else:
        graph, form = raw_graph(model.graph, head, model.input.shape((-1, -1) if is_flexible else model.input_hw))
        kept = _head_convolutions(graph, head) if is_head_float else []
    dtype = np.dtype(graph.inputs[0].element_type.to_dtype())
    steps = _Steps(on_step, len(samples))

    def feed(sample: Sample) -> Any:
        steps.next()
        return network_input(sample.tensor, model.input, dtype)

    options: dict[str, Any] = {
        # Activations that are not symmetric (SiLU) get ranges that are not either; weights stay symmetric.
        "preset": nncf.QuantizationPreset.MIXED,
        "subset_size": len(samples),
        "ignored_scope": nncf.IgnoredScope(names=kept, validate=False) if kept else None,
    }
    calibration = nncf.Dataset(list(samples), feed)
    with _mapped(model):
        if control is None:
            found = nncf.quantize(graph, calibration, **options)
        else:
            found = nncf.quantize_with_accuracy_control(
                graph,
                calibration,
                nncf.Dataset(list(control.samples), feed),
                _validator(control, model, form, dtype),
                max_drop=control.max_drop,
                **options,
            )
    return found if head is None else _with_exported_head(model, head, found)


@contextlib.contextmanager
def _mapped(model: Model) -> Iterator[None]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except KeepbusyError:
        raise
    except Exception as error:
        raise ModelError(
            f"{model.path}: cannot be quantized: {first_line(error)}", hint="`__cause__` shows where NNCF gave up"
        ) from error


class _Steps:
    """Counts what is fed, for people: NNCF goes over the frames more than once."""

    def __init__(self, on_step: Callable[[str], None], num_samples: int) -> None:
        self._on_step = on_step
        self._num_samples = num_samples
        self._num_fed = 0

    def next(self) -> None:
        turn, index = divmod(self._num_fed, self._num_samples)
        self._num_fed += 1
        self._on_step(f"calibrating: frame {index + 1} of {self._num_samples}, turn {turn + 1}")


def _validator(control: AccuracyControl, model: Model, form: OutputForm, dtype: np.dtype[Any]) -> Any:
    def validate(compiled: ov.CompiledModel, samples: Iterable[Sample]) -> tuple[float, None]:
        def found() -> Iterator[tuple[Sample, Detections]]:
            for sample in samples:
                outputs = compiled([network_input(sample.tensor, model.input, dtype)])
                arrays = tuple(outputs[index] for index in form.outputs)
                yield sample, control.detect(arrays, sample, form)

        return control.score(found()), None

    return validate


def _head_convolutions(graph: ov.Model, head: Head) -> list[str]:
    """Names of the convolutions that the head's numbers come from."""
    by_name = {node.get_friendly_name(): node for node in graph.get_ordered_ops()}
    found: list[str] = []
    for level in head.levels:
        for name in level.ports:
            node = by_name[name]
            if node.get_type_name() != "Convolution":
                sources = (node.input_value(index).get_node() for index in range(node.get_input_size()))
                node = next(source for source in sources if source.get_type_name() == "Convolution")
            found.append(str(node.get_friendly_name()))
    return found


def _behind_last_convolutions(graph: ov.Model) -> list[str]:
    """Names of everything between the outputs and the last convolutions before them, without constants."""
    found: list[str] = []
    seen: set[str] = set()
    waiting = [result.input_value(0).get_node() for result in graph.get_results()]
    while waiting:
        node = waiting.pop()
        name = str(node.get_friendly_name())
        if name in seen or node.get_type_name() in ("Convolution", "GroupConvolution", "Parameter"):
            continue
        seen.add(name)
        if node.get_type_name() != "Constant":
            found.append(name)
        waiting += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return found


def _with_exported_head(model: Model, head: Head, quantized: ov.Model) -> ov.Model:
    """Put the exported head on a quantized graph that ends where the head began."""
    import openvino as ov
    from openvino.passes import ConstantFolding, Manager

    quantized.reshape(model.input.shape(model.input_hw))
    exported = model.graph.clone()
    if any(node.get_type_name() == "ShapeOf" for node in exported.get_ops()):
        # A head that asks a layer for its size would drag that layer, unquantized, into the new graph.
        manager = Manager()
        manager.register_pass(ConstantFolding())
        manager.run_passes(exported)
    by_name = {node.get_friendly_name(): node for node in exported.get_ordered_ops()}
    results = quantized.get_results()
    ports = [name for level in head.levels for name in level.ports]
    for name, result in zip(ports, results, strict=False):
        channels_last = result.input_value(0).get_node()
        redirect(by_name[name].output(0), channels_last.input_value(0))
    for index, result in zip(head.form.outputs[1:], results[len(ports) :], strict=True):
        exported.outputs[index].get_node().input(0).replace_source_output(result.input_value(0))
    return ov.Model(exported.get_results(), quantized.get_parameters(), model.graph.get_friendly_name())
