"""A model on a device: which shapes, which head, compiling and postprocessing put together for `Pipeline`.

Each of these is a class of its own, and knows only those before it:

    slots.py          places in flight, with a warm request for every input shape in use
    shapes.py         which input shapes frames are inferred in
    compiler.py       graphs put together and compiled
    fallback.py       a frame that has too many candidates, inferred again
    heads.py          which head: measured, proved, remembered
    rounding.py       whether an INT8 model keeps its roundings: likewise
    earning.py        when measuring it pays
    sharing.py        how many cores inference leaves to the other stages
    live.py           whether live streams leave time for one frame after the other
    postprocessor.py  outputs → detections
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from keepbusy.cache.notes import Notebook
from keepbusy.config import DetectConfig, DeviceConfig, Hint, Mode
from keepbusy.device.compiler import Compiler
from keepbusy.device.earning import ENOUGH_FRAMES, Earning
from keepbusy.device.engine import OpenVINODevice
from keepbusy.device.fallback import Fallback
from keepbusy.device.heads import Heads
from keepbusy.device.live import live_hint
from keepbusy.device.names import usable_device
from keepbusy.device.postprocessor import OutputReader, Postprocessor
from keepbusy.device.rounding import keeps_rounding
from keepbusy.device.shapes import InputShapes
from keepbusy.device.sharing import CoreShares, cores_beside
from keepbusy.device.slots import ReadySlots, Seats, Slot, create_slots, num_requests
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.models.head import Head
from keepbusy.models.head.memory import recall_search
from keepbusy.models.load import Model
from keepbusy.models.prepare import Prepared
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import Laying
from keepbusy.values.forms import HeadStrategy, QuantizedUse

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")


class CompiledModel:
    """A model on a device, compiled for what is planned, and for what comes unforeseen. Thread-safe.

    Args:
        model: As loaded.
        device: Device, precision, head, shape.
        detect: Thresholds; those of `multi_label` rule the tail out.
        mode: Chooses the performance hint, and the number of requests.
        nireq: Requests in flight; None for what the device calls optimal and two more.
        core: The OpenVINO core.

    Attributes:
        strategy: How the head is computed; known after `plan`.
        num_choices: Rises when a longer run makes the choice anew: slots from before are not used any more.

    Raises:
        DeviceError: There is no such device.
        ConfigError: The graph cannot take the options or the shape that is asked for.
    """

    def __init__(
        self,
        model: Model,
        device: DeviceConfig,
        detect: DetectConfig,
        mode: Mode,
        nireq: int | None,
        core: ov.Core,
    ) -> None:
        device = dataclasses.replace(device, device=usable_device(device.device, core))
        self.model = model
        self.strategy: HeadStrategy = "stock"
        self.num_choices = 0
        self._mode = mode
        self._nireq = nireq
        self._lock = threading.RLock()
        self._is_kept_noted = False
        self._compiler = Compiler(model, device, detect, _find_head(model, device, detect), core)
        self._fallback = Fallback(self._compiler)
        self._cores = CoreShares(self._compiler, mode)
        self._earning = Earning()
        self._is_short = False
        self._hint: Hint | None = None
        self._begin()

    def _begin(self) -> None:
        """Have nothing planned or chosen. What was compiled before stays in the cache."""
        self._has_begun = False
        self._compiler.keeps_rounding = True  # Until its head is known.
        model, compiler = self.model, self._compiler
        self._shapes = shapes = InputShapes(model, compiler.config, compiler.head)
        nominal_hw = shapes.nominal_hw if shapes.are_rectangles else None
        self._laying = Laying(model.input.fit, model.input.pad_value, nominal_hw)
        self._heads = Heads(compiler, self._fallback, self._laying, can_be_stock=shapes.can_be_as_exported)
        self._reader = OutputReader(model)
        self._seats = Seats(shapes.input_hw_for, partial(self._compile, self._reader), self._laying)
        self._has_begun = True  # Last: what was interrupted is done again.

    def in_mode(self, mode: Mode, nireq: int | None) -> CompiledModel:
        """The same model with the same head, in the same shapes for the same frames, compiled for another mode.

        To be called behind `plan`, while nothing is in flight: on many cores the cost of an inference is measured,
        once. Compiling is left to `create_slots`.

        Args:
            mode: Chooses the performance hint, and the number of requests.
            nireq: Requests in flight; None for what the device calls optimal and some more.
        """
        with self._lock:
            other = copy.copy(self)
            other._mode, other._nireq, other._lock, other._hint = mode, nireq, threading.RLock(), None
            other._cores = CoreShares(self._compiler, mode)
            other._cores.measure(self.strategy, self.input_hw)
            other._seats = Seats(self._shapes.input_hw_for, partial(other._compile, self._reader), self._laying)
            return other

    def plan(
        self, frame_sizes: Mapping[SizeHW, int], num_frames: int | None = None, live_fps: float | None = None
    ) -> None:
        """Choose the head and compile for frames of some sizes, before any of them comes.

        The head is measured once, where it has not been on this device, but not for a run of a few frames: then it
        runs as exported until a longer run comes, or so many short ones that it pays.

        Args:
            frame_sizes: (height, width) → how many frames have it; empty where nothing is known.
            num_frames: How many frames will come; None where that is not known.
            live_fps: How many come per second, where all are live; None where they are not, or it is not known.

        Raises:
            ModelError: It does not compile.
        """
        with self._lock:
            self._is_short = num_frames is not None and num_frames < ENOUGH_FRAMES
            is_to_be_measured = self._heads.is_provisional and self._has_earned(num_frames, frame_sizes)
            if is_to_be_measured or not self._has_begun:
                self.num_choices += 1
                self._begin()
            shapes = self._shapes.plan(frame_sizes)
            if self._shapes.main_hw is None:

                def may_measure(key: Mapping[str, Any]) -> bool:
                    return is_to_be_measured or self._earning.is_enough(num_frames, key)

                self.strategy = self._heads.choose(shapes[0], may_measure)
                self._choose_rounding(shapes[0], may_measure)
                if self.strategy == "stock":
                    self._shapes.keep_fixed()
                    shapes = self._shapes.plan(frame_sizes)
                if not self._is_kept_noted:
                    self._is_kept_noted = _note_what_keeps(
                        self.model, self._shapes, self._compiler.config, self.strategy
                    )
            self._shapes.take(shapes, frame_sizes)
            self._cores.measure(self.strategy, self.input_hw)
            self._take_hint(live_hint(self._compiler, self._mode, self.strategy, self.input_hw, live_fps))
            for shape in self._shapes.planned:
                self._seats.device(shape)

    def _take_hint(self, hint: Hint | None) -> None:
        """Compile for another hint from now on, if it is another one."""
        if hint != self._hint:
            self._hint = hint
            self._seats = Seats(self._shapes.input_hw_for, partial(self._compile, self._reader), self._laying)
            self.num_choices += 1

    def _choose_rounding(self, input_hw: SizeHW, may_measure: Callable[[Mapping[str, Any]], bool]) -> None:
        """Choose whether an INT8 model keeps its roundings; nothing is measured before its head is chosen."""
        compiler = self._compiler
        if not self._heads.is_provisional or compiler.config.quantized == "drop":
            compiler.keeps_rounding = keeps_rounding(
                compiler, self._heads, self._laying, self.strategy, input_hw, may_measure
            )

    @property
    def input_hw(self) -> SizeHW:
        """The input's (height, width) for most frames; the model's own before anything is planned."""
        return self._shapes.main_hw or self._shapes.fixed_hw

    @property
    def device(self) -> OpenVINODevice:
        """The device with the model in its main shape.

        Raises:
            KeepbusyError: Nothing has been planned yet.
        """
        if self._shapes.main_hw is None:
            raise KeepbusyError("the model has not been compiled yet", hint="call plan() or run() first")
        found = self._seats.device(self._shapes.main_hw)
        assert isinstance(found, OpenVINODevice)  # nosec B101 # for mypy: no other device is made here
        return found

    @property
    def quantized(self) -> QuantizedUse | None:
        """How an INT8 model is computed, known after `plan`; None where the model is none."""
        if not self._compiler.is_quantized:
            return None
        return "keep" if self._compiler.keeps_rounding else "drop"

    def graph(self) -> Prepared:
        """The graph that is compiled for its main shape, put together anew.

        Raises:
            ModelError: OpenVINO refuses it.
        """
        return self._compiler.prepare(self.strategy, self.input_hw)

    @property
    def shapes(self) -> list[SizeHW]:
        """The input shapes in use: (height, width), pixels."""
        return self._shapes.planned

    @property
    def device_name(self) -> str:
        """OpenVINO's name of the device."""
        return self._compiler.config.device

    @property
    def num_slots(self) -> int:
        """How many frames can be in flight."""
        return 1 if self._mode == "sync" else self._nireq or num_requests(self.device.optimal_requests)

    def create_slots(self, num_slots: int | None = None) -> list[Slot]:
        """Warm slots in the main shape; as many as the configuration says where no number is given."""
        return create_slots(self.device, num_slots or self.num_slots, self._laying, self._seats)

    def cores_beside(self, slots: Sequence[Slot]) -> frozenset[int]:
        """The cores that the stages beside inference have for themselves, while all slots are free; none on few."""
        return cores_beside(slots, self._cores.num_for_stages)

    def warm(self, slots: Sequence[Slot]) -> None:
        """Have slots ready for every planned shape."""
        for shape in self._shapes.planned:
            self._seats.warm(slots, shape)

    def ready_slots(self, slots: Sequence[Slot]) -> ReadySlots:
        """What makes the slots of one run ready for frames of sizes that were not planned.

        Args:
            slots: All slots of the run, warm in every planned shape.
        """
        return ReadySlots(slots, self._seats, self._shapes.planned, self._make_fallback)

    def postprocessor(self, config: DetectConfig) -> Postprocessor:
        """What makes detections of the outputs, with some thresholds; to be made anew for each run."""
        return Postprocessor(self._reader, self._fallback, config)

    def fallbacks_to_make(self) -> list[Callable[[], None]]:
        """What a run makes in the background: the graph of the exact fallback for each planned shape that needs one.

        None where frames are inferred in the thread that waits for them, and for a run of a few frames, which is over
        before it would pay: there the first frame that needs it makes it.
        """
        if not self._makes_fallbacks_early:
            return []
        shapes = [shape for shape in self._shapes.planned if self._needs_fallback(shape)]
        return [partial(self._fallback.try_to_make_ready, shape) for shape in shapes]

    def make_fallbacks(self) -> None:
        """Compile the graph of the exact fallback for each planned shape that needs one, now."""
        for shape in self._shapes.planned:
            if self._needs_fallback(shape):
                self._fallback.try_to_make_ready(shape)

    @property
    def _makes_fallbacks_early(self) -> bool:
        return self._mode == "async" and not self._is_short

    def _make_fallback(self, input_hw: SizeHW) -> None:
        if self._makes_fallbacks_early and self._needs_fallback(input_hw):
            self._fallback.try_to_make_ready(input_hw)

    def _has_earned(self, num_frames: int | None, frame_sizes: Mapping[SizeHW, int]) -> bool:
        """Whether what was chosen without a measurement is to be chosen with one now."""
        shapes = self._shapes.plan_replaced(frame_sizes)
        return self._earning.is_enough(num_frames, self._compiler.key(shapes[0]))

    def _needs_fallback(self, input_hw: SizeHW) -> bool:
        return self._reader.may_leave_out(input_hw) and not self._fallback.is_ready(input_hw)

    def _compile(self, reader: OutputReader, input_hw: SizeHW) -> OpenVINODevice:
        graph = self._compiler.prepare(self.strategy, input_hw)
        reader.learn(input_hw, graph.output)
        return self._compiler.compile(graph, self._mode, threads=self._cores.inference_threads, hint=self._hint)


