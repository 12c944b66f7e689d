"""Which work of this process the cores' time went into, by its threads."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from keepbusy.threads.cores import THREADS, usable_cores

Work = Literal["decoding", "preprocessing", "device", "postprocessing"]
"""`decoding` is all that the threads do that read sources. `device` is inference where it is computed on this machine's
cores; with another device it is what its driver takes."""

WORKS: tuple[Work, ...] = get_args(Work)

_STAT = Path("/proc/stat")

_NAMES: tuple[tuple[str, Work], ...] = (
    ("keepbusy-read", "decoding"),
    ("keepbusy-receive", "decoding"),
    ("keepbusy-preprocess", "preprocessing"),
    ("keepbusy-postprocess", "postprocessing"),
    ("keepbusy-engine", "postprocessing"),
)
"""How the threads' names begin. Threads without a name of ours are OpenVINO's."""


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """The time of threads on cores, up to some moment.

    Attributes:
        at_s: The moment, of the monotonic clock.
        process_s: Of all threads of this process, seconds.
        works_s: Of each work, seconds; empty where the system does not say.
        machine_s: Of all programs on this machine, seconds; None where the system does not say.
    """

    at_s: float
    process_s: float
    works_s: Mapping[Work, float]
    machine_s: float | None


def core_times(tasks: Path = THREADS, stat: Path = _STAT) -> CoreTimes:
    """The times as they stand. Threads that have ended are no more among the works."""
    works_s: dict[Work, float] = {}
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    with contextlib.suppress(OSError):
        for entry in tasks.iterdir():
            with contextlib.suppress(OSError, ValueError):  # A thread may end meanwhile.
                spent_s = int((entry / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
                work = _work_of(ours.get(int(entry.name)))
                if work is not None:
                    works_s[work] = works_s.get(work, 0.0) + spent_s
    return CoreTimes(time.monotonic(), time.process_time(), works_s, _machine_s(stat))


def cores_between(begin: CoreTimes, end: CoreTimes) -> tuple[dict[Work, float], float]:
    """Cores that each work has kept busy between two moments, and those that other programs have.

    Where the system does not tell the threads' times, all of the process's is the device's. Other programs count where
    this process may use the whole machine: else theirs may be other cores.
    """
    wall_s = max(end.at_s - begin.at_s, 1e-9)
    process_s = end.process_s - begin.process_s
    works = {work: max(0.0, end.works_s.get(work, 0.0) - begin.works_s.get(work, 0.0)) / wall_s for work in WORKS}
    if not end.works_s:
        works["device"] = process_s / wall_s
    others = 0.0
    if usable_cores() == os.cpu_count() and begin.machine_s is not None and end.machine_s is not None:
        others = max(0.0, end.machine_s - begin.machine_s - process_s) / wall_s
    return works, others


def _work_of(name: str | None) -> Work | None:
    if name is None:
        return "device"
    return next((work for beginning, work in _NAMES if name.startswith(beginning)), None)


def _machine_s(stat: Path) -> float | None:
    """Seconds that all cores have worked: user, nice, system, and interrupts."""
    try:
        first = stat.read_text(encoding="ascii").splitlines()[0].split()
        user, nice, system, _, _, irq, softirq = (int(part) for part in first[1:8])
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
