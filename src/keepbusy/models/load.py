"""Model file → graph that is understood: its input, its outputs, its names."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.errors import ModelError, first_line
from keepbusy.files.parsing import parse_yaml
from keepbusy.files.paths import beside, read_text
from keepbusy.models.contradictions import against_the_model, contradictions, told_size
from keepbusy.models.files import check_readable, model_in, notes_of
from keepbusy.models.inputs import recognise_input, settle_size
from keepbusy.models.inside import with_what_is_inside
from keepbusy.models.names import Names, choose_names
from keepbusy.models.onnx_size import check_onnx_size
from keepbusy.models.opsets import unknown_opset
from keepbusy.models.outputs import NAMES_DOUBT, recognise_output
from keepbusy.models.pixels import pixels_of
from keepbusy.models.quantized import check_levels, odd_quantization
from keepbusy.telemetry import import_openvino
from keepbusy.values.forms import Family, InputForm, OutputForm, Task

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model's graph and what is known of it.

    Attributes:
        graph: As exported, static, for one picture, without preprocessing of ours.
        path: The file that it came from.
        input_hw: The input's (height, width), pixels.
        input: What its network wants its pixels to be, and how frames are laid into it.
        output: How its outputs are to be read.
        names: One name a class.
    """

    graph: ov.Model
    path: Path
    input_hw: tuple[int, int]
    input: InputForm
    output: OutputForm
    names: Names


def load_model(
    path: str | Path,
    *,
    imgsz: tuple[int, int] | None = None,
    names: Names | None = None,
    family: Family | None = None,
    task: Task | None = None,
    core: ov.Core | None = None,
) -> Model:
    """Read a model and find out what it is.

    Its graph is made static. An input that asks for the size of boxes is answered, and a graph that takes bytes and
    does not scale them is changed to take float32. `prepare.prepare` puts the preprocessing in front of it.

    Args:
        path: OpenVINO IR (`.xml` with its `.bin` beside it) or ONNX, or what else `model_in` finds one by.
        imgsz: Input (height, width) for models that leave it open; others are read at their own size.
        names: The user's class names; None takes the model's own.
        family: How its outputs are to be read; None to find out.
        task: What they say; None to find out.
        core: The OpenVINO core to read with; None makes one.

    Raises:
        ModelError: The file is missing, damaged, or no detector that is understood.
        ConfigError: `names`, `family` or `task` does not fit the model.
    """
    path = model_in(Path(path))
    graph = _read(path, core)
    check_levels(graph, path)
    form = recognise_input(graph, path)
    metadata = read_metadata(graph, path)
    input_hw, form = settle_size(graph, form, imgsz, told_size(metadata), path)
    output = recognise_output(graph, input_hw, metadata, path, family=family, task=task)
    if task is not None and (told := against_the_model(graph, input_hw, metadata, path, output, family=family)):
        log.log(logging.INFO if task == "detect" else logging.WARNING, "%s: %s", path.name, told)
    if output.doubt and not output.doubt.startswith(NAMES_DOUBT):  # That is for `choose_names` to say.
        log.info("%s: read as %s, %s (%s); %s", path.name, output.family, output.task, output.why, output.doubt)
    if not output.is_rewritten:
        _warn_of(contradictions(metadata, graph, form, output, input_hw, task=task), path)
    form = pixels_of(form, output, metadata)
    if odd := odd_quantization(graph):
        more = f", and {len(odd) - 1} more like it" if len(odd) > 1 else ""
        log.warning("%s: its quantization looks damaged, and what it finds may be wrong: %s%s", path.name, odd[0], more)
    else:  # What damaged weights answer would be taken for a sign of preprocessing.
        form = with_what_is_inside(graph, form, metadata, path)
    if names is not None and output.names_decide:
        output = dataclasses.replace(output, num_classes=len(names))
    own_names = choose_names(output.num_classes, given=names, metadata=metadata, model=path)
    return Model(graph, path, input_hw, form, output, own_names)


def _warn_of(contradicted: list[str], path: Path) -> None:
    if contradicted:
        log.warning("%s: its metadata %s: the graph decides", path.name, "; ".join(contradicted))


def read_metadata(graph: ov.Model, path: Path) -> dict[str, Any]:
    """What the model says of itself: `model_info` of an IR, the properties of an ONNX file, and the files beside it,
    `<stem>.yaml`, `<stem>.yml` and the exporters' `metadata.yaml`. The first of them with a value for a key wins."""
    metadata: dict[str, Any] = {}
    for section in ("model_info", "framework"):
        if graph.has_rt_info([section]):
            value = graph.get_rt_info([section])
            with contextlib.suppress(RuntimeError, TypeError, AttributeError):
                for key, item in _items(value):
                    metadata.setdefault(key, item)
    for note in notes_of(path):
        for key, value in _read_note(note).items():
            if metadata.get(key) in (None, ""):
                metadata[key] = value
    return metadata


def _read_note(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file beside a model; what cannot be read is reported and left out.

    A file that is only a list holds the class names. They stay as they are written: `yes` is a name, not a truth, and
    `007` no number.
    """
    if not os.path.isfile(path):
        return {}
    try:
        text = read_text(path)
        content = parse_yaml(text)
        as_written = parse_yaml(text, as_written=True)
    except (OSError, ValueError) as error:
        log.warning("%s: cannot be read, and is left out: %s", path, first_line(error))
        return {}
    if isinstance(as_written, list) and all(isinstance(name, str) for name in as_written):
        return {"names": as_written}
    if not isinstance(content, dict):
        log.warning("%s: has no `key: value` lines in it, and is left out", path)
        return {}
    return {**content, **{key: as_written[key] for key in ("names", "labels") if key in content}}


def _items(value: Any) -> list[tuple[str, Any]]:
    content = getattr(value, "value", value)
    if not isinstance(content, Mapping):
        return []
    return [(str(key), getattr(item, "value", item)) for key, item in content.items()]


def _read(path: Path, core: ov.Core | None) -> ov.Model:
    check_readable(path)
    check_onnx_size(path)
    weights = beside(path, f"{path.stem}.bin")
    is_ir = path.suffix.lower() == ".xml"
    if is_ir and not os.path.isfile(weights):
        raise ModelError(f"{path}: its weights {weights.name} are missing", hint="keep the .bin beside the .xml")
    if core is None:
        core = import_openvino().Core()
    try:
        if not is_ir and (version := unknown_opset(path)) is not None:
            raise ModelError(
                f"{path}: cannot be read as a model: it names version {version} of an operator set, which there is not",
                hint="the file may be damaged: export or copy it again",
            )
        graph = core.read_model(path, weights) if is_ir else core.read_model(path)
        if not is_ir or not _is_utf8(path):
            _check_names(graph)
        return graph
    except (RuntimeError, UnicodeDecodeError) as error:  # OpenVINO's message may quote bytes of the file.
        raise ModelError(
            f"{path}: cannot be read as a model: {_reason(error)}",
            hint="the file may be cut short or damaged: export or copy it again",
        ) from error


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except ValueError:
        return False
    return True


def _check_names(graph: ov.Model) -> None:
    """See that the names of a graph's operations and tensors are text. Takes some milliseconds.

    Raises:
        UnicodeDecodeError: One is not.
    """
    for node in graph.get_ops():
        node.get_friendly_name()
        for output in node.outputs():
            output.get_names()


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "names in it are no text (UTF-8)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return (telling or lines or [type(error).__name__])[-1].rstrip(".:")
