"""Scripted parts for tests: a device, a source and a clock that do exactly what they are told.

With them a sink, a source or a program around keepbusy can be tested without a model and without a device, and
what cannot be provoked on a real one (stalls, failures, odd timings) can be scripted.

```python
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run

run = scripted_run([ScriptedSource(100)], ScriptedDevice(latency_s=0.004))
for result in run:
    my_sink.write(result)
```
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from keepbusy.config import RunConfig, StreamConfig
from keepbusy.device.slots import Seat, Slot, create_slots
from keepbusy.errors import FrameError, SourceError
from keepbusy.flow.create import begin, create_run
from keepbusy.flow.run import Engine, Run
from keepbusy.flow.stats import Clock, MonotonicClock, RunStats
from keepbusy.pictures.letterbox import Letterbox, Letterboxer
from keepbusy.postprocess.candidates import Outputs
from keepbusy.sources.base import Source, SourceInfo, close_source
from keepbusy.threads.channel import Gate
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame, Image, Picture


class ManualClock:
    """A clock that stands still until it is moved. Thread-safe."""

    def __init__(self, now_ns: int = 1) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Move on by some seconds."""
        with self._lock:
            self._now_ns += round(seconds * 1e9)

    def advance_to(self, now_ns: int) -> None:
        """Move on to a moment; does nothing if it is past."""
        with self._lock:
            self._now_ns = max(self._now_ns, now_ns)


class ScriptedDevice:
    """A device that takes a scripted time for each frame and serves a scripted number at once.

    Its requests check the engine's side of the bargain: starting one that is in flight is an error. Each keeps
    what was in its input at the start; `encoded_index` reads a frame's number back from it.

    Args:
        latency_s: Seconds for each inference, or a function of its ordinal (0 for the first after the warm-up).
        num_servers: How many inferences it works on at once; the others queue up.
        input_hw: Size of its input.
        optimal_requests: What it says of itself.
        fails: Ordinals that fail on the device.
        refuses: Ordinals that cannot be started.
        stalls: Ordinals that never finish, unless cancelled.
        hangs: Ordinals that never finish, whatever is done.
        clock: With a `ManualClock`, waiting moves the clock instead of taking time.
    """

    name = "SCRIPTED"

    def __init__(
        self,
        latency_s: float | Callable[[int], float] = 0.0,
        *,
        num_servers: int = 1,
        input_hw: tuple[int, int] = (32, 32),
        optimal_requests: int = 2,
        fails: Collection[int] = (),
        refuses: Collection[int] = (),
        stalls: Collection[int] = (),
        hangs: Collection[int] = (),
        clock: Clock | None = None,
    ) -> None:
        self.latency_s = latency_s
        self.input_hw = input_hw
        self.optimal_requests = optimal_requests
        self.fails = fails
        self.refuses = refuses
        self.stalls = stalls
        self.hangs = hangs
        self.clock: Clock = clock or MonotonicClock()
        self.num_started = 0
        self.num_in_flight = 0
        self.max_in_flight = 0
        self._server_free_ns = [0] * num_servers
        self._lock = threading.Lock()

    def create_request(self) -> ScriptedRequest:
        """A new request; its first inference is the warm-up, which takes no time."""
        return ScriptedRequest(self)

    def begin(self) -> tuple[int, int]:
        """Take an inference in; returns its ordinal and when it will be done, in the clock's nanoseconds."""
        with self._lock:
            ordinal = self.num_started
            self.num_started += 1
            if ordinal in self.refuses:
                raise RuntimeError(f"scripted refusal of inference {ordinal}")
            latency_s = self.latency_s(ordinal) if callable(self.latency_s) else self.latency_s
            server = min(range(len(self._server_free_ns)), key=self._server_free_ns.__getitem__)
            begin_ns = max(self.clock.now_ns(), self._server_free_ns[server])
            done_ns = begin_ns + round(latency_s * 1e9)
            self._server_free_ns[server] = done_ns
            self.num_in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.num_in_flight)
            return ordinal, done_ns

    def finish(self) -> None:
        """An inference has been collected or cancelled."""
        with self._lock:
            self.num_in_flight -= 1


