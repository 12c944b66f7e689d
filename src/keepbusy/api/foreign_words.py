"""Words of other libraries in calls of `Detector` and `Pipeline`, each with ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from keepbusy.config import DetectConfig, DeviceConfig, RunConfig
from keepbusy.texts import shortened
from keepbusy.values.misuse import Told

_OURS = frozenset(one.name for kind in (DeviceConfig, DetectConfig, RunConfig) for one in fields(kind)) | {"names"}

_TRAINED = "not here: train and export with the library that the model is from"
_NO_TRACKER = "not here: trackers take what `to_supervision()` gives, and a `Step` tracks within a run"

OF_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(("confidence", "conf_thres", "conf_threshold", "threshold", "score_threshold"), "`conf`"),
    **dict.fromkeys(("iou_thres", "iou_threshold", "nms_threshold"), "`iou`"),
    **dict.fromkeys(("max_detections", "max_dets"), "`max_det`"),
    **dict.fromkeys(("half", "fp16"), '`precision="f16"`'),
    **dict.fromkeys(("img", "img_size", "image_size", "size"), "`imgsz`"),
    **dict.fromkeys(("batch", "batch_size"), "`nireq`, the frames in flight: none are put together into batches"),
    **dict.fromkeys(("labels", "class_names"), "`names`"),
    **dict.fromkeys(("num_threads", "nthreads"), "`threads`"),
    "num_streams": "`nstreams`",
    "performance_hint": "`hint`",
    "agnostic": "`agnostic_nms`",
    "rect": '`shape="rect"`, or "square"',
    "workers": "`read_threads` and `preprocess_threads`",
    "int8": "a file of its own, which `keepbusy optimize` makes",
    "augment": "not there: a larger `imgsz` finds small things",
    "retina_masks": "always so",
    "stream": "always so: `detector.stream(pictures)` and `pipeline.run(source)` give results one by one",
    "vid_stride": "`stride` of `pipeline.run`",
    "stride_frames": "`stride` of `pipeline.run`",
    "verbose": "the level of the log: `logging.getLogger('keepbusy')`",
    "persist": _NO_TRACKER,
    "tracker": _NO_TRACKER,
    "line_width": "an argument of `plot` and `save`",
    **dict.fromkeys(("save", "show", "project"), "`found.save(path, image)`; of runs, sinks: `keepbusy.detect_to`"),
    **dict.fromkeys(("save_txt", "save_crop"), "a sink: `keepbusy.open_sink('labels:out/')`, `'crops:out/'`"),
    "source": "the first argument of a call: `detector(picture)`, `pipeline.run(source)`",
}
"""Options."""

_EVERYWHERE: dict[str, str] = {
    "track": _NO_TRACKER,
    "train": _TRAINED,
    "export": _TRAINED,
    "val": "a command: `keepbusy eval`",
    "benchmark": "a command: `keepbusy bench`",
    "to": "`device`, when it is made",
    "cuda": "`device`, when it is made",
    "cpu": "`device`, when it is made",
    "half": '`precision="f16"`, when it is made',
    "fuse": "not needed: the graph is rewritten when it is loaded",
    "warmup": "a first call, or `Pipeline.plan(source)`",
    "conf": "the option `conf`, when it is made",
    "iou": "the option `iou`, when it is made",
    "overrides": "the options, when it is made",
    "task": "`model.output.task`",
}

OF_DETECTOR: Mapping[str, str] = _EVERYWHERE | {
    "predict": "a call: `detector(picture)`",
    "run": "`Pipeline.run(source)`: a `Detector` takes single pictures",
    "set_classes": "the option `classes`, when it is made, or `found.where(classes=...)`",
    "infer": "a call: `detector(picture)`",
}
"""Attributes of a `Detector`."""

OF_PIPELINE: Mapping[str, str] = _EVERYWHERE | {
    "predict": "`run(source)`",
    "detect": "`run(source)`; `keepbusy.Detector` is called with single pictures",
    "infer": "`run(source)`",
}
"""Attributes of a `Pipeline`."""


def of_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """A call of a `Detector`, `detect` and `stream`."""
    if told := _of_options("Detector", kwargs):
        return told
    if any(word in kwargs for word in ("img", "images", "pictures", "frame", "picture")):
        return Told("the picture is its first argument", "write detector(picture)")
    if len(args) > 1 and isinstance(args[1], (int, float)):
        return Told("thresholds are options of the Detector, not of a call", f"write Detector(model, conf={args[1]})")
    return Told("it takes one argument", "several pictures go in a list: detector([a, b])") if len(args) > 1 else None


def of_run(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Pipeline.run` and `stream`."""
    return _of_options("Pipeline", kwargs)


def _of_options(owner: str, kwargs: Mapping[str, Any]) -> Told | None:
    for word, value in kwargs.items():
        if word in _OURS:
            given = f"{word}={shortened(repr(value), 40)}"
            more = f"; found.where({given}) chooses from what was found" if word in ("conf", "classes") else ""
            return Told(f"`{word}` is an option of the {owner}, not of a call", f"write {owner}(model, {given}){more}")
        if word in OF_OPTIONS:
            return Told(f"it has no option `{word}`", f"here it is {OF_OPTIONS[word]}")
    return None
