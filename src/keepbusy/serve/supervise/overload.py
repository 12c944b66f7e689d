"""What the ladder does to the server: its steps put into force and taken back, and what is told of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.supervise.engine import Engine
from keepbusy.serve.supervise.ladder import Ladder, Load, Rung, rates_by_weight, rungs_of
from keepbusy.serve.supervise.served import Served
from keepbusy.serve.supervise.verdict import HELD_BACK
from keepbusy.serve.supervise.view import EngineView

LACK = ("overload", "stale", "nonref", "nonkey")
"""Causes of drops that a faster machine would not have."""

SETTLES_S = 10.0
"""After a step, and after a run has begun, the last seconds are those of before for so long."""

OWN = {"shed": {"nonref"}, "rate": {"rate", "nonref", "nonkey"}}
"""Those that a step has instead, where it is in force: they are no overload."""


@dataclass(frozen=True, slots=True)
class Told:
    """Where the ladder stands.

    Attributes:
        step: The number of the step that was taken last; 0 for none.
        num_steps: How many there are.
        kind: What that step does; empty for none.
        since_s: How long it has been in force, seconds.
        sentence: In English; empty for none.
        figures: The numbers in it.
    """

    step: int
    num_steps: int
    kind: str
    since_s: float
    sentence: str
    figures: dict[str, float | str]


class Overload:
    """Used by one thread, except for `told`, `num_steps` and `own_causes`.

    Args:
        settings: The configuration.
        engine: What the model is prepared with.
        view: What the engine does.
        tell: Told of each step.
        now_s: The monotonic clock, seconds.
    """

    def __init__(
        self,
        settings: ServeSettings,
        engine: Engine,
        view: EngineView,
        tell: Callable[[str], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._view, self._tell, self._now_s = engine, view, tell, now_s
        self._failure = ""
        self._quiet_until_s = 0.0
        self.change(settings)

    def change(self, settings: ServeSettings) -> None:
        """Begin anew, with another configuration. Whoever calls sees to the model."""
        self._settings = settings
        given = settings.overload
        rungs = rungs_of(given, settings.imgsz)
        self._ladder = Ladder(rungs, given.after_s, given.back_after_s, self._now_s)
        self._figures: dict[str, float | str] = {}

    @property
    def has_other_model(self) -> bool:
        """Whether a step is in force that runs another model, or has compiled it differently."""
        return any(rung.gain > 1 for rung in self._ladder.taken)

    @property
    def own_causes(self) -> frozenset[str]:
        """Causes of drops that the ladder has chosen."""
        return frozenset(cause for rung in self._ladder.taken for cause in OWN.get(rung.kind, ()))

    def look(self, streams: Sequence[Served]) -> None:
        """See whether a step is due; to be called once a second, behind the streams' and the view's own `look`.

        Args:
            streams: All streams.
        """
        ladder, live = self._ladder, [served for served in streams if served.is_live]
        if self._failure:
            failure, self._failure = self._failure, ""
            ladder.undo()
            self._tell(f"that cannot be done: {failure}")
        arriving = [served.rates()[0] or served.wanted_fps or 0.0 for served in live]
        load = None if self._engine.is_preparing else self._load(live, arriving)
        before = ladder.taken
        change = ladder.look(load, self._applies)
        if change:
            # The last seconds are those of before.
            self._quiet_until_s = self._now_s() + SETTLES_S
            rung = ladder.taken[-1] if change > 0 else before[-1]
            if rung.gain > 1:
                self._go_on_with(ladder.taken)
        self._lower(live, arriving)
        if change and load is not None:
            lost, possible = round(100 * load.lost), f"{load.fps:.4g} of {load.arriving_fps:.4g} frames/s"
            why = f"{lost} % of the frames are lost for lack of device" if change > 0 else f"there is room ({possible})"
            self._tell(f"{why}: {_deed(rung, ladder.limit_fps, is_back=change < 0)}")

    def _load(self, live: Sequence[Served], arriving: Sequence[float]) -> Load | None:
        window = self._view.window
        if window is None or not live:
            self._quiet_until_s = max(self._quiet_until_s, self._now_s() + SETTLES_S)
            return None
        if self._now_s() < self._quiet_until_s:
            return None
        rates = [served.rates() for served in live]
        own = self.own_causes
        came = sum(one[0] for one in rates)
        lacking = {cause: sum(one[2].get(cause, 0) for one in rates) for cause in LACK if cause not in own}
        chosen = sum(sum(count for cause, count in one[2].items() if cause in own) for one in rates)
        spans = [served.window_s for served in live]
        span_s = max(spans, default=0.0) or 1.0
        passed = max(came - chosen / span_s, 1e-9)
        code = self._view.verdict(num_streams=len(live), own=own).code
        min_fps = self._settings.overload.min_fps
        return Load(
            is_held_back=code in HELD_BACK,
            lost=sum(lacking.values()) / span_s / passed,
            arriving_fps=came,
            fps=sum(one[1] for one in rates),
            busy=window.device_busy_share,
            floor_fps=sum(min(min_fps, fps) for fps in arriving),
        )

    def _applies(self, rung: Rung) -> bool:
        if rung.kind != "throughput":
            return True
        facts = self._engine.facts
        return facts is not None and facts.hint == "latency" and not facts.is_hint_given

    def _go_on_with(self, taken: Sequence[Rung]) -> None:
        """Have the model that the steps in force ask for."""
        changes: dict[str, Any] = {}
        for rung in taken:
            changes |= {"imgsz": rung.imgsz} if rung.imgsz is not None else {}
            changes |= {"model": rung.model} if rung.model is not None else {}
        is_full = any(rung.kind == "throughput" for rung in taken)
        self._engine.prepare(
            self._settings.model_copy(update=changes) if changes else self._settings,
            is_full=is_full,
            on_failure=partial(self._has_failed, self._ladder),
        )

    def _has_failed(self, ladder: Ladder, reason: str) -> None:
        """By the thread that compiles; seen to by `look`."""
        if ladder is self._ladder:
            self._failure = reason

    def _lower(self, live: Sequence[Served], arriving: Sequence[float]) -> None:
        """Have the streams' rates and what they leave undecoded as the ladder wants them now."""
        taken, limit_fps = self._ladder.taken, self._ladder.limit_fps
        sheds = any(rung.kind == "shed" for rung in taken)
        rates: list[float | None] = [None] * len(live)
        if math.isfinite(limit_fps):
            weights = [served.settings.weight for served in live]
            wanted = rates_by_weight(arriving, weights, limit_fps, self._settings.overload.min_fps)
            # Who gets all that comes is not capped: its rate is known to some per cent only.
            rates = [fps if fps < 0.98 * came else None for fps, came in zip(wanted, arriving, strict=True)]
        for served, fps in zip(live, rates, strict=True):
            served.lowered.sheds, served.lowered.max_fps = sheds, fps
        self._figures = {"limit": round(limit_fps, 1)} if math.isfinite(limit_fps) else {}

    def told(self) -> Told:
        """Where it stands."""
        ladder = self._ladder
        taken, since_s, figures = ladder.taken, ladder.since_s, self._figures
        if not taken or since_s is None:
            return Told(0, len(ladder.rungs), "", 0.0, "", {})
        rung, step = taken[-1], ladder.step
        figures = {"step": step, "steps": len(ladder.rungs), **figures}
        figures |= {"imgsz": _size(rung.imgsz)} if rung.imgsz is not None else {}
        sentence = f"Too many frames for this machine, step {step} of {len(ladder.rungs)}: {_state(rung, figures)}."
        return Told(step, len(ladder.rungs), rung.kind, self._now_s() - since_s, sentence, figures)


