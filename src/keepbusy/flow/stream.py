"""A stream: one source in a run, with its own options, identity, state and counters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from keepbusy.config import StreamConfig
from keepbusy.errors import KeepbusyError
from keepbusy.flow.counters import StreamCounters, StreamStats
from keepbusy.flow.stream_steps import StreamSteps
from keepbusy.threads.channel import Latest
from keepbusy.values.frame import Frame
from keepbusy.values.result import Result
from keepbusy.values.streams import StreamInfo

if TYPE_CHECKING:
    from keepbusy.flow.stages import Postprocess
    from keepbusy.sources.base import Decoding, Source, SourceInfo

StreamState = Literal["opening", "running", "stalled", "waiting", "ended", "failed", "removed"]
"""`opening`: its source is being opened. `running`: frames are read. `stalled`: it is live and open, and no frame has
come for a while. `waiting`: it failed, and is opened again soon.
The others are for good. `ended`: its source has ended. `failed`: it could not be opened or read on. `removed`: the run
was told to do without it, or was closed. Frames that were read before still become results."""

OVER: frozenset[StreamState] = frozenset({"ended", "failed", "removed"})

_NEXT: dict[StreamState, frozenset[StreamState]] = {
    "opening": frozenset({"running", "waiting", "failed", "removed"}),
    "running": frozenset({"waiting", "ended", "failed", "removed"}),
    "stalled": frozenset(),  # Never kept: a running stream is stalled by the clock.
    "waiting": frozenset({"opening", "failed", "removed"}),
    "ended": frozenset(),
    "failed": frozenset(),
    "removed": frozenset(),
}

_WHY_NOT: dict[StreamState, str] = {
    "opening": "its source is only being opened",
    "running": "its source is open already",
    "stalled": "its source is open already",
    "waiting": "it waits to be opened again",
    "ended": "its source has ended",
    "failed": "its source has failed",
    "removed": "it was removed from the run",
}


class Stream:
    """One source in a run. Made by `Run.add`; reading its attributes is thread-safe.

    Args:
        stream_id: Its number in the run, which is never used again.
        name: What it is called.
        config: Its options.
        counters: Where every frame has gone.
        postprocess: Outputs of the model → its detections.
        on_error: What a failed frame does.
        now_ns: The run's clock.

    Attributes:
        id: Its number, from 0: the `source_id` of its frames.
        name: What it is called: for people, and in records.
        config: Its options.
        info: What is known about its source; None before that is open.
        is_live: Whether its freshest frame matters most; False before its source is open.
        source: Its source while that is open; for the thread that reads it.
        error: What it failed with the last time; None where it has not.
        is_told: Whether its end has been told, behind its last result.
    """

    def __init__(
        self,
        stream_id: int,
        name: str,
        config: StreamConfig,
        counters: StreamCounters,
        postprocess: Postprocess,
        on_error: Literal["raise", "skip", "end"],
        now_ns: Callable[[], int],
    ) -> None:
        self.id = stream_id
        self.name = name
        self.config = config
        self.info: SourceInfo | None = None
        self.is_live = False
        self.source: Source | None = None
        self.error: Exception | None = None
        self.is_told = False
        self.counters = counters
        self.postprocess = postprocess
        self.on_error = on_error
        self.steps = StreamSteps(config.steps, name)
        self.newest_result: Latest[Result | Stream] = Latest()
        self._state: StreamState = "opening"
        self._now_ns = now_ns
        self._watched_ns: int | None = None
        self._lock = threading.Lock()

    @property
    def state(self) -> StreamState:
        """What it does at this moment."""
        state, watched_ns = self._state, self._watched_ns
        if state != "running" or not self.is_live or watched_ns is None:
            return state
        return "stalled" if self._now_ns() - watched_ns > self.config.stall_s * 1e9 else "running"

    def watch(self, since_ns: int | None) -> None:
        """Hear since when a frame is waited for; None while nobody waits for one.

        Behind damage it is waited on: the first moment counts.
        """
        if since_ns is None or self._watched_ns is None:
            self._watched_ns = since_ns

    @property
    def decoding(self) -> Decoding | None:
        """What decodes its pictures now; None where its source is not open, or decodes nothing."""
        source = self.source
        return None if source is None else source.decoding

    @property
    def is_over(self) -> bool:
        """Whether nothing more is read from it."""
        return self._state in OVER

    @property
    def stats(self) -> StreamStats:
        """Its numbers at this moment."""
        return self.counters.snapshot()

    def known(self, frame: Frame | None) -> StreamInfo:
        """What is known of it for steps and sinks.

        Args:
            frame: Its first frame; None where there is none.
        """
        info = self.info
        return StreamInfo(
            id=self.id,
            name=self.name,
            source=self.name if info is None else info.name,
            is_live=self.is_live,
            num_frames=None if info is None else info.num_frames,
            fps=None if info is None else info.fps,
            size_wh=None if frame is None or not frame.width else (frame.width, frame.height),
        )

    def opened(self, info: SourceInfo) -> None:
        """Its source is open, and is read from now on."""
        self.info, self.is_live = info, info.is_live
        self.watch(None)
        self.go_on_to("running")

    def go_on_to(self, state: StreamState) -> None:
        """As `move_to`, for who reads it: does nothing where the run has given it up meanwhile."""
        self._move_to(state, unless_over=True)

    def move_to(self, state: StreamState) -> None:
        """Change the state.

        Raises:
            KeepbusyError: It cannot get there from where it is; the message says why.
        """
        self._move_to(state, unless_over=False)

    def _move_to(self, state: StreamState, *, unless_over: bool) -> None:
        with self._lock:
            if unless_over and self._state in OVER:
                return
            if state not in _NEXT[self._state]:
                raise KeepbusyError(f"stream {self.name}: cannot become {state}: {_WHY_NOT[self._state]}")
            self._state = state

    def fail(self, error: Exception) -> None:
        """End it for good, with the error that it has failed with."""
        self.error = error
        self.finish("failed")

    def finish(self, state: StreamState) -> None:
        """Change to a state that is for good, unless it has one."""
        with self._lock:
            if self._state not in OVER:
                self._state = state if state in _NEXT[self._state] else "removed"
