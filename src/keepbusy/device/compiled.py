"""A model on a device: with the head that is fastest there, in the input shapes that the frames need."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepbusy.cache.compiled import compiled_folder
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.cache.notes import Notebook
from keepbusy.config import DetectConfig, DeviceConfig, Mode
from keepbusy.device.engine import OpenVINODevice, Seat, Shapes, SizeHW, Slot, create_slots, infer_once, num_requests
from keepbusy.device.heads import Contender, choose_head, remembered_head
from keepbusy.device.names import full_device_name, usable_device
from keepbusy.device.proof import gives_the_same, test_picture
from keepbusy.device.sharing import cores_beside, cores_for_stages, inference_cost_ms
from keepbusy.errors import ConfigError, KeepbusyError, ModelError
from keepbusy.models.head import Head, can_reshape
from keepbusy.models.head.memory import recall_head
from keepbusy.models.load import Model
from keepbusy.models.prepare import Prepared, prepare
from keepbusy.models.shapes import MAX_SHAPES, plan_shapes, rectangle, smallest_holding
from keepbusy.pictures.letterbox import CELL_PX, Laying, Letterbox
from keepbusy.postprocess import Outputs, TooManyCandidatesError, to_detections
from keepbusy.postprocess.plausible import AS_SHARES, check_confidences, check_pixels
from keepbusy.threads.cores import has_many, whole_cores
from keepbusy.values.detections import Detections
from keepbusy.values.forms import HeadStrategy

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")

LOW_CONF = 0.05
"""Below this threshold, as in evaluations, a crowd of cells passes: the tail then decodes more of them."""

MANY_CELLS = 4096

SHORT_RUN_FRAMES = 500
"""Measuring how the head runs best takes about six seconds and brings up to 1.4 times the speed: at 100 frames/s, 2,000
frames earn that back. Below a quarter of them a run does not wait for it, and the head runs as exported."""

MANY_REDONE = 32
"""After so many frames that were inferred twice, it is said that another head would be faster."""


class CompiledModel:
    """Compiles what is needed, when it is needed, and postprocesses what comes of it. Thread-safe.

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
        ConfigError: The graph cannot take the head or the shape that is asked for.
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
        self._config = device
        self._detect = detect
        self._mode = mode
        self._nireq = nireq
        self._core = core
        self._lock = threading.RLock()
        self._are_boxes_plausible = model.output.family not in AS_SHARES
        self._are_confidences_plausible = False
        self._head = _find_head(model, device)
        self._nominal_hw = device.imgsz or model.input_hw
        self._can_reshape_head = self._head is not None and can_reshape(
            model.graph, self._head, model.input_hw, model.input.shape
        )
        self._is_rect = self._wants_rectangles()
        self._main_hw: SizeHW | None = None
        self._planned: list[SizeHW] = []
        self._redoing: dict[SizeHW, tuple[Seat, Prepared]] = {}
        self._num_redone = 0
        self._is_provisional = False
        self.num_choices = 0
        self._outputs: dict[SizeHW, Prepared] = {}
        self._laying = Laying(model.input.fit, model.input.pad_value, self._nominal_hw if self._is_rect else None)
        self._shapes = Shapes(self._choose_shape, self._compile, self._laying)
        self._check_options()

    def _check_options(self) -> None:
        if self.model.output.is_tail and self._detect.multi_label:
            raise ConfigError(
                f"{self.model.path}: this rewritten graph gives each box's best class only, evaluations want all",
                hint="evaluate the model that it was made from, or with --single-label and --conf 0.25",
            )
        if self._config.head not in ("auto", "stock") and self._head is None:
            log.warning("%s: its head is not one that can be replaced; it runs as exported", self.model.path)
        wanted = self._choose_fixed()
        if (
            wanted != self.model.input_hw
            and not self._is_rect
            and not self._can_reshape_head
            and not self._is_dynamic()
        ):
            raise ConfigError(
                f"{self.model.path}: has a fixed input of {self.model.input_hw[0]}x{self.model.input_hw[1]} "
                f"(height x width), not {wanted[0]}x{wanted[1]}, and its head is not one that can be replaced",
                hint="leave --imgsz and --shape out, or export the model with a dynamic input (--dynamic); "
                "model-info tells more",
            )
        if self._head is not None and wanted != self.model.input_hw and any(side % CELL_PX for side in wanted):
            raise ConfigError(
                f"input size {wanted[0]}x{wanted[1]}: its sides are not multiples of {CELL_PX}",
                hint=f"give {' x '.join(str(-(-side // CELL_PX) * CELL_PX) for side in wanted)} (height x width)",
            )

    def _wants_rectangles(self) -> bool:
        can = self.model.input.fit == "letterbox" and (self._can_reshape_head or self._is_dynamic())
        if self._config.shape == "rect" and not can:
            log.warning("%s: its network or its head does not take other input shapes: square", self.model.path)
        return self._config.shape in ("rect", "auto") and can

    def _is_dynamic(self) -> bool:
        return not self.model.input.is_fixed

    def plan(self, frame_sizes: Mapping[SizeHW, int], num_frames: int | None = None) -> None:
        """Choose the head and compile for frames of some sizes, before any of them comes.

        The head is measured once, where it has not been on this device, but not for a run of a few frames: then it
        runs as exported until a longer run comes.

        Args:
            frame_sizes: (height, width) → how many frames have it; empty where nothing is known.
            num_frames: How many frames will come; None where that is not known.

        Raises:
            ModelError: It does not compile.
        """
        with self._lock:
            is_short = num_frames is not None and num_frames < SHORT_RUN_FRAMES
            if self._is_provisional and not is_short:
                self._begin_again()
            if self._is_rect and frame_sizes:
                shapes = plan_shapes(frame_sizes, self._nominal_hw)
            else:
                shapes = [self._choose_fixed()]
            planned = [*self._planned, *(shape for shape in shapes if shape not in self._planned)]
            main_hw = self._main_hw or shapes[0]
            if self._main_hw is None:
                strategy = self._choose_strategy(main_hw, may_measure=not is_short)
                if strategy == "stock" and not self._is_dynamic():
                    self._is_rect = False
                    planned = [self._choose_fixed()]
                    main_hw = planned[0]
                self.strategy = strategy
            # Last, so that a choice that was interrupted is made again.
            self._planned, self._main_hw = planned, main_hw
            for shape in self._planned:
                self._shapes.device(shape)

    def _begin_again(self) -> None:
        """Forget what was chosen without a measurement. What was compiled for it stays in the cache."""
        self._is_provisional = False
        self._is_rect = self._wants_rectangles()
        self._main_hw, self._planned = None, []
        self._outputs = {}
        self._shapes = Shapes(self._choose_shape, self._compile, self._laying)
        self.num_choices += 1

    @property
    def input_hw(self) -> SizeHW:
        """The input's (height, width) for most frames; the model's own before anything is planned."""
        return self._main_hw or self._choose_fixed()

    @property
    def device(self) -> OpenVINODevice:
        """The device with the model in its main shape.

        Raises:
            KeepbusyError: Nothing has been planned yet.
        """
        if self._main_hw is None:
            raise KeepbusyError("the model has not been compiled yet", hint="call plan() or run() first")
        found = self._shapes.device(self._main_hw)
        assert isinstance(found, OpenVINODevice)  # nosec B101 # for mypy: no other device is made here
        return found

    @property
    def shapes(self) -> list[SizeHW]:
        """The input shapes in use: (height, width), pixels."""
        return list(self._planned)

    @property
    def num_slots(self) -> int:
        """How many frames can be in flight."""
        return self._num_slots(self.device)

    def create_slots(self, num_slots: int | None = None) -> list[Slot]:
        """Warm slots in the main shape; as many as the configuration says where no number is given."""
        return create_slots(self.device, num_slots or self.num_slots, self._laying, self._shapes)

    def cores_beside(self, slots: Sequence[Slot]) -> frozenset[int]:
        """The cores that the stages beside inference have for themselves; none where there are few.

        Args:
            slots: All slots, warm and free.
        """
        return cores_beside(slots, self._cores_for_stages)

    def warm(self, slots: Sequence[Slot]) -> None:
        """Have slots ready for every planned shape."""
        for slot in slots:
            for shape in self._planned:
                slot.warm(shape)

    def _num_slots(self, device: OpenVINODevice) -> int:
        return 1 if self._mode == "sync" else self._nireq or num_requests(device.optimal_requests)

    def postprocess(self, outputs: Outputs, letterbox: Letterbox, config: DetectConfig) -> Detections:
        """A frame's outputs → its detections.

        Raises:
            TooManyCandidatesError: The tail has left out cells that count: the frame is to be done again by `redo`.
            ModelError: The model gives its boxes as shares of its input, or numbers that are no confidences.
        """
        prepared = self._outputs[letterbox.input_hw]
        found = to_detections(outputs, letterbox, prepared.output, config, self.model.names)
        if not self._are_confidences_plausible and (len(found) or found.probabilities is not None):
            check_confidences(found, self.model.path)
            self._are_confidences_plausible = True
        if not self._are_boxes_plausible and len(found.boxes_xyxy):
            check_pixels(found, letterbox, self.model.path)
            self._are_boxes_plausible = True
        return found

    def redo(self, seat: Seat, letterbox: Letterbox, config: DetectConfig) -> Detections:
        """Infer a finished frame again, with every cell decoded, from what is still in its input."""
        if self.model.output.is_tail:
            raise ModelError(
                "more candidates than this rewritten graph decodes",
                hint="raise --conf, or run the model that it was made from",
            )
        with self._lock:
            self._num_redone += 1
            if self._num_redone == MANY_REDONE:
                log.warning(
                    "%d frames had more candidates than the tail decodes and were inferred twice: "
                    "--head host or a higher --conf is faster",
                    MANY_REDONE,
                )
            if letterbox.input_hw not in self._redoing:
                log.info("compiling a second graph, for frames with more than the usual number of candidates")
                prepared = self._prepare("host", letterbox.input_hw)
                device = OpenVINODevice(prepared, self._device_config(), "sync", self._core)
                own = create_slots(device, 1)[0].seat
                self._redoing[letterbox.input_hw] = (own, prepared)
            own, prepared = self._redoing[letterbox.input_hw]
            own.request.input[...] = seat.request.input
            infer_once(own.request, self._config.device)
            return to_detections(own.request.outputs, letterbox, prepared.output, config, self.model.names)

    def _choose_fixed(self) -> SizeHW:
        return self._config.shape if isinstance(self._config.shape, tuple) else self._nominal_hw

    def _choose_shape(self, frame_hw: SizeHW) -> SizeHW:
        """The input shape for frames of a size; one that was not planned is compiled now, and that is said."""
        if not self._is_rect:
            return self._choose_fixed()
        wanted = rectangle(frame_hw, self._nominal_hw)
        held = smallest_holding(wanted, self._planned)
        if held is not None and (held == wanted or len(self._planned) >= MAX_SHAPES):
            return held
        # The last place is kept for the shape that holds every frame.
        if len(self._planned) >= MAX_SHAPES - 1:
            wanted = held or self._nominal_hw
        if wanted not in self._planned:
            log.warning(
                "frames of %dx%d were not expected: compiling the model for an input of %dx%d (width x height)",
                *reversed(frame_hw),
                *reversed(wanted),
            )
            self._planned.append(wanted)
        return wanted

    def _compile(self, input_hw: SizeHW) -> OpenVINODevice:
        prepared = self._prepare(self.strategy, input_hw)
        self._outputs[input_hw] = prepared
        return OpenVINODevice(prepared, self._sharing_config(), self._mode, self._core)

    def _prepare(self, strategy: HeadStrategy, input_hw: SizeHW) -> Prepared:
        max_cells = MANY_CELLS if self._detect.conf < LOW_CONF else None
        return prepare(self.model, head=self._head, strategy=strategy, input_hw=input_hw, max_cells=max_cells)

    def _device_config(self) -> DeviceConfig:
        config = self._config
        if config.cache_dir is None:
            import openvino

            config = dataclasses.replace(config, cache_dir=compiled_folder(openvino.__version__) or False)
        return config

    def _sharing_config(self) -> DeviceConfig:
        """How to compile for a run: on many cores, some are left to the other stages."""
        return dataclasses.replace(self._device_config(), threads=self._inference_threads)

    @cached_property
    def _inference_threads(self) -> int | None:
        """Threads for inference: as configured, or what is left when the other stages have theirs."""
        num_left = self._cores_for_stages
        if self._config.threads is not None or self._config.nstreams is not None or not num_left:
            return self._config.threads
        log.info("%d of %d cores are left to reading, preprocessing and postprocessing", num_left, whole_cores())
        return whole_cores() - num_left

    @cached_property
    def _cores_for_stages(self) -> int:
        """How many cores the other stages are to have for themselves; 0 where the device does not use the cores."""
        if self._config.device != "CPU" or self._mode == "sync" or not has_many(whole_cores()):
            return 0
        key = {"what": "cost", "strategy": self.strategy, **self._key(self.input_hw)}
        known = Notebook().read(key)
        if known is None:
            prepared = self._prepare(self.strategy, self.input_hw)
            device = OpenVINODevice(prepared, self._device_config(), self._mode, self._core)
            known = {"inference_ms": inference_cost_ms(device)}
            Notebook().write(key, known)
        return cores_for_stages(whole_cores(), float(known["inference_ms"]))

    def _choose_strategy(self, input_hw: SizeHW, *, may_measure: bool) -> HeadStrategy:
        wanted = self._config.head
        if self._head is None or wanted == "stock":
            return "stock"
        changed = self._changed_heads(self._head)
        can_be_stock = self._choose_fixed() == self.model.input_hw or self._is_dynamic()
        if wanted == "auto" and can_be_stock:
            strategies: list[HeadStrategy] = ["stock", *changed]
            if not may_measure:
                known = remembered_head(strategies, self._key(input_hw), Notebook())
                self._is_provisional = known is None
                return known or "stock"
            return choose_head(
                strategies,
                lambda strategy: self._contender(strategy, input_hw),
                self._is_proved,
                test_picture,
                self._key(input_hw),
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
        return ["host"] if self._detect.multi_label else ["tail", "host"]

    def _is_proved(self, strategy: HeadStrategy) -> bool:
        """Whether a strategy finds what the stock head finds, or did when this model was last on this device."""
        own_hw = self.model.input_hw
        key = {"what": "right", "strategy": strategy, **self._key(own_hw)}
        known = Notebook().read(key)
        if known is None:
            is_right = gives_the_same(
                self._prepare("stock", own_hw),
                self._prepare(strategy, own_hw),
                self._device_config(),
                self._detect,
                self._laying,
                self.model.names,
                self._core,
            )
            known = {"is_right": is_right}
            Notebook().write(key, known)
        return bool(known["is_right"])

    def _contender(self, strategy: HeadStrategy, input_hw: SizeHW) -> Contender:
        """One strategy, compiled; the stock head of a graph with a fixed shape in that shape."""
        own_hw = self.model.input_hw if strategy == "stock" and not self._is_dynamic() else input_hw
        prepared = self._prepare(strategy, own_hw)
        # Always with several in flight: sync and async must come to the same choice, and so to the same bytes.
        device = OpenVINODevice(prepared, self._device_config(), "async", self._core)
        num_slots = num_requests(device.optimal_requests)
        seats = [slot.seat for slot in create_slots(device, num_slots, self._laying)]

        def postprocess_seat(seat: Seat, letterbox: Letterbox) -> Detections:
            try:
                return to_detections(seat.request.outputs, letterbox, prepared.output, self._detect, self.model.names)
            except TooManyCandidatesError:
                return self.redo(seat, letterbox, self._detect)

        return Contender(seats, postprocess_seat)

    def _key(self, input_hw: SizeHW) -> dict[str, Any]:
        import openvino

        from keepbusy.version import __version__

        config = self._config
        return {
            "model": model_fingerprint(self.model.path),
            "device": config.device,
            "device_name": full_device_name(config.device, self._core),
            "precision": config.precision,
            "hint": config.hint,
            "nstreams": config.nstreams,
            "threads": config.threads,
            "input_hw": list(input_hw),
            "is_low_conf": self._detect.conf < LOW_CONF,
            "multi_label": self._detect.multi_label,
            "openvino": openvino.__version__,
            "keepbusy": __version__,
        }


def _find_head(model: Model, config: DeviceConfig) -> Head | None:
    if config.head == "stock" or model.output.is_rewritten:
        return None
    return recall_head(model, Notebook())
