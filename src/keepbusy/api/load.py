"""What `Pipeline` and `Detector` begin with: options, the model, and that they fit each other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.config import ClassConf, DetectConfig, RunConfig, split_options
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.postprocessor import Postprocessor
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.models import load_model, load_names
from keepbusy.models.names import first_names
from keepbusy.telemetry import import_openvino
from keepbusy.texts import shortened

if TYPE_CHECKING:
    import openvino as ov


def load(
    path: str | Path, names: tuple[str, ...] | str | Path | None, options: dict[str, Any]
) -> tuple[CompiledModel, DetectConfig, RunConfig]:
    """Check the options, read the model, and see that they fit each other; nothing is compiled yet."""
    _check_model(path, names, options["device"])
    by_names = {name: options[name] for name in ("classes", "class_conf") if callable(options.get(name))}
    options = {**options, **dict.fromkeys(by_names)}
    check_class_ids(options.get("classes"))
    device, detect, config = split_options(options)
    core = _core()
    if isinstance(names, (str, Path)):
        names = load_names(Path(names))
    model = load_model(path, imgsz=device.imgsz, names=names, family=device.family, task=device.task, core=core)
    if by_names:
        chosen = {name: of(model.names) for name, of in by_names.items()}
        check_class_ids(chosen.get("classes"))
        detect = dataclasses.replace(detect, **chosen)
    check_classes(detect, model.names)
    return CompiledModel(model, device, detect, config.mode, config.nireq, core), detect, config


def postprocess(compiled: CompiledModel, default: DetectConfig, own: DetectConfig | None) -> Postprocessor:
    """What makes detections for one stream.

    Raises:
        ConfigError: The model has no such class.
    """
    if own is not None:
        check_classes(own, compiled.model.names)
    return compiled.postprocessor(own or default)


def _core() -> ov.Core:
    return import_openvino().Core()


def _check_model(path: Any, names: Any, device: Any) -> None:
    """See that a model, its names and a device are named by what names such things.

    Raises:
        ConfigError: One is not.
    """
    if not _is_path(path):
        raise ConfigError(f"model: {shortened(repr(path))} is no path", hint='give the path of a model: "yolov5n.xml"')
    if not isinstance(device, str):
        raise ConfigError(
            f"device: {shortened(repr(device))} is no device's name", hint="`keepbusy devices` lists what there is"
        )
    are_names = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if not (names is None or are_names or _is_path(names)):
        raise ConfigError(
            f"names: {shortened(repr(names))} is neither class names nor the file that has them",
            hint='give names in the order of their ids, ("person", "bicycle"), or a path; None takes the model\'s own',
        )


def _is_path(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str))


def check_class_ids(classes: Any) -> None:
    """See that what is to be the option `classes` is ids, or None.

    Raises:
        ConfigError: It is something else, such as names.
    """
    hint = (
        "give ids: (0, 2), or a function of the model's class names that gives them: lambda names:"
        ' (names.index("person"),); names themselves are taken on the command line only'
    )
    if classes is None:
        return
    if isinstance(classes, (str, bytes)) or not isinstance(classes, Collection):
        raise ConfigError(f"classes: {shortened(repr(classes))} is no sequence of class ids", hint=hint)
    for class_id in classes:
        if isinstance(class_id, bool) or not hasattr(class_id, "__index__"):
            raise ConfigError(f"classes: {class_id!r} is not a class id", hint=hint)


def check_classes(config: DetectConfig, names: tuple[str, ...]) -> None:
    """See that the classes of an option are classes of the model.

    Raises:
        ConfigError: The model has no such class.
    """
    thresholds = config.class_conf.by_id if isinstance(config.class_conf, ClassConf) else ()
    for option, class_ids in (("classes", config.classes or ()), ("class_conf", [one for one, _ in thresholds])):
        for class_id in class_ids:
            if class_id >= len(names):
                raise ConfigError(
                    f"{option}: {class_id} is beyond the model's last class, {len(names) - 1}",
                    hint=f"the model has {len(names)} classes, numbered from 0: {first_names(names)}",
                )


def check_process(process_id: int) -> None:
    """See that this is the process that the model was compiled in: a forked child has none of OpenVINO's threads."""
    if os.getpid() != process_id:
        raise KeepbusyError(
            "the model was compiled in another process, and cannot be used after a fork",
            hint="make the Pipeline or Detector in the child process, or start processes with spawn",
        )
