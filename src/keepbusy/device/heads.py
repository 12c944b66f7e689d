"""Which way of computing the head is the fastest on a device: measured once, proved, and remembered."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from keepbusy.cache.notes import Notebook
from keepbusy.device.compiler import Compiler
from keepbusy.device.fallback import Fallback
from keepbusy.device.proof import gives_the_same, test_picture
from keepbusy.device.slots import Seat, create_slots, num_requests
from keepbusy.errors import DeviceTimeoutError, first_line
from keepbusy.models.head import Head
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import Laying, Letterbox
from keepbusy.postprocess import TooManyCandidatesError, to_detections
from keepbusy.values.detections import Detections
from keepbusy.values.forms import HeadStrategy
from keepbusy.values.frame import Image

log = logging.getLogger("keepbusy")

ROUNDS = 5
WINDOW_S = 0.2
"""Each strategy is measured in turn, in so many rounds of so long: three seconds for three of them, once."""

WORTH_IT = 1.02
"""A graph is changed only for more than this: within it, two measurements cannot be told apart."""

_TIMEOUT_S = 60.0

Name = TypeVar("Name", bound=str)

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


class Heads:
    """Which head one model runs with on one device. One thread at a time.

    Args:
        compiler: What makes the graphs.
        fallback: What infers a frame again that has more candidates than the tail decodes.
        laying: How frames are laid into the input.
        can_be_stock: Whether the graph as exported takes the input that was asked for.

    Attributes:
        is_provisional: Whether the head was chosen without the measurement that would have told the fastest.
    """

    def __init__(self, compiler: Compiler, fallback: Fallback, laying: Laying, *, can_be_stock: bool) -> None:
        self.is_provisional = False
        self._compiler = compiler
        self._fallback = fallback
        self._laying = laying
        self._can_be_stock = can_be_stock

    def choose(self, input_hw: SizeHW, may_measure: Callable[[Mapping[str, Any]], bool]) -> HeadStrategy:
        """How the head is to be computed.

        Args:
            input_hw: The input's (height, width), pixels.
            may_measure: Whether there is time to measure, which takes seconds. Asked where that was not done before,
                with what the measurement depends on.

        Raises:
            ModelError: A graph does not compile.
        """
        compiler, self.is_provisional = self._compiler, False
        wanted = compiler.config.head
        if compiler.head is None or wanted == "stock":
            return "stock"
        changed = self._changed_heads(compiler.head)
        if wanted == "auto" and self._can_be_stock:
            strategies: list[HeadStrategy] = ["stock", *changed]
            key = compiler.key(input_hw)
            known = remembered_head(strategies, key, Notebook())
            self.is_provisional = known is None and not may_measure(key)
            if self.is_provisional:
                return "stock"
            return known or choose_head(
                strategies,
                lambda strategy: self.contender(strategy, input_hw),
                self._is_proved,
                test_picture,
                key,
                Notebook(),
            )
        if wanted in changed:
            changed = [wanted, *(strategy for strategy in changed if strategy != wanted)]
        for strategy in changed:
            if self._is_proved(strategy):
                return strategy
            log.warning("head %s does not give the model's own detections on this device: not used", strategy)
        return "stock"

    def _changed_heads(self, head: Head) -> list[HeadStrategy]:
        """The ways to compute a head other than as exported."""
        if head.num_selected:
            return ["tail"]  # Its rows may be several classes of one cell, and there is no suppression for the host.
        return ["host"] if self._compiler.detect.multi_label else ["tail", "host"]

    def _is_proved(self, strategy: HeadStrategy) -> bool:
        """Whether a strategy finds what the stock head finds, or did when this model was last on this device."""
        compiler = self._compiler
        own_hw = compiler.model.input_hw
        key = {"what": "right", "strategy": strategy, **compiler.key(own_hw)}
        known = Notebook().read(key)
        if known is None:
            is_right = gives_the_same(
                compiler.prepare("stock", own_hw),
                compiler.prepare(strategy, own_hw),
                compiler.device_config(),
                compiler.detect,
                self._laying,
                compiler.model.names,
                compiler.core,
                is_rounded=compiler.head is not None and compiler.head.num_dropped > 0,
            )
            known = {"is_right": is_right}
            Notebook().write(key, known)
        return bool(known["is_right"])

    def contender(self, strategy: HeadStrategy, input_hw: SizeHW, *, keeps_rounding: bool | None = None) -> Contender:
        """One strategy, compiled; the stock head of a graph with a fixed shape in that shape.

        Args:
            strategy: How the head is computed.
            input_hw: The input's (height, width), pixels.
            keeps_rounding: See `Compiler.prepare`.
        """
        compiler, model = self._compiler, self._compiler.model
        own_hw = model.input_hw if strategy == "stock" and model.input.is_fixed else input_hw
        graph = compiler.prepare(strategy, own_hw, keeps_rounding=keeps_rounding)
        # Always with several in flight: sync and async must come to the same choice, and so to the same bytes.
        device = compiler.compile(graph, "async")
        seats = [slot.seat for slot in create_slots(device, num_requests(device.optimal_requests), self._laying)]

        def postprocess_seat(seat: Seat, letterbox: Letterbox) -> Detections:
            try:
                return to_detections(seat.request.outputs, letterbox, graph.output, compiler.detect, model.names)
            except TooManyCandidatesError:
                return self._fallback.redo(seat, letterbox, compiler.detect)

        return Contender(seats, postprocess_seat)


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
    try:
        rounds = measure_in_turn(contenders, picture())
    except ValueError as error:
        # What cannot be decoded is wrong; where the exported graph's is, each frame will say so.
        log.warning("head %s", first_line(error))
        return "stock"
    gains = {
        strategy: statistics.median(own / stock for own, stock in zip(rounds[strategy], rounds["stock"], strict=True))
        for strategy in strategies
    }
    chosen: HeadStrategy = "stock"
    for strategy in sorted(strategies, key=lambda one: -gains[one]):
        if gains[strategy] <= WORTH_IT or strategy == "stock":
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


def measure_in_turn(contenders: Mapping[Name, Contender], image: Image) -> dict[Name, list[float]]:
    """Frames a second of each of some contenders in each of the rounds.

    Raises:
        ValueError: What one of them gives cannot be decoded; it begins with the name.
    """
    rounds: dict[Name, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            try:
                rounds[name].append(measure(contender, image))
            except ValueError as error:
                raise ValueError(f"{name}: {first_line(error)}") from error
    return rounds


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
