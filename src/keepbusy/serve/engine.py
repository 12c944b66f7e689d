"""Keeps one run going, whatever the device does.

A device that hangs ends its run after `device_timeout_s`; one that fails frame after frame is given up, too. What was
on it is given up and counted. Then the model is compiled anew: for the same device first, for the CPU where that fails
or the device fails again at once. Where the CPU stands in, the device is tried again from time to time, in a thread of
its own, and taken back when it infers.

Where another model is to take its place although nothing has failed, that is compiled in a thread, too, and the run
goes on until it has inferred.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from keepbusy.errors import DeviceError, KeepbusyError, first_line
from keepbusy.flow.run import Run
from keepbusy.serve.backend import Backend, DeviceFacts, MakeBackend
from keepbusy.serve.settings import ServeSettings
from keepbusy.threads.channel import Gate
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")

FAILURES_IN_A_ROW = 8
"""So many frames that fail on the device, with none between them that does not: the device has failed."""

PROVEN_S = 30.0
"""A device that fails again sooner than this is not tried a third time in a row."""

MAX_WAIT_S = 60.0
"""The longest wait where no device works at all."""

FALLBACK = "CPU"

EngineState = Literal["compiling", "running", "recovering", "failed", "stopped"]
"""`compiling`: for the first time. `recovering`: after a failure. `failed`: no device works; tried again soon."""


class Owner:
    """Who is told what the engine does; all but `told` in the engine's thread."""

    def live_fps(self) -> float | None:
        """How many frames per second its streams bring together; None where they are not all live."""
        return None

    def begin(self, run: Run, backend: Backend) -> None:
        """A run has begun: streams are to be added to it."""

    def take(self, result: Result) -> None:
        """A result."""

    def end(self) -> None:
        """The run is over, and all that was in flight is counted."""

    def told(self, kind: str, text: str) -> None:
        """Something that people should know."""


