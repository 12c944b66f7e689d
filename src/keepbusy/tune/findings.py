"""What a search knows so far: its measurements and checks as points, the frontier and the choice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from keepbusy.bench.samples import Ratio
from keepbusy.tune.frontier import MIN_GAIN, Point, choose, frontier
from keepbusy.tune.rounds import Book, Standing
from keepbusy.tune.space import DEFAULT, Candidate

LEVELS = {"final": 1, "duel": 2}
"""How much more the last two stages are to be trusted: see `Point`."""

_ONE = Ratio(1.0, 1.0, 1.0)


@dataclass(slots=True)
class Findings:
    """The measurements of a search, stage by stage, and what was found wrong with detections. Not thread-safe.

    Attributes:
        base: The default with its head named: its detections are the default's.
        max_latency_ms: The limit; None for throughput alone.
        books: Stage and its measurements, in their order.
        objections: Candidate's graph → why it is out; None where its detections are as good as the default's.
    """

    base: Candidate
    max_latency_ms: float | None = None
    books: list[tuple[str, Book[Candidate]]] = field(default_factory=list)
    objections: dict[Candidate, str | None] = field(default_factory=dict)

    def begin(self, stage: str) -> Book[Candidate]:
        """A new book for the measurements of a stage."""
        book: Book[Candidate] = Book()
        self.books.append((stage, book))
        return book

    @property
    def has_any(self) -> bool:
        """Something was measured against the default."""
        return any(book.gains for _, book in self.books)

    @property
    def default(self) -> Point:
        """The default configuration: what everything is compared with."""
        references = [book for _, book in self.books if book.references]
        last = references[-1]
        gain = Standing(_ONE, last.reference_latency_ms, len(last.references))
        return Point(DEFAULT, gain, last.reference_fps, max(LEVELS.get(name, 0) for name, _ in self.books))

    @property
    def points(self) -> list[Point]:
        """All candidates that were measured, the default not among them; by throughput, the highest first."""
        fps = self.default.fps
        found: dict[Candidate, Point] = {}
        for name, book in self.books:
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
        checked = [point for point in self.points if self.is_checked(point.candidate)]
        return choose(checked, self.default, self.max_latency_ms)

    @property
    def contender(self) -> Point | None:
        """Who has to meet the default: the best of the final, unless it is not even there faster than a default that
        may be chosen."""
        limit_ms = self.max_latency_ms or math.inf
        within = [point for point in self.points if point.latency_ms <= limit_ms]
        best = max(within, key=lambda point: (point.level, point.standing.gain.median), default=None)
        if best is None or (best.standing.gain.median < MIN_GAIN and self.default.latency_ms <= limit_ms):
            return None
        return best

    @property
    def failed(self) -> set[Candidate]:
        """Candidates that could not be run."""
        return {candidate for _, book in self.books for candidate in book.failed}

    def standing(self, candidate: Candidate, book: Book[Candidate]) -> Standing:
        """A candidate's in a stage; the base is the default, and what was never measured counts as that."""
        if candidate in book.gains:
            return book.standing(candidate)
        return Standing(_ONE, book.reference_latency_ms, len(book.references))

    def is_checked(self, candidate: Candidate) -> bool:
        """Its detections are the default's, or were compared with them."""
        return candidate.graph in (DEFAULT, self.base) or candidate.graph in self.objections

    def is_hopeless(self, candidate: Candidate) -> bool:
        """One of its changes was rejected alone."""
        changes = self._changes(candidate)
        return any(why is not None and self._changes(one) <= changes for one, why in self.objections.items())

    def _changes(self, candidate: Candidate) -> set[tuple[str, object]]:
        return set(candidate.graph.items) - set(self.base.items)
