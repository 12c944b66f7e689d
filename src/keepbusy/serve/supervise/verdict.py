"""What holds a server back at the moment: one of a few findings, with figures, in words. Pure functions.

A wall of cameras is well where every frame that arrives is looked at: then the device is idle part of the time, and
that is no loss. It is held back where frames are dropped because newer ones come before the device is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BUSY = 0.9
"""A stage that works a larger share of the time has no room left."""

LOSING = 0.02
"""A smaller share of dropped frames is not worth a word."""

HELD_BACK = ("device-bound", "losing")
"""Codes of a server that loses frames for lack of device, or of time for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last seconds.

    Attributes:
        num_streams: Streams of the configuration.
        wall_s: Seconds.
        fps: Results per second.
        device_busy: Share of the time with a frame on the device.
        arrived: Frames that have arrived, without those that were left out on purpose.
        dropped: Frames of these that have no result, by cause.
        busy: Share of the time that each stage's threads have worked.
    """

    num_streams: int
    wall_s: float
    fps: float
    device_busy: float
    arrived: int
    dropped: Mapping[str, int]
    busy: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding.

    Attributes:
        code: Which one: what the page looks its words up by.
        sentence: In English.
        figures: The numbers in it.
    """

    code: str
    sentence: str
    figures: dict[str, float | str] = field(default_factory=dict)


def judge(seen: Seen | None) -> Verdict:
    """Name what holds it back; None while nothing runs."""
    if seen is None:
        return Verdict("nothing", "No model is running.")
    if not seen.num_streams and not seen.fps:
        return Verdict("no-streams", "There are no streams. Add one, or send a picture.")
    if not seen.arrived and not seen.fps:
        return Verdict("silent", "No stream delivers frames.", {"streams": seen.num_streams})
    lost = sum(seen.dropped.values())
    share = lost / max(seen.arrived, 1)
    percent, busy = round(100 * share), round(100 * seen.device_busy)
    figures: dict[str, float | str] = {"fps": round(seen.fps, 1), "lost": percent, "busy": busy}
    figures["arriving"] = round(seen.arrived / seen.wall_s, 1)
    if share < LOSING:
        if seen.device_busy < BUSY:
            return Verdict(
                "keeps-up",
                f"It keeps up: of {figures['arriving']} frames/s that arrive, all are looked at. The device works "
                f"{busy} % of the time; {_room(seen)}.",
                figures | {"room": _room(seen)},
            )
        return Verdict(
            "just-keeps-up",
            f"It just keeps up: all {figures['arriving']} frames/s are looked at, and the device works {busy} % of the "
            "time. Another camera will cost frames.",
            figures,
        )
    stage, stage_busy = max(
        ((stage, one) for stage, one in seen.busy.items() if stage not in ("infer", "read")),
        key=lambda item: item[1],
        default=("", 0.0),
    )
    if stage_busy > BUSY and stage_busy > seen.device_busy:
        return Verdict(
            "stage-bound",
            f"Held back by the stage {stage}, whose threads work {stage_busy:.0%} of the time: {percent} % of the "
            "frames are dropped.",
            figures | {"stage": stage, "stage_busy": round(100 * stage_busy)},
        )
    if seen.device_busy > BUSY:
        return Verdict(
            "device-bound",
            f"Held back by the device: it works {busy} % of the time, does {figures['fps']} frames/s of "
            f"{figures['arriving']}, and {percent} % are dropped. A rate cap (max_fps), a smaller model or input, or "
            "another device helps; weights decide who loses.",
            figures,
        )
    cause = max(seen.dropped, key=lambda one: seen.dropped[one])
    return Verdict(
        "losing",
        f"{percent} % of the frames are dropped, most because of {cause}, while the device works {busy} % of the time: "
        "other work takes the cores, or frames wait too long.",
        figures | {"cause": cause},
    )


def _room(seen: Seen) -> str:
    """How much more there is room for, roughly: what shares the cores costs more than the device's share says."""
    if seen.device_busy <= 0:
        return "there is room for more cameras"
    times = BUSY / seen.device_busy
    return (
        f"there is room for {times:.1f} times as many frames at most" if times >= 1.2 else "there is little room left"
    )
