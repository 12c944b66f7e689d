"""Workers on a Ray cluster: one actor each, which starts the worker process on its node and passes on what is said.

The supervisor, the manifest and the rules are those of one machine. All nodes need the job's folder and its files under
the same paths, and the same versions. A decoder that crashes ends the worker process and not its actor; a node that is
lost loses what it was doing, which is given to others.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from keepbusy.batch.crew import Hire, LocalMember, Member, Message
from keepbusy.batch.job import Job
from keepbusy.batch.nodes import NodeFacts, about_node, check_nodes
from keepbusy.errors import ConfigError, KeepbusyError, MissingExtraError, first_line
from keepbusy.texts import shortened
from keepbusy.threads.cores import usable_cores

log = logging.getLogger("keepbusy")

LOCAL = "local"
"""The address that starts a Ray of its own on this machine."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_RAISED = re.compile(r"[\w.]*(Error|Exception): .")

_ANSWERS_S = 5.0
_ASKED_S = 120.0
"""A node has this long to start a process and load what it needs."""

_TAKEN_S = 1.0
_REASON_S = 10.0
_CLOSED_S = 30.0


class Cluster:
    """A Ray cluster, connected to; a context, which disconnects.

    Args:
        address: Ray's address, `auto` for a cluster that runs here, or `local` for one of its own.

    Raises:
        MissingExtraError: Ray is not installed.
        KeepbusyError: There is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        # Ray would tell its makers of each cluster that is started.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("a batch on Ray", extra="ray") from error
        self._ray: Any = ray
        self._was_connected = bool(ray.is_initialized())
        if not self._was_connected:
            begins = {"include_dashboard": False} if address == LOCAL else {}
            try:
                _check_answers(address)
                with _kept_handlers():
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **begins)
            except Exception as error:  # Ray's own errors are of many types.
                raise KeepbusyError(
                    f"ray: no cluster can be reached at {address}: {reason_of_ray(error)}",
                    hint="give its address, `auto` for one that runs on this machine, or `local` to start one; "
                    "for a cluster with a token set RAY_AUTH_MODE=token",
                ) from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._was_connected:
            self._ray.shutdown()

    def hiring(self, number: int | None, job: Job) -> tuple[Hire, int]:
        """What starts workers on the cluster, and how many there are to be.

        Args:
            number: How many are wanted; None for one for each node.
            job: What they will be told.

        Raises:
            ConfigError: The cluster has fewer CPUs.
            KeepbusyError: A node cannot do the job, or would find something else than the others.
        """
        nodes = [node for node in self._ray.nodes() if node["Alive"] and int(node["Resources"].get("CPU", 0))]
        check_nodes({node["NodeManagerAddress"]: self._asked(node, job) for node in nodes})
        cpus = [int(node["Resources"]["CPU"]) for node in nodes]
        number = number or max(1, len(cpus))
        each = cpus_for_each(cpus, number)

        def hire(job: Job, messages: queue.SimpleQueue[Message]) -> Member:
            return RayMember(self._ray, job, messages, each)

        return hire, number

    def _asked(self, node: Mapping[str, Any], job: Job) -> NodeFacts:
        """What a node says of itself.

        Raises:
            KeepbusyError: It cannot.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        asked = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(about_node)
        try:
            return NodeFacts(**self._ray.get(asked.remote(job.model, job.folder), timeout=_ASKED_S))
        except Exception as error:  # Ray's own errors are of many types.
            raise KeepbusyError(
                f"ray: node {node['NodeManagerAddress']} cannot run keepbusy: {reason_of_ray(error)}",
                hint="install this version of keepbusy, with `batch`, in the environment that Ray was started in there",
            ) from error


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Keep the program's own signal handlers: Ray puts others in their place, which end it with a dump of the stack."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    is_terminated = False
    try:
        yield
    except SystemExit:  # What Ray's handler raises.
        is_terminated = True
        raise
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        if is_terminated:
            signal.raise_signal(signal.SIGTERM)


def _check_answers(address: str) -> None:
    """See that something listens at an address: Ray itself goes on asking for minutes.

    Raises:
        OSError: Nothing does.
    """
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=_ANSWERS_S).close()


def reason_of_ray(error: Exception) -> str:
    """One line of what Ray raises: the error that its text ends with, where an actor could not be made, else the first.

    Ray's texts have tracebacks and colours.
    """
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines()]
    raised = [line for line in lines if _RAISED.match(line)]
    return shortened(raised[-1]) if raised else first_line(error)


