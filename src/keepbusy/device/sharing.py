"""How inference and the other stages share the cores of a CPU.

OpenVINO binds its threads to cores. A thread of another stage that the system puts onto one of these holds up the
inference there, and often waits itself, with the interpreter's lock in its hands: the other stages then wait with it.
On few cores there is no way around that. On many, the stages get a few cores of their own: inference gets fewer
threads, and the threads that start frames and collect them are bound to the cores that are left. Decoders' threads are
not: their work may be large, and they find the free cores by themselves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from keepbusy.device.engine import ANSWER_TIMEOUT_S, OpenVINODevice, Slot, create_slots, infer_once
from keepbusy.threads.cores import allowed_cores, has_many, taken_cores, usable_cores

LARGEST_SHARE = 4
"""At most one core in so many is left to the stages."""

HOST_MS = 2.0
"""A core's time to read, preprocess and postprocess one frame: 1.5 to 2 ms at 768x432 (docs/performance.md)."""

SLACK = 2.0
"""The stages' cores are to be idle half of the time: a frame then finds one free at once."""

_MEASURE_S = 0.05
_MIN_INFERENCES = 3


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


def inference_cost_ms(device: OpenVINODevice) -> float:
    """A core's time for one inference, milliseconds: how long a stream takes, times the threads that it has.

    Args:
        device: A CPU, otherwise idle.

    Raises:
        DeviceTimeoutError: It does not answer.
    """
    request = create_slots(device, 1)[0].request
    spans_ms: list[float] = []
    begin_s = time.perf_counter()
    while len(spans_ms) < _MIN_INFERENCES or time.perf_counter() - begin_s < _MEASURE_S:
        infer_once(request, device.name)
        spans_ms.append(request.latency_ns / 1e6)
    about = device.describe()
    threads, streams = int(about.get("threads") or 0) or int(usable_cores()), int(about.get("streams") or 0) or 1
    return statistics.median(spans_ms) * max(1.0, threads / streams)


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