@dataclass(slots=True)
class Counts:
    """How often the device has failed, and the model was compiled anew."""

    failures: int = 0
    recoveries: int = 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A model that was compiled beside the run, and its device."""

    backend: Backend
    device: str


class Engine:
    """Thread-safe, except for the methods of its thread.

    Args:
        settings: The configuration.
        make: Makes the model for a device.
        owner: Who is told.

    Attributes:
        state: What it does.
        facts: What runs where; None while nothing does.
        error: What it failed with the last time; empty where it has not since it runs.
        counts: See there.
        run: The run that goes on; None between two.
    """

    def __init__(self, settings: ServeSettings, make: MakeBackend, owner: Owner) -> None:
        self.state: EngineState = "compiling"
        self.facts: DeviceFacts | None = None
        self.error = ""
        self.counts = Counts()
        self.run: Run | None = None
        self._settings = settings
        self._make = make
        self._owner = owner
        self._lock = threading.RLock()
        self._over = Gate()
        self._woken = Gate()
        self._has_run = False
        self._is_changed = False
        self._is_full = False
        self._next: _Prepared | None = None
        self._names: tuple[str, ...] = ()
        self._num_in_a_row = 0
        self._give_up = ""
        self._thread = threading.Thread(target=self._work, name="keepbusy-engine")
        self._probe: threading.Thread | None = None
        self._probing = Gate()
        self._preparing: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def change(self, settings: ServeSettings) -> None:
        """Go on with other settings: the model is compiled anew for them."""
        with self._lock:
            self._settings, self._is_changed, self._is_full = settings, True, False
        self._woken.open()
        self._break_off()

    @property
    def is_preparing(self) -> bool:
        """Whether a model is being compiled that is to take the place of the one that runs."""
        return self._preparing is not None and self._preparing.is_alive()

    def prepare(self, settings: ServeSettings, *, is_full: bool, on_failure: Callable[[str], None]) -> None:
        """Go on with another model of the same classes, when it has inferred; until then the run goes on as it is.

        To be called where none is being prepared.

        Args:
            settings: With that model.
            is_full: Whether the device is to be used as fully as can be, also where frames come one by one.
            on_failure: Told where it does not compile, or has other classes.
        """
        work = partial(self._prepare, settings, is_full, on_failure)
        self._preparing = threading.Thread(target=work, name="keepbusy-prepare")
        self._preparing.start()

    def close(self, timeout_s: float) -> bool:
        """End; returns whether its threads have ended within some seconds. A device that hangs may keep them."""
        until_s = time.monotonic() + timeout_s
        self._over.open()
        self._probing.open()
        self._woken.open()
        # Closing a run waits for the device.
        closing = threading.Thread(target=self._break_off, name="keepbusy-closing")
        closing.start()
        beside = (self._probe, self._preparing)
        threads = [closing, self._thread, *(thread for thread in beside if thread is not None)]
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _break_off(self) -> None:
        run = self.run
        if run is not None:
            run.close()

    def _work(self) -> None:
        """The engine's thread."""
        device, num_failures, wait_s = self._settings.device, 0, 1.0
        while not self._over.is_open:
            with self._lock:
                prepared, self._next = self._next, None
                if self._is_changed or prepared is not None:
                    self._is_changed, num_failures = False, 0
                    device = self._settings.device if prepared is None else prepared.device
            begin_s = time.monotonic()
            self._has_run = False
            try:
                self._go_on(prepared, device)
                continue  # Its settings were changed, or it is over.
            except Exception as error:
                self._failed(device, error)
            has_lasted = self._has_run and time.monotonic() - begin_s >= PROVEN_S
            num_failures, wait_s = (1, 1.0) if has_lasted else (num_failures + 1, wait_s)
            self.state = "recovering"
            if num_failures == 1 and self._has_run:
                self._owner.told("device", f"compiling the model anew for {device}")
            elif device != FALLBACK:
                device, num_failures = FALLBACK, 0
                self._owner.told("device", f"{FALLBACK} stands in for {self._settings.device}")
            else:
                self.state = "failed"
                self._owner.told("device", f"no device works: trying again in {wait_s:g} s")
                self._wait(wait_s)
                device, num_failures, wait_s = self._settings.device, 0, min(2 * wait_s, MAX_WAIT_S)
        self.state = "stopped"

    def _wait(self, wait_s: float) -> None:
        """Wait, unless something is changed meanwhile."""
        self._woken.shut()
        if not self._over.is_open and not self._is_changed:
            self._woken.wait(wait_s)

    def _failed(self, device: str, error: Exception) -> None:
        self.counts.failures += 1
        self.error = error.message if isinstance(error, KeepbusyError) else first_line(error)
        self._owner.told("device", f"device {device} has failed: {self.error}")

    def _go_on(self, prepared: _Prepared | None, device: str) -> None:
        """One run, to its end.

        Raises:
            KeepbusyError: The model does not compile, or the device has failed.
        """
        is_first = self.counts.failures == 0
        self.state = "compiling" if is_first else "recovering"
        backend = self._make(self._settings, device) if prepared is None else prepared.backend
        try:
            with backend.start(self._live_fps()) as run:
                self.run, self._give_up, self._num_in_a_row = run, "", 0
                if self._over.is_open or self._is_changed:
                    return
                self.facts, self.state, self._has_run = backend.facts(), "running", True
                self._names = backend.names
                if not is_first:
                    self.counts.recoveries += 1
                how = f", compiled for {self.facts.hint}" if self.facts.hint else ""
                self._owner.told("device", f"running on {self.facts.device} ({self.facts.full_name}){how}")
                self._begin_probing(device)
                self._owner.begin(run, backend)
                try:
                    for result in run:
                        self._look_at(result, run)
                        self._owner.take(result)
                finally:
                    run.close()
                    self._owner.end()
                if self._give_up:
                    raise DeviceError(self._give_up)
        finally:
            self.run = None
            self._probing.open()
            backend.close()

    def _live_fps(self) -> float | None:
        return None if self._is_full else self._owner.live_fps()

    def _look_at(self, result: Result, run: Run) -> None:
        """See whether the device still does what it should."""
        error = result.error
        if error is None:
            self._num_in_a_row, self.error = 0, ""
        elif error.stage == "infer":
            self._num_in_a_row += 1
            if self._num_in_a_row >= FAILURES_IN_A_ROW and not self._give_up:
                self._give_up = f"{self._num_in_a_row} frames in a row have failed: {error.reason}"
                run.close()

    def _begin_probing(self, device: str) -> None:
        """Where another device stands in: try the one that is wanted from time to time."""
        self._probing = Gate()
        if device == self._settings.device or (self._probe is not None and self._probe.is_alive()):
            return
        self._probe = threading.Thread(
            target=self._try_again, args=(self._settings, self._probing), name="keepbusy-probe"
        )
        self._probe.start()

    def _try_again(self, settings: ServeSettings, ended: Gate) -> None:
        """The probing thread."""
        wait_s = settings.device_retry_s
        while not ended.wait(wait_s):
            wait_s = min(2 * wait_s, max(900.0, settings.device_retry_s))
            backend: Backend | None = None
            with self._lock:
                settings = self._settings
            try:
                backend = self._make(settings, settings.device)
                backend.start(self._live_fps()).close()  # Its warm-up infers.
            except Exception as error:
                log.info("device %s still does not work: %s", settings.device, first_line(error))
                if backend is not None:
                    backend.close()
                continue
            with self._lock:
                if ended.is_open or self._is_changed or self._over.is_open:
                    backend.close()
                    return
                if settings is not self._settings or self._next is not None:  # Another model came meanwhile.
                    backend.close()
                    continue
                self._next = _Prepared(backend, settings.device)
            self._owner.told("device", f"device {settings.device} works again: going back to it")
            self._break_off()
            return

    def _prepare(self, settings: ServeSettings, is_full: bool, on_failure: Callable[[str], None]) -> None:
        """The preparing thread."""
        backend: Backend | None = None
        with self._lock:
            facts, before = self.facts, self._settings
        device = settings.device if facts is None else facts.device
        try:
            backend = self._make(settings, device)
            if self._names and backend.names != self._names:
                raise DeviceError("its classes are not those of the model before it")
            backend.start(None if is_full else self._owner.live_fps()).close()  # Its warm-up infers.
        except Exception as error:
            if backend is not None:
                backend.close()
            on_failure(error.message if isinstance(error, KeepbusyError) else first_line(error))
            return
        with self._lock:
            if self._over.is_open or self._next is not None or before is not self._settings:
                backend.close()
                on_failure("another model has come meanwhile")
                return
            self._settings, self._is_full, self._next = settings, is_full, _Prepared(backend, device)
        self._break_off()
