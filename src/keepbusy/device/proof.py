"""One frame through two graphs of a model: whether the changed one finds what the graph as exported finds."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepbusy.config import DetectConfig, DeviceConfig
from keepbusy.device.engine import OpenVINODevice, infer_once
from keepbusy.device.slots import create_slots
from keepbusy.embedded import embedded_clip
from keepbusy.errors import first_line
from keepbusy.models.prepare import Prepared
from keepbusy.pictures.letterbox import Laying, Letterbox
from keepbusy.postprocess import Outputs, TooManyCandidatesError, to_detections
from keepbusy.sources.video import Video
from keepbusy.values.compare import ONE_FRAME, agree, floor_of
from keepbusy.values.frame import Image

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")

_TRIED_CONFS = (0.25, 0.1, 0.05, 0.02, 0.01)
"""Thresholds of the comparison: the highest at which the test picture has something in it."""

_SAME_THING_IOU = 0.45
"""Boxes of one class that overlap by more are one thing, where duplicates have to go: what a run does by default."""

_ENOUGH = 4
_TEST_FRAME = 60


def gives_the_same(
    stock: Prepared,
    changed: Prepared,
    device: DeviceConfig,
    detect: DetectConfig,
    laying: Laying,
    names: Sequence[str],
    core: ov.Core,
    *,
    is_rounded: bool = False,
) -> bool:
    """Compare two graphs of one model on the test picture, on the device that they are for; what differs is logged.

    Args:
        stock: The graph as exported.
        changed: The one to be proved, with an input of the same size.
        device: Where both run.
        detect: The run's thresholds; its suppression is left out.
        laying: How frames are laid into the input.
        names: The class names.
        core: The OpenVINO core.
        is_rounded: The graph as exported rounds boxes that the changed one does not. Neighbouring cells then give
            equal boxes, of which each can be matched with any other's score: duplicates are suppressed first.
    """
    picture = test_picture()
    found = [(*_infer_once(graph, device, laying, picture, core), graph.output) for graph in (stock, changed)]
    for conf in _TRIED_CONFS:
        # Nothing suppressed: of two equals, which one goes depends on their order, which heads do not share.
        iou = _SAME_THING_IOU if is_rounded else 1.0
        config = dataclasses.replace(detect, conf=floor_of(conf), classes=None, iou=iou, max_det=1000)
        try:
            reference, candidate = (
                to_detections(outputs, letterbox, form, config, names) for outputs, letterbox, form in found
            )
        except TooManyCandidatesError:
            break
        except ValueError as error:
            log.warning("a head cannot be compared: %s", first_line(error))
            return False
        agreement = agree(reference, candidate, conf=conf)
        if agreement.num_reference >= _ENOUGH or agreement.num_candidate >= _ENOUGH:
            problems = agreement.problems(ONE_FRAME)
            for problem in problems:
                log.warning("the changed graph: %s", problem)
            return not problems
    # Nothing in the picture that this model knows: the probe has shown that the formula is the graph's own.
    return True


def test_picture() -> Image:
    """A busy picture that is always at hand: a frame of the clip that the package carries."""
    clip = Video(str(embedded_clip()), "test picture", read_ahead=False)
    try:
        while (frame := clip.read()) is not None:
            if frame.index == _TEST_FRAME and frame.image is not None:
                return frame.image
    finally:
        clip.close()
    raise RuntimeError("the embedded clip is too short")


def _infer_once(
    graph: Prepared, device: DeviceConfig, laying: Laying, picture: Image, core: ov.Core
) -> tuple[Outputs, Letterbox]:
    seat = create_slots(OpenVINODevice(graph, device, "sync", core), 1, laying)[0].seat
    letterbox = seat.letterboxer.write(picture)
    infer_once(seat.request, device.device)
    return tuple(output.copy() for output in seat.request.outputs), letterbox
