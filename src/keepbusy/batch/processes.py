"""How many worker processes pay on this machine: found by measurement, and remembered."""

from __future__ import annotations

import dataclasses
import logging
import math
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from keepbusy.batch.crew import LocalMember, Member, Message
from keepbusy.batch.job import Job
from keepbusy.batch.remote import is_remote
from keepbusy.batch.units import Unit
from keepbusy.cache.notes import Notebook
from keepbusy.threads.cores import allowed_cores, usable_cores

log = logging.getLogger("keepbusy")

Group = tuple[int, ...]

CPUS = Path("/sys/devices/system/cpu")

LEAST_CORES = 4
"""Of a group: on fewer, reading, preprocessing and postprocessing have no core beside inference."""

WORTH_IT = 1.03
"""More processes are taken for more than this: within it, two measurements cannot be told apart."""

MEASURED_S = 4.0


def choose_groups(job: Job, processes: int | Literal["auto"], waiting: Sequence[Unit]) -> list[Group]:
    """The cores of each worker process; one empty group where there is one process, which is left where it is.

    Args:
        job: The job, settled.
        processes: How many are wanted.
        waiting: The units that are to be done.
    """
    if processes != "auto":
        return groups_of(processes)
    candidates = [number for number in candidate_numbers() if number == 1 or job.device.upper() == "CPU"]
    local = next((unit for unit in waiting if not is_remote(unit.files[0].location)), None)
    if len(candidates) == 1 or local is None:
        return groups_of(1)
    key = {
        "what": "processes",
        "job": job.given() | {"stride": None, "limit": None},
        "settled": dict(job.settled),
        "cores": sorted(allowed_cores()),
        "usable_cores": usable_cores(),
    }
    known = Notebook().read(key)
    if known is None:
        log.info("measuring how many processes pay: %s", ", ".join(map(str, candidates)))
        fps = {number: _measure(job, groups_of(number), local) for number in candidates}
        known = {"number": best_number(fps), "fps": {str(number): round(value, 1) for number, value in fps.items()}}
        Notebook().write(key, known)
    return groups_of(int(known["number"]))


def best_number(fps: dict[int, float]) -> int:
    """The number of processes to take: the fewest of those that are within what measurements can tell of the best."""
    number = min(fps)
    for candidate in sorted(fps):
        if fps[candidate] > fps[number] * WORTH_IT:
            number = candidate
    return number


def candidate_numbers() -> list[int]:
    """Numbers of processes that may pay here: one, one for each NUMA node, and one for each group of cores."""
    num_cores = math.floor(usable_cores())
    num_nodes = len({node for node, _, _ in (_place_of(core) for core in allowed_cores())})
    numbers = {1, num_nodes, *(num_cores // size for size in (LEAST_CORES, 2 * LEAST_CORES, 4 * LEAST_CORES))}
    return sorted(number for number in numbers if number >= 1 and (number == 1 or num_cores // number >= LEAST_CORES))


def groups_of(number: int) -> list[Group]:
    """The cores that this process may use, as so many groups of neighbours; empty groups where there are too few.

    Cores of one NUMA node, and the two threads of one core, stand together. Cores beyond a quota are left out.
    """
    cores = sorted(allowed_cores(), key=_place_of)
    size = min(len(cores), math.floor(usable_cores())) // number
    if number == 1 or size < 1:
        return [()] * number
    return [tuple(cores[index * size : (index + 1) * size]) for index in range(number)]


def _place_of(core: int) -> tuple[int, int, int]:
    """Where a core is: (NUMA node, the first thread of its core, itself)."""
    folder = CPUS / f"cpu{core}"
    node = next((int(path.name[4:]) for path in folder.glob("node[0-9]*")), 0)
    try:
        siblings = (folder / "topology" / "thread_siblings_list").read_text(encoding="ascii")
        first = int(siblings.replace("-", ",").split(",")[0])
    except (OSError, ValueError):
        first = core
    return node, first, core


def _measure(job: Job, groups: Sequence[Group], unit: Unit) -> float:
    """Frames per second of so many worker processes together; 0 where one of them fails."""
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    members: list[Member] = []
    try:
        for cores in groups:
            members.append(LocalMember(dataclasses.replace(job, cores=cores), messages))
            members[-1].start()
            members[-1].say(("begin", unit))
        if _answers(messages, "ready", len(members)) is None:
            return 0.0
        for member in members:
            member.say(("measure", unit, MEASURED_S))
        return float(sum(_answers(messages, "measured", len(members)) or [0.0]))
    finally:
        for member in members:
            member.kill()
            member.close()


def _answers(messages: queue.SimpleQueue[Message], word: str, number: int) -> list[Any] | None:
    """What so many workers answer; None where one of them ends."""
    found: list[Any] = []
    while len(found) < number:
        _, message = messages.get()
        if message[0] == word:
            found.append(message[1])
        elif message[0] in ("fatal", "gone"):
            return None
    return found