def _size(imgsz: int | tuple[int, int]) -> str:
    return str(imgsz) if isinstance(imgsz, int) else f"{imgsz[1]}x{imgsz[0]}"


def _state(rung: Rung, figures: dict[str, float | str]) -> str:
    if rung.kind == "rate":
        return f"all streams together are looked at {figures.get('limit', 0)} times per second, by weight"
    if rung.kind == "imgsz":
        return f"the input has the smaller size {figures['imgsz']}; small objects may be missed"
    return {
        "throughput": "the model is compiled for throughput, not for the freshest results",
        "shed": "frames that no other refers to are not decoded",
        "model": "the smaller model runs that the configuration names",
    }[rung.kind]


def _deed(rung: Rung, limit_fps: float, *, is_back: bool) -> str:
    """What is done now."""
    if rung.kind == "rate" and math.isfinite(limit_fps):
        return f"{'raising' if is_back else 'lowering'} the rates to {limit_fps:.3g} frames/s together"
    if rung.kind == "rate":
        return "taking all frames again"
    doing, undoing = {
        "throughput": ("compiling for throughput", "compiling for the freshest results"),
        "shed": ("frames that no other refers to are not decoded any more", "decoding all frames again"),
        "imgsz": (f"going on with the input size {_size(rung.imgsz or 0)}", "going back to the larger input"),
        "model": ("going on with the smaller model", "going back to the model before"),
    }[rung.kind]
    return undoing if is_back else doing
