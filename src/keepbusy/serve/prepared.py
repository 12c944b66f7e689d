"""Models that are compiled while a run goes on, to take the place of the one that runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from keepbusy.errors import DeviceError, first_line
from keepbusy.serve.backend import Backend, MakeBackend
from keepbusy.serve.settings import ServeSettings
from keepbusy.threads.channel import Gate

log = logging.getLogger("keepbusy")

LONGEST_PAUSE_S = 900.0
"""Between two attempts at a device that does not work."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that has inferred, and its device."""

    backend: Backend
    device: str


def prepare(
    make: MakeBackend, settings: ServeSettings, device: str, live_fps: float | None, names: tuple[str, ...] = ()
) -> Prepared:
    """Compile a model, and have it infer.

    Args:
        make: Makes the model for a device.
        settings: With the model.
        device: The device.
        live_fps: See `Backend.start`.
        names: The classes that it has to have; empty for any.

    Raises:
        Exception: What it failed with; nothing of it is left then.
    """
    backend = make(settings, device)
    try:
        if names and backend.names != names:
            raise DeviceError("its classes are not those of the model before it")
        backend.start(live_fps).close()  # Its warm-up infers.
    except BaseException:
        backend.close()
        raise
    return Prepared(backend, device)


class Probe:
    """Tries a device that has failed from time to time, in a thread of its own, while another one stands in.

    Args:
        device: The device.
        pause_s: Between two attempts, at first; each next pause is twice as long.
        make: Compiles for the device and has it infer; raises where that fails.
        take: Given what has inferred; returns whether it was taken. Otherwise it is closed, and tried again.

    Attributes:
        ended: Opened where nobody wants it any more.
    """

    def __init__(
        self, device: str, pause_s: float, make: Callable[[], Prepared], take: Callable[[Prepared], bool]
    ) -> None:
        self.ended = Gate()
        self._device = device
        self._pause_s = pause_s
        self._make = make
        self._take = take
        # A driver may hang: that keeps no program from ending.
        self.thread = threading.Thread(target=self._work, name="keepbusy-probe", daemon=True)
        self.thread.start()

    @property
    def is_at_work(self) -> bool:
        """Whether it tries, and somebody wants it."""
        return self.thread.is_alive() and not self.ended.is_open

    def _work(self) -> None:
        pause_s = self._pause_s
        while not self.ended.wait(pause_s):
            pause_s = min(2 * pause_s, max(LONGEST_PAUSE_S, self._pause_s))
            try:
                prepared = self._make()
            except Exception as error:
                log.info("device %s still does not work: %s", self._device, first_line(error))
                continue
            if self._take(prepared):
                return
            prepared.backend.close()
