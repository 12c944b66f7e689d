"""Which way of computing the head is the fastest on a device: measured once, proved, and remembered."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepbusy.cache.notes import Notebook
from keepbusy.device.engine import Seat
from keepbusy.errors import DeviceTimeoutError, first_line
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.values.detections import Detections
from keepbusy.values.forms import HeadStrategy
from keepbusy.values.frame import Image

log = logging.getLogger("keepbusy")

ROUNDS = 5
WINDOW_S = 0.2
"""Each strategy is measured in turn, in so many rounds of so long: three seconds for three of them, once."""

_WORTH_IT = 1.02
"""The head is changed only for more than this: within it, two measurements cannot be told apart."""

_TIMEOUT_S = 60.0

PostprocessSeat = Callable[[Seat, Letterbox], Detections]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One strategy, compiled.

    Attributes:
        seats: Warm requests, as many as will be in flight.
        postprocess: A finished request → detections, as in a run.
    """

    seats: Sequence[Seat]
    postprocess: PostprocessSeat


def choose_head(
    strategies: Sequence[HeadStrategy],
    build: Callable[[HeadStrategy], Contender],
    is_right: Callable[[HeadStrategy], bool],
    picture: Callable[[], Image],
    key: Mapping[str, Any],
    notebook: Notebook,
) -> HeadStrategy:
    """The fastest strategy whose detections are those of the stock graph.

    Args:
        strategies: What there is to choose from; `stock` is one of them.
        build: Compiles one.
        is_right: Whether one gives the stock graph's detections.
        picture: What is inferred in the measurement.
        key: What the measurement depends on: model, device, versions, shape.
        notebook: Where it is remembered.
    """
    known = remembered_head(strategies, key, notebook)
    if known is not None:
        return known
    log.info("measuring once how the head runs best on this device (%s)", ", ".join(strategies))
    contenders = {strategy: build(strategy) for strategy in strategies}
    image = picture()
    rounds: dict[HeadStrategy, list[float]] = {strategy: [] for strategy in strategies}
    for _ in range(ROUNDS):
        for strategy, contender in contenders.items():
            try:
                rounds[strategy].append(measure(contender, image))
            except ValueError as error:
                # What cannot be decoded is wrong; where the exported graph's is, each frame will say so.
                log.warning("head %s: %s", strategy, first_line(error))
                return "stock"
    gains = {
        strategy: statistics.median(own / stock for own, stock in zip(rounds[strategy], rounds["stock"], strict=True))
        for strategy in strategies
    }
    chosen: HeadStrategy = "stock"
    for strategy in sorted(strategies, key=lambda one: -gains[one]):
        if gains[strategy] <= _WORTH_IT or strategy == "stock":
            break
        if is_right(strategy):
            chosen = strategy
            break
        log.warning("head %s does not give the model's own detections on this device: not used", strategy)
    fps = {strategy: round(statistics.median(values), 1) for strategy, values in rounds.items()}
    log.info("head: %s (%s)", chosen, ", ".join(f"{name} {value:g} frames/s" for name, value in fps.items()))
    notebook.write({"what": "head", **key}, {"strategy": chosen, "fps": fps})
    return chosen


def remembered_head(
    strategies: Sequence[HeadStrategy], key: Mapping[str, Any], notebook: Notebook
) -> HeadStrategy | None:
    """What `choose_head` chose the last time; None where it has not been asked, or among others."""
    known = notebook.read({"what": "head", **key})
    if known is None or known.get("strategy") not in strategies:
        return None
    chosen: HeadStrategy = known["strategy"]
    return chosen


def measure(contender: Contender, image: Image) -> float:
    """Frames a second of one picture, preprocessed, inferred and postprocessed again and again, all requests busy."""
    in_flight: deque[tuple[Seat, Letterbox]] = deque()
    try:
        for seat in contender.seats:
            letterbox = seat.letterboxer.write(image)
            seat.request.start()
            in_flight.append((seat, letterbox))
        num_frames = 0
        begin_s = time.perf_counter()
        while (now_s := time.perf_counter()) - begin_s < WINDOW_S or num_frames == 0:
            seat, letterbox = in_flight[0]
            if not seat.request.wait(_TIMEOUT_S):
                raise DeviceTimeoutError("the device does not answer", hint="try another device")
            in_flight.popleft()
            contender.postprocess(seat, letterbox)
            seat.letterboxer.write(image)
            seat.request.start()
            in_flight.append((seat, letterbox))
            num_frames += 1
        return num_frames / (now_s - begin_s)
    finally:
        while in_flight:
            in_flight.popleft()[0].request.wait(_TIMEOUT_S)