def _note_what_keeps(model: Model, shapes: InputShapes, config: DeviceConfig, strategy: HeadStrategy) -> bool:
    """Say which operation keeps a network to its own input where others would be quicker, if one does."""
    is_noted = bool(shapes.kept_by) and config.head == "auto" and config.shape == "auto"
    if is_noted:
        how = "runs as exported" if strategy == "stock" else "runs without its exported head"
        height, width = model.input_hw
        text = "%s: %s; %s keeps its input at %dx%d"
        log.info(text, model.path.name, how, shapes.kept_by, height, width, extra={"once": True})
    return is_noted


def _find_head(model: Model, device: DeviceConfig, detect: DetectConfig) -> Head | None:
    """The head of a model that can be replaced; None where there is none, or it is not to be replaced.

    Raises:
        ConfigError: A head that was replaced in the model's file cannot do what is asked of it.
    """
    if model.output.is_tail and detect.multi_label:
        raise ConfigError(
            f"{model.path}: this rewritten graph gives each box's best class only, evaluations want all",
            hint="evaluate the model that it was made from, or with `multi_label=False` and `conf` 0.25",
        )
    found: Head | str = ""
    if device.head != "stock" and not model.output.is_rewritten:
        found = recall_search(model, Notebook())
    if not isinstance(found, str):
        return found
    why = f" ({found})" if found else ""
    if device.head not in ("auto", "stock"):
        log.warning("%s: its head is not one that can be replaced%s; it runs as exported", model.path, why)
    elif found:
        text = "%s: its head is not one that can be replaced%s; it runs as exported"
        log.info(text, model.path.name, why, extra={"once": True})
    return None
