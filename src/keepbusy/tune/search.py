"""The search: stage after stage of successive halving, then a final among the best, and a duel with the default.

Each stage varies what belongs together, around the best found so far, which takes part itself. All are compared with
the default configuration, measured in the same rounds. A stage is one `Book` of its own; what a candidate is said to be
comes from the last stage that it took part in. The best of many noisy figures is a lucky one: so the winner of the
final meets the default once more, and that alone decides, and is the gain that is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from keepbusy.bench.samples import MIN_ROUNDS
from keepbusy.tune.findings import LEVELS, Findings
from keepbusy.tune.frontier import MIN_GAIN, SURE_ROUNDS, finalists, scorer
from keepbusy.tune.rounds import Book, Cost, Rung, Sample, halve, num_affordable, num_measurements, plan_rungs
from keepbusy.tune.space import (
    DEFAULT,
    Candidate,
    Machine,
    graph_candidates,
    host_candidates,
    request_candidates,
    stream_candidates,
)

STAGES: dict[str, float] = {
    "streams": 0.30,
    "requests": 0.12,
    "graph": 0.15,
    "host": 0.13,
    "final": 0.15,
    "duel": 0.15,
}
"""Each stage's share of the budget; what one leaves over goes to those after it."""

NUM_FINALISTS = 6
FINAL_ROUNDS = (5, 4, 3, 2, 1)
DUEL_ROUNDS = (15, 11, 9, 7, 6, 5, 4, 3, 2, 1)
"""As many as the time allows: rather many rounds than long ones."""

CALIBRATION_S = 0.5


