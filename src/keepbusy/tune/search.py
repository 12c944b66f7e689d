"""The search: stage after stage of successive halving, then a final among the best, and a duel with the default.

Each stage varies what belongs together, around the best found so far, which takes part itself. All are compared with
the default configuration, measured in the same rounds. A stage is one `Book` of its own; what a candidate is said to be
comes from the last stage that it took part in. The best of many noisy figures is a lucky one: so the winner of the
final meets the default once more, and that alone decides, and is the gain that is reported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from keepbusy.bench.samples import MIN_ROUNDS, Ratio
from keepbusy.tune.frontier import MIN_GAIN, SURE_ROUNDS, Point, choose, finalists, frontier, scorer
from keepbusy.tune.rounds import Book, Cost, Rung, Sample, Standing, halve, num_affordable, num_measurements, plan_rungs
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
LEVELS = {"final": 1, "duel": 2}
"""How much more the last two are to be trusted: see `Point`."""

FINAL_ROUNDS = (5, 4, 3, 2, 1)
DUEL_ROUNDS = (15, 11, 9, 7, 6, 5, 4, 3, 2, 1)
"""As many as the time allows: rather many rounds than long ones."""

CALIBRATION_S = 0.5

_ONE = Ratio(1.0, 1.0, 1.0)


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
        objections: Candidate's graph → why it is out; those that are not None show in the report.
    """

    trials: Trials
    machine: Machine
    budget_s: float = 120.0
    max_latency_ms: float | None = None
    events: Events = field(default_factory=Events)
    clock: Callable[[], float] = time.monotonic
    objections: dict[Candidate, str | None] = field(default_factory=dict)
    is_finished: bool = False
    _books: list[tuple[str, Book[Candidate]]] = field(default_factory=list)
    _cost: Cost = field(default_factory=Cost)
    _start_s: float = 0.0

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

    @property
    def has_found(self) -> bool:
        """Something was measured against the default."""
        return any(book.gains for _, book in self._books)

    @property
    def default(self) -> Point:
        """The default configuration: what everything is compared with."""
        references = [book for _, book in self._books if book.references]
        last = references[-1]
        gain = Standing(_ONE, last.reference_latency_ms, len(last.references))
        return Point(DEFAULT, gain, last.reference_fps, max(LEVELS.get(name, 0) for name, _ in self._books))

    @property
    def points(self) -> list[Point]:
        """All candidates that were measured, the default not among them; by throughput, the highest first."""
        fps = self.default.fps
        found: dict[Candidate, Point] = {}
        for name, book in self._books:
            for candidate in book.gains:
                if candidate not in book.failed and candidate != DEFAULT:
                    standing = book.standing(candidate)
                    found[candidate] = Point(candidate, standing, standing.gain.median * fps, LEVELS.get(name, 0))
        allowed = [point for point in found.values() if self.objections.get(point.candidate.graph) is None]
        return sorted(allowed, key=lambda point: -point.fps)

    @property
    def frontier(self) -> list[Point]:
        """Throughput against latency: the points that no other beats in both, the default among the candidates.

        Only those of the final, if there was one: of forty short measurements the best is the luckiest.
        """
        points = [self.default, *self.points]
        return frontier([point for point in points if point.level > 0] or points)

    @property
    def chosen(self) -> Point | None:
        """What to use, by what is known so far; None where nothing keeps the limit."""
        checked = [point for point in self.points if self._is_checked(point.candidate)]
        return choose(checked, self.default, self.max_latency_ms)

    @property
    def failed(self) -> set[Candidate]:
        """Candidates that could not be run."""
        return {candidate for _, book in self._books for candidate in book.failed}

    def _calibrate(self) -> None:
        """What a measurement costs here, from two of the default; it is warm then, too."""
        book: Book[Candidate] = Book()
        self._books.append(("calibration", book))
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
        book: Book[Candidate] = Book()
        self._books.append((name, book))
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
        gain = self._standing(winner, book).gain.median
        if book.gains:
            self.events.on_stage(StageReport(name, len(book.gains), winner, gain))
        return winner

    def _centres(self, best: Candidate) -> list[Candidate]:
        """What to vary: the best; if that is the blocking loop, which has little to vary, the best other one, too."""
        if best.get("mode") != "sync":
            return [best]
        score = scorer(self.max_latency_ms)
        others = [point for point in self.points if point.candidate.get("mode") != "sync"]
        second = max(others, key=lambda point: score(point.standing), default=None)
        return [best] if second is None else [second.candidate, best]

    def _winner(self, ranking: Sequence[Candidate], best: Candidate, book: Book[Candidate]) -> Candidate:
        """The first, unless the best so far is as good: then nothing is changed for nothing."""
        score = scorer(self.max_latency_ms)
        if not ranking:
            return best
        first = ranking[0]
        return best if score(book.standing(first)) < MIN_GAIN * score(self._standing(best, book)) else first

    def _standing(self, candidate: Candidate, book: Book[Candidate]) -> Standing:
        """A candidate's in a stage; the base is the default, and what was never measured counts as that."""
        if candidate in book.gains:
            return book.standing(candidate)
        return Standing(_ONE, book.reference_latency_ms, len(book.references))

    def _final(self) -> None:
        """The best once more, side by side, and what else lies on the frontier."""
        deadline_s = self.clock() + self._share_s("final")
        last = finalists(self.points, self.max_latency_ms, 2 * NUM_FINALISTS)
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
            best = self._fastest_within()
            if best is None or best.level == LEVELS["duel"]:
                break
            self._compare("duel", [best.candidate], share * self._share_s("duel"), DUEL_ROUNDS)
        point = self.chosen
        if point is not None:
            num = len(self.points) + 1
            self.events.on_stage(StageReport("result", num, point.candidate, point.standing.gain.median))

    def _fastest_within(self) -> Point | None:
        """Who has to meet the default: the best of the final, unless it is not even there faster than a default that
        may be chosen."""
        limit_ms = self.max_latency_ms or math.inf
        within = [point for point in self.points if point.latency_ms <= limit_ms]
        best = max(within, key=lambda point: (point.level, point.standing.gain.median), default=None)
        if best is None or (best.standing.gain.median < MIN_GAIN and self.default.latency_ms <= limit_ms):
            return None
        return best

    def _compare(self, name: str, contenders: Sequence[Candidate], time_s: float, choices: Sequence[int]) -> None:
        """Measure some side by side, in as many rounds as the time allows."""
        deadline_s = self.clock() + time_s
        cost = self._cost
        for num_rounds in choices:
            window_s = (time_s / (num_rounds * num_measurements(len(contenders))) - cost.overhead_s) / cost.stretch
            if window_s >= cost.min_window_s * (2 if num_rounds > SURE_ROUNDS + 2 else 1):
                break
        window_s = min(max(window_s, cost.min_window_s), cost.max_window_s)
        book: Book[Candidate] = Book()
        self._books.append((name, book))
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

    def _is_checked(self, candidate: Candidate) -> bool:
        """Its detections are the default's, or were shown to be as good."""
        return candidate.graph in (DEFAULT, self.machine.base) or candidate.graph in self.objections

    def _is_allowed(self, candidate: Candidate, stage: str, deadline_s: float) -> bool:
        """Check a candidate's detections once; one that there is no time to check is not allowed."""
        if self._is_checked(candidate):
            return self.objections.get(candidate.graph) is None
        changes = self._changes(candidate)
        if any(why is not None and self._changes(one) <= changes for one, why in self.objections.items()):
            return False  # One of its changes was rejected alone.
        if self.clock() >= deadline_s:
            return False
        self.events.on_step(f"{stage}: checking detections", candidate.graph)
        self.objections[candidate.graph] = self.trials.objection(candidate.graph)
        return self.objections[candidate.graph] is None

    def _changes(self, candidate: Candidate) -> set[tuple[str, object]]:
        return set(candidate.graph.items) - set(self.machine.base.items)
