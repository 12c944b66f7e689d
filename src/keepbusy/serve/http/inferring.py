"""One picture of a client: decoded, inferred among the streams' frames, and what is chosen of what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from keepbusy.api.classes import class_ids
from keepbusy.errors import ConfigError
from keepbusy.serve.http.bodies import BadRequestError
from keepbusy.serve.http.pictures import Pictures, num_pixels_of
from keepbusy.serve.supervise.backend import detect_config
from keepbusy.serve.supervise.requests import BusyError, GivenUpError
from keepbusy.serve.supervise.wall import Wall
from keepbusy.texts import shortened
from keepbusy.values.choosing import is_id
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Image
from keepbusy.values.result import Result


async def infer(wall: Wall, pictures: Pictures, content: bytes) -> Result:
    """An encoded picture → its result.

    Raises:
        BadRequestError: It is no picture, too large, or the device does not get to it.
    """
    limits = wall.settings.limits
    num_pixels = num_pixels_of(content, limits.picture_pixels)
    async with pictures.room.take(num_pixels, limits.request_timeout_s):
        return await _infer(wall, await pictures.decode(content, limits.picture_pixels))


async def _infer(wall: Wall, image: Image) -> Result:
    limits = wall.settings.limits
    try:
        result = await asyncio.wait_for(asyncio.wrap_future(wall.detect(image)), limits.request_timeout_s)
    except BusyError as error:
        raise BadRequestError(503, error.message, error.hint or "") from None
    except GivenUpError as error:
        raise BadRequestError(503, error.message, error.hint or "") from None
    except (TimeoutError, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
            raise
        raise BadRequestError(504, f"the device did not get to it within {limits.request_timeout_s:g} s") from None
    if result.error is not None:
        raise BadRequestError(500, wall.secrets.hidden(result.error.reason), result.error.hint or "")
    return result


def chosen(wall: Wall, found: Detections, parameters: dict[str, Any]) -> Detections:
    """What a client wants of what was found: `conf`, `max_det`, `classes`.

    It is the same as detecting with these thresholds: a box that is left out for its confidence suppresses none that
    has more.

    Raises:
        BadRequestError: A parameter has a value that it cannot have, or is none.
    """
    least = detect_config(wall.settings.thresholds_of(wall.settings.requests), wall.names)
    conf = _number(parameters.pop("conf", None), "conf", 0.0, 1.0)
    max_det = _number(parameters.pop("max_det", None), "max_det", 1, 100_000)
    classes = parameters.pop("classes", None)
    if parameters:
        raise BadRequestError(422, f"there is no parameter {next(iter(parameters))!r}: they are conf, max_det, classes")
    if conf is not None and conf < least.conf:
        raise BadRequestError(
            422, f"conf: {conf:g} is below {least.conf:g}, which this server detects with", "`requests.conf` sets it"
        )
    is_kept = np.ones(len(found), bool)
    if conf is not None:
        is_kept &= found.confidence >= conf
    if classes is not None:
        try:
            ids = class_ids(_words(classes), wall.names)
        except ConfigError as error:
            raise BadRequestError(422, error.message, error.hint or "") from None
        is_kept &= np.isin(found.class_id, ids or ())
    found = found[is_kept]
    return found if max_det is None else found[: int(max_det)]


def _words(classes: Any) -> Sequence[Any]:
    words = classes.split(",") if isinstance(classes, str) else classes
    if not isinstance(words, list) or not all(isinstance(one, (str, int)) for one in words):
        raise BadRequestError(400, "classes: must be names or ids: a list, or a text with commas")
    return [int(one) if isinstance(one, str) and is_id(one.strip()) else one for one in words]


def _number(value: Any, name: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    kinds, told = ((int,), "a whole number") if name == "max_det" else ((int, float), "a number")
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise BadRequestError(400, f"{name}: must be {told}")
    if not low <= value <= high:
        least = f"{low:g} or more" if value < low else f"{high:.15g} or less"
        raise BadRequestError(422, f"{name}: must be {least}, and is {shortened(repr(value), 60)}")
    return value