class ScriptedRequest:
    """One request of a `ScriptedDevice`."""

    def __init__(self, device: ScriptedDevice) -> None:
        self._device = device
        self._input = np.zeros((*device.input_hw, 3), np.uint8)
        self._output = np.zeros((1, *device.input_hw, 3), np.float32)
        self._is_warm = False
        self._is_in_flight = False
        self._ordinal = -1
        self._start_ns = 0
        self._done_ns = 0
        self._cancelled = Gate()

    @property
    def input(self) -> NDArray[np.uint8]:
        return self._input

    @property
    def outputs(self) -> Outputs:
        return (self._output,)

    @property
    def latency_ns(self) -> int:
        return self._done_ns - self._start_ns

    def start(self) -> None:
        if self._is_in_flight:
            raise RuntimeError("the request is in flight")
        self._cancelled.shut()
        if self._is_warm:
            self._start_ns = self._device.clock.now_ns()
            self._ordinal, self._done_ns = self._device.begin()
            self._is_in_flight = True
        self._is_warm = True
        self._output[0] = self._input

    def wait(self, timeout_s: float) -> bool:
        if not self._is_in_flight:
            return True
        if self._ordinal in self._device.hangs:
            time.sleep(timeout_s)
            return False
        if self._ordinal in self._device.stalls:
            if not self._cancelled.wait(timeout_s):
                return False
        elif not self._pass_time(timeout_s):
            return False
        self._is_in_flight = False
        self._device.finish()
        if self._cancelled.is_open:
            raise RuntimeError("the inference was cancelled")
        if self._ordinal in self._device.fails:
            raise RuntimeError(f"scripted failure of inference {self._ordinal}")
        return True

    def cancel(self) -> None:
        self._cancelled.open()

    def _pass_time(self, timeout_s: float) -> bool:
        clock = self._device.clock
        left_s = (self._done_ns - clock.now_ns()) / 1e9
        if isinstance(clock, ManualClock):
            clock.advance_to(self._done_ns)
            return True
        if left_s > 0:
            self._cancelled.wait(min(left_s, timeout_s))
        return left_s <= timeout_s or self._cancelled.is_open


class ScriptedSource(Source):
    """A source of numbered frames. `encoded_index` reads a frame's number from its pixels.

    Args:
        num_frames: How many; None for no end.
        read_s: Seconds that each read takes, or a function of the index.
        is_live: Whether older frames may be dropped.
        fails: Indices that cannot be read.
        breaks_at: From this index on, every read fails for good.
        stalls_at: At this index the read blocks until `interrupt` or `unblock`.
        ignores_interrupt: Whether `interrupt` does nothing, as in sources that were written without it.
        size_wh: Size of its frames.
        name: Its name.
    """

    def __init__(
        self,
        num_frames: int | None,
        *,
        read_s: float | Callable[[int], float] = 0.0,
        is_live: bool = False,
        fails: Collection[int] = (),
        breaks_at: int | None = None,
        stalls_at: int | None = None,
        ignores_interrupt: bool = False,
        size_wh: tuple[int, int] = (32, 32),
        name: str = "scripted",
    ) -> None:
        self.info = SourceInfo(name, is_live=is_live, num_frames=num_frames, fps=30.0)
        self.num_read = 0
        self.is_closed = False
        self._read_s = read_s
        self._fails = fails
        self._breaks_at = breaks_at
        self._stalls_at = stalls_at
        self._ignores_interrupt = ignores_interrupt
        self._size_wh = size_wh
        self._unblocked = Gate()

    def read(self) -> Frame | None:
        index = self.num_read
        if self.info.num_frames is not None and index >= self.info.num_frames:
            return None
        self.num_read += 1
        if index == self._stalls_at:
            self._unblocked.wait()
            return None
        read_s = self._read_s(index) if callable(self._read_s) else self._read_s
        if read_s:
            time.sleep(read_s)
        if self._breaks_at is not None and index >= self._breaks_at:
            raise SourceError(f"{self.info.name}: scripted break")
        if index in self._fails:
            raise FrameError("scripted failure", stage="read", source=self.info.name, frame_index=index)
        return Frame(numbered_image(index, self._size_wh), index, index / 30, 0, self.info.name)

    def skip(self) -> bool:
        self.num_read += 1
        return self.info.num_frames is None or self.num_read <= self.info.num_frames

    def rewind(self) -> None:
        self.num_read = 0

    def interrupt(self) -> None:
        if not self._ignores_interrupt:
            self.unblock()

    def unblock(self) -> None:
        """Let a stalled read end."""
        self._unblocked.open()

    def close(self) -> None:
        self.is_closed = True
        self._unblocked.open()


