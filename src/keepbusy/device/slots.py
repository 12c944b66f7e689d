"""Slots: the places in flight on a device, each with a warm request for every input shape in use.

A *seat* is one request with what writes into its input. A *slot* has a seat for every input shape in use, and holds one
frame at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keepbusy.device.engine import Device, Request
from keepbusy.errors import DeviceError, DeviceTimeoutError, FrameError, first_line
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import GREY, LETTERBOXED, Laying, Letterbox, Letterboxer
from keepbusy.threads.channel import Gate
from keepbusy.values.frame import Frame
from keepbusy.values.result import Timings

EXTRA_REQUESTS = 2
"""Slots above what the device calls optimal, at least: one being filled and one being emptied while it works on the
rest."""

REQUESTS_A_STREAM = 2
"""For each that it calls optimal: results leave in order, and of many in flight some always finish out of it."""

COMPILE_WARM_UP_TIMEOUT_S = 300.0
"""The first inference may build kernels: on a GPU without a cache it has been seen to take minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """One request and what writes into its input."""

    request: Request
    letterboxer: Letterboxer


class Seats:
    """Where slots get their seats from: the device in every input shape in use. Thread-safe.

    A shape is compiled when its first seat is asked for. That takes seconds, in the thread that asks; whoever asks
    meanwhile for another shape that is not compiled waits, too.

    Args:
        input_hw_for: A frame's (height, width) → the input's, pixels; the same each time it is asked.
        compile_for: An input's (height, width), pixels → the device with the model compiled for it.
        laying: How frames are laid into the input.
    """

    def __init__(
        self,
        input_hw_for: Callable[[SizeHW], SizeHW],
        compile_for: Callable[[SizeHW], Device],
        laying: Laying = LETTERBOXED,
    ) -> None:
        self.input_hw_for = input_hw_for
        self._compile_for = compile_for
        self._laying = laying
        self._devices: dict[SizeHW, Device] = {}
        self._lock = threading.RLock()

    def device(self, input_hw: SizeHW) -> Device:
        """The device in one shape; compiled at the first call."""
        found = self._devices.get(input_hw)
        if found is not None:
            return found
        with self._lock:
            if input_hw not in self._devices:
                self._devices[input_hw] = self._compile_for(input_hw)
            return self._devices[input_hw]

    def create(self, input_hw: SizeHW) -> Seat:
        """A seat whose request is warm."""
        with self._lock:
            return _create_seat(self.device(input_hw), self._laying)

    def warm(self, slots: Sequence[Slot], input_hw: SizeHW) -> None:
        """Have a seat of one shape in each of some slots, which may be in use meanwhile with frames of other shapes."""
        with self._lock:
            for slot in slots:
                slot.warm(input_hw)


class Slot:
    """One place in flight: a request in each input shape that it has met, and the frame now in it.

    One thread at a time may use it; `warm` may be called by another one meanwhile.

    Args:
        seat: The request to begin with.
        seats: Where requests for other frames come from; None where all frames take the same.

    Attributes:
        seat: The request of the frame now in it.
        frame: That frame; None where the slot is free.
        letterbox: How it was laid into the input.
        timings: Its times.
        error: Why the frame could not be started; None where it could.
        tried: Open once the frame has been started, or could not be.
        is_lost: Whether the device never gave it back: it cannot be used again.
    """

    __slots__ = (
        "_frame_hw",
        "_more_seats",
        "_seats",
        "error",
        "frame",
        "is_lost",
        "letterbox",
        "seat",
        "timings",
        "tried",
    )

    def __init__(self, seat: Seat, seats: Seats | None = None) -> None:
        self.seat = seat
        self.frame: Frame | None = None
        self.letterbox: Letterbox | None = None
        self.timings = Timings()
        self.error: FrameError | None = None
        self.tried = Gate()
        self.is_lost = False
        self._more_seats = seats
        self._seats: dict[SizeHW, Seat] = {} if seats is None else {seat.request.input.shape[:2]: seat}
        self._frame_hw: SizeHW | None = None

    @property
    def request(self) -> Request:
        """The request of the frame now in it."""
        return self.seat.request

    def request_for(self, input_hw: SizeHW) -> Request:
        """The warm request in an input shape."""
        self.warm(input_hw)
        return self._seats[input_hw].request if self._more_seats is not None else self.seat.request

    def turn_to(self, frame_hw: SizeHW) -> None:
        """Take the request whose input is right for frames of a size; where there is none yet, it is made now."""
        if self._more_seats is None or frame_hw == self._frame_hw:
            return
        input_hw = self._more_seats.input_hw_for(frame_hw)
        self.warm(input_hw)
        self.seat = self._seats[input_hw]
        self._frame_hw = frame_hw

    def warm(self, input_hw: SizeHW) -> None:
        """Have a warm request in an input shape. Any thread may call it, also while a frame of another shape is in it.

        A seat that is there is never replaced: it may be in flight.
        """
        if self._more_seats is not None and input_hw not in self._seats:
            self._seats.setdefault(input_hw, self._more_seats.create(input_hw))


class ReadySlots:
    """The slots of one run, made ready for frames of sizes that nobody foresaw. Thread-safe.

    Args:
        slots: All of the run's.
        seats: Where their seats come from.
        ready: The input shapes, (height, width) in pixels, that everything is ready for.
        make_more: Makes what a new input shape needs beside its seats.
    """

    def __init__(
        self, slots: Sequence[Slot], seats: Seats, ready: Sequence[SizeHW], make_more: Callable[[SizeHW], None]
    ) -> None:
        self._slots = tuple(slots)
        self._seats = seats
        self._ready = set(ready)
        self._make_more = make_more

    def make_ready(self, frame_hw: SizeHW) -> None:
        """Have a warm request for frames of a size in every slot. Returns at once where there are; compiles otherwise.

        To be called by whoever may be held up for seconds, before it hands on a frame of that size.

        Args:
            frame_hw: The frames' (height, width), pixels.

        Raises:
            ModelError: The model does not compile for it.
            DeviceError: A request cannot be made, or its first inference fails.
        """
        input_hw = self._seats.input_hw_for(frame_hw)
        if input_hw in self._ready:
            return
        self._seats.warm(self._slots, input_hw)
        self._make_more(input_hw)
        self._ready.add(input_hw)


def create_slots(
    device: Device,
    num_slots: int,
    laying: Laying = LETTERBOXED,
    seats: Seats | None = None,
) -> list[Slot]:
    """Make slots and warm each of them up, one after the other.

    Serially, because the first inference of a request may still compile or allocate, and doing so in several at
    once has been seen to fail.

    Args:
        device: What makes the requests.
        num_slots: How many.
        laying: How frames are laid into the input.
        seats: Where requests for frames of other shapes come from.

    Raises:
        DeviceError: A request cannot be made, or its first inference fails.
    """
    return [Slot(_create_seat(device, laying), seats) for _ in range(num_slots)]


def _create_seat(device: Device, laying: Laying) -> Seat:
    try:
        request = device.create_request()
        request.input[...] = GREY
        request.start()
        is_done = request.wait(COMPILE_WARM_UP_TIMEOUT_S)
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(f"device {device.name}: the first inference failed: {first_line(error)}") from error
    if not is_done:
        raise DeviceTimeoutError(f"device {device.name}: the first inference took over {COMPILE_WARM_UP_TIMEOUT_S:g} s")
    return Seat(request, Letterboxer(request.input, laying))


def num_requests(optimal: int) -> int:
    """How many slots keep a device busy that calls so many requests optimal."""
    return max(optimal + EXTRA_REQUESTS, REQUESTS_A_STREAM * optimal)
