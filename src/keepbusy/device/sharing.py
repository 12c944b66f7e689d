"""How inference and the other stages share the cores of a CPU.

OpenVINO binds its threads to cores. A thread of another stage that the system puts onto one of these holds up the
inference there, and often waits itself, with the interpreter's lock in its hands: the other stages then wait with it.
On few cores there is no way around that. On many, the stages get a few cores of their own: inference gets fewer
threads, and the threads that start frames and collect them are bound to the cores that are left. Decoders' threads are
not: their work may be large, and they find the free cores by themselves.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence

from keepbusy.cache.notes import Notebook
from keepbusy.config import Mode
from keepbusy.device.compiler import Compiler
from keepbusy.device.engine import ANSWER_TIMEOUT_S, OpenVINODevice, infer_once
from keepbusy.device.slots import Slot, create_slots
from keepbusy.models.shapes import SizeHW
from keepbusy.threads.cores import allowed_cores, has_many, taken_cores, usable_cores, whole_cores
from keepbusy.values.forms import HeadStrategy

log = logging.getLogger("keepbusy")

LARGEST_SHARE = 4
"""At most one core in so many is left to the stages."""

HOST_MS = 2.0
"""A core's time to read, preprocess and postprocess one frame: 1.5 to 2 ms at 768x432 (docs/performance.md)."""

SLACK = 2.0
"""The stages' cores are to be idle half of the time: a frame then finds one free at once."""

_MEASURE_S = 0.05
_MIN_INFERENCES = 3


class CoreShares:
    """How many cores one model leaves to the stages beside inference: measured at the first call, and remembered.

    One thread at a time.

    Args:
        compiler: What makes the graphs.
        mode: In sync mode the stages do not run beside inference, and need no cores.

    Attributes:
        num_for_stages: Cores that the other stages are to have for themselves; 0 before `measure`, and where the device
            does not use the cores.
        inference_threads: Threads for inference; None for what the device takes by itself.
    """

    def __init__(self, compiler: Compiler, mode: Mode) -> None:
        self.num_for_stages = 0
        self.inference_threads = compiler.config.threads
        self._compiler = compiler
        self._mode = mode
        self._is_measured = False

    def measure(self, strategy: HeadStrategy, input_hw: SizeHW) -> None:
        """See what an inference costs, and share the cores accordingly; does nothing the next time.

        Args:
            strategy: How the head is computed.
            input_hw: The input of most frames, (height, width), pixels.
        """
        if self._is_measured:
            return
        config = self._compiler.config
        num_left = self._measure(strategy, input_hw)
        if config.threads is None and config.nstreams is None and num_left:
            log.info("%d of %d cores are left to reading, preprocessing and postprocessing", num_left, whole_cores())
            self.inference_threads = whole_cores() - num_left
        self.num_for_stages, self._is_measured = num_left, True

    def _measure(self, strategy: HeadStrategy, input_hw: SizeHW) -> int:
        compiler = self._compiler
        if compiler.config.device != "CPU" or self._mode == "sync" or not has_many(whole_cores()):
            return 0
        key = {"what": "cost", "strategy": strategy, **compiler.key(input_hw)}
        known = Notebook().read(key)
        if known is None:
            device = compiler.compile(compiler.prepare(strategy, input_hw), self._mode)
            known = {"inference_ms": inference_cost_ms(device)}
            Notebook().write(key, known)
        return cores_for_stages(whole_cores(), float(known["inference_ms"]))


def cores_for_stages(num_cores: int, inference_ms: float) -> int:
    """How many cores are to be left to the stages beside inference: as many as their part of the work, and slack.

    Args:
        num_cores: Cores in all.
        inference_ms: A core's time for the inference of one frame.
    """
    if not has_many(num_cores):
        return 0
    wanted = HOST_MS * SLACK
    return min(num_cores // LARGEST_SHARE, round(num_cores * wanted / (inference_ms + wanted)))


def inference_ms(device: OpenVINODevice) -> float:
    """How long one inference takes, milliseconds.

    Args:
        device: Otherwise idle.

    Raises:
        DeviceTimeoutError: It does not answer.
    """
    request = create_slots(device, 1)[0].request
    spans_ms: list[float] = []
    begin_s = time.perf_counter()
    while len(spans_ms) < _MIN_INFERENCES or time.perf_counter() - begin_s < _MEASURE_S:
        infer_once(request, device.name)
        spans_ms.append(request.latency_ns / 1e6)
    return statistics.median(spans_ms)


def inference_cost_ms(device: OpenVINODevice) -> float:
    """A core's time for one inference, milliseconds: how long a stream takes, times the threads that it has.

    Args:
        device: A CPU, otherwise idle.

    Raises:
        DeviceTimeoutError: It does not answer.
    """
    span_ms = inference_ms(device)
    about = device.describe()
    threads, streams = int(about.get("threads") or 0) or int(usable_cores()), int(about.get("streams") or 0) or 1
    return span_ms * max(1.0, threads / streams)


def cores_beside(slots: Sequence[Slot], num_wanted: int) -> frozenset[int]:
    """The cores that no inference is bound to; none where they are fewer than wanted, or inference is not bound.

    OpenVINO's threads are bound only while they work, so that all slots are started and looked at meanwhile.

    Args:
        slots: Warm, free slots, enough to keep every thread of the device at work.
        num_wanted: How many cores are wanted.
    """
    if num_wanted <= 0:
        return frozenset()
    taken: frozenset[int] = frozenset()
    for slot in slots:
        slot.request.start()
    for slot in slots:
        taken |= taken_cores()
        slot.request.wait(ANSWER_TIMEOUT_S)
    free = allowed_cores() - taken
    return free if taken and len(free) >= num_wanted else frozenset()
