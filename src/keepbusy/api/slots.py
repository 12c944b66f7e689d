"""The slots of a compiled model, kept from one run to the next."""

from __future__ import annotations

from collections.abc import Mapping

from keepbusy.device.compiled import CompiledModel
from keepbusy.device.engine import Request
from keepbusy.device.slots import Slot


class Slots:
    """The slots of a compiled model, ready for the frames of the next run. Not thread-safe.

    Args:
        compiled: The model.

    Attributes:
        own_cores: The cores that inference leaves to the other stages.
    """

    def __init__(self, compiled: CompiledModel) -> None:
        self.own_cores: frozenset[int] = frozenset()
        self._compiled = compiled
        self._slots: list[Slot] = []
        self._num_choices = 0

    def plan(
        self, sizes_hw: Mapping[tuple[int, int], int], num_frames: int | None = None, live_fps: float | None = None
    ) -> None:
        """Compile for the frames to come, and replace the slots that a device never gave back.

        Args:
            sizes_hw: (height, width), pixels → how many frames have it.
            num_frames: How many there will be in all; None where that is not known.
            live_fps: How many come per second, where all are live; None where they are not, or it is not known.

        Raises:
            ModelError: The model does not compile.
        """
        self._compiled.plan(sizes_hw, num_frames, live_fps)
        if self._num_choices != self._compiled.num_choices:
            self._slots, self._num_choices = [], self._compiled.num_choices
        if not self._slots:
            self._slots = self._compiled.create_slots()
            self.own_cores = self._compiled.cores_beside(self._slots)
        kept = [slot for slot in self._slots if not slot.is_lost]
        if num_lost := len(self._slots) - len(kept):
            self._slots = kept + self._compiled.create_slots(num_lost)
        self._compiled.warm(self._slots)
        if live_fps is not None:  # Beside the frames, compiling would make the first results old.
            self._compiled.make_fallbacks()

    def warm_requests(self) -> list[Request]:
        """Their warm requests in the main shape; compiles where that is not done."""
        if not self._slots:
            self.plan({})
        return [slot.request_for(self._compiled.input_hw) for slot in self._slots]

    def free(self) -> None:
        """Let go of them all."""
        self._slots = []

    @property
    def all(self) -> tuple[Slot, ...]:
        """The slots; none before the model has been compiled."""
        return tuple(self._slots)
