"""What a network wants its pixels to be: by its family and task, or by its own word."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keepbusy.files.parsing import TextError, parse_literal
from keepbusy.values.forms import Fit, InputForm, OutputForm, Sizes

IMAGENET_MEAN: Sizes = (123.675, 116.28, 103.53)
"""Mean of ImageNet's pixels, red, green, blue, 0 to 255: (0.485, 0.456, 0.406) x 255."""

IMAGENET_SCALE: Sizes = (58.395, 57.12, 57.375)
"""Their deviation: (0.229, 0.224, 0.225) x 255."""

FITS: dict[str, Fit] = {
    "standard": "stretch",
    "fit_to_window": "corner",
    "fit_to_window_letterbox": "letterbox",
    "crop": "crop",
}
"""OpenVINO Model API's `resize_type`."""


def pixels_of(form: InputForm, output: OutputForm, metadata: Mapping[str, Any]) -> InputForm:
    """The input's form with colour order, range and fit filled in.

    Each family has what its authors train it with. Metadata of OpenVINO's Model API (`resize_type`, `pad_value`,
    `reverse_input_channels`, `mean_values`, `scale_values`) wins over that, key by key. Frames are blue, green, red
    there too, so that channels are reversed for networks that want red, green, blue.

    One word is not taken: YOLO's exporter writes the same `resize_type` for RT-DETR, which it stretches itself.

    Args:
        form: Layout and size.
        output: Family and task, which decide where the model itself says nothing.
        metadata: What the model says of itself.
    """
    form = _usual(form, output)
    if _truth(metadata.get("embedded_processing")):
        # Model API's own export: colour order and range are compiled into the graph already.
        form = dataclasses.replace(form, is_bgr=True, mean=(0.0,), scale=(1.0,))
        metadata = {key: metadata[key] for key in ("resize_type", "pad_value") if key in metadata}
    fit = FITS.get(str(metadata.get("resize_type", "")).strip().lower())
    if fit is not None and not (output.family in ("detr", "rt-detr") and "head" in metadata):
        form = dataclasses.replace(form, fit=fit)
    pad_value = _numbers(metadata.get("pad_value"))
    if len(pad_value) == 1 and 0 <= pad_value[0] <= 255:
        form = dataclasses.replace(form, pad_value=int(pad_value[0]))
    is_reversed = _truth(metadata.get("reverse_input_channels"))
    if is_reversed is not None:
        form = dataclasses.replace(form, is_bgr=not is_reversed)
    mean, scale = _channels(metadata.get("mean_values")), _channels(metadata.get("scale_values"))
    if mean or scale:
        form = dataclasses.replace(form, mean=mean or (0.0,), scale=scale if all(scale) and scale else (1.0,))
    return form


def _usual(form: InputForm, output: OutputForm) -> InputForm:
    """What a family's authors train it with."""
    if output.is_imagenet:
        form = dataclasses.replace(form, mean=IMAGENET_MEAN, scale=IMAGENET_SCALE)
    if output.task == "classify":
        return dataclasses.replace(form, fit="crop")
    if output.family in ("yolox", "yolox-raw"):
        return dataclasses.replace(form, fit="corner", is_bgr=True, scale=(1.0,))
    if output.family in ("detr", "rt-detr"):
        return dataclasses.replace(form, fit="stretch")
    if output.family == "ssd":
        return dataclasses.replace(form, fit="stretch", is_bgr=True, scale=(1.0,))
    return form


def _truth(value: Any) -> bool | None:
    """Yes or no, however it is written; None where nothing is said."""
    text = str(value).strip().lower()
    return True if text in ("true", "yes", "1") else False if text in ("false", "no", "0") else None


def _channels(value: Any) -> Sizes:
    """One number, or one a channel; () for anything else."""
    numbers = _numbers(value)
    return numbers if len(numbers) in (1, 3) else ()


def _numbers(value: Any) -> Sizes:
    """Numbers from a list, from "1 2 3", or from "[1, 2, 3]"; () where they cannot be read."""
    if isinstance(value, str):
        try:
            value = parse_literal(value) if value.strip().startswith(("[", "(")) else value.replace(",", " ").split()
        except TextError:
            return ()
    if isinstance(value, (int, float)):
        value = (value,)
    try:
        return tuple(float(number) for number in value or ())
    except (TypeError, ValueError):
        return ()
