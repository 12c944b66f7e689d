"""What `Pipeline` and `Detector` begin with: options, the model, and that they fit each other."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.api.classes import check_classes, class_ids, thresholds
from keepbusy.api.foreign_words import OF_OPTIONS
from keepbusy.api.options import split_options
from keepbusy.config import DetectConfig, RunConfig
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.postprocessor import Postprocessor
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.models import load_model, load_names
from keepbusy.models.files import model_in
from keepbusy.telemetry import import_openvino
from keepbusy.texts import shortened

if TYPE_CHECKING:
    import openvino as ov

    from keepbusy.models.store.catalogue import KnownModel

log = logging.getLogger("keepbusy")


def load(
    path: str | Path, names: Sequence[str] | str | Path | None, options: dict[str, Any]
) -> tuple[CompiledModel, DetectConfig, RunConfig]:
    """Check the options, read the model, and see that they fit each other; nothing is compiled yet."""
    check_model(path)
    _check_names(names)
    _check_words(options)
    by_names = {name: options[name] for name in ("classes", "class_conf") if options.get(name) is not None}
    device, detect, config = split_options({**options, **dict.fromkeys(by_names)})
    core = _core()
    if isinstance(names, (str, os.PathLike)):
        names = load_names(Path(names))
    names = None if names is None else tuple(names)
    model = load_model(
        _file_of(path), imgsz=device.imgsz, names=names, family=device.family, task=device.task, core=core
    )
    chosen = {name: of(model.names) if callable(of) else of for name, of in by_names.items()}
    detect = dataclasses.replace(
        detect,
        classes=class_ids(chosen.get("classes"), model.names),
        class_conf=thresholds(chosen.get("class_conf"), model.names),
    )
    return CompiledModel(model, device, detect, config.mode, config.nireq, core), detect, config


def postprocess(compiled: CompiledModel, default: DetectConfig, own: DetectConfig | None) -> Postprocessor:
    """What makes detections for one stream.

    Raises:
        ConfigError: The model has no such class.
    """
    if own is not None:
        check_classes(own, compiled.model.names)
    return compiled.postprocessor(own or default)


def _check_words(options: dict[str, Any]) -> None:
    """See that no option is another library's word for one of ours."""
    for word in options:
        if word in OF_OPTIONS:
            raise ConfigError(f"unknown option: {word}", hint=f"here it is {OF_OPTIONS[word]}")


def _core() -> ov.Core:
    return import_openvino().Core()


def check_model(model: Any) -> None:
    """See that a model is named by what names one.

    Raises:
        ConfigError: It is not.
    """
    if _is_path(model):
        if not os.fspath(model).strip():
            raise ConfigError("model: is empty", hint='give the path of a model: "yolov5n.xml"')
        return
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(model).__mro__}
    if any(kind.startswith(("torch.nn.", "ultralytics.")) for kind in kinds):
        hint = "export it, and give the folder or file that it is exported to: model.export(format='openvino')"
    elif any(kind.startswith("openvino.") for kind in kinds):
        hint = 'give the path of its file: openvino.save_model(model, "model.xml")'
    else:
        hint = 'give the path of a model, "yolov5n.xml", the folder that it was exported to, or a name of those that '
        hint += "`keepbusy models` lists"
    raise ConfigError(f"model: {shortened(repr(model))} is no path", hint=hint)


def _file_of(model: str | Path) -> Path:
    """The file of a model: by its path, else by its name. One that has a name is fetched at its first use."""
    path = Path(model)
    if path.suffix or os.path.isfile(path):
        return path
    if not os.path.isdir(path) and os.path.isfile(found := model_in(path)):
        return found
    from keepbusy.models.store import find_model

    return find_model(path, on_licence=_tell_licence)


def _tell_licence(known: KnownModel) -> None:
    log.warning("%s: the weights are under %s, see %s", known.name, known.licence, known.licence_url)


def _check_names(names: Any) -> None:
    are_names = (
        isinstance(names, Sequence) and not isinstance(names, bytes) and all(isinstance(name, str) for name in names)
    )
    if not (names is None or (are_names and len(names)) or _is_path(names)):
        raise ConfigError(
            f"names: {shortened(repr(names))} is neither class names nor the file that has them",
            hint='give names in the order of their ids, ("person", "bicycle"), or a path; None takes the model\'s own',
        )


def _is_path(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str))


def check_process(process_id: int) -> None:
    """See that this is the process that the model was compiled in: a forked child has none of OpenVINO's threads."""
    if os.getpid() != process_id:
        raise KeepbusyError(
            "the model was compiled in another process, and cannot be used after a fork",
            hint="make the Pipeline or Detector in the child process, or start processes with spawn",
        )
