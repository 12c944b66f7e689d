"""The streams, the engine that infers their frames, and the pictures that come by HTTP, put together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from keepbusy.config import StreamConfig
from keepbusy.errors import KeepbusyError
from keepbusy.flow.run import Run
from keepbusy.records import record
from keepbusy.serve.configuration.secrets import Secrets
from keepbusy.serve.configuration.settings import ServeSettings, StreamSettings
from keepbusy.serve.configuration.sources_allowed import check_allowed
from keepbusy.serve.supervise.backend import Backend, MakeBackend, PipelineBackend, detect_config
from keepbusy.serve.supervise.engine import Engine, Owner
from keepbusy.serve.supervise.kept import Kept, KeptError
from keepbusy.serve.supervise.overload import Overload
from keepbusy.serve.supervise.requests import NAME as REQUESTS
from keepbusy.serve.supervise.requests import Requests
from keepbusy.serve.supervise.roster import Roster
from keepbusy.serve.supervise.served import Origin, Served
from keepbusy.serve.supervise.signals import Log, Signal
from keepbusy.serve.supervise.view import EngineView
from keepbusy.values.frame import Image
from keepbusy.values.result import Result

log = logging.getLogger("keepbusy")

MAX_EVENTS = 1000
MAX_RESULTS = 256


class Wall(Owner):
    """Thread-safe.

    Args:
        settings: The configuration, checked.
        make: Makes the model for a device.

    Attributes:
        roster: The streams.
        engine: What infers their frames.
        events: What has happened: states, devices, configurations.
        results: Results as records, while somebody follows them.
        news: Told of each result.
        requests: Pictures that come by HTTP.
        view: What the engine does, in numbers.
        overload: What is done where frames are lost for lack of device.
    """

    def __init__(self, settings: ServeSettings, make: MakeBackend = PipelineBackend) -> None:
        self.roster = Roster(settings, lambda name, text: self.told("stream", text, name))
        self.events = Log(MAX_EVENTS)
        self.results = Log(MAX_RESULTS)
        self.news = Signal()
        self.requests = Requests(settings.limits.waiting_requests)
        self.view = EngineView()
        self.engine = Engine(settings, make, self)
        state_file = settings.server.state_file
        self._kept = Kept(None if state_file is None else Path(state_file))
        self._keeping = threading.Lock()
        self._requests_id = -1
        self._run: Run | None = None
        self._states: dict[str, str] = {}
        self.overload = Overload(settings, self.engine, self.view, lambda text: self.told("overload", text))

    def start(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Open sinks, compile the model, open streams.

        Args:
            is_over: Whether it is to end already, and nothing more to be opened.

        Raises:
            NotOursError: Another server keeps its streams in `state_file`, or it is another file.
            KeepbusyError: A sink cannot be made.
        """
        try:
            self._lock_kept()
            self.roster.apply(self.settings, is_over=is_over)
            if not is_over():
                self._take_up()
        except BaseException:
            self.roster.close_outputs(10.0)
            self._kept.close()
            raise
        if not is_over():
            self.engine.start()

    def _lock_kept(self) -> None:
        try:
            self._kept.open()
        except KeptError as error:  # Where nothing can be locked, nothing can be written either, which is told.
            self.told("config", error.message)

    def _take_up(self) -> None:
        """Have the streams again that clients had added, but for those that the configuration has, or forbids, now."""
        try:
            kept = self._kept.read()
        except KeepbusyError as error:
            self.told("config", error.message)
            return
        for stream in kept:
            try:
                check_allowed(stream, self.settings.server.allow_sources)
                self.roster.add(stream, "api")
            except KeepbusyError as error:
                self.told("stream", f"is not taken up again: {error.message}", stream.name)

    def _keep(self) -> None:
        """Write down which streams clients have added."""
        with self._keeping:
            try:
                self._kept.write([one.settings for one in self.streams if one.origin == "api"])
            except KeepbusyError as error:
                self.told("config", f"streams that were added are not kept: {error.message}")

    @property
    def settings(self) -> ServeSettings:
        """The configuration in force."""
        return self.roster.settings

    @property
    def secrets(self) -> Secrets:
        """What must not be shown."""
        return self.roster.secrets

    @property
    def names(self) -> tuple[str, ...]:
        """The class names; empty until the model was read."""
        return self.roster.names

    @property
    def streams(self) -> list[Served]:
        """All streams, in their order."""
        return self.roster.all

    def find(self, name: str) -> Served | None:
        """The stream of a name."""
        return self.roster.find(name)

    def add(self, stream: StreamSettings, origin: Origin = "api") -> Served:
        """See `Roster.add`."""
        served = self.roster.add(stream, origin)
        self._keep()
        return served

    def change(self, name: str, stream: StreamSettings) -> Served:
        """See `Roster.change`."""
        served = self.roster.change(name, stream)
        self._keep()
        return served

    def remove(self, name: str) -> None:
        """See `Roster.remove`."""
        self.roster.remove(name)
        self._keep()

    def apply(self, settings: ServeSettings) -> None:
        """Have another configuration in force. Streams that were added by the API stay.

        Raises:
            KeepbusyError: A sink cannot be made; the other changes are in force.
        """
        before = self.settings
        self.requests.max_waiting = settings.limits.waiting_requests
        try:
            self.roster.apply(settings, is_other_model=before.engine != settings.engine)
        finally:
            is_other = before.engine != settings.engine
            if is_other or before.overload != settings.overload:
                is_other = is_other or self.overload.has_other_model
                self.overload.change(settings)
            if is_other:
                self.told("config", "the model or its device has changed: compiling it")
                self.engine.change(settings)
            elif (before.requests, before.thresholds) != (settings.requests, settings.thresholds):
                self._change_requests()

    def live_fps(self) -> float | None:
        return self.roster.wanted_fps

    def begin(self, run: Run, backend: Backend) -> None:
        self.view.begin(run)
        self.roster.begin(run, backend.names)
        self._run, self._requests_id = run, self._add_requests(run)

    def _add_requests(self, run: Run) -> int:
        mine = self.settings.requests
        detect = detect_config(self.settings.thresholds_of(mine), self.names)
        # No stream of a configuration can have this name.
        return run.add(
            self.requests, StreamConfig(name=f"/{REQUESTS}", weight=mine.weight, on_error="skip", detect=detect)
        ).id

    def _change_requests(self) -> None:
        """Pictures by HTTP have other thresholds or another weight."""
        run = self._run
        if run is not None and (stream := run.streams.get(self._requests_id)) is not None:
            try:
                run.remove(stream, drain=True)
                self._requests_id = self._add_requests(run)
            except KeepbusyError as error:  # The run is over by now; the next one has them.
                log.info("%s", error.message)

    def take(self, result: Result) -> None:
        now_ns = time.perf_counter_ns()
        self.view.take(result)
        served = self.roster.numbered.get(result.frame.source_id)
        if served is not None:
            served.take(result, now_ns)
            self.news.notify()
            if self.results.signal.num_listeners:
                self.results.add({"kind": "result", "stream": served.name, "record": record(result, served.name)})
        elif result.frame.source == REQUESTS:
            self.requests.take(result)

    def end(self) -> None:
        self._run = None
        self.view.end()
        self.roster.end()
        self.requests.give_up("the device has failed, or the model was changed")

    def told(self, kind: str, text: str, stream: str = "") -> None:
        log.info("%s%s", f"{stream}: " if stream else "", self.secrets.hidden(text))
        self.note(kind, text, stream)

    def note(self, kind: str, text: str, stream: str = "") -> None:
        """Something that has happened, as an event only: it is logged by whoever calls this."""
        text = self.secrets.hidden(text)
        self.events.add({"time": time.time(), "kind": kind, "text": text} | ({"stream": stream} if stream else {}))

    def look(self) -> None:
        """Look at all numbers; to be called once a second."""
        now_s = time.monotonic()
        states: dict[str, str] = {}
        for served in self.streams:
            served.look(now_s)
            state = states[served.name] = served.state
            if self._states.get(served.name) != state:
                error = f": {served.error}" if served.error and state not in ("running", "opening") else ""
                text = self.secrets.hidden(f"{state}{error}")
                event = {"time": time.time(), "kind": "state", "stream": served.name, "state": state, "text": text}
                self.events.add(event)
        self._states = states
        self.view.look(now_s)
        self.overload.look(self.streams)

    def detect(self, image: Image) -> Future[Result]:
        """Have a picture inferred among the streams' frames.

        Raises:
            BusyError: Too many wait.
            GivenUpError: The server ends.
        """
        return self.requests.ask(image, self.settings.limits.request_timeout_s)

    def part(self) -> None:
        """Let those go who follow events, which have no end of their own."""
        self.events.close()
        self.results.close()

    def close(self, timeout_s: float) -> bool:
        """Finish: pictures are answered, what is in flight is given up, sinks are finished.

        Returns:
            Whether all is done; what a device or a disk holds up for longer is left behind.
        """
        begin_s = time.monotonic()
        for served in self.streams:
            served.leave()
        while self.requests.num_waiting and time.monotonic() < begin_s + timeout_s / 2:
            time.sleep(0.02)
        self.requests.close()

        def left_s() -> float:
            return max(0.1, begin_s + timeout_s - time.monotonic())

        is_done = self.engine.close(left_s())
        is_done = self.roster.close_outputs(left_s()) and is_done
        self._kept.close()
        return is_done
