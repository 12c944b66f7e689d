"""Which input shapes frames are inferred in, for one model and its options: decided here, compiled elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence

from keepbusy.config import DeviceConfig
from keepbusy.errors import ConfigError
from keepbusy.models.head import Head, fixed_by
from keepbusy.models.load import Model
from keepbusy.models.shapes import MAX_SHAPES, SizeHW, plan_shapes, rectangle, smallest_holding
from keepbusy.pictures.letterbox import CELL_PX

log = logging.getLogger("keepbusy")


class InputShapes:
    """Which input shapes frames are inferred in: few, and planned before the frames come where that is possible.

    Thread-safe, except for `plan`, `keep_fixed` and `take`, which one thread at a time may call.

    Args:
        model: As loaded.
        config: What was asked for: `imgsz` and `shape`.
        head: The model's head, if it is one that can be replaced: its grids are then made anew for each shape.

    Attributes:
        nominal_hw: The model's own input, or the one that was asked for: (height, width), pixels.
        fixed_hw: The one input of all frames where there are no rectangles: (height, width), pixels.
        main_hw: The input of most frames; None before anything is planned.
        kept_by: The operation that keeps a network whose head was found to its own input; "" where none does.

    Raises:
        ConfigError: The graph cannot take the shape that was asked for.
    """

    def __init__(self, model: Model, config: DeviceConfig, head: Head | None) -> None:
        self.nominal_hw: SizeHW = config.imgsz or model.input_hw
        self.fixed_hw: SizeHW = config.shape if isinstance(config.shape, tuple) else self.nominal_hw
        self.main_hw: SizeHW | None = None
        self._model = model
        self.kept_by = ""
        if model.input.is_fixed and head is not None:
            self.kept_by = fixed_by(model.graph, head, model.input_hw, model.input.shape)
        self._can_reshape = not model.input.is_fixed or (head is not None and not self.kept_by)
        self._could_be_rectangles = self._are_rectangles = self._wants_rectangles(config)
        self._planned: list[SizeHW] = []
        self._chosen: dict[SizeHW, SizeHW] = {}
        self._were_told = False
        self._lock = threading.Lock()
        self._check(head)

    def _wants_rectangles(self, config: DeviceConfig) -> bool:
        can = self._model.input.fit == "letterbox" and self._can_reshape
        if config.shape == "rect" and not can:
            why = f" ({self.kept_by})" if self.kept_by else ""
            log.warning("%s: its network or its head does not take other input shapes%s: square", self._model.path, why)
        return config.shape in ("rect", "auto") and can

    def _check(self, head: Head | None) -> None:
        model, wanted = self._model, self.fixed_hw
        if wanted != model.input_hw and not self._are_rectangles and not self._can_reshape:
            raise ConfigError(
                f"{model.path}: has a fixed input of {model.input_hw[0]}x{model.input_hw[1]} "
                f"(height x width), not {wanted[0]}x{wanted[1]}, and its head is not one that can be replaced",
                hint="leave `imgsz` and `shape` out, or export the model with a dynamic input (--dynamic); "
                "model-info tells more",
            )
        if head is not None and wanted != model.input_hw and any(side % CELL_PX for side in wanted):
            raise ConfigError(
                f"input size {wanted[0]}x{wanted[1]}: its sides are not multiples of {CELL_PX}",
                hint=f"give {' x '.join(str(-(-side // CELL_PX) * CELL_PX) for side in wanted)} (height x width)",
            )

    @property
    def are_rectangles(self) -> bool:
        """Whether inputs are cut to what the frames cover."""
        return self._are_rectangles

    @property
    def can_be_as_exported(self) -> bool:
        """Whether the graph as exported takes `fixed_hw`."""
        return self.fixed_hw == self._model.input_hw or not self._model.input.is_fixed

    @property
    def planned(self) -> list[SizeHW]:
        """The input shapes in use: (height, width), pixels."""
        return list(self._planned)

    def plan(self, frame_sizes: Mapping[SizeHW, int]) -> list[SizeHW]:
        """The shapes for frames of some sizes, the one for the largest frames first. Nothing is changed.

        Args:
            frame_sizes: (height, width) → how many frames have it; empty where nothing is known: what was planned
                before is as good a guess as any then.
        """
        if not frame_sizes and self._planned and self._are_rectangles:
            return self.planned
        return self._shapes_for(frame_sizes, are_rectangles=self._are_rectangles)

    def plan_replaced(self, frame_sizes: Mapping[SizeHW, int]) -> list[SizeHW]:
        """What `plan` would give had `keep_fixed` not been heard: the shapes of a head that is replaced."""
        return self._shapes_for(frame_sizes, are_rectangles=self._could_be_rectangles)

    def _shapes_for(self, frame_sizes: Mapping[SizeHW, int], *, are_rectangles: bool) -> list[SizeHW]:
        if are_rectangles and frame_sizes:
            return plan_shapes(frame_sizes, self.nominal_hw)
        return [self.fixed_hw]

    def keep_fixed(self) -> None:
        """Hear that the graph runs as exported: one whose input is fixed then takes no other shape."""
        if self._model.input.is_fixed:
            self._are_rectangles = False

    def take(self, shapes: Sequence[SizeHW], frame_sizes: Collection[SizeHW]) -> None:
        """Use some shapes from now on.

        Args:
            shapes: What `plan` has given.
            frame_sizes: The sizes, (height, width), that it was given: such frames use the smallest shape that holds
                them, and no other.
        """
        with self._lock:
            planned = [*self._planned, *(shape for shape in shapes if shape not in self._planned)]
            self._were_told |= bool(frame_sizes)
            if self._are_rectangles:
                for frame_hw in frame_sizes:
                    held = smallest_holding(rectangle(frame_hw, self.nominal_hw), planned)
                    if held is not None:
                        self._chosen.setdefault(frame_hw, held)
            # Last, so that a choice that was interrupted is made again.
            self._planned, self.main_hw = planned, self.main_hw or shapes[0]

    def input_hw_for(self, frame_hw: SizeHW) -> SizeHW:
        """The input shape for frames of a size: the same one each time it is asked for. One more may be in use then.

        Args:
            frame_hw: The frames' (height, width), pixels.
        """
        chosen = self._chosen.get(frame_hw)
        if chosen is None:
            with self._lock:
                chosen = self._chosen.setdefault(frame_hw, self._choose(frame_hw))
        return chosen

    def _choose(self, frame_hw: SizeHW) -> SizeHW:
        if not self._are_rectangles:
            return self.fixed_hw
        wanted = rectangle(frame_hw, self.nominal_hw)
        held = smallest_holding(wanted, self._planned)
        if held is not None and (held == wanted or len(self._planned) >= MAX_SHAPES):
            return held
        # The last place is kept for the shape that holds every frame.
        if len(self._planned) >= MAX_SHAPES - 1:
            wanted = held or self.nominal_hw
        if wanted not in self._planned:
            # Where streams are only added to a run, no size is expected.
            log.log(
                logging.WARNING if self._were_told else logging.INFO,
                "frames of %dx%d%s: compiling the model for an input of %dx%d (width x height)",
                *reversed(frame_hw),
                " were not expected" if self._were_told else "",
                *reversed(wanted),
            )
            self._planned.append(wanted)
        return wanted