def numbered_image(index: int, size_wh: tuple[int, int] = (32, 32)) -> Image:
    """A plain picture whose colour is its number, up to 2**24; uint8 (H, W, 3)."""
    colour = (index & 255, index >> 8 & 255, index >> 16 & 255)
    return np.full((size_wh[1], size_wh[0], 3), colour, np.uint8)


def encoded_index(outputs: Outputs) -> int:
    """The number of the frame that a `ScriptedRequest` had in its input, from its outputs."""
    output = outputs[0]
    height, width = output.shape[1:3]
    blue, green, red = (int(value) for value in output[0, height // 2, width // 2])
    return blue | green << 8 | red << 16


class ScriptedPostprocess:
    """What makes detections of a `ScriptedDevice`'s outputs.

    Args:
        to_detections: Outputs → detections; nothing is ever done again.
    """

    def __init__(self, to_detections: Callable[[Outputs, Letterbox], Detections]) -> None:
        self._to_detections = to_detections

    def __call__(self, outputs: Outputs, letterbox: Letterbox) -> Detections:
        return self._to_detections(outputs, letterbox)

    def redo(self, seat: Seat, letterbox: Letterbox) -> Detections:
        raise RuntimeError("a scripted graph leaves out no cells")


def index_detected(outputs: Outputs, letterbox: Letterbox) -> Detections:
    """One detection whose class is the number of the frame that was inferred."""
    height, width = letterbox.frame_hw
    box = np.array([[0, 0, width, height]], np.float32)
    return Detections(box, np.ones(1, np.float32), np.array([encoded_index(outputs)], np.int64))


def scripted_run(
    sources: Sequence[Source] | None,
    device: ScriptedDevice,
    config: RunConfig | None = None,
    *,
    preprocess_s: float = 0.0,
    to_detections: Callable[[Outputs, Letterbox], Detections] = index_detected,
    stats: RunStats | None = None,
    slots: Sequence[Slot] | None = None,
    own_cores: frozenset[int] = frozenset(),
    make_ready: Callable[[tuple[int, int]], None] = lambda frame_hw: None,
    in_background: Sequence[Callable[[], None]] = (),
) -> Run:
    """A run of the real flow over scripted parts.

    Args:
        sources: Where frames come from; nothing is added to them. None for a run that streams are added to.
        device: What infers them.
        config: Mode, number of requests, error policy; None for the defaults.
        preprocess_s: Seconds that each preprocessing takes on top of its own.
        to_detections: Outputs → detections.
        stats: Counters to use, for instance with a `ManualClock`.
        slots: Slots to use; None makes as many as the configuration says.
        own_cores: Cores that the device leaves alone.
        make_ready: Called with a frame's (height, width) before the first frame of that size is handed on.
        in_background: What an async run does beside its frames.
    """
    config = config or RunConfig()
    num_slots = 1 if config.mode == "sync" else config.nireq or device.optimal_requests
    slots = slots or create_slots(device, num_slots)
    if preprocess_s:
        for slot in slots:
            slot.seat = Seat(slot.request, _SlowLetterboxer(slot.request.input, preprocess_s))
    postprocess = ScriptedPostprocess(to_detections)
    engine = Engine(
        tuple(slots),
        lambda _: postprocess,
        config,
        device.name,
        own_cores,
        stats or RunStats(),
        lambda: None,
        make_ready=make_ready,
        in_background=in_background,
    )
    left = None if sources is None else list(sources)
    try:
        return begin(create_run(engine), left, StreamConfig())
    except BaseException:
        for source in left or ():
            close_source(source)
        raise


class _SlowLetterboxer(Letterboxer):
    def __init__(self, tensor: NDArray[np.uint8], preprocess_s: float) -> None:
        super().__init__(tensor)
        self._preprocess_s = preprocess_s

    def write(self, picture: Image | Picture) -> Letterbox:
        time.sleep(self._preprocess_s)
        return super().write(picture)
