"""The streams by their names: added, changed, removed, and brought in line with a configuration."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from keepbusy.errors import ConfigError
from keepbusy.flow.run import Run
from keepbusy.serve.configuration.secrets import Secrets, secrets_in
from keepbusy.serve.configuration.settings import MAX_STREAMS, ServeSettings, StreamSettings
from keepbusy.serve.supervise.backend import detect_config
from keepbusy.serve.supervise.served import Origin, Served

Tell = Callable[[str, str], None]
"""A stream's name, and what has become of it."""


class Roster:
    """Thread-safe.

    Args:
        settings: The configuration, checked.
        tell: Told of what is added, changed and removed.

    Attributes:
        settings: The configuration in force.
        secrets: What must not be shown.
        names: The class names; empty until they are known.
    """

    def __init__(self, settings: ServeSettings, tell: Tell) -> None:
        self.settings = settings
        self.secrets = Secrets()
        self.secrets.learn(settings)
        self.names: tuple[str, ...] = ()
        self._tell = tell
        self._served: dict[str, Served] = {}
        self._by_id: dict[int, Served] = {}
        self._run: Run | None = None
        self._next_number = 0
        self._closing: list[threading.Thread] = []
        self._lock = threading.RLock()

    @property
    def all(self) -> list[Served]:
        """All streams, in their order."""
        return list(self._served.values())

    @property
    def numbered(self) -> Mapping[int, Served]:
        """The streams of the run that goes on, by their numbers in it."""
        return self._by_id

    @property
    def wanted_fps(self) -> float | None:
        """How many frames per second all streams bring together; None where one is no camera, or there is none."""
        each = [served.wanted_fps for served in self.all]
        known = [fps for fps in each if fps is not None]
        return sum(known) if known and len(known) == len(each) else None

    def find(self, name: str) -> Served | None:
        """The stream of a name."""
        return self._served.get(name)

    def add(self, stream: StreamSettings, origin: Origin) -> Served:
        """Add a stream.

        Raises:
            ConfigError: There is one of that name, there are too many, or the model has no such class.
            KeepbusyError: A sink cannot be made.
        """
        with self._lock:
            if stream.name in self._served:
                raise ConfigError(f"name: there is a stream {stream.name} already", hint="remove that one first")
            if len(self._served) >= MAX_STREAMS:
                raise ConfigError(f"streams: there are {MAX_STREAMS} already")
            self._check(stream)
            served = self._join(stream, origin)
        self._tell(stream.name, f"added: {served.source}")
        return served

    def change(self, name: str, stream: StreamSettings) -> Served:
        """Have other settings for a stream: at once where only thresholds differ, else it is opened anew.

        Raises:
            KeyError: There is no such stream.
            ConfigError: The model has no such class, or the new name is taken.
            KeepbusyError: A sink cannot be made. The stream goes on as it was.
        """
        with self._lock:
            served = self._served[name]
            self._check(stream)
            if served.same_source(stream):
                served.set_thresholds(stream, self.settings.thresholds_of(stream), self.names)
                return served
            if stream.name != name and stream.name in self._served:
                raise ConfigError(f"name: there is a stream {stream.name} already")
            served = self._join(stream, served.origin, instead_of=served)
        self._tell(stream.name, "changed")
        return served

    def remove(self, name: str) -> None:
        """Do without a stream.

        Raises:
            KeyError: There is no such stream.
        """
        with self._lock:
            self._leave(self._served[name])
        self._tell(name, "removed")

    def _check(self, stream: StreamSettings) -> None:
        if self.names:
            detect_config(self.settings.thresholds_of(stream), self.names)

    def _join(self, stream: StreamSettings, origin: Origin, instead_of: Served | None = None) -> Served:
        """Have a stream, in the place of another one where its sinks can be made."""
        self.secrets.add(secrets_in(stream.source))
        given = self.settings.thresholds_of(stream)
        served = Served(self._next_number, stream, given, origin, self.settings.decoder_of(stream))
        self._next_number += 1
        served.open_outputs({output.place for one in self.all for output in one.outputs})
        if instead_of is not None:
            self._leave(instead_of)
        self._served[stream.name] = served
        if self._run is not None:
            self._attach(served, self._run)
        return served

    def _leave(self, served: Served) -> None:
        served.leave()
        del self._served[served.name]
        self._by_id = {number: one for number, one in self._by_id.items() if one is not served}
        if served.outputs:
            # A sink that hangs holds up nobody.
            thread = threading.Thread(target=served.close_outputs, name="keepbusy-closing")
            self._closing = [*(one for one in self._closing if one.is_alive()), thread]
            thread.start()

    def _attach(self, served: Served, run: Run) -> None:
        stream = served.attach(run, self.names)
        if stream is not None:
            self._by_id[stream.id] = served

    def apply(
        self, settings: ServeSettings, *, is_other_model: bool = False, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Have another configuration's streams. Those that were added by the API stay.

        Args:
            settings: The configuration.
            is_other_model: Whether it names another model, whose classes are not known yet.
            is_over: Whether to leave the rest: the server is to end.

        Raises:
            KeepbusyError: A sink cannot be made: its stream is as it was; the other changes are in force.
        """
        failures: list[Exception] = []
        with self._lock:
            self.settings = settings
            self.secrets.learn(settings)
            wanted = {stream.name: stream for stream in settings.streams}
            for served in self.all:
                if served.origin == "file" and served.name not in wanted:
                    self._leave(served)
            for name, stream in wanted.items():
                if is_over():
                    break
                try:
                    self._apply_one(name, stream, () if is_other_model else self.names)
                except Exception as error:  # Whatever it is, it costs the other streams nothing.
                    failures.append(error)
            self._order([*wanted, *(name for name in self._served if name not in wanted)])
        if failures:
            raise failures[0]

    def _apply_one(self, name: str, stream: StreamSettings, names: tuple[str, ...]) -> None:
        served = self._served.get(name)
        if served is None:
            self._join(stream, "file")
            return
        served.origin = "file"
        given = self.settings.thresholds_of(stream)
        if not served.same_source(stream) or served.decoder != self.settings.decoder_of(stream):
            self._join(stream, "file", instead_of=served)
        elif served.given != given:
            served.set_thresholds(stream, given, names)

    def _order(self, names: Sequence[str]) -> None:
        self._served = {name: self._served[name] for name in names if name in self._served}

    def begin(self, run: Run, names: tuple[str, ...]) -> None:
        """A run has begun: all streams join it."""
        with self._lock:
            self.names = names
            self._by_id, self._run = {}, run
            for served in self._served.values():
                self._attach(served, run)

    def end(self) -> None:
        """The run is over."""
        with self._lock:
            self._run = None
            for served in self._served.values():
                served.detach()
            self._by_id = {}

    def close_outputs(self, timeout_s: float) -> bool:
        """Finish all sinks; returns whether that was done within some seconds."""
        until_s = time.monotonic() + timeout_s
        closing = [threading.Thread(target=one.close_outputs, name="keepbusy-closing") for one in self.all]
        for thread in closing:
            thread.start()
        closing += self._closing
        for thread in closing:
            thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in closing)