class Trials(Protocol):
    """What can be asked of the machine."""

    def measure(self, candidate: Candidate, seconds: float) -> Sample | None:
        """Run a candidate for some seconds; None where it cannot be run."""
        ...

    def objection(self, candidate: Candidate) -> str | None:
        """Why detections with a precision, head and shape cannot stand for the default's; None where they can."""
        ...


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage that is over.

    Attributes:
        name: Of `STAGES`, or `result`.
        num_candidates: How many were tried in it.
        best: The best so far.
        gain: Its gain over the default.
    """

    name: str
    num_candidates: int
    best: Candidate
    gain: float


@dataclass(slots=True)
class Events:
    """Whom the search tells what it does."""

    on_step: Callable[[str, Candidate], None] = lambda _stage, _candidate: None
    on_stage: Callable[[StageReport], None] = lambda _report: None


@dataclass(slots=True)
class Search:
    """A search, and what it has found so far. Not thread-safe.

    After an exception, KeyboardInterrupt too, everything measured before it is still there.

    Args:
        trials: The machine.
        machine: What it has.
        budget_s: How long it may take. The measurement that is going on then is finished.
        max_latency_ms: The limit; None for throughput alone.
        events: Whom to tell.
        clock: Seconds.

    Attributes:
        found: What was measured and checked so far.
        is_finished: It went through to its end.
    """

    trials: Trials
    machine: Machine
    budget_s: float = 120.0
    max_latency_ms: float | None = None
    events: Events = field(default_factory=Events)
    clock: Callable[[], float] = time.monotonic
    found: Findings = field(init=False)
    is_finished: bool = field(default=False, init=False)
    _cost: Cost = field(default_factory=Cost, init=False)
    _start_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.found = Findings(self.machine.base, self.max_latency_ms)

    def run(self) -> None:
        """Search until the budget is spent.

        Raises:
            KeepbusyError: The default configuration failed.
        """
        self._start_s = self.clock()
        self._calibrate()
        best = self.machine.base
        is_limited = self.max_latency_ms is not None
        best = self._stage("streams", best, lambda _: stream_candidates(self.machine, is_latency_limited=is_limited))
        best = self._stage("requests", best, lambda one: request_candidates(self.machine, one))
        best = self._stage("graph", best, lambda one: graph_candidates(self.machine, one))
        best = self._stage("host", best, lambda one: host_candidates(self.machine, one, is_latency_limited=is_limited))
        self._final()
        self._duel()
        self.is_finished = True

    @property
    def elapsed_s(self) -> float:
        """Since the search began."""
        return self.clock() - self._start_s

    def _calibrate(self) -> None:
        """What a measurement costs here, from two of the default; it is warm then, too."""
        book = self.found.begin("calibration")
        cost = self._cost
        begin_s = self.clock()
        self._measure("calibration", DEFAULT, CALIBRATION_S / 2)
        middle_s = self.clock()
        sample = self._measure("calibration", DEFAULT, CALIBRATION_S)
        assert sample is not None  # nosec B101 # for mypy: where the default fails that is an error
        book.references.append(sample)
        overhead_s = max(0.02, self.clock() - middle_s - cost.stretch * CALIBRATION_S)
        # Shorter ones would see each request finish once or not at all.
        least_s = max(cost.min_window_s, 3 * self.machine.num_slots / sample.fps)
        self._cost = replace(
            cost,
            overhead_s=overhead_s,
            min_window_s=least_s,
            max_window_s=max(cost.max_window_s, least_s),
            compile_s=min(max(0.0, middle_s - begin_s - overhead_s), 0.1 * self.budget_s),
        )

    def _stage(self, name: str, best: Candidate, make: Callable[[Candidate], Sequence[Candidate]]) -> Candidate:
        """Find the best of some candidates and the best so far."""
        time_s = self._share_s(name)
        deadline_s = self.clock() + time_s
        # Checking may take half of the stage's time at most; what is not checked by then does not take part.
        found = [one for centre in self._centres(best) for one in (centre, *make(centre)) if one != best]
        candidates = [one for one in dict.fromkeys(found) if self._is_allowed(one, name, deadline_s - time_s / 2)]
        # The base is the default with its head named, and the default is measured anyway.
        contenders = [best, *candidates] if best != self.machine.base else candidates
        time_s = deadline_s - self.clock()
        contenders = contenders[: num_affordable(len(contenders), time_s, self._cost)]
        if not [one for one in contenders if one != best] or time_s <= 0:
            return best
        book = self.found.begin(name)
        ranking = halve(
            contenders,
            DEFAULT,
            lambda one, seconds: self._measure(name, one, seconds),
            rungs=plan_rungs(len(contenders), time_s, self._cost),
            score=scorer(self.max_latency_ms),
            book=book,
            is_over=lambda: self.clock() >= deadline_s,
        )
        winner = self._winner(ranking, best, book)
        gain = self.found.standing(winner, book).gain.median
        if book.gains:
            self.events.on_stage(StageReport(name, len(book.gains), winner, gain))
        return winner

    def _centres(self, best: Candidate) -> list[Candidate]:
        """What to vary: the best; if that is the blocking loop, which has little to vary, the best other one, too."""
        if best.get("mode") != "sync":
            return [best]
        score = scorer(self.max_latency_ms)
        others = [point for point in self.found.points if point.candidate.get("mode") != "sync"]
        second = max(others, key=lambda point: score(point.standing), default=None)
        return [best] if second is None else [second.candidate, best]

    def _winner(self, ranking: Sequence[Candidate], best: Candidate, book: Book[Candidate]) -> Candidate:
        """The first, unless the best so far is as good: then nothing is changed for nothing."""
        score = scorer(self.max_latency_ms)
        if not ranking:
            return best
        first = ranking[0]
        return best if score(book.standing(first)) < MIN_GAIN * score(self.found.standing(best, book)) else first

    def _final(self) -> None:
        """The best once more, side by side, and what else lies on the frontier."""
        deadline_s = self.clock() + self._share_s("final")
        last = finalists(self.found.points, self.max_latency_ms, 2 * NUM_FINALISTS)
        last = [one for one in last if self._is_allowed(one, "final", deadline_s)]
        if last:
            time_s = max(0.0, deadline_s - self.clock())
            # Rather fewer of them than too few rounds.
            shortest_s = MIN_ROUNDS * self._cost.of(self._cost.min_window_s)
            fitting = [num for num in range(2, NUM_FINALISTS + 1) if shortest_s * num_measurements(num) <= time_s]
            self._compare("final", last[: max(fitting, default=2)], time_s, FINAL_ROUNDS)

    def _duel(self) -> None:
        """The winner against the default, in rounds that had no part in choosing it."""
        # Where the limit turns out to be broken, there is time for the next one.
        for share in (1.0,) if self.max_latency_ms is None else (0.6, 1.0):
            best = self.found.contender
            if best is None or best.level == LEVELS["duel"]:
                break
            self._compare("duel", [best.candidate], share * self._share_s("duel"), DUEL_ROUNDS)
        point = self.found.chosen
        if point is not None:
            num = len(self.found.points) + 1
            self.events.on_stage(StageReport("result", num, point.candidate, point.standing.gain.median))

    def _compare(self, name: str, contenders: Sequence[Candidate], time_s: float, choices: Sequence[int]) -> None:
        """Measure some side by side, in as many rounds as the time allows."""
        deadline_s = self.clock() + time_s
        cost = self._cost
        for num_rounds in choices:
            window_s = (time_s / (num_rounds * num_measurements(len(contenders))) - cost.overhead_s) / cost.stretch
            if window_s >= cost.min_window_s * (2 if num_rounds > SURE_ROUNDS + 2 else 1):
                break
        window_s = min(max(window_s, cost.min_window_s), cost.max_window_s)
        book = self.found.begin(name)
        halve(
            contenders,
            DEFAULT,
            lambda one, seconds: self._measure(name, one, seconds),
            rungs=[Rung(len(contenders), num_rounds, window_s)],
            score=scorer(self.max_latency_ms),
            book=book,
            # One round there is always: without it nothing is known of them side by side.
            is_over=lambda: bool(book.gains) and self.clock() >= deadline_s + 0.05 * self.budget_s,
        )

    def _share_s(self, name: str) -> float:
        """This stage's part of the time that is left."""
        names = list(STAGES)
        later = sum(STAGES[one] for one in names[names.index(name) :])
        return max(0.0, self._start_s + self.budget_s - self.clock()) * STAGES[name] / later

    def _measure(self, stage: str, candidate: Candidate, seconds: float) -> Sample | None:
        self.events.on_step(stage, candidate)
        return self.trials.measure(candidate, seconds)

    def _is_allowed(self, candidate: Candidate, stage: str, deadline_s: float) -> bool:
        """Check a candidate's detections once; one that there is no time to check is not allowed."""
        objections = self.found.objections
        if self.found.is_checked(candidate):
            return objections.get(candidate.graph) is None
        if self.found.is_hopeless(candidate) or self.clock() >= deadline_s:
            return False
        self.events.on_step(f"{stage}: checking detections", candidate.graph)
        objections[candidate.graph] = self.trials.objection(candidate.graph)
        return objections[candidate.graph] is None
