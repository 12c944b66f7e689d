"""Which cores this process may use: what the machine has, less what affinity and cgroup quotas take away."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
THREADS = Path("/proc/self/task")

MANY_CORES = 8
"""From so many cores on, the stages beside inference get some of their own, and OpenCV one thread. With four, three
left to inference were fewer than it needs."""


def usable_cores() -> float:
    """Cores that this process may use: the least of what the machine, the affinity and the cgroups allow."""
    quota = cgroup_quota_cores()
    return min(affinity_cores(), quota) if quota is not None else float(affinity_cores())


def whole_cores() -> int:
    """Threads that usable cores can run at the same time: never more than the quota, and at least one."""
    return max(1, math.floor(usable_cores()))


def has_many(num_cores: float) -> bool:
    """Whether of so many cores some can be left to the stages beside inference."""
    return num_cores >= MANY_CORES


def affinity_cores() -> int:
    """Cores that this process may be scheduled on; cpusets of cgroups are part of it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allowed_cores() -> frozenset[int]:
    """The numbers of the cores that the calling thread may run on; empty where the system does not say."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def taken_cores() -> frozenset[int]:
    """Cores that a thread of this process is bound to, to one alone, at this moment; empty where nobody says."""
    taken: set[int] = set()
    for thread_id in _thread_ids():
        with contextlib.suppress(OSError):  # A thread may end meanwhile.
            cores = os.sched_getaffinity(thread_id)
            taken |= cores if len(cores) == 1 else set()
    return frozenset(taken)


def stay_on(cores: Collection[int]) -> None:
    """Bind the calling thread, and the threads that it will start, to some cores; to none is to leave it as it is."""
    if cores:
        with contextlib.suppress(OSError):  # They may have been taken away from the process meanwhile.
            os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def ordinary_threads() -> Iterator[None]:
    """Within it libraries may start threads; behind it no thread is more urgent than the calling one was before.

    Where the program runs as root, as in many containers, SVT-AV1 makes its own threads and the one that calls it
    real-time threads: everything else then waits for them.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _policies()
    try:
        yield
    finally:
        for thread_id, now in _policies().items():
            if now != before.get(thread_id, policy):
                with contextlib.suppress(OSError):  # A thread may end meanwhile.
                    os.sched_setscheduler(thread_id, policy, parameters)


def _policies() -> dict[int, int]:
    """How each thread of this process is scheduled, by its id."""
    found: dict[int, int] = {}
    for thread_id in _thread_ids():
        with contextlib.suppress(OSError):  # A thread may end meanwhile.
            found[thread_id] = os.sched_getscheduler(thread_id)
    return found


def _thread_ids() -> list[int]:
    """This process's threads, by the system's numbers; none where it does not say."""
    try:
        return [int(entry.name) for entry in THREADS.iterdir()]
    except OSError:
        return []


def cgroup_quota_cores(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """CPU time that the cgroups grant, in cores; None where they do not limit it.

    A process is bound by the quota of its own group and of each group around it, so the least of them counts. Version 2
    is read first, then version 1. In a container the own group's path is often not visible: its root then is the group.

    Args:
        root: Where the hierarchies are mounted.
        membership: The file that names the process's groups.
    """
    paths = _memberships(membership)
    v2 = [_quota_v2(folder) for mount in (root, root / "unified") for folder in _upwards(mount, paths.get("", ""))]
    found = [quota for quota in v2 if quota is not None]
    if found:
        return _least(found)
    v1 = [
        _quota_v1(folder)
        for mount in (root / "cpu", root / "cpu,cpuacct")
        for folder in _upwards(mount, paths.get("cpu", ""))
    ]
    return _least([quota for quota in v1 if quota is not None])


def _memberships(path: Path) -> dict[str, str]:
    """Controller → path of the process's group in its hierarchy; version 2 has the name ''."""
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = group
    return found


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """The group's folder and those around it, up to the mount."""
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _quota_v2(folder: Path) -> float | None:
    """Cores; infinity where the group has no limit; None where there is no such file."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota_us = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota_us / period_us if quota_us > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _least(quotas: list[float]) -> float | None:
    least = min(quotas, default=math.inf)
    return None if least == math.inf else least
