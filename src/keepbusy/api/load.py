"""What `Pipeline` and `Detector` begin with: options, the model, and that they fit each other."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.config import ClassConf, DetectConfig, RunConfig, split_options
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.postprocessor import Postprocessor
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.models import load_model, load_names
from keepbusy.models.names import first_names
from keepbusy.telemetry import import_openvino

if TYPE_CHECKING:
    import openvino as ov


def load(
    path: str | Path, names: tuple[str, ...] | str | Path | None, options: dict[str, Any]
) -> tuple[CompiledModel, DetectConfig, RunConfig]:
    """Check the options, read the model, and see that they fit each other; nothing is compiled yet."""
    by_names = {name: options[name] for name in ("classes", "class_conf") if callable(options.get(name))}
    device, detect, config = split_options({**options, **dict.fromkeys(by_names)})
    core = _core()
    if isinstance(names, (str, Path)):
        names = load_names(Path(names))
    model = load_model(path, imgsz=device.imgsz, names=names, family=device.family, task=device.task, core=core)
    if by_names:
        detect = dataclasses.replace(detect, **{name: of(model.names) for name, of in by_names.items()})
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
