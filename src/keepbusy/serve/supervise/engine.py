"""Keeps one run going, whatever the device does.

A device that hangs ends its run after `device_timeout_s`; one that fails frame after frame is given up, too. What was
on it is given up and counted. Then the model is compiled anew: for the same device first, for the CPU where that fails,
takes too long, or the device fails again at once. Where the CPU stands in, the device is tried again from time to time,
in a thread of its own, and taken back when it infers.

Detection goes on within ten seconds: `device_timeout_s` (3 s), what closing a run waits for (1.5 s), `AGAIN_S`, and the
CPU's own compiling.

Where another model is to take its place although nothing has failed, that is compiled in a thread, too, and the run
goes on until it has inferred.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from keepbusy.errors import DeviceError, KeepbusyError, first_line
from keepbusy.flow.run import Run
from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.supervise.attempt import Attempt
from keepbusy.serve.supervise.backend import Backend, DeviceFacts, MakeBackend
from keepbusy.serve.supervise.prepared import Prepared, Probe, prepare
from keepbusy.threads.channel import Gate
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")

FAILURES_IN_A_ROW = 8
"""So many frames that fail on the device, with none between them that does not: the device has failed."""

PROVEN_S = 30.0
"""A device that fails again sooner than this is not tried a third time in a row."""

FIRST_S = 120.0
"""So long the first compiling for a device may take, its first inference included, before the CPU stands in. Drivers
that compile a large model for the first time take minutes."""

AGAIN_S = 3.0
"""The same after a failure: what was compiled before is in the cache, or the device hangs. The CPU stands in meanwhile,
and the device is tried again behind it."""

READS_S = 1.0
"""How long a run that is over waits for reads that go on: cameras that do not answer hold up nobody."""

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


class _Course:
    """Which device is tried next, and how long compiling for it may take."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.compiling_s = FIRST_S
        self._num_failures = 0
        self._pause_s = 1.0

    def begin_anew(self, device: str) -> None:
        """Nothing is known of a device yet."""
        self.device, self.compiling_s, self._num_failures = device, FIRST_S, 0

    def go_on_behind_failure(self, wanted: str, lasted_s: float | None) -> tuple[str, float]:
        """Choose what is tried next: the same device, the fallback, or, after a pause, the one that is wanted.

        Args:
            wanted: The device of the configuration.
            lasted_s: How long it has run, seconds; None where it has not.

        Returns:
            What to tell people, and the pause, seconds.
        """
        self.compiling_s = AGAIN_S
        if lasted_s is not None and lasted_s >= PROVEN_S:
            self._num_failures, self._pause_s = 0, 1.0
        self._num_failures += 1
        if self._num_failures == 1 and lasted_s is not None:
            return f"compiling the model anew for {self.device}", 0.0
        if self.device != FALLBACK:
            self.device, self._num_failures = FALLBACK, 0
            return f"{FALLBACK} stands in for {wanted}", 0.0
        pause_s = self._pause_s
        self.device, self._num_failures, self._pause_s = wanted, 0, min(2 * pause_s, MAX_WAIT_S)
        return f"no device works: trying again in {pause_s:g} s", pause_s


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
        self._next: Prepared | None = None
        self._names: tuple[str, ...] = ()
        self._num_in_a_row = 0
        self._give_up = ""
        self._thread = threading.Thread(target=self._work, name="keepbusy-engine")
        self._attempt: Attempt | None = None
        self._compiling: list[threading.Thread] = []
        self._probe: Probe | None = None
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
        self._preparing = threading.Thread(target=work, name="keepbusy-prepare", daemon=True)
        self._preparing.start()

    def close(self, timeout_s: float) -> bool:
        """End; returns whether its threads have ended within some seconds. A device that hangs may keep them."""
        until_s = time.monotonic() + timeout_s
        self._over.open()
        self._woken.open()
        # Closing a run waits for the device.
        closing = threading.Thread(target=self._break_off, name="keepbusy-closing")
        closing.start()
        threads = [closing, self._thread, *filter(None, [self._preparing])]
        if (probe := self._probe) is not None:
            probe.ended.open()
            threads.append(probe.thread)
        return all([_have_ended(threads, until_s), _have_ended(self._compiling, until_s)])

    def _break_off(self) -> None:
        run, attempt = self.run, self._attempt
        if attempt is not None:
            attempt.give_up()
        if run is not None:
            run.close()

    def _work(self) -> None:
        """The engine's thread."""
        course = _Course(self._settings.device)
        while not self._over.is_open:
            with self._lock:
                prepared, self._next = self._next, None
                if self._is_changed or prepared is not None:
                    self._is_changed = False
                    course.begin_anew(self._settings.device if prepared is None else prepared.device)
            begin_s = time.monotonic()
            self._has_run = False
            try:
                self._go_on(prepared, course.device, course.compiling_s)
                continue  # Its settings were changed, or it is over.
            except Exception as error:
                self.counts.failures += 1
                self.error = _told(error)
                self._owner.told("device", f"device {course.device} has failed: {self.error}")
            lasted_s = time.monotonic() - begin_s if self._has_run else None
            text, pause_s = course.go_on_behind_failure(self._settings.device, lasted_s)
            self.state = "failed" if pause_s else "recovering"
            self._owner.told("device", text)
            if pause_s:
                self._wait(pause_s)
        self.state = "stopped"

    def _wait(self, wait_s: float) -> None:
        """Wait, unless something is changed meanwhile."""
        self._woken.shut()
        if not self._over.is_open and not self._is_changed:
            self._woken.wait(wait_s)

    def _go_on(self, prepared: Prepared | None, device: str, compiling_s: float) -> None:
        """One run, to its end.

        Args:
            prepared: A model that is compiled already.
            device: The device.
            compiling_s: How long compiling may take.

        Raises:
            KeepbusyError: The model does not compile, or the device has failed.
        """
        is_first = self.counts.failures == 0
        self.state = "compiling" if is_first else "recovering"
        made = self._compile(prepared, device, compiling_s)
        if made is None:
            return
        backend, run = made
        try:
            with run:
                run.wait_for_reads(READS_S)
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
            if self._probe is not None:
                self._probe.ended.open()
            backend.close()

    def _compile(self, prepared: Prepared | None, device: str, timeout_s: float) -> tuple[Backend, Run] | None:
        """A model and a run of it; None where it is not wanted any more.

        Raises:
            KeepbusyError: It does not compile, or takes too long although another device could stand in.
        """
        settings = self._settings
        attempt = Attempt(
            lambda: self._make(settings, device) if prepared is None else prepared.backend, self._live_fps()
        )
        self._attempt = attempt
        self._compiling = [*(one for one in self._compiling if one.is_alive()), attempt.thread]
        if self._over.is_open or self._is_changed or self._next is not None:
            attempt.give_up()
        try:
            # Behind the fallback there is nothing: it may take as long as it takes.
            made = attempt.result(timeout_s if device != FALLBACK else threading.TIMEOUT_MAX)
            if made is None and not (self._over.is_open or self._is_changed or self._next is not None):
                attempt.give_up()
                raise DeviceError(f"device {device}: compiling the model has taken over {timeout_s:g} s")
        finally:
            self._attempt = None
        return made

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
        settings = self._settings
        if device == settings.device or (self._probe is not None and self._probe.is_at_work):
            return

        def make() -> Prepared:
            nonlocal settings
            settings = self._settings
            return prepare(self._make, settings, settings.device, self._live_fps())

        def take(prepared: Prepared) -> bool:
            with self._lock:
                # Another model may have come meanwhile.
                if self._is_changed or self._over.is_open or settings is not self._settings or self._next is not None:
                    return False
                self._next = prepared
            self._owner.told("device", f"device {prepared.device} works again: going back to it")
            self._break_off()
            return True

        self._probe = Probe(settings.device, settings.device_retry_s, make, take)

    def _prepare(self, settings: ServeSettings, is_full: bool, on_failure: Callable[[str], None]) -> None:
        """The preparing thread."""
        with self._lock:
            facts, before = self.facts, self._settings
        device = settings.device if facts is None else facts.device
        try:
            prepared = prepare(self._make, settings, device, None if is_full else self._owner.live_fps(), self._names)
        except Exception as error:
            on_failure(_told(error))
            return
        with self._lock:
            is_late = self._over.is_open or self._next is not None or before is not self._settings
            if not is_late:
                self._settings, self._is_full, self._next = settings, is_full, prepared
        if is_late:
            prepared.backend.close()
            on_failure("another model has come meanwhile")
        else:
            self._break_off()


def _told(error: Exception) -> str:
    return error.message if isinstance(error, KeepbusyError) else first_line(error)


def _have_ended(threads: Sequence[threading.Thread], until_s: float) -> bool:
    """Whether all that were started end before a moment of the monotonic clock."""
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, until_s - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
