"""Calls from many threads, each with one picture, on the slots of one model.

    places.py   slots handed out, first come, first served
    growth.py   more slots, once several calls come at once
    calls.py    one call: a slot, and through it preprocessing, inference and postprocessing

One caller after the other uses one slot of a model that was compiled for latency. As soon as a second call comes while
one goes on, a thread makes more slots, and compiles the model a second time, for throughput; nobody waits for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial

from keepbusy.api.growth import Growth
from keepbusy.api.places import Call, Places
from keepbusy.device.slots import Slot
from keepbusy.flow import stages
from keepbusy.flow.run import give_up
from keepbusy.threads.workers import to_the_end
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result, Timings

COMPILE_TIMEOUT_S = 15.0
"""How long closing waits for a model that is being compiled in the background; then its thread is left behind, and ends
when that is done."""


class Calls:
    """Infers single frames for callers in any number of threads. Thread-safe.

    Args:
        make_first: A frame's (height, width), pixels → the first slot, warm. Called by the first call, and again where
            the device never gave back what it was given.
        grow: Makes more slots and adds them to the places, in a thread of its own, when several calls come at once;
            None where all of them are to share the first one.
        postprocess: Outputs → detections; called by several threads at once.
        timeout_s: How long one inference may take.
        device_name: For messages.

    Attributes:
        places: The slots, and who has them.
    """

    def __init__(
        self,
        make_first: Callable[[tuple[int, int]], Slot],
        grow: Callable[[Places], None] | None,
        postprocess: stages.Postprocess,
        timeout_s: float,
        device_name: str,
    ) -> None:
        self._make_first = make_first
        self._postprocess = postprocess
        self._timeout_s = timeout_s
        self._device_name = device_name
        self._process_id = os.getpid()
        self._making = threading.RLock()
        self.places = Places()
        self._growth = None if grow is None else Growth(partial(grow, self.places))

    @property
    def num_now(self) -> int:
        """How many calls are going on or wait."""
        return self.places.num_calls

    @property
    def num_slots(self) -> int:
        """How many frames can be in flight at once; 0 before the first call."""
        return len(self.places.slots)

    @property
    def is_closed(self) -> bool:
        """Whether no calls are taken any more."""
        return self.places.is_closed

    def __call__(self, frame: Frame) -> Result:
        """Infer one frame; what it fails with is in its result.

        Raises:
            KeepbusyError: It was closed.
            DeviceTimeoutError: The device does not answer.
            ModelError: The model does not compile.
        """
        call = Call()
        try:
            return self._serve(call, frame)
        finally:
            self._leave(call)  # Where an interrupt has come between two steps of `_serve`.

    def _serve(self, call: Call, frame: Frame) -> Result:
        places = self.places
        try:
            if places.is_empty:
                self._begin(frame.shape_hw)
            if self._growth is not None and places.num_calls:
                self._growth.start()
            while (slot := places.take(call)) is None:
                self._begin(frame.shape_hw)
            timings = Timings()
            error = stages.start(slot, frame, timings, _no_clock)
            if error is None:
                error = stages.wait(slot, self._timeout_s, self._device_name, _no_clock)
            if error is not None:
                return stages.failure(frame, timings, error)
            result = stages.postprocess(slot, self._postprocess, _no_clock)
            stages.release(slot)
            return result
        finally:
            to_the_end(partial(self._leave, call))

    def _leave(self, call: Call) -> None:
        if self.places.has(call):  # What a call had before it left may be another's by now.
            slot = call.slot
            if slot is not None and slot.frame is not None:
                give_up(slot)
            self.places.leave(call)

    def _begin(self, frame_hw: tuple[int, int]) -> None:
        """Have a first slot. Those who come meanwhile wait, each its turn."""
        with self._making:
            if self.places.is_empty and not self.places.is_closed:
                self.places.add(self._make_first(frame_hw))

    def close(self) -> None:
        """End the calls that wait with an error, wait for those that are on the device, and free the slots.

        Can be called again, and by any thread; does nothing in a forked child.
        """
        if os.getpid() != self._process_id:
            return
        self.places.close(self._timeout_s)
        if self._growth is not None:
            self._growth.close(COMPILE_TIMEOUT_S)
        self.places.close(0.0)


def _no_clock() -> int:
    return 0
