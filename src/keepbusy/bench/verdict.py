"""What holds a pipeline back: bounds from what its stages cost, and a verdict in words. Pure functions.

A pipeline in steady state is a closed loop of slots through `preprocess`, the device and `postprocess`, fed by readers
and emptied by a consumer. Its throughput cannot exceed any of these:

- a stage: servers ÷ service time (one thread that takes 4 ms a frame does at most 250 frames/s);
- the slots, by Little's law (N = X · R): each frame holds a slot through preprocess, infer and postprocess, so
  X ≤ slots ÷ (preprocess + infer + postprocess);
- the cores: all stages, and a CPU device as well, share them, so X ≤ cores ÷ CPU time of a frame.

With constant times the least of them is also reached; with varying times it is approached from below as slots and
buffers grow (Lazowska et al., Quantitative System Performance, 1984, chapter 5).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from keepbusy.bench.advice import Advice, advice_for
from keepbusy.bench.possible import EVERYTHING, Possible
from keepbusy.errors import STAGES, Stage

Limit = Literal["read", "preprocess", "infer", "postprocess", "sink", "slots", "cores"]
"""What can hold a run back: one of the stages, the number of slots, or the cores that all stages share."""

Confidence = Literal["certain", "likely", "a near tie", "doubtful"]

CERTAIN_MARGIN, LIKELY_MARGIN = 0.25, 0.08
"""By how much the next bound must be higher for each confidence. Rounds vary by a few percent on a quiet machine."""

MOSTLY = 0.75
"""A CPU device that takes less than this share of the CPU time is not the first thing to look at."""

EXPLAINED = 0.85
"""Below this share of its bound a run is held back by something that the bounds do not know."""

CONTRADICTED = 1.1
"""Above this share of its bound the bound itself was measured while the machine was slower."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage costs.

    Attributes:
        service_s: Seconds of work for one frame in one server.
        num_servers: How many frames it works on at once: its threads; for `infer`, what the device serves.
        cpu_s: Seconds of CPU time a frame, where they are known.
    """

    service_s: float
    num_servers: int = 1
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """All that the bounds depend on.

    Attributes:
        stages: The stages that the run has.
        num_slots: How many frames can be between the begin of their preprocessing and the end of their postprocessing.
        num_cores: Cores that the process may use; None leaves them out.
        cpu_s: Seconds of CPU time a frame, of all threads of the process; None leaves the cores out.
    """

    stages: dict[Stage, StageCost]
    num_slots: int
    num_cores: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper limit of the throughput, and how it comes about."""

    limit: Limit
    fps: float
    formula: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds a run back.

    Attributes:
        bottleneck: The lowest bound's limit.
        confidence: How far it lies below the next one.
        margin: The next bound ÷ the lowest, minus 1.
        predicted_fps: The lowest bound.
        explained: Measured throughput ÷ predicted; None without a measured one.
        removed_fps: The bound that would be left if the bottleneck cost nothing.
        next_limit: Which one that is; None where none is left.
        bounds: All bounds, lowest first.
        sentence: All this in words.
        advice: What to try next.
        flag: The option to try it with, one of `keepbusy detect`, or the command that makes another model.
    """

    bottleneck: Limit
    confidence: Confidence
    margin: float
    predicted_fps: float
    explained: float | None
    removed_fps: float | None
    next_limit: Limit | None
    bounds: tuple[Bound, ...]
    sentence: str
    advice: str
    flag: str


_NAMES: dict[Limit, str] = {
    "read": "reading (decoding the video or the pictures)",
    "preprocess": "preprocessing (resizing into the input)",
    "infer": "the device",
    "postprocess": "postprocessing (boxes from the model's output)",
    "sink": "sinks (drawing, encoding, writing)",
    "slots": "the number of slots",
    "cores": "the CPU cores, which all stages share",
}

_SHORT: dict[Limit, str] = {**{stage: stage for stage in STAGES}, "slots": "the slots", "cores": "the cores"}


def bounds(profile: Profile) -> tuple[Bound, ...]:
    """All upper limits of the throughput, lowest first; what costs nothing sets none."""
    found: list[Bound] = []
    for stage, cost in profile.stages.items():
        if cost.service_s > 0:
            servers = f"{cost.num_servers} server{'s' if cost.num_servers > 1 else ''}"
            formula = f"{servers} ÷ {_ms(cost.service_s)}"
            found.append(Bound(stage, cost.num_servers / cost.service_s, formula))
    held = [
        profile.stages[stage].service_s for stage in ("preprocess", "infer", "postprocess") if stage in profile.stages
    ]
    if sum(held) > 0:
        terms = " + ".join(f"{held_s * 1e3:.2f}" for held_s in held)
        slots = f"{profile.num_slots} slot{'s' if profile.num_slots > 1 else ''}"
        found.append(Bound("slots", profile.num_slots / sum(held), f"{slots} ÷ ({terms}) ms"))
    if profile.cpu_s and profile.num_cores:
        parts = [f"{stage} {cost.cpu_s * 1e3:.2f}" for stage, cost in profile.stages.items() if cost.cpu_s]
        formula = f"{profile.num_cores:g} cores ÷ {_ms(profile.cpu_s)} of CPU time"
        formula += f" ({', '.join(parts)})" if parts else ""
        found.append(Bound("cores", profile.num_cores / profile.cpu_s, formula))
    return tuple(sorted(found, key=lambda bound: bound.fps))


def sync_fps(profile: Profile) -> float:
    """The throughput of the same stages one after the other: 1 ÷ the sum of their service times."""
    return 1 / sum(cost.service_s for cost in profile.stages.values())


def without(profile: Profile, limit: Limit) -> Profile:
    """The profile as it would be if one limit cost nothing."""
    if limit == "slots":
        return dataclasses.replace(profile, num_slots=2**31)
    if limit == "cores":
        return dataclasses.replace(profile, num_cores=None)
    cost = profile.stages[limit]
    cpu_s = profile.cpu_s
    if cpu_s is not None and cost.cpu_s is not None:
        cpu_s = max(cpu_s - cost.cpu_s, 0.0)
    stages = {**profile.stages, limit: dataclasses.replace(cost, service_s=0.0, cpu_s=0.0)}
    return dataclasses.replace(profile, stages=stages, cpu_s=cpu_s)


def judge(
    profile: Profile,
    measured_fps: float | None = None,
    *,
    to_exported: float | None = None,
    can: Possible = EVERYTHING,
) -> Verdict:
    """Name the bottleneck.

    Args:
        profile: What the stages cost; at least one of them must cost something.
        measured_fps: The throughput that was measured, to check the bound against.
        to_exported: That throughput ÷ what the model as exported does alone, where that is another graph.
        can: What model and machine can do: only that is advised.
    """
    all_bounds = bounds(profile)
    lowest = all_bounds[0]
    margin = all_bounds[1].fps / lowest.fps - 1 if len(all_bounds) > 1 else math.inf
    left = bounds(without(profile, lowest.limit))
    explained = measured_fps / lowest.fps if measured_fps is not None else None
    confidence: Confidence = "a near tie"
    if margin >= CERTAIN_MARGIN:
        confidence = "certain"
    elif margin >= LIKELY_MARGIN:
        confidence = "likely"
    if confidence == "certain" and explained is not None and explained < EXPLAINED:
        confidence = "likely"
    if explained is not None and explained > CONTRADICTED:
        confidence = "doubtful"
    advice, flag = _advise(profile, lowest.limit, can)
    return Verdict(
        bottleneck=lowest.limit,
        confidence=confidence,
        margin=margin,
        predicted_fps=lowest.fps,
        explained=explained,
        removed_fps=left[0].fps if left else None,
        next_limit=left[0].limit if left else None,
        bounds=all_bounds,
        sentence=_sentence(all_bounds, margin, confidence, left, explained) + _beside_exported(to_exported),
        advice=advice,
        flag=flag,
    )


def _advise(profile: Profile, limit: Limit, can: Possible) -> Advice:
    cpu_s = {stage: cost.cpu_s for stage, cost in profile.stages.items() if cost.cpu_s}
    around: dict[Stage, float] = {stage: spent_s for stage, spent_s in cpu_s.items() if stage != "infer"}
    if limit == "cores" and profile.cpu_s and around and cpu_s.get("infer", 0.0) < MOSTLY * profile.cpu_s:
        # The device is not what fills the cores: look at the costliest stage around it.
        stage, spent_s = max(around.items(), key=lambda item: item[1])
        advice, flag = advice_for(stage, can, num_slots=profile.num_slots)
        return f"{stage} costs most of the stages around the device ({_ms(spent_s)} of CPU time): {advice}", flag
    return advice_for(limit, can, num_slots=profile.num_slots)


def _sentence(
    all_bounds: tuple[Bound, ...],
    margin: float,
    confidence: Confidence,
    left: tuple[Bound, ...],
    explained: float | None,
) -> str:
    lowest = all_bounds[0]
    parts = [f"The bottleneck is {_NAMES[lowest.limit]}: {lowest.formula} = at most {lowest.fps:.1f} frames/s."]
    if len(all_bounds) > 1:
        second = all_bounds[1]
        parts.append(
            f"That is {confidence}: the next limit, {_SHORT[second.limit]}, allows {second.fps:.1f} ({margin:+.0%})."
        )
    if explained is not None:
        if explained < EXPLAINED:
            parts.append(
                f"Measured was only {explained:.0%} of that: something else takes part, such as the interpreter's "
                "lock, memory bandwidth or other programs."
            )
        elif explained > CONTRADICTED:
            parts.append(
                f"Measured was {explained:.0%} of that, which cannot be: the machine changed its speed between the "
                "measurements. Repeat it on a quieter machine, or with more rounds."
            )
        else:
            parts.append(f"Measured was {explained:.0%} of that.")
    if left:
        parts.append(
            f"Were it removed, {_SHORT[left[0].limit]} would allow {left[0].fps:.1f} frames/s at best "
            f"({left[0].fps / lowest.fps:.2f} times as many; {left[0].formula})."
        )
    return " ".join(parts)


def _beside_exported(to_exported: float | None) -> str:
    if to_exported is None:
        return ""
    return f" End to end it is {to_exported:.2f} times what the model as exported does alone."


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