def cpus_for_each(cpus: list[int], number: int) -> int:
    """The most CPUs that so many workers can have each.

    Args:
        cpus: Of each node.
        number: How many workers.

    Raises:
        ConfigError: There is not one for each.
    """
    for each in range(max(cpus, default=0), 0, -1):
        if sum(count // each for count in cpus) >= number:
            return each
    raise ConfigError(
        f"processes: the cluster has {sum(cpus)} CPUs, not {number}", hint="give fewer, or leave `processes` out"
    )


class Relay:
    """What runs as an actor: a worker process of its node, and what it says."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._member: LocalMember | None = None

    def begin(self, job: Job, num_cpus: int) -> None:
        """Start the worker process; it infers with so many threads.

        Ray binds nobody to cores: several workers of one node would all take all of them.
        """
        options = dict(job.options)
        if num_cpus < usable_cores():
            options["threads"] = options.get("threads") or num_cpus
        self._member = LocalMember(dataclasses.replace(job, options=options), self._messages)
        self._member.start()

    def say(self, message: Any) -> None:
        """Tell it something."""
        assert self._member is not None  # nosec B101 # for mypy: `begin` comes first
        self._member.say(message)

    def take(self) -> list[tuple[Any, ...]]:
        """What it has said since; waits a moment where that is nothing."""
        found: list[tuple[Any, ...]] = []
        with suppress(queue.Empty):
            found.append(self._messages.get(timeout=_TAKEN_S)[1])
            while True:
                found.append(self._messages.get_nowait()[1])
        return found

    def reason(self) -> str:
        """How it has ended."""
        return "" if self._member is None else self._member.reason()

    def kill(self) -> None:
        """End it now."""
        if self._member is not None:
            self._member.kill()

    def close(self) -> None:
        """End it and let go of it."""
        if self._member is not None:
            self._member.close()


class RayMember(Member):
    """A worker process on a node of a Ray cluster.

    Args:
        ray: The module.
        job: What it is told.
        messages: Where what it says goes.
        num_cpus: How many CPUs of its node it takes.
    """

    def __init__(self, ray: Any, job: Job, messages: queue.SimpleQueue[Message], num_cpus: int) -> None:
        super().__init__()
        self._ray = ray
        self._job = job
        self._messages = messages
        self._num_cpus = num_cpus
        self._is_closed = False
        self._lost = ""
        self._actor: Any = None
        self._listener = threading.Thread(target=self._listen, name="keepbusy-batch-ray")

    def start(self) -> None:
        # What is said is heard in order: one thread says, another one listens.
        groups = {"saying": 1, "listening": 1}
        how = self._ray.remote(num_cpus=self._num_cpus, max_restarts=0, concurrency_groups=groups)
        self._actor = how(Relay).remote()
        self._begun = self._said("begin").remote(self._job, self._num_cpus)
        self._listener.start()

    def say(self, message: Any) -> None:
        with suppress(Exception):  # What Ray raises where the actor is gone: it will be reported.
            self._said("say").remote(message)

    def _said(self, method: str) -> Any:
        return getattr(self._actor, method).options(concurrency_group="saying")

    def _listen(self) -> None:
        begin_s, has_answered = time.monotonic(), False
        waiting = self._actor.take.options(concurrency_group="listening").remote()
        while not self._is_closed:
            try:
                ready, _ = self._ray.wait([waiting], timeout=_TAKEN_S)
                if not ready:
                    if not has_answered and time.monotonic() - begin_s > _REASON_S:
                        has_answered = True
                        log.info("waiting for a free place on the Ray cluster")
                    continue
                self._ray.get(self._begun)  # Raises what it has failed with.
                told = self._ray.get(waiting)
                waiting = self._actor.take.options(concurrency_group="listening").remote()
            except Exception as error:  # Ray's own errors are of many types.
                self._lost = reason_of_ray(error)
                self._messages.put((self, ("gone", False)))
                return
            has_answered = True
            for message in told:
                self._messages.put((self, message))
                if message[0] == "gone":
                    return

    def reason(self) -> str:
        if self._lost:
            return self._lost
        try:
            return str(self._ray.get(self._said("reason").remote(), timeout=_REASON_S))
        except Exception as error:
            return reason_of_ray(error)

    def kill(self) -> None:
        with suppress(Exception):
            self._said("kill").remote()

    def close(self) -> None:
        with suppress(Exception):
            self._ray.get(self._said("close").remote(), timeout=_CLOSED_S)
        self._is_closed = True
        if self._listener.ident is not None:
            self._listener.join()
        with suppress(Exception):
            self._ray.kill(self._actor)
