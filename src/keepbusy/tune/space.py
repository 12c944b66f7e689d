"""What there is to try on a machine: candidates, in stages, the likeliest of each first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from keepbusy.config import Options, Precision
from keepbusy.values.forms import HeadStrategy


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """Some options, by name, in the order of the names; those not named have their default.

    Attributes:
        items: (name, value) of each.
    """

    items: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, **options: Any) -> Candidate:
        """The candidate with these options; None leaves one at its default."""
        return cls(tuple(sorted((name, value) for name, value in options.items() if value is not None)))

    def changed(self, **options: Any) -> Candidate:
        """The same with other values for some options; None for the default."""
        return Candidate.of(**{**dict(self.items), **options})

    def get(self, name: str) -> Any:
        """An option's value; None where it has its default."""
        return dict(self.items).get(name)

    @property
    def options(self) -> Options:
        """As keyword options of `Pipeline`."""
        return cast("Options", dict(self.items))

    @property
    def graph(self) -> Candidate:
        """Only what changes the numbers that the model computes: precision, head and shape."""
        return Candidate.of(**{name: self.get(name) for name in ("precision", "head", "shape")})

    def __str__(self) -> str:
        return " ".join(f"{name}={_text(value)}" for name, value in self.items) or "default"


DEFAULT = Candidate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the candidates depend on.

    Attributes:
        device: OpenVINO's device name.
        cores: Threads that may run at the same time, by affinity and quota.
        is_limited: A quota leaves fewer cores than the device's defaults expect.
        num_streams: Streams that the default configuration has; 0 where the device does not say it.
        num_slots: Requests that it has in flight.
        head: How it computes the head.
        other_heads: Other ways that the graph allows.
        has_other_shape: It computes rectangles, and the square is possible, too.
        other_precisions: Number types that the device has besides the one it takes by itself.
    """

    device: str
    cores: int
    is_limited: bool = False
    num_streams: int = 0
    num_slots: int = 4
    head: HeadStrategy = "stock"
    other_heads: tuple[HeadStrategy, ...] = ()
    has_other_shape: bool = False
    other_precisions: tuple[Precision, ...] = ()

    @property
    def kind(self) -> str:
        """CPU, GPU, NPU; AUTO and the like as they are."""
        return self.device.split(":", maxsplit=1)[0].split(".", maxsplit=1)[0]

    @property
    def base(self) -> Candidate:
        """What all candidates but the default are variations of: the same with the head named, which else would be
        measured anew for each of them."""
        return Candidate.of(head=self.head)


def stream_candidates(machine: Machine, *, is_latency_limited: bool) -> list[Candidate]:
    """Streams and requests together: they decide both throughput and latency, and only together."""
    base = machine.base
    if machine.kind == "CPU" and machine.is_limited:
        # By itself the device would take every core that it sees, and be throttled.
        base = base.changed(threads=machine.cores)
    pairs = [(n, r) for n in _stream_counts(machine) for r in (_requests_for(n) if n else (1, 2, 4, 8))]
    if is_latency_limited:
        pairs.sort(key=lambda pair: pair[1])
    found = [base.changed(nstreams=n or None, nireq=r) for n, r in pairs]
    found += [base.changed(hint="latency"), base.changed(hint="latency", nireq=1)]
    if machine.is_limited:
        found.insert(0, base)
    if is_latency_limited:
        # What waits before the device is latency and nothing else, as long as the device does not run dry.
        short = [one.changed(channel_frames=1) for one in found]
        found = [machine.base.changed(mode="sync"), *short, *found]
    return _unique(found)


def request_candidates(machine: Machine, best: Candidate) -> list[Candidate]:
    """Requests around the best, and threads of the device."""
    if best.get("mode") == "sync":
        found: list[Candidate] = []
    else:
        now = best.get("nireq") or machine.num_slots
        found = [best.changed(nireq=r) for r in (now + 1, now - 1, now + 2) if r >= 1]
    if machine.kind == "CPU":
        least = best.get("nstreams") or 1
        counts = (machine.cores, machine.cores - 1, machine.cores // 2)
        found += [best.changed(threads=count) for count in counts if count >= least]
    return _unique(found, besides=best)


def graph_candidates(machine: Machine, best: Candidate) -> list[Candidate]:
    """Number type, head and shape: what may change detections, so that each has to be checked."""
    found: list[Candidate] = []
    for precision in (best.get("precision"), *machine.other_precisions):
        for head in (best.get("head"), *machine.other_heads):
            for shape in (None, "square") if machine.has_other_shape else (None,):
                if head != "stock" or shape is None:
                    found.append(best.changed(precision=precision, head=head, shape=shape))
    return _unique(found, besides=best)


def host_candidates(machine: Machine, best: Candidate, *, is_latency_limited: bool) -> list[Candidate]:
    """Threads that read and preprocess, and how many frames may wait."""
    if best.get("mode") == "sync":
        return []
    counts = [None, *(count for count in (1, 2, 4) if count <= max(2, machine.cores))]
    pairs = sorted(((r, p) for r in counts for p in counts), key=lambda pair: (pair.count(None) != 1, str(pair)))
    found = [best.changed(read_threads=r, preprocess_threads=p) for r, p in pairs]
    if is_latency_limited:
        found = [best.changed(channel_frames=n) for n in (None, 2, 1)] + found
    return _unique(found, besides=best)


def _stream_counts(machine: Machine) -> list[int]:
    if machine.kind == "CPU":
        counts = {1, 2, machine.cores // 4, machine.cores // 2, machine.cores}
    elif machine.kind == "GPU":
        counts = {1, 2, 3, 4}
    else:
        return [0]  # An NPU and AUTO choose their streams themselves.
    usable = sorted(count for count in counts if count >= 1 and (machine.kind != "CPU" or count <= machine.cores))
    # What the default has first, then by the distance from it: the likeliest are measured where time is short.
    return sorted(usable, key=lambda count: abs(count - (machine.num_streams or 1)))


def _requests_for(num_streams: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys((num_streams + 2, 2 * num_streams, num_streams)))


def _unique(candidates: Iterable[Candidate], *, besides: Candidate = DEFAULT) -> list[Candidate]:
    return [one for one in dict.fromkeys(candidates) if one not in (DEFAULT, besides)]


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
